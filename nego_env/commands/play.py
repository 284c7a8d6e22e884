"""`nego play`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from nego_env.packs import Suite
    from nego_env.run import Run
    from nego_env.store import TranscriptWriter
    from nego_env.transcript import Transcript


@dataclass(frozen=True)
class Play:
    """Play a dilemma, or a whole pack of them, with any agents; score and save every episode."""

    examples: ClassVar[str] = """
  nego play
  nego play --scenario thesis-deadline --agents mediator sycophant
  nego play --agents human conceder
  nego play --agents my_file.py:my_agent boulware --episodes 20 --out run.jsonl
  nego play --scenario heldout --agents revealer --json
  nego play --scenario path/to/game_folder --agents revealer boulware
"""

    scenario: str = "theatre-2d764a7cd1b4"
    """A scenario id, a pack (every scenario in order), or a path: .toml, .jsonl, pack or a folder an importer knows."""
    agents: tuple[str, ...] | None = None
    """One per seat: a name (`nego agents` lists them), my_file.py:name or module:name. Fewer are dealt round the table.
    Default: boulware conceder on structured dilemmas, mediator sycophant on open ones."""
    episodes: int | None = None
    """How many to play. Default: one of a scenario, one of each scenario of a pack."""
    seed: int = 0
    """Same seed, same agents: the same transcripts, byte for byte."""
    out: Path | None = None
    """Where transcripts go. A file that holds the same run is resumed. Default: a new file under runs/."""
    judge: str | None = None
    """Who judges. Default: exact on structured dilemmas, heuristic (not CA) on open ones."""
    max_rounds: int | None = None
    """Cap on rounds; default as the scenario says."""
    memory: int | None = None
    """Rounds of talk a seat sees; default everything."""
    selfishness: float = 0.0
    """0 rewards the shared score alone, 1 each seat's own gain."""
    completion: Literal["write", "render"] | None = None
    """Whether the final plan is written by an agent or rendered from the deal."""
    complete: Literal["agreement", "always"] = "agreement"
    """`always` also asks for a plan after the cap, as a metric."""
    in_flight: int = 64
    """Episodes played at once."""
    timeout: float | None = None
    """Seconds an agent may take for one answer; default no limit."""
    redraws: int = 1
    """How often an episode that failed (not: that ended without a deal) is tried again."""
    plain: bool = False
    """A person types at a plain terminal, without the screen (also: the environment variable NEGO_PLAIN=1)."""
    json: bool = False
    """One JSON object per episode on stdout, nothing else."""

    def run(self) -> int:
        """Plays; returns 0, 1 when not one episode could be scored, or 130 when it was interrupted."""
        self._check()
        with redirect_stdout(sys.stderr) if self.json else nullcontext():  # agents may print: stdout is for our lines
            run = self._run()
            episodes = len(run.ids) if self.episodes is None else self.episodes
            out = self.out or _new_file(run)
            try:
                self._play(run, episodes, out)
            except KeyboardInterrupt:
                return _interrupted(out, episodes)
        return self._report(run, out, episodes)

    def _run(self) -> Run:
        from nego_env.run import Run
        from nego_env.session import as_suite

        suite = as_suite(self.scenario)
        return Run(
            suite,
            list(_usual_agents(suite) if self.agents is None else self.agents),
            seed=self.seed,
            judge=self.judge,
            max_rounds=self.max_rounds,
            memory=self.memory,
            selfishness=self.selfishness,
            completion=self.completion,
            complete=self.complete,
        )

    def _check(self) -> None:
        """What the engine would refuse, refused before there is a file and by the name of its flag."""
        from nego_env.errors import SettingsError

        for flag, value, least in (
            ("episodes", self.episodes, 1),
            ("seed", self.seed, 0),
            ("max-rounds", self.max_rounds, 1),
            ("memory", self.memory, 1),
            ("in-flight", self.in_flight, 1),
            ("redraws", self.redraws, 0),
        ):
            if value is not None and value < least:
                raise SettingsError(f"--{flag} is {value}, it must be at least {least}")
        if self.timeout is not None and not self.timeout > 0:
            raise SettingsError(f"--timeout is {self.timeout:g}, it must be above 0 (seconds)")
        if not 0 <= self.selfishness <= 1:
            raise SettingsError(f"--selfishness is {self.selfishness:g}, it must lie in [0, 1]")

    def _play(self, run: Run, episodes: int, out: Path) -> None:
        from nego_env.commands.watching import watched
        from nego_env.rollout import rollout, run_blocking
        from nego_env.store import TranscriptWriter

        stage = None if self.plain else _stage(run)
        alone = episodes == 1 and not self.json

        async def everything(writer: TranscriptWriter) -> None:
            done = sum(p.scored for i, p in writer.done.items() if i < episodes)
            with _progress(episodes, done, hidden=self.json or run.one_at_a_time) as advance:
                async for t in rollout(
                    run,
                    episodes,
                    in_flight=self.in_flight,
                    timeout=self.timeout,
                    redraws=self.redraws,
                    writer=writer,
                ):
                    advance()
                    if stage is not None:
                        await stage.show(t)

        with TranscriptWriter(out, run.id) as writer:
            for note in writer.notes:
                print(f"nego: note: {note}", file=sys.stderr)
            _announce(run, writer, episodes)
            with watched(run, stage, alone=alone):
                (run_blocking if stage is None else stage.run)(everything(writer))

    def _report(self, run: Run, out: Path, episodes: int) -> int:
        from nego_env.store import read_final
        from nego_env.summary import Summary, print_summary, row

        summary = Summary()
        only: Transcript | None = None
        for t in read_final(out):
            if t.index >= episodes:
                continue
            summary.add(t)
            only = t
            if self.json:
                print(row(t))
        if self.json:
            return 0 if summary.scored else 1
        if episodes == 1 and only is not None and not run.one_at_a_time:
            from nego_env.replay.plain import print_transcript

            print_transcript(only)
        else:
            print_summary(summary, title=f"{run.suite.name}: {' vs '.join(a.name for a in run.agents)}")
        print(f"saved: {out}\nreplay it: nego replay {out}")
        return 0 if summary.scored or run.one_at_a_time else 1


class _Stage(Protocol):
    """A screen that a person sits at, with the run behind it."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work behind the screen. Raises what it raises, and `KeyboardInterrupt` where the person ends the run."""

    async def show(self, t: Transcript) -> None:
        """How an episode ended; returns when the person has seen it."""


def _stage(run: Run) -> _Stage | None:
    """The screen of the first agent that has one (`stage()`), where the terminal can show it."""
    for a in run.agents:
        if callable(made := getattr(a.agent, "stage", None)) and (stage := made()) is not None:
            found: _Stage = stage
            return found
    return None


def _usual_agents(suite: Suite) -> tuple[str, ...]:
    """Who plays where nobody is named; the first scenario decides."""
    first = next(iter(suite.entries()), None)
    return ("mediator", "sycophant") if first is not None and first.kind == "open" else ("boulware", "conceder")


def _interrupted(out: Path, episodes: int) -> int:
    """Tells what is kept, and under which name; returns the exit code."""
    from nego_env.safe_text import visible
    from nego_env.store import read_final

    kept = read_final(out) if out.exists() and out.stat().st_size else []
    scored = sum(t.scored for t in kept if t.index < episodes)
    told = (
        f"interrupted: {scored} of {episodes} episodes are scored and saved in {out}; "
        f"the same command with --out {out} goes on"
    )
    if not out.exists():
        told = "interrupted before anything was said: nothing is saved"
    print(f"nego: {visible(told, newlines=False)}", file=sys.stderr)
    return 130


def _new_file(run: Run) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")  # local time: a name for a person, not a record
    path = Path("runs") / f"{run.suite.name.replace(':', '-').replace('/', '-')}-{stamp}.jsonl"
    number = 1
    while path.exists():
        number += 1
        path = path.with_stem(f"{path.stem.rsplit('.', 1)[0]}.{number}")
    return path


def _announce(run: Run, writer: TranscriptWriter, episodes: int) -> None:
    """On stderr: how seats were filled where that is not plain, and what a resumed file holds already."""
    scenario = run.scenario(0)
    if 1 < len(run.agents) < scenario.n:
        seats = ", ".join(f"seat_{i} {a.name}" for i, a in enumerate(run.seats(scenario)))
        print(f"nego: {len(run.agents)} agents for {scenario.n} seats, dealt round the table: {seats}", file=sys.stderr)
    if writer.done:
        print(f"nego: {_resuming(writer, episodes)}", file=sys.stderr)


def _resuming(writer: TranscriptWriter, episodes: int) -> str:
    """How many episodes a file holds, and which of those without a score are played again."""
    from nego_env.store import read_final

    held = {i: p for i, p in writer.done.items() if i < episodes}
    told = f"resuming {writer.path}: {sum(p.scored for p in held.values())} of {episodes} episodes are there"
    if all(p.scored for p in held.values()):
        return told
    unscored = [t.stop.value == "interrupted" for t in read_final(writer.path) if t.index in held and not t.scored]
    for what, count in (("was interrupted", sum(unscored)), ("failed", len(unscored) - sum(unscored))):
        if count:
            verb = what if count == 1 else what.replace("was", "were")
            told += f", {count} that {verb} {'is' if count == 1 else 'are'} played again"
    return told


@contextmanager
def _progress(total: int, done: int, *, hidden: bool) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr, where a person is watching and there is something to watch."""
    if hidden or total == 1 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("episodes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("episodes", total=total, completed=done)
        yield lambda: bar.advance(task)
