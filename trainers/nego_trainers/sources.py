"""Which dilemma a group of episodes is played on: a function of (seed, step, group) alone, so that a resumed run goes on
with the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from nego_env.errors import SettingsError
from nego_env.packs import Suite
from nego_env.scenario import Scenario
from nego_env.session import as_suite
from nego_trainers.settings import GENERATE, GRPOSettings

TRIES = 50
"""Draws in a row that may leave no room for agreement."""


class Source(Protocol):
    """Dilemmas to train on."""

    name: str

    def group(self, step: int, group: int) -> Scenario:
        """The dilemma of a step's group. Groups beyond the step's first ones are spares for dynamic sampling."""
        ...

    def bounds(self) -> tuple[int, int]:
        """The most seats, and the highest cap on rounds, of any dilemma."""
        ...


class Generated:
    """Fresh two-seat dilemmas over the training themes, without end. One on which nothing can be agreed without a loss
    (`no_zopa`) is passed over: every reward there is 0 and teaches nothing."""

    def __init__(self, seed: int, shapes: tuple[str, ...]) -> None:
        self.name = "generate:train"
        self._seed, self._shapes = seed, shapes

    def group(self, step: int, group: int) -> Scenario:
        """The dilemma of a step's group."""
        from nego_scenarios.duels import VALIDATION_SEED, duel

        for trial in range(TRIES):
            which, number = divmod(_number(self._seed, step, group, trial), VALIDATION_SEED)
            found = duel(number, split="train", shape=self._shapes[which % len(self._shapes)])
            if not found.no_zopa:
                return found
        raise SettingsError(f"no dilemma of the shapes {' '.join(self._shapes)} leaves room for agreement")

    def bounds(self) -> tuple[int, int]:
        """Two seats, and the cap they all have."""
        return 2, self.group(0, 0).protocol.max_rounds


class Drawn:
    """The dilemmas of a suite, all of them in random order, then all of them in another one."""

    def __init__(self, suite: Suite, seed: int, groups: int) -> None:
        self.name = suite.name
        self._suite, self._seed, self._groups = suite, seed, groups
        self._ids = [e.id for e in suite.entries() if "no_zopa" not in e.tags]
        if not self._ids:
            raise SettingsError(f"{suite.name!r} holds no dilemma to train on")
        self._order: tuple[int, list[str]] = (-1, [])

    def group(self, step: int, group: int) -> Scenario:
        """The dilemma of a step's group."""
        if group >= self._groups:
            return self._suite.get(self._ids[_number(self._seed, step, group, 0) % len(self._ids)])
        turn, place = divmod(step * self._groups + group, len(self._ids))
        if self._order[0] != turn:
            order = np.random.default_rng([self._seed, turn]).permutation(len(self._ids))
            self._order = turn, [self._ids[i] for i in order]
        return self._suite.get(self._order[1][place])

    def bounds(self) -> tuple[int, int]:
        """The most seats, and the highest cap on rounds, of any dilemma."""
        found = [self._suite.get(i) for i in self._ids]
        return max(x.n for x in found), max(x.protocol.max_rounds for x in found)


def open_source(settings: GRPOSettings) -> Source:
    """Where the dilemmas come from. Raises `NotFoundError`, `ScenarioError` or `SettingsError` in one line, and where open
    dilemmas have no judge that was named: the embedded one measures nothing, and what it likes is not worth learning."""
    if settings.suite.startswith(GENERATE):
        return Generated(settings.seed, settings.shapes)
    suite = as_suite(settings.suite)
    first = next((e for e in suite.entries() if e.kind == "open"), None)
    if first is not None and settings.judge is None:
        raise SettingsError(
            f"{suite.name!r} holds open dilemmas ({first.id}), whose reward is a judge's: name one with --judge "
            "my_file.py:MyJudge (the embedded heuristic measures nothing; --judge heuristic trains on it all the same)"
        )
    _check_seats(suite, settings)
    return Drawn(suite, settings.seed, settings.groups)


def _check_seats(suite: Suite, settings: GRPOSettings) -> None:
    if settings.seats.startswith("seat_"):
        seat = int(settings.seats.removeprefix("seat_"))
        if small := next((e for e in suite.entries() if e.seats <= seat), None):
            raise SettingsError(
                f"--seats {settings.seats}: {small.id} has {small.seats} seats, seat_0 to seat_{small.seats - 1}"
            )


def _number(*key: int) -> int:
    """A number below 2**64 that a key always gives."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, key)).encode()).digest()[:8])


def validation(settings: GRPOSettings) -> list[Scenario]:
    """The fixed dilemmas by which checkpoints are compared. Generated: training themes, seeds that training never draws.
    Of a suite: the same ones every time, in order of id."""
    count = settings.eval_scenarios
    if settings.suite.startswith(GENERATE):
        from nego_scenarios.duels import VALIDATION_SEED, duels

        return duels(count, split="train", shapes=settings.shapes, seed=VALIDATION_SEED, zopa_only=True)
    suite = as_suite(settings.suite)
    ids = sorted(e.id for e in suite.entries() if "no_zopa" not in e.tags)
    return [suite.get(i) for i in _spread(ids, count)]


def _spread(ids: list[str], count: int) -> Iterator[str]:
    """At most `count` of them, at even distances."""
    count = min(count, len(ids))
    return (ids[i * len(ids) // count] for i in range(count))
