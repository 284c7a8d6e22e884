"""One step's episodes: groups of G on one dilemma, played, streamed to disk, and read back where a killed run left them.

`OUT/rollouts/step-000012.jsonl` and its token file hold every attempt of step 12. A step that was cut short plays what is
missing and finds the rest there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nego_env.agents import NamedAgent
from nego_env.errors import AgentError
from nego_env.packs import LooseScenarios
from nego_env.rollout import rollout, run_blocking
from nego_env.rules import StopReason
from nego_env.run import Run
from nego_env.scenario import Scenario
from nego_env.settings import Settings
from nego_env.store import TranscriptWriter, read
from nego_env.tokens import EpisodeTokens, read_tokens
from nego_env.transcript import Transcript


@dataclass(frozen=True)
class Episode:
    """An episode's last attempt, with the tokens of the seats a language model played."""

    transcript: Transcript
    tokens: EpisodeTokens


@dataclass(frozen=True)
class Group:
    """G episodes of one scenario."""

    name: str
    """`12.3`: step and position."""
    learners: tuple[int, ...]
    """Seats whose words are trained."""
    episodes: tuple[Episode, ...]

    def rewards(self, seat: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """(G,) of a seat, nan where the episode has none."""
        found = [e.transcript.rewards for e in self.episodes]
        return np.array([np.nan if r is None else r[seat] for r in found], dtype=np.float64)

    @property
    def uniform(self) -> bool:
        """No learner's rewards differ, so every advantage is 0."""
        return all(_equal(self.rewards(seat)) for seat in self.learners)


def _equal(rewards_G: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    scored = rewards_G[~np.isnan(rewards_G)]
    return len(scored) == 0 or float(scored.max() - scored.min()) < 1e-9


class StepRun(Run):
    """A run whose episode i belongs to group i // G; who sits where may differ from group to group."""

    def __init__(
        self,
        scenario_of: Callable[[int], Scenario],
        seats_of: Callable[[int, Scenario], tuple[NamedAgent, ...]],
        agents: Sequence[Any],
        *,
        groups: int,
        group_size: int,
        seed: int,
        **settings: Any,
    ) -> None:
        """`scenario_of(group)`, and `seats_of(group, scenario)` among `agents`; settings as for `Run`."""
        self._scenario_of, self._seats_of, self._group_size = scenario_of, seats_of, group_size
        self._kept: dict[int, tuple[Scenario, Settings, tuple[NamedAgent, ...]]] = {}
        first = {s.id: s for s in map(scenario_of, range(groups))}
        super().__init__(LooseScenarios("step", first.values()), list(agents), seed=seed, **settings)

    def episode(self, index: int) -> tuple[Scenario, Settings, tuple[NamedAgent, ...]]:
        """Everything an episode is played with, but its seed."""
        group = index // self._group_size
        if group not in self._kept:
            scenario = self._scenario_of(group)
            seats = self._seats_of(group, scenario)
            for a in seats:
                kinds = getattr(a.agent, "kinds", None)
                if kinds is not None and scenario.kind not in kinds:
                    raise AgentError(
                        f"{a.name!r} plays {' and '.join(kinds)} dilemmas only; {scenario.id!r} is {scenario.kind}"
                    )
            self._kept[group] = scenario, self.terms.settings(scenario), seats
        return self._kept[group]

    def scenario(self, index: int) -> Scenario:
        """The scenario of an episode."""
        return self.episode(index)[0]


def play_groups(
    run: StepRun,
    count: int,
    group_size: int,
    out: Path,
    *,
    in_flight: int,
    redraws: int,
    played: Callable[[Transcript], None] | None = None,
) -> list[tuple[Episode, ...]]:
    """The episodes of groups 0 ... count - 1, each in order of index: what `out` holds already, and the rest played now and
    written to it. `played` is told of every final attempt."""
    found: dict[int, Episode] = {}
    total = count * group_size

    def keep(t: Transcript, tokens: EpisodeTokens) -> None:
        found[t.index] = Episode(t, tokens)

    async def everything() -> None:
        with TranscriptWriter(out, run.id, tokens=True) as writer:
            found.update(_on_disk(out))
            if all(i in found and _final(found[i].transcript, redraws) for i in range(total)):
                return
            episodes = rollout(run, total, in_flight=in_flight, redraws=redraws, writer=writer, on_tokens=keep)
            async for t in episodes:
                if played is not None:
                    played(t)

    run_blocking(everything())
    return [tuple(found[g * group_size + i] for i in range(group_size)) for g in range(count)]


def _final(t: Transcript, redraws: int) -> bool:
    """Not to be played again: a step that was complete gives the same update when it is taken again."""
    return t.scored or (t.stop is not StopReason.INTERRUPTED and t.attempt >= redraws)


def _on_disk(out: Path) -> dict[int, Episode]:
    """By index, the scored attempt of each episode a file holds, else its last."""
    if not out.exists() or out.stat().st_size == 0:
        return {}
    tokens: Mapping[tuple[str, int], EpisodeTokens] = read_tokens(out)
    found: dict[int, Episode] = {}
    for t in read(out):
        if t.index not in found or not found[t.index].transcript.scored:
            empty = EpisodeTokens("nego-tokens/1", t.id, t.attempt)
            found[t.index] = Episode(t, tokens.get((t.id, t.attempt), empty))
    return found


def step_seed(seed: int, step: int) -> int:
    """The seed of a step's episodes: `seed` x 10**6 + step, to be read off a transcript."""
    return seed * 10**6 + step
