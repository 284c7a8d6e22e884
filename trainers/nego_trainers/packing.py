"""How rows are laid out for a forward: which beginnings are encoded once, which rows are padded together.

1. Rows that begin alike form a cluster; its common beginning is a prefix. Gain is what it saves: (rows - 1) x length.
2. A block is the prefixes that are encoded together, and its parts: rows of similar remaining length, padded together.
3. Rows that share nothing worth the trouble go into blocks without prefixes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nego_trainers.rows import Row

Ints: TypeAlias = NDArray[np.int64]
LEAST_PREFIX = 16
"""Shorter beginnings are not worth a forward of their own."""


class Fed(NamedTuple):
    """What a model is fed of a row."""

    ids: Ints
    """(T,), up to and with the last scored token."""
    scored: Ints
    """Positions in `ids` whose log-prob is wanted, ascending, at least one of them, each >= 1."""

    @property
    def inner(self) -> int:
        """The longest prefix: the token before the first scored one predicts it, so it must be fed with the row."""
        return int(self.scored[0]) - 1


@dataclass(frozen=True)
class Part:
    """Rows padded together."""

    rows: list[int]
    prefix: list[int]
    """Of each row, its prefix in the block. Empty in a block without prefixes."""


@dataclass(frozen=True)
class Block:
    """Prefixes encoded together, and the rows that go on from them."""

    prefixes: list[Ints]
    parts: list[Part]


def feed(row: Row) -> Fed:
    """A row as it is fed: prompt and completion on end, scored where the mask is 1."""
    ids = np.fromiter((*row.prompt_ids, *row.completion_ids), np.int64)
    return Fed(ids, len(row.prompt_ids) + np.flatnonzero(np.fromiter(row.mask, np.int64)))


def plan(rows: Sequence[Fed], *, budget: int, share: bool = True) -> list[Block]:
    """A layout in which every row is in one part, and no block's prefixes and no part exceed `budget` padded tokens (a single
    longer row or prefix stands alone)."""
    clusters = _clusters(rows) if share else [_Cluster(0, [i]) for i in range(len(rows))]
    alone = sorted((i for c in clusters if not c.prefix for i in c.rows), key=lambda i: len(rows[i].ids))
    blocks = (
        [Block([], [Part(rows_, []) for rows_ in _batches(alone, [len(r.ids) for r in rows], budget)])] if alone else []
    )
    shared = sorted((c for c in clusters if c.prefix), key=lambda c: c.prefix)
    for batch in _batches(range(len(shared)), [c.prefix for c in shared], budget):
        of = {i: k for k, c in enumerate(batch) for i in shared[c].rows}
        rest = {i: len(rows[i].ids) - shared[batch[k]].prefix for i, k in of.items()}
        parts = [
            Part(members, [of[i] for i in members])
            for members in _batches(sorted(rest, key=lambda i: (rest[i], i)), rest, budget)
        ]
        blocks.append(Block([rows[shared[c].rows[0]].ids[: shared[c].prefix] for c in batch], parts))
    return blocks


class _Cluster(NamedTuple):
    prefix: int
    rows: list[int]


def _clusters(rows: Sequence[Fed]) -> list[_Cluster]:
    """Rows by common beginning: in lexicographic order, each joins the cluster before it where that saves more than not."""
    # big-endian bytes sort as the numbers do
    order = sorted(range(len(rows)), key=lambda i: rows[i].ids[: max(0, rows[i].inner)].astype(">i8").tobytes())
    clusters: list[_Cluster] = []
    for i in order:
        if clusters:
            prefix, members = clusters[-1]
            shorter = _common(rows[members[-1]].ids[: max(0, prefix)], rows[i].ids[: max(0, rows[i].inner)])
            if shorter >= LEAST_PREFIX and shorter * len(members) >= prefix * (len(members) - 1):
                clusters[-1] = _Cluster(shorter, [*members, i])
                continue
        clusters.append(_Cluster(rows[i].inner, [i]))
    return [c if len(c.rows) > 1 else _Cluster(0, c.rows) for c in clusters]


def _common(a: Ints, b: Ints) -> int:
    """Length of the common beginning."""
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    return int(different[0]) if len(different) else n


def _batches(order: Iterable[int], lengths: Sequence[int] | dict[int, int], budget: int) -> Iterator[list[int]]:
    """Runs of `order`, whose lengths ascend, of at most `budget` padded tokens each."""
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * lengths[i] > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
