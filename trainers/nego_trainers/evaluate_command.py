"""`nego evaluate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from nego_trainers.evaluate import Progress
    from nego_trainers.pairwise import PairResult, PairwiseJudge
    from nego_trainers.results import Results


@dataclass(frozen=True)
class Evaluate:
    """Agents on a suite of dilemmas, both seatings, paired seeds: one table, with intervals.

    Every agent plays against itself; --cross adds every ordered pair. `optimum` is the best deal of every dilemma (CA 5 by
    construction), `premature` opens with its own best deal and accepts whatever is no loss.
    """

    examples: ClassVar[str] = """
  nego evaluate --scenarios 50
  nego evaluate --agents optimum revealer conceder boulware --cross --scenarios 20 --out runs/field
  nego evaluate --agents hf:nego-tiny hf:runs/grpo/best --temperature 1.0 0.7 0 --suite duels
  nego evaluate --agents hf:nego-tiny,temperature=0.7,top_p=0.95 conceder --json
  nego evaluate --agents revealer boulware --scenarios 20 --pairs-judge prompted:openai:MODEL@URL
"""

    agents: tuple[str, ...] = ("optimum", "revealer", "conceder", "boulware", "premature")
    """Names (`nego agents` lists them, with their arguments), my_file.py:name, hf:MODEL; and optimum, premature."""
    suite: str = "heldout"
    """Dilemmas: a pack, an id or a path."""
    scenarios: int | None = None
    """Play only the first so many. Default: all."""
    seeds: tuple[int, ...] = (0,)
    """One run each; every agent plays with the same ones."""
    seating: Literal["both", "given", "reversed"] = "both"
    """`both` plays every dilemma twice, the second time with its seats in reverse order."""
    cross: bool = False
    """Also play every ordered pair of different agents."""
    temperature: tuple[float, ...] = ()
    """Play each hf: model that names no temperature once at each of these; 0 is greedy."""
    out: Path | None = None
    """Folder for transcripts, results.json and results.png; one that holds the same run is resumed. Default: new, under runs/."""
    pairs: bool = False
    """Also compare completions pairwise, in both orders; by exact CA where no --pairs-judge is named."""
    pairs_judge: str | None = None
    """Who compares them: prompted:openai:MODEL@URL, prompted:hf:MODEL, my_file.py:MyJudge or exact. Open dilemmas need one."""
    pairs_aspect: Literal["ca", "resolution"] = "ca"
    """What a prompted judge compares by: Collective Agency, or how well the conflict is resolved."""
    plot: bool = False
    """Also draw results.png (needs matplotlib)."""
    judge: str | None = None
    """Who judges. Default: exact; open dilemmas need one that is named."""
    max_rounds: int | None = None
    """Cap on rounds; default as the scenario says."""
    memory: int | None = None
    """Rounds of talk a seat sees; default everything."""
    completion: Literal["write", "render"] | None = None
    """Whether the final plan is written by an agent or rendered from the deal."""
    tokens: bool = False
    """Keep the tokens of language models too."""
    in_flight: int = 128
    """Episodes played at once."""
    timeout: float | None = None
    """Seconds an agent may take for one answer; default no limit."""
    redraws: int = 1
    """How often an episode that failed (not: that ended without a deal) is tried again."""
    resamples: int = 2000
    """Bootstrap resamples."""
    json: bool = False
    """The results as one JSON object on stdout, nothing else."""

    def run(self) -> int:
        """Evaluates; returns 0, 1 when not one episode could be scored, or 130 when it was interrupted."""
        from nego_trainers.plots import check_matplotlib, plot

        self._check()
        if self.plot:
            check_matplotlib()
        judge = self._pairs_judge()
        out = self.out or _new_folder(self.suite)
        with redirect_stdout(sys.stderr) if self.json else nullcontext():  # agents may print: stdout is for our line
            try:
                results = self._evaluate(out)
                _save(out / "results.json", results.to_json())  # a judge that stops the run costs its part alone
                compared = [] if judge is None else self._compare(results, judge)
            except KeyboardInterrupt:
                sys.stderr.write(
                    f"nego: interrupted: finished episodes are in {out}; the same command with --out {out} goes on\n"
                )
                return 130
        found = results.to_json() | ({"pairs": [_pair(p) for p in compared]} if judge is not None else {})
        _save(out / "results.json", found)
        if self.plot:
            plot(results, out / "results.png")
        if self.json:
            sys.stdout.write(json.dumps(found) + "\n")
        else:
            _print(results, compared, out)
        played = [results.counts(name) for name in results.files]
        return 0 if not played or any(episodes > unscored for episodes, unscored, _ in played) else 1

    def _check(self) -> None:
        """What would be refused later, refused before there is a file and by the name of its flag."""
        from nego_env.errors import SettingsError
        from nego_trainers.model_specs import is_model

        for flag, value, least in (
            ("scenarios", self.scenarios, 1),
            ("max-rounds", self.max_rounds, 1),
            ("memory", self.memory, 1),
            ("in-flight", self.in_flight, 1),
            ("redraws", self.redraws, 0),
            ("resamples", self.resamples, 2),
            ("seeds", min(self.seeds, default=None), 0),
        ):
            if value is not None and value < least:
                raise SettingsError(f"--{flag} is {value}, it must be at least {least}")
        if self.timeout is not None and not self.timeout > 0:
            raise SettingsError(f"--timeout is {self.timeout:g}, it must be above 0 (seconds)")
        if any(not t >= 0 for t in self.temperature):
            raise SettingsError(f"--temperature is {min(self.temperature):g}, it must be 0 (greedy) or above")
        if self.temperature and not any(is_model(name) for name in self.agents):
            raise SettingsError("--temperature is of hf: models, and none is among --agents")

    def _evaluate(self, out: Path) -> Results:
        from nego_trainers.evaluate import evaluate
        from nego_trainers.model_specs import with_temperatures

        with _progress(hidden=self.json) as progress:
            return evaluate(
                with_temperatures(self.agents, self.temperature),
                self.suite,
                seeds=self.seeds,
                seating=self.seating,
                cross=self.cross,
                scenarios=self.scenarios,
                out=out,
                tokens=self.tokens,
                in_flight=self.in_flight,
                redraws=self.redraws,
                timeout=self.timeout,
                resamples=self.resamples,
                progress=progress,
                judge=self.judge,
                max_rounds=self.max_rounds,
                memory=self.memory,
                completion=self.completion,
            )

    def _pairs_judge(self) -> PairwiseJudge | None:
        """Who compares, if anybody is to. Raises for a name that is none, and where the exact judge cannot compare."""
        from nego_env.errors import SettingsError
        from nego_env.session import as_suite
        from nego_trainers.pairwise import ExactPairwise, resolve_pairwise

        if not self.pairs and self.pairs_judge is None:
            return None
        judge = resolve_pairwise(self.pairs_judge or "exact", aspect=self.pairs_aspect)
        if isinstance(judge, ExactPairwise):
            open_one = next((s.id for s in as_suite(self.suite).entries() if s.kind == "open"), None)
            if open_one is not None:
                raise SettingsError(
                    f"{open_one!r} is an open dilemma, on which nothing is exact: say who compares "
                    "(--pairs-judge prompted:openai:MODEL@URL)"
                )
        return judge

    def _compare(self, results: Results, judge: PairwiseJudge) -> list[PairResult]:
        from nego_trainers.evaluate import transcripts
        from nego_trainers.pairwise import compare

        return [
            compare(transcripts(results, a), transcripts(results, b), judge, names=(a, b), resamples=self.resamples)
            for a, b in combinations(results.files, 2)
        ]


def _pair(p: PairResult) -> dict[str, Any]:
    rate = {"mean": p.rate.value, "low": p.rate.low, "high": p.rate.high} if p.rate.n else None
    return {
        "left": p.left,
        "right": p.right,
        "wins": p.wins,
        "losses": p.losses,
        "ties": p.ties,
        "inconsistent": p.inconsistent,
        "unjudged": p.unjudged,
        "why_unjudged": p.why_unjudged,
        "win_rate": rate,
        "judge": p.judge,
    }


def _save(path: Path, found: dict[str, Any]) -> None:
    from nego_env.errors import TranscriptError

    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as e:
        raise TranscriptError(f"{path}: cannot be written: {e.strerror}") from None


def _print(results: Results, compared: list[PairResult], out: Path) -> None:
    from rich.console import Console

    from nego_trainers.tables import print_pairs, print_tables

    console = Console()
    print_tables(results, console)
    if compared:
        print_pairs(compared, console)
    console.print(f"saved: {out}", markup=False, highlight=False, soft_wrap=True)


def _new_folder(suite: str) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")  # local time: a name for a person, not a record
    name = Path(suite).stem or "suite"
    path = Path("runs") / f"evaluate-{name}-{stamp}"
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"evaluate-{name}-{stamp}.{number}")
    return path


@contextmanager
def _progress(*, hidden: bool) -> Iterator[Progress | None]:
    """A bar for each entry on stderr, where a person is looking."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from nego_env.safe_text import visible

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(escape(visible(name, newlines=False)), total=total)
            bar.update(tasks[name], completed=done)

        yield tell
