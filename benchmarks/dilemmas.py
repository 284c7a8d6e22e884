"""Structured dilemmas for measuring, made from a seed: any number of seats, issues and options, no two alike."""

from __future__ import annotations

import string

import numpy as np

from nego_env.scenario import Issue, Option, Protocol, Scenario, Seat, Stakes

_SUBJECTS = ("the opening hours", "the shared budget", "the upper floor", "the summer rota", "the old archive")
_WAYS = ("as it is now", "by turns", "split evenly", "decided each month", "left to a third party")


def dilemma(number: int, *, seats: int = 2, issues: int = 3, options: int = 4, max_rounds: int = 7) -> Scenario:
    """Dilemma `number` of an endless series: at most 5 issues and 5 options, scores 0 to 30, walk-away value 10.

    Option ids are `A1`, `A2`, ..., the same in every dilemma of one size, so that one script fits them all.
    """
    rng = np.random.default_rng(number)
    topics = tuple(
        Issue(
            letter,
            _SUBJECTS[k],
            tuple(Option(f"{letter}{j + 1}", f"{_SUBJECTS[k]} {_WAYS[j]}") for j in range(options)),
        )
        for k, letter in enumerate(string.ascii_uppercase[:issues])
    )
    parties = tuple(
        Seat(
            f"house {i + 1}",
            f"Protect what matters most to house {i + 1}, and give way on the rest only for something in return.",
            Stakes(
                tuple(tuple(float(x) for x in rng.integers(0, 31, options)) for _ in topics),
                walk_away=min(10.0, 5.0 * issues),
            ),
        )
        for i in range(seats)
    )
    return Scenario(
        id=f"dilemma-{number:05d}",
        task="The houses on one yard share more than they would like. How should they settle the year ahead?",
        seats=parties,
        issues=topics,
        protocol=Protocol(max_rounds=max_rounds),
    )
