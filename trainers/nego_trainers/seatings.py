"""Who sits where: every dilemma is played twice, so that nobody is compared by the side it happened to get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from nego_env.scenario import Scenario
from nego_trainers.records import Seating

Seatings = Literal["both", "given", "reversed"]

_PER_SEAT = frozenset({"focus", "spare"})
"""Meta entries of generated scenarios that list something by seat."""


def seatings(which: Seatings) -> tuple[Seating, ...]:
    """The seatings a setting stands for."""
    return ("given", "reversed") if which == "both" else (which,)


def seated(scenario: Scenario, seating: Seating) -> Scenario:
    """The scenario in a seating: `given` as it is, `reversed` with its seats in reverse order.

    Agents keep their chairs, so whoever sat first still opens and now holds the last seat's persona and stakes. Vetoes and
    bonuses stay with their personas, the finalizer with its chair. A reversed scenario is another one: its id ends in
    `.reversed`.
    """
    if seating == "given":
        return scenario
    last = scenario.n - 1
    rule = scenario.protocol.acceptance
    protocol = msgspec.structs.replace(
        scenario.protocol,
        acceptance=msgspec.structs.replace(rule, vetoes=tuple(sorted(last - v for v in rule.vetoes))),
        bonus={f"seat_{last - int(s.removeprefix('seat_'))}": x for s, x in sorted(scenario.protocol.bonus.items())},
    )
    return msgspec.structs.replace(
        scenario,
        id=f"{scenario.id[:111]}.reversed",
        seats=scenario.seats[::-1],
        protocol=protocol,
        meta={k: v for k, v in scenario.meta.items() if k not in _PER_SEAT},
    )


def all_seated(scenarios: list[Scenario], which: Seatings) -> Iterator[Scenario]:
    """Every scenario in every seating, the seatings of one next to each other."""
    return (seated(s, seating) for s in scenarios for seating in seatings(which))
