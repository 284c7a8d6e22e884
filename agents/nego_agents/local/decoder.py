"""Sampling replies for many conversations at once, on a model's own forward.

1. What a conversation computed before is kept; only what is new is fed. Where a context was made anew (a memory window
   moved), its common beginning with the old one is kept.
2. Conversations that begin alike (the episodes of one group) compute their beginning once.
3. New tokens of different length are padded on the left, in chunks of similar length, with explicit masks and positions.
   Then all rows take their steps together; when many have finished, the others go on without them.
4. Whether a model can be worked this way is tried out when it is first used; one that cannot is fed whole contexts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import Cache

from nego_agents.local.cache import Desk, Layout, Slot, Store, beginning, common
from nego_agents.local.lean import Lean
from nego_agents.local.memory import free_bytes
from nego_agents.local.plain import sample_plain
from nego_agents.local.probe import examine
from nego_agents.local.request import Request, Sampled
from nego_agents.local.sitting import Row, Sitting

_SHARED = 16
"""Fewer common tokens than this are not worth copying."""
_PADDED = 1.25
"""A chunk may be this much bigger than its tokens."""
_ALONE = 128
"""Whole contexts this long are not padded: without padding they need no mask, and attention skips what is not seen."""
_CHUNK = 8192
"""Most tokens of a chunk, padding included."""
_UNKNOWN = 1 << 34
"""Bytes taken to be free where that is not known."""


class Decoder:
    """Samples from one model, and keeps what its conversations computed."""

    def __init__(self, model: Any, end: frozenset[int]) -> None:
        """`end`: ids that end a reply."""
        self.model, self._end = model, end
        self._layout: Layout | None = None
        self._lean: Lean | None = None
        self._tried = False
        self.reset()

    def reset(self) -> None:
        """Forget everything that was computed: the weights changed."""
        self._store: Store | None = None
        self._desk: Desk | None = None
        self._room = 0
        if self._lean is not None:
            self._lean = Lean(self.model)

    def drop(self, key: Hashable) -> None:
        """A conversation is over."""
        if self._store is not None:
            self._store.drop(key)

    def sample(self, requests: Sequence[Request]) -> list[Sampled]:
        """A reply to each request, in order; no two requests of one conversation."""
        if not requests:
            return []
        with torch.no_grad(), evaluating(self.model):
            if not self._tried:
                self._layout, self._lean, self._tried = *examine(self.model, self._forward), True
            layout, longest = self._layout, max(len(r.context) + r.limit for r in requests)
            if layout is None or (layout.window is not None and longest > layout.window):
                return sample_plain(self.model, requests, self._end)
            if self._store is None or self._desk is None:
                free = free_bytes(layout.device) or _UNKNOWN
                self._store, self._desk, self._room = Store(layout, free * 2 // 5), Desk(layout), free // 5
            if self._lean is not None:
                self._lean.prepare(longest)
            at_once = max(1, self._room // (layout.bytes * 2 * longest))  # chunks of padding may double the columns
            return [
                reply
                for begin in range(0, len(requests), at_once)
                for reply in self._seat(requests[begin : begin + at_once], self._store, self._desk)
            ]

    def _seat(self, requests: Sequence[Request], store: Store, desk: Desk) -> list[Sampled]:
        rows, chunks = plan(store, requests)
        store.work_on([*(r.slot for r in rows), *(r.source for r in rows)])
        # A model's own forward may keep what it makes, and training could not use inference tensors.
        with torch.inference_mode() if self._lean is not None else nullcontext():
            return Sitting(rows, chunks, store=store, desk=desk, forward=self._forward).run(self._end)

    def _forward(
        self, cache: Cache, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        if self._lean is not None and isinstance(cache, Desk):
            return self._lean(cache, ids, positions, mask)
        out = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = out.logits[:, -1]
        return logits


def plan(store: Store, requests: Sequence[Request]) -> tuple[list[Row], list[slice]]:
    """Where each request's past comes from, and in which chunks (ranges of the rows) what is new is fed: those that others
    copy from first."""
    rows = []
    for index, request in enumerate(requests):
        slot = store.slot(request.key)
        past = min(common(slot.ids, request.context), len(request.context) - 1)
        slot.ids = slot.ids[:past]
        rows.append(Row(index, request, slot, slot, past))
    first: list[Row] = []
    later: list[Row] = []
    leaders: dict[tuple[int, ...], Row] = {}
    for row in rows:
        context = row.request.context
        donor = store.donor(context) if row.new > _SHARED else None
        if donor is not None:
            _copy(row, donor, donor.ids)
        leader = leaders.setdefault(beginning(context), row) if row.new > _SHARED else row
        if leader is not row and _copy(row, leader.slot, leader.request.context):
            leader.leads = True
            later.append(row)
        else:
            first.append(row)
    ordered = [*_chunks(first), *_chunks(later)]
    ends = np.cumsum([len(chunk) for chunk in ordered]).tolist()
    return [r for chunk in ordered for r in chunk], [slice(e - len(c), e) for e, c in zip(ends, ordered, strict=True)]


def _copy(row: Row, source: Slot, ids: Sequence[int]) -> bool:
    """Take a row's past from another conversation, if that saves enough."""
    shared = min(common(ids, row.request.context), len(row.request.context) - 1)
    if shared < row.past + _SHARED:
        return False
    row.source, row.past = source, shared
    return True


def _chunks(rows: list[Row]) -> list[list[Row]]:
    """Rows of similar length together."""
    chunks: list[list[Row]] = []
    tokens = 0
    for row in sorted(rows, key=lambda r: -r.new):
        tokens += row.new
        width = chunks[-1][0].new if chunks else row.new
        padded = width * (len(chunks[-1]) + 1) if chunks else 0
        ragged = row.new != width and (row.past == 0) and width >= _ALONE
        if not chunks or ragged or padded > _PADDED * tokens or padded > _CHUNK:
            chunks.append([])
            tokens, width = row.new, row.new
        chunks[-1].append(row)
        row.width = width
    return chunks


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model in evaluation mode (in training mode gradient checkpointing silently drops the cache), and as it was after."""
    training = [m for m in model.modules() if m.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for m in training:
            m.training = True
