"""The pieces of a view in words: what language agents, people and text observations read.

Public words first, then one contiguous private table by option id: with scores beside the words instead, a small model
copied 89 % of its reveals right on words it knew and 21 % on new ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from nego_env.accounting import canonical, gain, score
from nego_env.rules import State, Utterance
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
    deal = state.standing.deal
    stakes = scenario.seats[seat].stakes
    assert stakes is not None
    return f"On the table: {deal_text(scenario, deal)}, {standing_text(state)}. {worth_text(stakes, deal)}"


def deal_text(scenario: Scenario, deal: Deal) -> str:
    """A deal by option ids, then in labels."""
    return f"{' '.join(scenario.ids(deal))} ({', '.join(scenario.labels(deal))})"


def standing_text(state: State) -> str:
    """Who proposed the deal on the table and who has accepted it."""
    assert state.standing is not None
    seats = state.scenario.seats
    names = [s.name for s, yes in zip(seats, state.accepted, strict=True) if yes]
    return f"proposed by {seats[state.standing.by].name}, accepted by {', '.join(names) or 'nobody'}"


def worth_text(stakes: Stakes, deal: Deal) -> str:
    """What a deal is worth to the seat that has these stakes."""
    return f"Worth {number(score(stakes, deal))} to you (gain {gain(stakes, deal):.2f})."


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


def revealed_text(state: State) -> str:
    """Every score published so far: `seat_1 A: A1 7 A2 0`, a line each."""
    scenario = state.scenario
    lines = []
    for r in state.revealed:
        issue = scenario.issues[scenario.issue_index[r.issue.upper()]]
        pairs = " ".join(f"{o.id} {number(x)}" for o, x in zip(issue.options, r.scores, strict=True))
        lines.append(f"{r.seat} {r.issue}: {pairs}")
    return "\n".join(lines)


def personas_text(scenario: Scenario) -> str:
    """Every persona, for the finalizer."""
    return "\n".join(f"{s.name}: {s.persona}" for s in scenario.seats)


def completion_request(state: State) -> str:
    """What the finalizer is asked to write."""
    if not state.scenario.issues:
        return prompt("completion_open")
    deal = state.scenario.ids(state.standing.deal) if state.standing else ()
    if not deal:
        example = " ".join(i.options[0].id for i in state.scenario.issues)
        return prompt("completion_structured").replace("{deal}", example)
    return prompt("completion_structured").replace("{deal}", " ".join(deal))
