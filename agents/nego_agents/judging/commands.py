"""`nego rejudge`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from rich.console import Console

    from nego_agents.judging.concordance import Concordance
    from nego_agents.judging.rejudging import Rejudged, Rejudgement


@dataclass(frozen=True)
class Rejudge:
    """Score saved transcripts again with another judge; old and new scores side by side, and how far they agree.

    Only completions are scored: episodes without one are left out and counted. The file stays as it is.
    """

    examples: ClassVar[str] = """
  nego rejudge run.jsonl --judge exact
  nego rejudge run.jsonl --judge prompted:openai:gpt-4o-mini@https://api.openai.com/v1
  nego rejudge run.jsonl --judge prompted:openai:qwen3:8b@localhost:11434/v1 --json > scores.json
  nego rejudge run.jsonl --judge prompted:hf:Qwen/Qwen3-4B --episodes 50
"""

    file: Path
    """A file of transcripts, as `nego play --out` writes it."""
    judge: str | None = None
    """Who judges now (required): exact, heuristic, prompted:openai:MODEL@URL, prompted:hf:MODEL, or my_file.py:MyJudge."""
    episodes: int | None = None
    """Only the first so many of the file. Default: all."""
    rows: int = 20
    """At most so many episodes in the table, those that differ most first; --json has all."""
    in_flight: int = 64
    """Completions judged at once."""
    json: bool = False
    """One JSON object on stdout: every verdict with the raw reply, and the statistics."""

    def run(self) -> int:
        """Scores; returns 0, or 1 when not one completion could be scored."""
        from nego_env.safe_text import visible

        self._check()
        with redirect_stdout(sys.stderr) if self.json else nullcontext():  # judges may print: stdout is for our line
            found, notes = self._rejudged()
        if self.json:
            import json

            print(json.dumps(found.to_json(), ensure_ascii=True))
        else:
            _print(found, self.rows)
        for note in notes:
            print(f"nego: note: {visible(note, newlines=False)}", file=sys.stderr)
        return 0 if found.judged else 1

    def _check(self) -> None:
        from nego_env.errors import SettingsError

        if self.judge is None:
            raise SettingsError("say who judges: --judge exact, --judge prompted:openai:MODEL@URL, ...")
        for flag, value, least in (
            ("episodes", self.episodes, 1),
            ("rows", self.rows, 0),
            ("in-flight", self.in_flight, 1),
        ):
            if value is not None and value < least:
                raise SettingsError(f"--{flag} is {value}, it must be at least {least}")

    def _rejudged(self) -> tuple[Rejudgement, list[str]]:
        from nego_agents.judging.rejudging import rejudge
        from nego_env.judging import resolve_judge
        from nego_env.rollout import run_blocking
        from nego_env.store import TranscriptFile, read_final

        notes = TranscriptFile(self.file).notes
        transcripts = read_final(self.file)[: self.episodes]
        judge = resolve_judge(self.judge, transcripts[0].scenario.kind)
        with _progress(len(transcripts), hidden=self.json) as advance:
            return run_blocking(rejudge(transcripts, judge, in_flight=self.in_flight, progress=advance)), notes


def _print(found: Rejudgement, rows: int) -> None:
    from rich.console import Console

    console = Console()
    if found.episodes and rows:
        _print_scores(found, rows, console)
    for (judge, label), figures in found.by_old_judge().items():
        _print_agreement(judge, label, figures, console)
    for line in _remarks(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_scores(found: Rejudgement, rows: int, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from nego_env.safe_text import visible

    table = Table(
        title=Text(f"old and new scores; new: {visible(found.judge, newlines=False)}"),
        title_justify="left",
        expand=True,
    )
    for heading in ("episode", "scenario"):
        table.add_column(heading, no_wrap=True)
    for heading in ("old", "new", "new - old"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    shown = sorted(found.episodes, key=_unlike)[:rows]
    for e in shown:
        why = _fault(e, found.judge) if e.error else e.new.reason if e.new is not None else "not judged"
        cells = (str(e.index), e.scenario, _score(e.old), _score(e.new), _signed(e.difference), why)
        table.add_row(*(Text(visible(c, newlines=False)) for c in cells))
    console.print(table)
    if len(shown) < len(found.episodes):
        console.print(
            f"{len(found.episodes) - len(shown)} more, which differ less: --rows, or --json for all", markup=False
        )


def _unlike(e: Rejudged) -> tuple[bool, float, int]:
    """Failures first, then the largest differences."""
    return e.error is None, -abs(e.difference or 0.0), e.index


def _score(verdict: Any) -> str:
    return "-" if verdict is None else f"{verdict.value:.2f}".removesuffix(".00")


def _signed(x: float | None) -> str:
    return "" if x is None else "0" if x == 0 else f"{x:+.2f}".removesuffix(".00")


def _fault(e: Rejudged, judge: str) -> str:
    """What went wrong, without the names that stand over the table."""
    return (e.error or "").removeprefix(f"{judge}: ").removeprefix("JudgeError: ")


def _print_agreement(judge: str, label: str, figures: Concordance, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from nego_env.safe_text import visible

    title = f"agreement; old: {visible(judge, newlines=False)}" + ("" if label == "CA" else f", {visible(label)}")
    table = Table(title=Text(title), title_justify="left")
    headings = ("n", "exact", "within one", "Pearson r", "weighted kappa", "old mean", "new mean")
    for heading in headings:
        table.add_column(heading, justify="right")
    f = figures
    table.add_row(
        str(f.n), _share(f.exact), _share(f.within_one), _figure(f.pearson), _figure(f.kappa),
        _figure(f.first_mean), _figure(f.second_mean),
    )  # fmt: skip
    console.print(table)


def _share(x: float | None) -> str:
    return "-" if x is None else f"{100 * x:.0f} %"


def _figure(x: float | None) -> str:
    return "-" if x is None else f"{x:.2f}"


def _remarks(found: Rejudgement) -> list[str]:
    from nego_env.safe_text import visible

    lines = [f"{found.judged} of {len(found.episodes)} completions scored again"]
    lines[0] += f"; {found.failed} without a verdict" if found.failed else ""
    if found.without_completion:
        episodes = "episode" if found.without_completion == 1 else "episodes"
        lines[0] += f"; {found.without_completion} {episodes} without a completion left out"
    errors = [_fault(e, found.judge) for e in found.episodes if e.error]
    if errors:
        most = max(errors, key=errors.count)
        lines.append(f"{errors.count(most)} of {len(errors)} failed with: {most}")
    if any(not v.value.is_integer() for e in found.episodes for v in (e.old, e.new) if v is not None):
        lines.append("statistics are of scores rounded to whole points, means of the scores themselves")
    if found.stopped is not None:
        lines.append(f"stopped early: {visible(found.stopped, newlines=False)}")
    return lines


@contextmanager
def _progress(total: int, *, hidden: bool) -> Iterator[Callable[[], None]]:
    """A bar on stderr, where a person is watching."""
    if hidden or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("completions"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("completions", total=total)
        yield lambda: bar.advance(task)
