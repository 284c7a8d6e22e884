"""Agents on a suite of dilemmas: every dilemma in both seatings, every entry with the same seeds.

1. An *entry* is one agent, playing against itself, or several at one table (dealt round it, as `nego_env.play` does).
2. Paired: episode i of every entry is the same scenario, seating and seed, so each seat draws from the same generator.
3. Transcripts stream to one file per entry and seed; a run that was stopped goes on where it was, and a finished one is
   read, not played again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from nego_env.agents import AgentLike, NamedAgent, resolve_agent
from nego_env.errors import SettingsError
from nego_env.packs import LooseScenarios
from nego_env.rollout import rollout, run_blocking
from nego_env.run import Run
from nego_env.scenario import Scenario
from nego_env.session import as_suite
from nego_env.store import TranscriptFile, TranscriptWriter
from nego_env.tokens import EpisodeTokens
from nego_env.transcript import Transcript
from nego_scenarios.duels import shape_of, suite_hash
from nego_trainers.intervals import RESAMPLES
from nego_trainers.records import EpisodeRecord, optimum_record, record
from nego_trainers.references import OPTIMUM, PREMATURE, Premature
from nego_trainers.results import Results
from nego_trainers.seatings import Seatings, all_seated, seatings
from nego_trainers.token_counts import sampled, token_counts

Entry = AgentLike | Sequence[AgentLike]
Progress = Callable[[str, int, int], None]
"""Told (entry, episodes done, episodes in all) as they finish; both count every seed."""


def evaluate(
    entries: Mapping[str, Entry] | Sequence[str],
    suite: Any = "heldout",
    *,
    seeds: Sequence[int] = (0,),
    seating: Seatings = "both",
    cross: bool = False,
    scenarios: int | None = None,
    out: str | Path | None = None,
    tokens: bool = False,
    in_flight: int = 128,
    redraws: int = 1,
    timeout: float | None = None,
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
    **settings: Any,
) -> Results:
    """Play every entry on every scenario, seating and seed, and say what came of it.

    `entries`: agents by the name they have in the table, or agent names. `optimum` is not played (CA 5 by construction);
    `premature` is `nego_trainers.references.Premature`. `cross` adds every ordered pair of different entries of one agent.
    `suite`: whatever `nego_env.play` takes, or a list of scenarios; `scenarios` plays the first so many. `out`: a folder for
    the transcripts, resumed when it holds the same run; `tokens` keeps their tokens too. `in_flight` episodes at once.
    `settings` are those of `nego_env.run.Run`: judge, max_rounds, memory, completion, ...

    Raises `SettingsError`, `NotFoundError` or `AgentError` before anything is played, `TranscriptError` where `out` holds
    another run.
    """
    every = _scenarios(suite)
    if scenarios is not None and scenarios < 1:
        raise SettingsError(f"scenarios is {scenarios}, it must be at least 1")
    chosen = every[:scenarios]
    if not seeds or len(set(seeds)) != len(seeds):
        raise SettingsError(f"seeds are {list(seeds)}; give at least one, and each once")
    _check_judge(chosen, settings.get("judge"))
    seats = _entries(entries, cross)
    # Of the whole suite, so that a folder with more (or fewer) of its scenarios holds the same run.
    played = LooseScenarios("evaluation", all_seated(every, seating))
    planned = {
        name: [] if agents is None else [Run(played, agents, seed=seed, **settings) for seed in seeds]
        for name, agents in seats.items()
    }
    folder = None if out is None else Path(out)
    runs: dict[str, tuple[tuple[EpisodeRecord, ...], ...]] = {}
    files: dict[str, tuple[Path, ...]] = {}
    plan = _Plan(chosen, seating, in_flight=in_flight, redraws=redraws, timeout=timeout, tokens=tokens)
    for name, todo in planned.items():
        if not todo:
            runs[name] = (plan.optimum(seeds[0]),)
            continue
        paths = [None if folder is None else folder / f"{_slug(name)}.seed{seed}.jsonl" for seed in seeds]
        total = plan.episodes * len(todo)
        tell = _telling(progress, name, total)
        runs[name] = tuple(plan.play(run, path, tell) for run, path in zip(todo, paths, strict=True))
        files[name] = tuple(p for p in paths if p is not None)
    return Results(
        suite=_suite_name(suite),
        sha256=suite_hash(chosen),
        scenarios=tuple((s.id, shape_of(s)) for s in chosen),
        seatings=seatings(seating),
        runs=runs,
        agents={n: (n,) if a is None else tuple(x.name for x in a) for n, a in seats.items()},
        files=files,
        settings={"seeds": list(seeds), "settings": {k: v for k, v in settings.items() if v is not None}},
        resamples=resamples,
    )


class _Plan:
    """What all entries share."""

    def __init__(
        self,
        scenarios: list[Scenario],
        seating: Seatings,
        *,
        in_flight: int,
        redraws: int,
        timeout: float | None,
        tokens: bool,
    ) -> None:
        self.scenarios, self.seating = scenarios, seating
        self.limits: dict[str, Any] = {"in_flight": in_flight, "redraws": redraws, "timeout": timeout}
        self.tokens = tokens
        self._seatings = seatings(seating)
        self._shapes = [shape_of(s) for s in scenarios]

    @property
    def episodes(self) -> int:
        """Of one entry and seed."""
        return len(self.scenarios) * len(self._seatings)

    def play(self, run: Run, path: Path | None, tell: Callable[[int], None]) -> tuple[EpisodeRecord, ...]:
        """Every episode of a run, played or read from its file, by index."""
        found: dict[int, EpisodeRecord] = {}
        counted: dict[tuple[str, int], int] = {}

        def count(t: Transcript, tokens: EpisodeTokens) -> None:
            if tokens.turns:
                counted[t.id, t.attempt] = sampled(tokens)

        async def everything() -> None:
            with (
                nullcontext() if path is None else TranscriptWriter(path, run.id, tokens=self.tokens) as writer,
            ):
                if path is not None and writer is not None and writer.done:
                    counted.update(token_counts(path))
                    for t in TranscriptFile(path):
                        if t.scored and t.index < self.episodes:
                            found[t.index] = self._record(t, counted)
                tell(len(found))
                async for t in rollout(run, self.episodes, writer=writer, on_tokens=count, **self.limits):
                    found[t.index] = self._record(t, counted)
                    tell(1)

        run_blocking(everything())
        return tuple(found[i] for i in sorted(found))

    def _record(self, t: Transcript, counted: Mapping[tuple[str, int], int]) -> EpisodeRecord:
        which, seating = divmod(t.index, len(self._seatings))
        return record(
            t,
            scenario=self.scenarios[which].id,
            shape=self._shapes[which],
            seating=self._seatings[seating],
            tokens=counted.get((t.id, t.attempt)),
        )

    def optimum(self, seed: int) -> tuple[EpisodeRecord, ...]:
        """The run that is not played."""
        return tuple(
            optimum_record(s, id=s.id, shape=shape, seating=seating, seed=seed)
            for s, shape in zip(self.scenarios, self._shapes, strict=True)
            for seating in self._seatings
        )


def _check_judge(scenarios: list[Scenario], judge: object) -> None:
    """The embedded judge of open dilemmas measures nothing: it is used where it is named, and only there."""
    first = next((s for s in scenarios if s.kind == "open"), None)
    if first is not None and judge is None:
        raise SettingsError(
            f"{first.id!r} is an open dilemma, which a judge has to score: name one (judge='my_file.py:MyJudge', on the "
            "command line --judge); the embedded heuristic measures nothing, and is used only where it is named"
        )


def _scenarios(suite: Any) -> list[Scenario]:
    if isinstance(suite, (list, tuple)):
        found = list(suite)
    else:
        opened = as_suite(suite)
        found = [opened.get(id) for id in opened.ids()]
    if not found:
        raise SettingsError("the suite is empty: there is nothing to evaluate on")
    return found


def _suite_name(suite: Any) -> str:
    if isinstance(suite, (list, tuple)):
        return "scenarios"
    return as_suite(suite).name


def _entries(entries: Mapping[str, Entry] | Sequence[str], cross: bool) -> dict[str, list[NamedAgent] | None]:
    """Agents by entry, each made once so that its calls batch; None for the optimum."""
    if isinstance(entries, str):
        raise SettingsError(f"entries is one name, {entries!r}; give a list of names, or agents by name")
    named = dict(entries) if isinstance(entries, Mapping) else {n: n for n in entries}
    if not named:
        raise SettingsError("no entries given: there is nothing to evaluate")
    made: dict[str | int, NamedAgent] = {}
    found: dict[str, list[NamedAgent] | None] = {}
    for name, entry in named.items():
        if isinstance(entry, str) and entry == OPTIMUM:
            found[name] = None
            continue
        agents: list[Any] = list(entry) if isinstance(entry, (list, tuple)) else [entry]
        found[name] = [_made(a, made) for a in agents]
    if cross:
        single = {n: a[0] for n, a in found.items() if a is not None and len(a) == 1}
        for first, second in ((a, b) for a in single for b in single if a != b):
            found[f"{first} vs {second}"] = [single[first], single[second]]
    return found


def _made(agent: AgentLike, made: dict[str | int, NamedAgent]) -> NamedAgent:
    key = agent if isinstance(agent, str) else id(agent)
    if key not in made:
        made[key] = resolve_agent(Premature() if agent == PREMATURE else agent)
    return made[key]


def _telling(progress: Progress | None, name: str, total: int) -> Callable[[int], None]:
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(name, done, total)

    return tell


def _slug(name: str) -> str:
    """A file name for an entry; names that differ get different ones."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def transcripts(results: Results, name: str) -> Iterator[Transcript]:
    """Every scored episode of an entry that was evaluated with `out`, once. Raises `SettingsError` where none were kept."""
    if not results.files.get(name):
        raise SettingsError(f"the transcripts of {name!r} were not kept: evaluate with out=FOLDER")
    wanted = len(results.scenarios) * len(results.seatings)
    for path in results.files[name]:
        seen: set[int] = set()
        for t in TranscriptFile(path):
            if t.scored and t.index < wanted and t.index not in seen:
                seen.add(t.index)
                yield t
