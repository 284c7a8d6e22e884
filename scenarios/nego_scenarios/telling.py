"""A drawn dilemma in words: the task, the issues, and a persona for each seat, from the theme's own phrases."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from nego_env.scenario import Acceptance, Issue, Option, Protocol, Scenario, Seat, Stakes, encode_scenario
from nego_scenarios.casting import Cast, Level
from nego_scenarios.draws import VERSION, Draws
from nego_scenarios.stakes import Numbers
from nego_scenarios.themes import Split, Story, ThemeIssue, fill

_WORDS = ("none", "one", "two", "three", "four", "five")


def write(
    d: Draws, split: Split, seed: int, theme: str, level: Level, cast: Cast, numbers: Numbers, majority: bool
) -> Scenario:
    """The scenario of a cast and its stakes; its id ends in a hash of its content."""
    issues = tuple(_issue(k, issue) for k, issue in enumerate(cast.issues))
    focus = [_focus(numbers, s) for s in range(len(cast.roles))]
    protocol = _protocol(len(cast.roles), majority)
    task = _task(d, cast, protocol)
    personas: list[str] = []
    for s in range(len(cast.roles)):
        personas.append(_persona(d, issues, numbers, s, focus[s], personas))
    scenario = Scenario(
        id="draft",
        task=task,
        seats=tuple(Seat(role.name, personas[s], _stakes(numbers, s)) for s, role in enumerate(cast.roles)),
        issues=issues,
        protocol=protocol,
        tags=("generated", split, theme, level, *(() if numbers.zopa else ("no_zopa",))),
        meta={
            "theme": theme,
            "split": split,
            "stakes": level,
            "seed": str(seed),
            "generator": f"nego_scenarios.generator/{VERSION}",
            "focus": " ".join(issues[f.issue].options[f.option].id for f in focus),
            "spare": " ".join(issues[f.spare].id for f in focus),
        },
    )
    digest = hashlib.sha256(encode_scenario(scenario)).hexdigest()
    return msgspec.structs.replace(scenario, id=f"{theme}-{digest[:12]}")


def _issue(k: int, issue: ThemeIssue) -> Issue:
    letter = "ABCDE"[k]
    options = tuple(Option(f"{letter}{j}", label) for j, label in enumerate(issue.options, 1))
    return Issue(letter, issue.name, options, issue.text)


def _stakes(numbers: Numbers, seat: int) -> Stakes:
    return Stakes(tuple(tuple(map(float, row)) for row in numbers.scores[seat]), float(numbers.walk_away[seat]))


def _protocol(seats: int, majority: bool) -> Protocol:
    if majority and seats > 2:
        return Protocol(acceptance=Acceptance(at_least=seats - 1, vetoes=(0,)))
    return Protocol()


class _Focus(NamedTuple):
    """What a persona speaks of."""

    issue: int
    """The seat's heaviest."""
    option: int
    """Its best option there."""
    spare: int
    """The seat's lightest issue."""


def _focus(numbers: Numbers, seat: int) -> _Focus:
    weights = numbers.weights[seat]
    top = weights.index(max(weights))
    row = numbers.scores[seat][top]
    return _Focus(top, row.index(max(row)), weights.index(min(weights)))


# No verb agrees with an issue's name below: names may be singular or plural.
_LIGHT = (
    "On the {top}, hold out for {best} above everything else, and care far less about the {spare}",
    "Put the {top} before all else and get {best} if you possibly can; treat the {spare} as small change",
    "Fight for {best} on the {top}, and let the others have their way over the {spare} if it buys you that",
    "Make the {top} your first concern and press for {best}, but be generous about the {spare}",
    "Come away with {best} on the {top} even if you have to give up whatever you wanted on the {spare}",
    "Spend all your goodwill on the {top}, where you want {best}, and next to none on the {spare}",
)
_LESS_LIGHT = (
    "Press hardest for {best} on the {top}, and use the {spare} to bargain with",
    "Put the {top} first and argue for {best}; give way on the {spare} only in exchange",
    "Go after {best} on the {top} before anything else, and keep the {spare} in hand to trade",
    "On the {top}, aim for {best}, and make your concessions on the {spare}",
    "Win {best} on the {top} if you can, and count the {spare} as the smaller matter",
)
_STRONG_FALLBACK = "Knowing that you can do well enough without a deal, "
_WEAK_FALLBACK = "With little to fall back on if this fails, "


def _persona(
    d: Draws, issues: Sequence[Issue], numbers: Numbers, seat: int, focus: _Focus, taken: Sequence[str]
) -> str:
    """One imperative sentence: heaviest issue, best option there, lightest issue; sometimes how good the fallback is.

    Seats that want the same say so in different words: no sentence of `taken` is used again.
    """
    weights = numbers.weights[seat]
    light = weights[focus.spare] * 5 <= weights[focus.issue] * 2
    slots = {
        "top": issues[focus.issue].name,
        "best": issues[focus.issue].options[focus.option].label,
        "spare": issues[focus.spare].name,
    }
    patterns = [fill(pattern, slots) for pattern in (_LIGHT if light else _LESS_LIGHT)]
    sentence = d.pick(patterns)
    while any(sentence.casefold() in persona.casefold() for persona in taken):  # at most three others: one is left
        patterns.remove(sentence)
        sentence = d.pick(patterns)
    share = 100 * numbers.walk_away[seat] // sum(weights)
    fallback = _STRONG_FALLBACK if share >= 45 else _WEAK_FALLBACK if share <= 30 else ""
    if fallback and d.percent(50):
        sentence = f"{fallback}{sentence[0].lower()}{sentence[1:]}"
    return f"{sentence}."


def _task(d: Draws, cast: Cast, protocol: Protocol) -> str:
    """The paragraph everybody reads: a story of the theme, who decides where that is not everyone, and the question."""
    story: Story = d.pick(cast.theme.stories)
    fillers = {name: d.pick(choices) for name, choices in cast.theme.slots.items()}
    fillers["parties"] = _listed([role.name for role in cast.roles], ", ")
    fillers["matters"] = _listed([issue.ask for issue in cast.issues], ", ")
    fillers["concerns"] = _joined([d.pick(role.concern) for role in cast.roles])
    parts = [fill(story.body, fillers)]
    if protocol.acceptance.vetoes:
        others = _WORDS[len(cast.roles) - 2]
        parts.append(f"A settlement needs the consent of {cast.roles[0].name} and of at least {others} of the others.")
    return " ".join([*parts, fill(story.question, fillers)])


def _listed(items: list[str], comma: str) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([comma.join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]


def _joined(clauses: list[str]) -> str:
    """Main clauses as one sentence without its full stop."""
    if len(clauses) == 2:
        return f"{clauses[0]}; {clauses[1]}"
    return "; ".join([*clauses[:-1], f"and {clauses[-1]}"])
