"""The pieces of a view in words: what language agents, people and text observations read.

Public words first, then one contiguous private table by option id: with scores beside the words instead, a small model
copied 89 % of its reveals right on words it knew and 21 % on new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nego_env.accounting import canonical, gain, score
from nego_env.rules import Revealed, State, Utterance
from nego_env.scenario import Deal, Scenario, Stakes
from nego_env.view import prompt

NO_TABLE = "Nothing is on the table yet."
SILENCE = "(silence)"
"""What stands in the dialogue for an utterance without words."""


def issues_text(scenario: Scenario) -> str:
    """What there is to settle: a line per issue, every option with its id. Empty on open dilemmas."""
    lines = []
    for issue in scenario.issues:
        options = "; ".join(f"{o.id} {o.label}{f' ({o.text})' if o.text else ''}" for o in issue.options)
        lines.append(f"{issue.id}. {issue.name}{f' ({issue.text})' if issue.text else ''}: {options}")
    return "\n".join(lines)


def number(x: float) -> str:
    """A score as people write it: `7`, `12.5`."""
    return f"{canonical(x):.6f}".rstrip("0").rstrip(".")


def stakes_text(scenario: Scenario, stakes: Stakes | None) -> str:
    """A seat's private scores as one contiguous table by option id, and its walk-away value. Empty on open dilemmas."""
    if stakes is None:
        return ""
    pairs = [
        f"{option.id} {number(x)}"
        for issue, row in zip(scenario.issues, stakes.scores, strict=True)
        for option, x in zip(issue.options, row, strict=True)
    ]
    return f"{' '.join(pairs)}\nWithout a deal you have {number(stakes.walk_away)}."


def table_text(state: State, seat: int) -> str:
    """The deal on the table and what it is worth to the seat. Empty on open dilemmas."""
    scenario = state.scenario
    if not scenario.issues:
        return ""
    if state.standing is None:
        return NO_TABLE
    deal, by = state.standing
    stakes = scenario.seats[seat].stakes
    assert stakes is not None
    accepted = [s.name for s, yes in zip(scenario.seats, state.accepted, strict=True) if yes]
    return on_table_text(scenario, deal, scenario.seats[by].name, accepted, score(stakes, deal), gain(stakes, deal))


def on_table_text(scenario: Scenario, deal: Deal, by: str, accepted: Iterable[str], worth: float, gained: float) -> str:
    """A deal by option ids, then in labels; whose it is; who has accepted it; what it is worth to the reader."""
    consent = f"proposed by {by}, accepted by {', '.join(accepted) or 'nobody'}"
    terms = f"{' '.join(scenario.ids(deal))} ({', '.join(scenario.labels(deal))})"
    return f"On the table: {terms}, {consent}. Worth {number(worth)} to you (gain {gained:.2f})."


def said_text(text: str) -> str:
    """Words as a dialogue shows them: silence is named, and further lines are indented, so that nobody can put words into
    another's mouth by starting a line with a name."""
    if not text or text.isspace():
        return SILENCE
    return text.replace("\n", "\n    ") if "\n" in text else text


def line_text(scenario: Scenario, u: Utterance) -> str:
    """One utterance as a line of dialogue: `the harbour master (seat_0): ...`."""
    return f"{scenario.seats[int(u.seat[5:])].name} ({u.seat}): {said_text(u.text)}"


def dialogue_text(scenario: Scenario, utterances: Iterable[Utterance]) -> str:
    """Utterances as lines."""
    return "\n".join(line_text(scenario, u) for u in utterances)


def revealed_text(scenario: Scenario, revealed: Iterable[Revealed]) -> str:
    """Published scores: `seat_1 A: A1 7 A2 0`, a line each."""
    lines = []
    for r in revealed:
        issue = scenario.issues[scenario.issue_index[r.issue.upper()]]
        pairs = " ".join(f"{o.id} {number(x)}" for o, x in zip(issue.options, r.scores, strict=True))
        lines.append(f"{r.seat} {r.issue}: {pairs}")
    return "\n".join(lines)


def published_scores(scenario: Scenario, revealed: Iterable[Revealed], seat: str) -> list[tuple[float, ...]]:
    """All scores of a seat that has published every issue, by issue and option; empty where some are still its own."""
    rows = {r.issue.upper(): r.scores for r in revealed if r.seat == seat}
    return [rows[i.id.upper()] for i in scenario.issues] if len(rows) == len(scenario.issues) else []


def added_shares(tables: Iterable[Sequence[Sequence[float]]]) -> list[list[int]]:
    """By issue and option: its share of a seat's best deal, in whole per cent, added up over seats. Scores are by seat, issue
    and option; a seat's best deal takes the best option of each issue."""
    shares = ([[share(x, sum(map(max, rows))) for x in row] for row in rows] for rows in tables)
    return [[sum(cell) for cell in zip(*columns, strict=True)] for columns in zip(*shares, strict=True)]


def together_text(scenario: Scenario, tables: Iterable[Sequence[Sequence[float]]]) -> str:
    """`A1 42 A2 45`: what `added_shares` adds up, by option id."""
    return " ".join(
        f"{option.id} {x}"
        for issue, row in zip(scenario.issues, added_shares(tables), strict=True)
        for option, x in zip(issue.options, row, strict=True)
    )


def share(score: float, best: float) -> int:
    """A score in whole per cent of the best deal's; 0 where that is worth nothing."""
    return round(100 * score / best) if best > 0 else 0


def personas_text(scenario: Scenario, personas: Iterable[str]) -> str:
    """Every persona, for the finalizer."""
    return "\n".join(f"{s.name}: {p}" for s, p in zip(scenario.seats, personas, strict=True))


def completion_request(scenario: Scenario, deal: tuple[str, ...]) -> str:
    """What the finalizer is asked to write. `deal`: option ids of the deal agreed; empty where there is none."""
    if not scenario.issues:
        return prompt("completion_open")
    ids = deal or tuple(i.options[0].id for i in scenario.issues)
    return prompt("completion_structured").replace("{deal}", " ".join(ids))
