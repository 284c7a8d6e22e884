"""Scenarios for agents and a runner over the pure rules, shared by the tests of the agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nego_env.agents import resolve_agent
from nego_env.judges import ExactJudge, HeuristicJudge
from nego_env.rules import State, case, judged, pending, start, utter
from nego_env.scenario import Issue, Option, Protocol, Scenario, Seat, Stakes
from nego_env.settings import resolve
from nego_env.transcript import Transcript, header, transcript
from nego_env.view import View, seat_randoms, view

NEGOTIATORS = ("boulware", "conceder", "tit-for-tat", "micro", "logroller", "revealer")
ARCHETYPES = ("stonewaller", "sycophant", "mediator", "injector")
CAREFUL = (*NEGOTIATORS, *ARCHETYPES)
"""Everybody who reckons with a walk-away value."""


def structured(rows: Sequence[Sequence[Sequence[float]]], walk_away: Sequence[float], rounds: int = 7) -> Scenario:
    """A scenario from scores per seat, issue and option; option ids A1, A2, ..., labels in letters only."""
    letters = "ABCDEFGHIJKL"
    issues = tuple(
        Issue(
            letters[i],
            f"matter {letters[i].lower()}",
            tuple(
                Option(f"{letters[i]}{j + 1}", f"way {letters[j].lower()} of {letters[i].lower()}")
                for j in range(len(row))
            ),
        )
        for i, row in enumerate(rows[0])
    )
    seats = tuple(
        Seat(f"the {name}", "Get the most.", Stakes(tuple(tuple(float(x) for x in row) for row in mine), float(w)))
        for name, mine, w in zip(
            ("baker", "miller", "farmer", "cook", "smith", "nurse", "clerk"), rows, walk_away, strict=False
        )
    )
    return Scenario("made", "What shall it be?", seats, issues, Protocol(max_rounds=rounds))


def drawn(seed: int, *, seats: int = 2, counts: Sequence[int] = (3, 3, 3), rounds: int = 7) -> Scenario:
    """A random scenario whose first deal leaves nobody below its walk-away value."""
    rng = np.random.default_rng(seed)
    rows = [[rng.integers(0, 10, size=c).tolist() for c in counts] for _ in range(seats)]
    first = [sum(row[0] for row in mine) for mine in rows]
    best = [sum(max(row) for row in mine) for mine in rows]
    return structured(rows, [min(f, 0.4 * b) for f, b in zip(first, best, strict=True)], rounds)


OPEN = Scenario(
    "bread",
    "Who should run the bakery?",
    (
        Seat("Anahit", "Own the bakery whole, as you were promised, and share the keys with nobody."),
        Seat("the brother", "Hold an equal half of the bakery."),
        Seat("the aunt", "Let no one leave the table angry."),
    ),
)
OPEN_TWO = Scenario("bread-2", OPEN.task, OPEN.seats[:2])


def play(scenario: Scenario, agents: Sequence[Any], *, seed: int = 1, spawn: bool = True, **options: Any) -> Transcript:
    """An episode through the pure rules alone; agents are names or objects, dealt round the table."""
    return transcript(list(steps(scenario, agents, seed=seed, spawn=spawn, **options))[-1])


def steps(
    scenario: Scenario, agents: Sequence[Any], *, seed: int = 1, spawn: bool = True, **options: Any
) -> list[State]:
    """Every state of an episode."""
    named = [resolve_agent(agents[i % len(agents)]) for i in range(scenario.n)]
    chosen = resolve(scenario, **options)
    head = header(scenario, chosen, tuple(a.name for a in named), seed=seed)
    players: list[Any] = [
        a.agent.spawn(scenario.seat_ids[i], scenario.for_seat(i)) if spawn and hasattr(a.agent, "spawn") else a.agent
        for i, a in enumerate(named)
    ]
    randoms = seat_randoms(head, scenario.n)
    judge = ExactJudge() if scenario.issues else HeuristicJudge()
    states = [start(scenario, chosen, head)]
    while (due := pending(states[-1])) is not None:
        state = states[-1]
        if due.what == "utterance":
            states.append(utter(state, players[due.seat].act(view(state, randoms))))
        else:
            states.append(judged(state, judge.judge(case(state))))
    return states


def first_view(scenario: Scenario, seat: int = 0) -> View:
    """What a seat sees before anybody has spoken."""
    chosen = resolve(scenario)
    head = header(scenario, chosen, ("x",) * scenario.n, seed=1)
    return view(start(scenario, chosen, head), seat_randoms(head, scenario.n), seat)


TRADE = structured([[[9, 0], [1, 0]], [[0, 1], [0, 9]]], [2, 2])
"""The baker wants A1, the miller B2."""
