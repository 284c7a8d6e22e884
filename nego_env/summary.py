"""Many episodes in a few figures."""

from __future__ import annotations

from typing import Any

import msgspec

from nego_env.safe_text import visible
from nego_env.statistics import Interval, mean_interval
from nego_env.transcript import Transcript

MOST_ERRORS = 5
"""As many distinct errors are printed."""


class Summary:
    """Figures over episodes, added one at a time; holds numbers, not transcripts.

    Exact CA and a judge's figure are kept apart: they never share a column. Scenarios without a zone of possible agreement
    are left out of CA and regret. Unscored episodes are counted and enter nothing else.
    """

    def __init__(self) -> None:
        self.episodes = 0
        self.scored = 0
        self.agreement: list[float] = []
        self.rounds: list[float] = []
        self.ca: list[float] = []
        self.regret: list[float] = []
        self.judged: dict[str, list[float]] = {}
        """The judge's figure by its label, where it is not an exact CA; 0 without agreement."""
        self.passed: list[float] = []
        self.bonus: dict[str, list[float]] = {}
        self.stops: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        """What went wrong in unscored episodes, and in how many of them."""
        self._has_rule = False

    def add(self, t: Transcript) -> None:
        """Count one episode."""
        o = t.outcome
        self.episodes += 1
        self.stops[t.stop.value] = self.stops.get(t.stop.value, 0) + 1
        if not o.scored:
            if t.error:
                self.errors[t.error] = self.errors.get(t.error, 0) + 1
            return
        self.scored += 1
        self.agreement.append(float(o.agreed))
        self.rounds.append(float(o.rounds))
        if o.ca is not None and o.regret is not None:
            self.ca.append(o.ca)
            self.regret.append(o.regret)
        if t.scenario.kind == "open":
            label = next(
                (v.label for v in t.verdicts), "heuristic (not CA)" if t.settings.judge == "heuristic" else "CA"
            )
            self.judged.setdefault(label, []).append((o.score or 0.0) if o.agreed else 0.0)
        if t.scenario.protocol.acceptance.at_least is not None:
            self._has_rule = True
            self.passed.append(float(bool(o.passed)))
        for seat, points in o.bonus_scores.items():
            self.bonus.setdefault(seat, []).append(points)

    def figures(self) -> dict[str, Interval]:
        """Every figure with its interval, by the heading it goes under."""
        found = {"agreement": mean_interval(self.agreement), "rounds": mean_interval(self.rounds)}
        if self.ca:
            found |= {"CA": mean_interval(self.ca), "regret": mean_interval(self.regret)}
        for label, values in sorted(self.judged.items()):
            found[label if label != "CA" else "CA (judged)"] = mean_interval(values)
        if self._has_rule:
            found["passed"] = mean_interval(self.passed)
        for seat, values in sorted(self.bonus.items()):
            found[f"{seat} with bonus"] = mean_interval(values)
        return found


def row(t: Transcript) -> str:
    """One episode as a line of JSON for programs."""
    o = t.outcome
    facts: dict[str, Any] = {
        "id": t.id,
        "index": t.index,
        "attempt": t.attempt,
        "scenario": t.scenario.id,
        "kind": t.scenario.kind,
        "agents": t.agents,
        "seed": t.seed,
        "stop": t.stop.value,
        "scored": o.scored,
        "agreed": o.agreed,
        "rounds": o.rounds,
        "utterances": len(t.utterances),
        "deal": o.deal,
        "rewards": t.rewards,
        "score": o.score,
        "label": o.label,
        "ca": o.ca,
        "regret": o.regret,
        "scores": o.scores,
        "gains": o.gains,
        "passed": o.passed,
        "bonus_scores": o.bonus_scores,
        "error": t.error,
    }
    return msgspec.json.encode(facts).decode()


def print_summary(summary: Summary, *, title: str) -> None:
    """A table for a person; under it how episodes stopped, and the errors of those without a score, a line each."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(title)), title_justify="left", caption_justify="left")
    table.add_column("figure")
    table.add_column("mean", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, interval in summary.figures().items():
        if interval.n:
            table.add_row(Text(visible(name)), f"{interval.mean:.3f}", f"{interval.low:.3f} to {interval.high:.3f}")
    console = Console()
    if summary.scored:
        console.print(table)
    stops = ", ".join(f"{count} {stop}" for stop, count in sorted(summary.stops.items()))
    console.print(Text(f"{summary.episodes} episode{'s' if summary.episodes != 1 else ''}: {stops}"))
    for line in _error_lines(summary.errors):
        console.print(Text(f"  {line}"), soft_wrap=True)


def _error_lines(errors: dict[str, int]) -> list[str]:
    """The most frequent errors first, and how many more there are."""
    ordered = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"{count} x {visible(error, newlines=False)}" for error, count in ordered[:MOST_ERRORS]]
    if len(ordered) > MOST_ERRORS:
        lines.append(f"and {len(ordered) - MOST_ERRORS} other errors, each in its transcript")
    return lines
