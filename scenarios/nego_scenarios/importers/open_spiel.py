"""Bargaining instances as structured dilemmas: OpenSpiel's `bargaining` game and Deal or No Deal (arXiv 1706.05125).

Two people divide a pool of three kinds of items; each values every kind differently and does not know the other's values.
Two layouts of one text file, an instance after the other:

    1,2,3 8,1,0 4,0,2       OpenSpiel: the pool, then what one item of each kind is worth to seat_0 and to seat_1

    1 8 2 1 3 0             Deal or No Deal (`selfplay.txt`): a line for each seat, count and value by kind
    1 4 2 0 3 2

1. A kind of items is an issue, its options are what seat_0 gets of it (seat_1 has the rest), a score is count times value.
2. Without a deal both have 0. Each seat's values times the pool add up to 10, as in both sources.
3. 10 turns, OpenSpiel's default, are 5 rounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nego_env.scenario import Issue, Option, Protocol, Scenario, Seat, Stakes
from nego_scenarios.importers.reading import Text, about, files_at, opening, quoted, read_text

ROUNDS = 5
"""OpenSpiel's default of 10 turns."""
TOTAL = 10
"""What the whole pool is worth to either seat."""
MOST = 99
"""A larger count or value is taken for a mistake."""
KINDS = (("A", "Books", "book"), ("B", "Hats", "hat"), ("C", "Balls", "ball"))
"""Issue id, name, and one item of it; the words are those of Deal or No Deal."""

_NAMES = ("First bargainer", "Second bargainer")
_PAIRED = re.compile(r"\d+(\s+\d+){5}", re.ASCII)


class OpenSpielBargaining:
    """Reads one text file of instances, or those of a folder."""

    name = "open-spiel"

    def sniff(self, path: Path) -> bool:
        """Whether the file, or a .txt file of the folder, opens with an instance. Never raises."""
        try:
            files = [path] if path.is_file() else sorted(path.glob("*.txt"))[:20]
        except OSError:
            return False
        return any(f.suffix.lower() == ".txt" and _is_ours(opening(f)) for f in files)

    def load(self, path: Path) -> list[Scenario]:
        """Every instance at the path, in file order. Raises `ScenarioError` naming file, line and field."""
        found: list[Scenario] = []
        for file in files_at(path, ".txt", what="bargaining instances are a text file"):
            text = read_text(file, what="file of bargaining instances")
            meta = about("OpenSpiel bargaining / Deal or No Deal (arXiv 1706.05125)", file)
            found += [_scenario(instance, len(found) + i, meta) for i, instance in enumerate(_instances(text))]
        return found


def _is_ours(head: str) -> bool:
    first = next((line.strip() for line in head.splitlines() if line.strip()), "")
    numbers = re.split(r"[\s,]+", first)
    return ("," in first and len(first.split()) == 3 and sum(n.isdigit() for n in numbers) >= 6) or _pairs(first)


def _pairs(line: str) -> bool:
    return _PAIRED.fullmatch(line) is not None


# ---------------------------------------------------------------- instances
class Instance(NamedTuple):
    """One division problem."""

    line: int
    pool: tuple[int, ...]
    """Items of each kind."""
    values: tuple[tuple[int, ...], ...]
    """By seat: what one item of each kind is worth."""


def _instances(text: Text) -> Iterator[Instance]:
    filled = text.filled()
    if "," not in filled[0][1]:
        yield from _paired(text, filled)
        return
    for number, line in filled:
        parts = line.split()
        if len(parts) != 3:
            raise text.error(number, f"{len(parts)} fields in {quoted(line)}; a line is: pool values_0 values_1")
        pool, *values = (
            _numbers(text, number, name, part.split(","))
            for name, part in zip(("pool", "values_0", "values_1"), parts, strict=True)
        )
        yield _checked(text, Instance(number, pool, tuple(values)), ("pool", "values_0", "values_1"), (number, number))


def _paired(text: Text, filled: list[tuple[int, str]]) -> Iterator[Instance]:
    for (number, line), other in zip(filled[::2], [*filled[1::2], None], strict=False):
        first = _numbers(text, number, "line", line.split(), of=6)
        if other is None:
            raise text.error(number, "the second seat's line is missing; an instance is two lines")
        rows = [first, _numbers(text, other[0], "line", other[1].split(), of=6)]
        if rows[0][::2] != rows[1][::2]:
            raise text.error(
                other[0],
                f"counts {list(rows[1][::2])} differ from {list(rows[0][::2])} on line {number}, the other seat's",
            )
        instance = Instance(number, rows[0][::2], (rows[0][1::2], rows[1][1::2]))
        yield _checked(text, instance, ("counts", "values", "values"), (number, other[0]))


def _numbers(text: Text, number: int, field: str, words: list[str], of: int = 3) -> tuple[int, ...]:
    if len(words) != of:
        raise text.error(number, f"{field}: {len(words)} numbers; it holds {of}")
    for word in words:
        if not re.fullmatch(r"\d{1,9}", word, re.ASCII) or int(word) > MOST:
            raise text.error(number, f"{field}: {quoted(word)} is no whole number from 0 to {MOST}")
    return tuple(int(word) for word in words)


def _checked(text: Text, instance: Instance, fields: tuple[str, str, str], lines: tuple[int, int]) -> Instance:
    if 0 in instance.pool:
        raise text.error(instance.line, f"{fields[0]}: {list(instance.pool)}; there is at least one item of each kind")
    for field, line, values in zip(fields[1:], lines, instance.values, strict=True):
        total = sum(n * v for n, v in zip(instance.pool, values, strict=True))
        if total != TOTAL:
            raise text.error(
                line, f"{field}: {list(values)} times the pool {list(instance.pool)} is {total}; it must be {TOTAL}"
            )
    return instance


# ---------------------------------------------------------------- scenarios
def _scenario(instance: Instance, index: int, meta: dict[str, str]) -> Scenario:
    issues = tuple(
        Issue(id, name, tuple(Option(f"{id}{k}", _share(k, count)) for k in range(count + 1)))
        for (id, name, _), count in zip(KINDS, instance.pool, strict=True)
    )
    pool = _listing([_items(n, one) for n, (_, _, one) in zip(instance.pool, KINDS, strict=True)])
    return Scenario(
        id=f"{OpenSpielBargaining.name}-{index:04}",
        task=f"Two people divide {pool}. How should they share them?",
        seats=tuple(_seat(instance, seat) for seat in (0, 1)),
        issues=issues,
        protocol=Protocol(max_rounds=ROUNDS),
        tags=("imported", OpenSpielBargaining.name),
        meta=meta | {"source": f"{meta['source']}, instance {index}"},
    )


def _share(k: int, count: int) -> str:
    return f"{k} for the {_NAMES[0].lower()}, {count - k} for the {_NAMES[1].lower()}"


def _seat(instance: Instance, seat: int) -> Seat:
    scores = tuple(
        tuple(float(value * (k if seat == 0 else count - k)) for k in range(count + 1))
        for count, value in zip(instance.pool, instance.values[seat], strict=True)
    )
    worth = _listing([f"a {one} {v}" for v, (_, _, one) in zip(instance.values[seat], KINDS, strict=True)])
    persona = f"Get the items that are worth most to you: in points, {worth}. Without a deal you have 0."
    return Seat(_NAMES[seat], persona, Stakes(scores, 0.0))


def _items(n: int, one: str) -> str:
    return f"{n} {one}{'' if n == 1 else 's'}"


def _listing(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
