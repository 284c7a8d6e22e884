"""Dialogues of demonstrators over generated training dilemmas, as token rows for `nego_trainers.tiny.pretrain`.

Words of a dilemma are replaced by made-up ones in a share of dialogues, and shapes vary, so that what is learned is the
layout (public words first, then one private table), not the training themes' words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from nego_env.messages import Conversation
from nego_env.rules import Header, State, pending, start, utter
from nego_env.scenario import Scenario
from nego_env.settings import Settings, resolve
from nego_env.view import seat_randoms, view
from nego_scenarios.generator import generate
from nego_trainers.tiny.demonstrators import Demonstrator, Heard, Mix, draw_skill
from nego_trainers.tiny.lines import Line

SYLLABLES = tuple(
    "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu bran clem dorn fisk gral holm ster pli mon cor tess".split()  # noqa: SIM905
)


class Dialogue(NamedTuple):
    """A finished dialogue: its last state, and each seat's chat."""

    state: State
    chats: tuple[tuple[Line, ...], ...]


def draw_scenario(rng: random.Random, *, made_up: float = 0.35) -> Scenario:
    """A two-seat training dilemma of 2 to 4 issues with 2 to 4 options each, its words made up with chance `made_up`."""
    issues = rng.choice((2, 3, 3, 4, 4))
    options = rng.choice((2, 3, 3, 4, 4))
    scenario = generate(rng.randrange(2**40), split="train", seats=2, issues=issues, options=options)
    return disguise(scenario, rng) if rng.random() < made_up else scenario


def disguise(scenario: Scenario, rng: random.Random) -> Scenario:
    """The dilemma with made-up issue names and personas: same numbers, other words."""

    def words(most: int) -> str:
        lengths = [rng.choice((1, 2, 2, 3)) for _ in range(rng.randint(1, most))]
        return " ".join("".join(rng.choice(SYLLABLES) for _ in range(n)) for n in lengths)

    names: list[str] = []
    while len(names) < len(scenario.issues):
        if (name := words(2)) not in names:
            names.append(name)
    issues = tuple(msgspec.structs.replace(i, name=name) for i, name in zip(scenario.issues, names, strict=True))
    seats = tuple(msgspec.structs.replace(s, persona=f"{words(12).capitalize()}.") for s in scenario.seats)
    return msgspec.structs.replace(scenario, issues=issues, seats=seats)


def play_demonstrators(scenario: Scenario, rng: random.Random, mix: Mix) -> State:
    """The last state of a dialogue of two demonstrators."""
    state = start(
        scenario, _settings(scenario, written=rng.random() < mix.plans), Header("demo", 0, 0, 0, ("demo", "demo"))
    )
    clean = rng.random() < mix.clean
    heard = Heard()
    seats = [
        Demonstrator(scenario, i, draw_skill(rng, mix, len(scenario.issues), clean=clean), rng, heard)
        for i in range(scenario.n)
    ]
    while (due := pending(state)) is not None and due.what == "utterance":
        state = utter(state, seats[due.seat].say(state))
    return state


def dialogue(rng: random.Random, mix: Mix, *, made_up: float = 0.35) -> Dialogue:
    """A dialogue and both seats' chats in the brief style."""
    scenario = draw_scenario(rng, made_up=made_up)
    last = play_demonstrators(scenario, rng, mix)
    return Dialogue(last, chats(last))


def chats(last: State) -> tuple[tuple[Line, ...], ...]:
    """Each seat's chat of a dialogue, as the seat would have read it live."""
    scenario = last.scenario
    state = start(scenario, last.settings, last.header)
    randoms = seat_randoms(last.header, scenario.n)
    talks = [Conversation("brief") for _ in range(scenario.n)]
    lines: list[list[Line]] = [[] for _ in range(scenario.n)]
    for u in last.utterances:
        seat = state.seat
        turn = talks[seat].observe(view(state, randoms, seat))
        talks[seat].said(u.text)
        lines[seat] += [Line(m.role, m.content) for m in turn.fresh]
        lines[seat].append(Line("assistant", u.text))
        state = utter(state, u.text)
    return tuple(tuple(seat) for seat in lines)


def dialogues(seed: int, count: int, mix: Mix) -> Iterator[Dialogue]:
    """So many dialogues of a seed."""
    rng = random.Random(seed)
    for _ in range(count):
        yield dialogue(rng, mix)


def _settings(scenario: Scenario, *, written: bool) -> Settings:
    return resolve(scenario, judge="exact", completion="write" if written else "render")
