"""`nego scenarios show`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from nego_env.scenario import Deal, Scenario, Stakes


@dataclass(frozen=True)
class Show:
    """Show a scenario: what everybody sees, what one seat sees, or everything."""

    examples: ClassVar[str] = """
  nego scenarios show thesis-deadline
  nego scenarios show examples/allotment.toml --seat seat_1
  nego scenarios show examples/allotment.toml --all
"""

    scenario: str
    """A scenario id, pack/id, or path."""
    seat: str | None = None
    """Add the private side of one seat (seat_1, or just 1): its persona and scores."""
    all: bool = False
    """Add every private side, the best deal, the Nash point and the size of the Pareto set."""
    json: bool = False
    """One JSON object."""

    def run(self) -> int:
        """Prints the scenario; returns 0."""
        from nego_env.errors import SettingsError
        from nego_env.packs import load_scenario
        from nego_env.replay.frames import seat_number

        if self.all and self.seat is not None:
            raise SettingsError("--all shows every seat's private side: leave out --seat")
        scenario = load_scenario(self.scenario)
        private = range(scenario.n) if self.all else () if self.seat is None else (seat_number(scenario, self.seat),)
        if self.json:
            print(json.dumps(_facts(scenario, tuple(private), exact=self.all)))
            return 0
        from rich.console import Console

        _print_scenario(Console(highlight=False), scenario, tuple(private), exact=self.all)
        return 0


def _facts(scenario: Scenario, private: tuple[int, ...], *, exact: bool) -> dict[str, Any]:
    """What may be shown, as plain data in the fields of a scenario file; `exact` adds what accounting knows."""
    import msgspec

    whole: dict[str, Any] = msgspec.to_builtins(scenario)
    for i, seat in enumerate(whole["seats"]):
        if i not in private:
            seat.pop("persona", None)
            seat.pop("stakes", None)
    facts = {"kind": scenario.kind, **whole}
    if not exact:
        facts.pop("tags", None)
        facts.pop("meta", None)
    elif scenario.issues:
        facts["exact"] = _exact(scenario)
    return facts


def _exact(scenario: Scenario) -> dict[str, Any]:
    from nego_env.accounting import report

    table = scenario.table
    nash = table.nash_index
    return {
        "deals": scenario.n_deals,
        "no_zopa": scenario.no_zopa,
        "reach_every_walk_away": int(table.met.all(axis=0).sum()),
        "pass": int(table.passes.sum()),
        "pareto": int(table.pareto.sum()),
        "best": None if scenario.no_zopa else report(scenario, table.best_deal)._asdict(),
        "nash": None if nash is None else report(scenario, table.deal(nash))._asdict(),
    }


def _print_scenario(console: Console, s: Scenario, private: tuple[int, ...], *, exact: bool) -> None:
    import textwrap

    from rich.padding import Padding
    from rich.text import Text

    from nego_env.safe_text import visible

    def section(title: str, *body: RenderableType) -> None:
        console.print(Text(f"\n{title}", style="bold"))
        for part in body:
            console.print(Padding(part, (0, 0, 0, 2), expand=False))

    def prose(text: str) -> Text:
        return Text(visible(textwrap.dedent(text).strip()))

    console.print(Text(f"{s.id}  ({s.kind}, {s.n} seats)", style="bold"))
    console.print(prose(s.task))
    section("At the table", *(prose(f"{name}  {seat.name}") for name, seat in zip(s.seat_ids, s.seats, strict=True)))
    if s.issues:
        title = "To settle" if not private else "To settle, and what each option is worth"
        section(title, _issues_table(s, private))
    for i in private:
        stakes = s.seats[i].stakes
        lines = [prose(s.seats[i].persona)]
        if stakes is not None:
            lines.append(prose(_outside(stakes)))
        section(f"Private to {s.seat_ids[i]}, {visible(s.seats[i].name, newlines=False)}", *lines)
    section("Protocol", prose(_protocol(s)))
    if exact and s.issues:
        section("Exact account", *(prose(line) for line in _exact_lines(s)))
    if exact and (s.tags or s.meta):
        about = [", ".join(s.tags), *(f"{k}: {v}" for k, v in sorted(s.meta.items()))]
        section("About", *(prose(line) for line in about if line))


def _issues_table(s: Scenario, private: tuple[int, ...]) -> Table:
    """A row per option: id, label and, for each seat in `private`, its score."""
    from rich.table import Table
    from rich.text import Text

    from nego_env.safe_text import visible

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(private))
    table.add_column("")
    table.add_column("", ratio=None)
    for i in private:
        table.add_column(s.seat_ids[i], justify="right", no_wrap=True)
    for k, issue in enumerate(s.issues):
        name = Text(visible(_described(issue.name, issue.text), newlines=False), style="bold")
        table.add_row(Text(issue.id, style="bold"), name)
        for j, option in enumerate(issue.options):
            label = Text(visible(_described(option.label, option.text), newlines=False))
            table.add_row(Text(option.id), label, *(_score(s, i, k, j) for i in private))
    return table


def _described(label: str, text: str) -> str:
    return f"{label} ({text})" if text else label


def _score(s: Scenario, seat: int, issue: int, option: int) -> str:
    from nego_env.wording import number

    stakes = s.seats[seat].stakes
    return "" if stakes is None else number(stakes.scores[issue][option])


def _outside(stakes: Stakes) -> str:
    from nego_env.wording import number

    return f"Without a deal it has {number(stakes.walk_away)}; its favourite deal is worth {number(stakes.best)}."


def _protocol(s: Scenario) -> str:
    from nego_env.view import acceptance_text

    p = s.protocol
    agreed = acceptance_text(s) if s.issues else "A judge says after each round whether one plan was agreed."
    bonus = "".join(f" {name} gets {extra:g} more when nobody loses." for name, extra in sorted(p.bonus.items()))
    return f"At most {p.max_rounds} rounds. {agreed} {s.seat_ids[p.finalizer]} writes the final plan.{bonus}"


def _exact_lines(s: Scenario) -> Iterator[str]:
    from nego_env.accounting import report

    table = s.table
    reached = int(table.met.all(axis=0).sum())
    yield f"{s.n_deals} deals; {reached} leave nobody below the walk-away value; {int(table.pareto.sum())} are Pareto-optimal."
    if s.no_zopa:
        yield "No zone of possible agreement: every deal costs somebody more than it brings, and CA is 0."
        return
    yield f"Best: {_deal_line(s, table.best_deal)}, CA 5, gains {_gains(report(s, table.best_deal).gains)}"
    nash = table.nash_index
    if nash is not None:
        about = report(s, table.deal(nash))
        yield f"Nash: {_deal_line(s, table.deal(nash))}, CA {about.ca:.2f}, gains {_gains(about.gains)}"


def _deal_line(s: Scenario, deal: Deal) -> str:
    return f"{' '.join(s.ids(deal))} ({'; '.join(s.labels(deal))})"


def _gains(gains: tuple[float, ...]) -> str:
    return " / ".join(f"{g:.2f}" for g in gains)
