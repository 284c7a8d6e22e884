"""What the demo with a language model prints. Whatever came out, it says what was measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_trainers.demo_screen import ROOM_FOR_INTERVALS, cell, command, quoted, suggest
from nego_trainers.references import OPTIMUM, PREMATURE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from nego_agents.local.model import LocalModel
    from nego_env.scenario import Scenario
    from nego_env.transcript import Transcript
    from nego_trainers.demo_plan import Plan
    from nego_trainers.grpo import Outcome
    from nego_trainers.intervals import Estimate
    from nego_trainers.results import Results
    from nego_trainers.settings import GRPOSettings

CHART_HEIGHT = 8
COLUMNS: tuple[tuple[str, str, str, int, float], ...] = (
    ("agreed %", "agreed %", "agreement", 0, 100.0),
    ("CA", "CA", "ca", 2, 1.0),
    ("regret", "regret", "regret", 2, 1.0),
    ("rounds", "rounds", "rounds", 1, 1.0),
    ("premature %", "prem. %", "premature", 0, 100.0),
)
"""(heading, heading on a narrow screen, metric, digits, scale)."""
WITH_INTERVALS = ("agreement", "ca")
"""In the table; regret is 5 - CA, and its interval says nothing new."""


class Show:
    """The screen of one demo."""

    def __init__(self, console: Console, name: str) -> None:
        self.console, self.name = console, name
        self.before, self.after = f"{name}, before", f"{name}, after"

    def part(self, heading: str) -> None:
        """A new part begins."""
        from rich.rule import Rule

        from nego_env.replay.render import safe
        from nego_env.replay.style import ANSI

        self.console.print(Rule(safe(heading, ANSI.strong), style=ANSI.rail, align="left"))
        self.console.print()

    def say(self, text: str, style: str = "") -> None:
        """A paragraph."""
        from nego_env.replay.render import safe

        self.console.print(safe(text, style))
        self.console.print()

    def opening(self, local: LocalModel, out: Path, seconds: float) -> None:
        """What this will be."""
        from nego_env.replay.style import ANSI

        size = sum(p.numel() for p in local.model.parameters())
        told = f"{size / 1e6:.1f} million" if size >= 50_000 else f"{size:,}"
        self.console.print()
        self.say("A language model learns to negotiate", ANSI.strong)
        self.say(
            f"{self.name} is a language model of {told} parameters. It plays both seats of a dilemma; then it trains by "
            f"self-play, where only the words of dialogues that ended in better deals are made likelier; then it plays the "
            f"same dilemma again. {'Under two' if seconds < 120 else 'About five'} minutes in all."
        )
        self.say(f"Everything is kept in {out}", ANSI.quiet)

    def standing(self, results: Results, held: list[Scenario]) -> None:
        """How the model does before anything is trained."""
        name = self.before
        self.say(
            f"On {len(held)} held-out dilemmas (themes, words and stakes that training never shows), each in both seatings: "
            f"agreement {_percent(results.estimate(name, 'agreement'))}, Collective Agency (CA) "
            f"{_figure(results.estimate(name, 'ca'))} of 5."
        )

    def planned(self, planned: Plan, settings: GRPOSettings) -> None:
        """What the probe found, and what follows from it."""
        groups, speed = planned.groups, planned.speed
        smaller = (
            "" if groups == settings.groups else f" (usually {settings.groups}: this keeps the updates many enough)"
        )
        self.say(
            f"Measured on this machine: {speed.tokens_per_second:,.0f} tokens a second. So: {_clock(60 * planned.minutes)} of "
            f"training, about {planned.steps} updates, each from {groups} new dilemmas{smaller}, {settings.group_size} "
            "dialogues on each. Reward: the exact CA of the deal, 0 without one."
        )

    def trained(self, outcome: Outcome, planned: Plan) -> None:
        """What the training came to; the curve, where no panel has drawn it."""
        from rich.text import Text

        from nego_trainers.curves import chart
        from nego_trainers.grpo import summary
        from nego_trainers.metrics import column, moving

        if not sys.stderr.isatty():
            rewards = moving(column(outcome.metrics, "reward"), 3)
            width = min(self.console.width, 80)
            self.console.print("reward, by update")
            self.console.print(Text("\n".join(chart(rewards, width, CHART_HEIGHT)), style="cyan", no_wrap=True))
        else:
            self.console.print()
        p, told = outcome.progress, summary(outcome)
        first, last = told["first"].get("reward"), told["last"].get("reward")
        moved = "" if first is None or last is None else f"; reward {first:.2f} -> {last:.2f}"
        few = told["averaged"]
        means = f" (means of the first and last {few} updates)" if few > 1 else " (first and last update)"
        self.say(
            f"{p.step} updates, {p.episodes:,} dialogues, {p.tokens:,} trained tokens in {_clock(p.seconds)}"
            f"{moved}{means if moved else ''}."
        )

    def one_dialogue(self, before: Transcript, after: Transcript) -> None:
        """The two dialogues in a line, and what one dialogue is worth."""
        self.say(
            f"Before: {_ended(before)}. After: {_ended(after)}. One dialogue is one draw, and may well be a lucky or an "
            "unlucky one: what counts is the average."
        )

    def table(self, results: Results) -> None:
        """The table, how to read it, and what it says of the training."""
        from rich.text import Text

        from nego_env.replay.style import ANSI

        count = len(results.scenarios)
        self.console.print(Text(f"{count} held-out dilemmas, both seatings, each negotiator with itself", ANSI.strong))
        wide = self.console.width >= ROOM_FOR_INTERVALS
        self.console.print(self._table(results, wide))
        for line in verdict(results, self.before, self.after):
            self.say(line)
        shown = "Means with 95 % bootstrap intervals" if wide else "Means"
        self.say(
            f"{shown}; the model samples at temperature 1. CA is 5 for the deal that is best for all and 0 where somebody "
            "loses or nobody agrees; regret is what was left on the table. premature: of the deals, those first proposed "
            "before anybody had said anything about what they need; the negotiator of that name opens with its own best deal "
            "and accepts whatever is no loss.",
            ANSI.quiet,
        )

    def _table(self, results: Results, wide: bool) -> Table:
        from rich import box
        from rich.table import Table

        from nego_env.replay.render import safe
        from nego_env.replay.style import ANSI

        table = Table(
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0) if wide else 0,
            header_style="bold",
            pad_edge=False,
            show_edge=wide,
        )
        table.add_column("negotiator", no_wrap=True)
        for heading, short, *_ in COLUMNS:
            table.add_column(heading if wide else short, justify="right", no_wrap=True)
        names = sorted((n for n in results.names if n != OPTIMUM), key=lambda n: _rank(results.estimate(n, "ca")))
        for name in [*names, OPTIMUM]:
            ours = name in (self.before, self.after)
            label = safe(f"exact {name}" if name == OPTIMUM and wide else name, ANSI.strong if ours else "")
            table.add_row(label, *(self._cell(results, name, *column, wide) for column in COLUMNS))
        return table

    @staticmethod
    def _cell(
        results: Results, name: str, heading: str, short: str, metric: str, digits: int, scale: float, wide: bool
    ) -> Text:
        from rich.text import Text

        from nego_env.replay.style import ANSI

        if name == OPTIMUM:
            value = {"ca": "5.00", "regret": "0.00"}.get(metric, "")
            return Text(value, ANSI.quiet)
        e = results.estimate(name, metric)
        interval = wide and metric in WITH_INTERVALS
        return cell(e.value, e.low, e.high, digits, interval=interval, scale=scale)

    def farewell(self, out: Path, model: Path, dilemma: str, seconds: float) -> None:
        """Where everything is, and what to try next, spelled so that it works here."""
        nego = command()
        trained = quoted(f"hf:{model}")
        self.say(f"{_clock(seconds)} in all. Every word, the curves and the trained model are in {out}.")
        lines = [
            ("Step through it, before", f"{nego} replay {quoted(out / 'before.jsonl')}"),
            ("The same, after", f"{nego} replay {quoted(out / 'after.jsonl')}"),
            ("Negotiate with it", f"{nego} play --scenario {dilemma} --agents human {trained}"),
            ("Train for longer", f"{nego} train grpo --minutes 20"),
            ("Compare on more", f"{nego} evaluate --agents {trained} hf:{quoted(self._source(model))} revealer"),
        ]
        picture = model.parent / "curves.png"
        if picture.exists():
            lines.insert(2, ("All its curves", str(picture)))
        suggest(self.console, "What next?", lines)

    def _source(self, model: Path) -> str:
        from nego_trainers.run_folder import read_run

        return str(read_run(model.parent)["options"]["model"])


# ---------------------------------------------------------------- in words
def verdict(results: Results, before: str, after: str) -> list[str]:
    """What the table says of the training: the change with its interval, and the place among scripted negotiators."""
    lines = []
    d = results.difference(after, before, "ca")
    if d.n:
        by = f"{abs(d.value):.2f} (one run; 95 % interval of the change over dilemmas {d.low:+.2f} to {d.high:+.2f})"
        if d.low > 0:
            lines.append(f"Training raised held-out CA by {by}.")
        elif d.high < 0:
            lines.append(f"Training lowered held-out CA by {by}: this run made the model worse.")
        else:
            lines.append(
                f"Held-out CA moved by {d.value:+.2f}, and the interval {d.low:+.2f} to {d.high:+.2f} holds 0: with so little "
                "training and so few dilemmas, no change can be told from chance."
            )
    others = [n for n in results.names if n not in (before, after, OPTIMUM)]
    mine = results.estimate(after, "ca").value
    if others:
        above = sum(results.estimate(n, "ca").value < mine for n in others)
        best = max(others, key=lambda n: results.estimate(n, "ca").value)
        lines.append(
            f"It now stands above {above} of the {len(others)} scripted negotiators; the best of them, {best}, has "
            f"{results.estimate(best, 'ca').value:.2f}."
        )
    early = [results.estimate(n, PREMATURE).value for n in (before, after)]
    if all(x == x for x in early):
        lines.append(f"Premature compromise: {100 * early[0]:.0f} % of its deals before, {100 * early[1]:.0f} % after.")
    return [" ".join(lines)] if lines else []


def change(results: Results, before: str, after: str, metric: str) -> dict[str, float] | None:
    """After minus before, for programs; None where there is nothing to compare."""
    return _plain(results.difference(after, before, metric))


def row(results: Results, name: str) -> dict[str, Any]:
    """An entry of the table, for programs."""
    episodes, unscored, _ = results.counts(name)
    figures = {metric: _plain(results.estimate(name, metric)) for _, _, metric, _, _ in COLUMNS}
    return {"entry": name, "agents": list(results.agents[name]), "episodes": episodes, "unscored": unscored, **figures}


def _plain(e: Estimate) -> dict[str, float] | None:
    if not e.n:
        return None
    return {"mean": round(e.value, 6), "low": round(e.low, 6), "high": round(e.high, 6)}


def _rank(e: Estimate) -> float:
    return e.value if e.n else -1.0


def _ended(t: Transcript) -> str:
    o = t.outcome
    if not o.scored:
        return "it failed, and counts in nothing"
    rounds = f"{o.rounds} round{'s' if o.rounds != 1 else ''}"
    if not o.agreed or o.ca is None:
        return f"no deal in {rounds}"
    return f"a deal with CA {o.ca:.2f} after {rounds}"


def _figure(e: Estimate) -> str:
    return f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f})" if e.n else "-"


def _percent(e: Estimate) -> str:
    return f"{100 * e.value:.0f} % ({100 * e.low:.0f} to {100 * e.high:.0f})" if e.n else "-"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} minutes" if minutes else f"{rest} seconds"
