"""Self-play: the policy's episodes of a step, and the training rows they give.

    play(step)          groups of G episodes, with the weights as they are, streamed to OUT/rollouts
    weighed(groups)     rows with an advantage and a weight for each token
    look()              the policy on the validation set

A step is numbered by the updates that are behind it when it is played, from 0; its files and its line in metrics.jsonl
carry the number it has when it is done, from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_env.agents import NamedAgent, resolve_agent
from nego_env.packs import LooseScenarios
from nego_env.rollout import rollout, run_blocking
from nego_env.run import Run
from nego_env.scenario import Scenario
from nego_env.store import meta_path
from nego_env.tokens import tokens_path
from nego_env.transcript import Transcript
from nego_trainers.batch import WeightedRow
from nego_trainers.checkpoint import remove, whole_folder
from nego_trainers.collect import Episode, Group, StepRun, play_groups, step_seed
from nego_trainers.learner import Learner
from nego_trainers.opponents import learners, parse_opponent
from nego_trainers.policy import Policy
from nego_trainers.rows import rows_of
from nego_trainers.settings import GRPOSettings
from nego_trainers.sources import Source, validation

if TYPE_CHECKING:
    from nego_agents.local.agent import HFAgent
    from nego_agents.local.model import LocalModel


@dataclass(frozen=True)
class Played:
    """What a step has to learn from."""

    groups: tuple[Group, ...]
    drawn_anew: int
    """Groups without variance that were replaced (dynamic sampling)."""


class SelfPlay:
    """Plays a run's episodes."""

    def __init__(
        self,
        settings: GRPOSettings,
        policy: Policy,
        source: Source,
        out: Path,
        judge: Any = None,
        *,
        learner: Learner | None = None,
        start: LocalModel | None = None,
    ) -> None:
        """Raises `NegoError` for an opponent that cannot be had. `judge` replaces the one that is named, `learner` the
        settings' own. Where the model at the `start` is given, a step's episodes are sampled from it and not from the policy."""
        self.settings, self.policy, self.source, self.out = settings, policy, source, out
        self.judge = settings.judge if judge is None else judge
        self.opponent = parse_opponent(settings.opponent)
        self._other = resolve_agent(self.opponent.agent) if self.opponent.kind == "agent" else None
        self._copies: dict[int, HFAgent] = {}
        self._validation: LooseScenarios | None = None
        self.learner = learner or settings.learner()
        self.agent = self._seated(policy.local, "policy@0")
        self.sampler = self.agent if start is None else self._seated(start, "policy@0")

    # ---------------------------------------------------------------- a step
    def play(self, step: int, played: Callable[[int, int], None] = lambda done, total: None) -> Played:
        """The episodes of a step, after so many updates. `played(done, total)` is called as they finish."""
        s = self.settings
        self._take_copy(step)
        self._refresh(self.sampler, f"policy@{step if self.sampler is self.agent else 0}")
        count, done = s.groups, 0

        def one(_: Transcript) -> None:
            nonlocal done
            done += 1
            played(done, count * s.group_size)

        run = self._run(step)
        path = rollout_path(self.out, step + 1)
        limits: dict[str, Any] = {"in_flight": s.in_flight or s.groups * s.group_size, "redraws": s.redraws}
        groups = self._groups(step, play_groups(run, count, s.group_size, path, played=one, **limits))
        while (missing := _dull(groups[: s.groups], groups[s.groups :])) and count < s.groups + s.dynamic_sampling:
            count = min(count + missing, s.groups + s.dynamic_sampling)
            groups = self._groups(step, play_groups(run, count, s.group_size, path, played=one, **limits))
        chosen = _chosen(groups, s.groups)
        return Played(tuple(chosen), drawn_anew=count - s.groups)

    def _run(self, step: int) -> StepRun:
        s = self.settings
        agents = [self.sampler, *self._copies.values(), *([self._other.agent] if self._other else [])]
        return StepRun(
            partial(self.source.group, step),
            partial(self._seats, step),
            agents,
            groups=s.groups,
            group_size=s.group_size,
            seed=step_seed(s.seed, step),
            judge=self.judge,
            max_rounds=s.max_rounds,
            memory=s.memory,
            selfishness=s.selfishness,
            completion=s.completion,
        )

    def _seats(self, step: int, group: int, scenario: Scenario) -> tuple[NamedAgent, ...]:
        """Who sits where in a group's episodes."""
        policy = NamedAgent(self.sampler.spec, self.sampler)
        ours = learners(self.settings.seats, scenario.n, step, group)
        if self.opponent.kind == "self":
            return (policy,) * scenario.n
        if self._other is not None:
            other = self._other
        else:
            copy = self._copies[self.opponent.copy_for(self.settings.seed, step, group)]
            other = NamedAgent(copy.spec, copy)
        return tuple(policy if i in ours else other for i in range(scenario.n))

    def _groups(self, step: int, episodes: Sequence[tuple[Episode, ...]]) -> list[Group]:
        return [
            Group(f"{step + 1}.{g}", learners(self.settings.seats, found[0].transcript.scenario.n, step, g), found)
            for g, found in enumerate(episodes)
        ]

    def weighed(self, groups: Sequence[Group]) -> list[WeightedRow]:
        """The rows of the seats that train."""
        s = self.settings
        rows = [
            [
                rows_of(
                    e.transcript,
                    e.tokens,
                    seats=[f"seat_{i}" for i in g.learners],
                    group=g.name,
                    completion_tokens=s.train_tokens == "all",
                )
                for e in g.episodes
            ]
            for g in groups
        ]
        games = [f"{x.kind}-{x.n}" for x in (g.episodes[0].transcript.scenario for g in groups)]
        return self.learner.weighed(rows, games)

    # ---------------------------------------------------------------- who plays
    def _seated(self, local: LocalModel, spec: str) -> HFAgent:
        from nego_agents.local.agent import HFAgent
        from nego_agents.local.sampling import Sampling

        s = self.settings
        plan = Sampling(
            temperature=s.temperature if s.completion_temperature is None else s.completion_temperature,
            top_p=s.top_p if s.completion_top_p is None else s.completion_top_p,
            max_new_tokens=s.completion_max_new_tokens or s.max_new_tokens,
        )
        dialogue = Sampling(temperature=s.temperature, top_p=s.top_p, max_new_tokens=s.max_new_tokens)
        return HFAgent(model=local, sampling=dialogue, completion_sampling=plan, spec=spec)

    def _refresh(self, agent: HFAgent, spec: str) -> None:
        """The weights may have changed since the agent last spoke."""
        agent.reset()
        agent.spec = spec

    def _take_copy(self, step: int) -> None:
        """Keeps a copy of the policy where one is due, and holds the copies that this step plays against."""
        if self.opponent.due(step):
            self.keep_copy(step)
        wanted = self.opponent.copies(step)
        for k in [k for k in self._copies if k not in wanted]:
            del self._copies[k]
            remove(copy_path(self.out, k))
        for k in wanted:
            if k not in self._copies:
                self._copies[k] = self._seated(self._load_copy(k), f"policy@{k}")

    def keep_copy(self, step: int) -> None:
        """Writes the policy as it is as an opponent of later steps."""
        if not copy_path(self.out, step).exists():
            with whole_folder(copy_path(self.out, step)) as folder:
                self.policy.save(folder)

    def _load_copy(self, step: int) -> LocalModel:
        from nego_agents.local.model import LocalModel

        return LocalModel.load(str(copy_path(self.out, step)), device=self.settings.device, dtype="auto")

    # ---------------------------------------------------------------- a look
    def look(self, step: int) -> list[Transcript]:
        """The policy with itself on every validation dilemma, once; the same random numbers at every look."""
        s = self.settings
        if self._validation is None:
            self._validation = LooseScenarios("validation", validation(s))
        self._refresh(self.agent, f"policy@{step}")
        run = Run(
            self._validation,
            self.agent,
            judge=self.judge,
            max_rounds=s.max_rounds,
            memory=s.memory,
            selfishness=s.selfishness,
            completion=s.completion,
        )

        async def everything() -> list[Transcript]:
            count = len(run.ids)
            return [t async for t in rollout(run, count, in_flight=s.in_flight or 96, redraws=s.redraws)]

        return run_blocking(everything())

    def forget_rollouts(self, before: int) -> None:
        """Removes the files of steps numbered below `before`."""
        for path in sorted((self.out / "rollouts").glob("step-??????.jsonl")):
            if int(path.stem.removeprefix("step-")) < before:
                for file in (path, tokens_path(path), meta_path(path)):
                    file.unlink(missing_ok=True)


def rollout_path(out: Path, number: int) -> Path:
    """`OUT/rollouts/step-000012.jsonl`: the episodes behind update 12."""
    return out / "rollouts" / f"step-{number:06d}.jsonl"


def copy_path(out: Path, step: int) -> Path:
    """`OUT/opponents/step-000010`: the policy after 10 updates."""
    return out / "opponents" / f"step-{step:06d}"


def _dull(first: Sequence[Group], spare: Sequence[Group]) -> int:
    """How many groups still lack variance after the spare ones took the places of those that do."""
    return max(0, sum(g.uniform for g in first) - sum(not g.uniform for g in spare))


def _chosen(groups: Sequence[Group], count: int) -> list[Group]:
    """The first `count` groups, those without variance replaced by later ones that have some, as far as they go."""
    spare = iter([g for g in groups[count:] if not g.uniform])
    return [next(spare, g) if g.uniform else g for g in groups[:count]]
