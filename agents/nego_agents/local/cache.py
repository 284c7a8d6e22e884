"""Keys and values of many conversations, kept between their turns.

1. A `Slot` keeps what one conversation has computed so far, densely, with room to grow by doubling.
2. The `Desk` is where a batch of conversations is worked on: rows end at one common column, so a step writes every row's new
   keys and values with one slice copy. (transformers' `DynamicCache` copies the whole cache for every token.) Columns before
   a row's beginning, and the hole before its new tokens, are masked.
3. After a turn only what is new is copied back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

_STEP = 128
"""Least room of a slot, in tokens."""
_KEY = 32
"""Conversations that begin with the same so many tokens are looked at for more."""

_SPARE = 1 << 26
"""So many bytes of conversations that ended are kept for others that begin alike."""


@dataclass(frozen=True)
class Layout:
    """The shape of a model's keys and values, the same in every layer."""

    layers: int
    heads: int
    dim: int
    dtype: torch.dtype
    device: torch.device
    window: int | None
    """Contexts up to here see all of themselves; None without a limit (a sliding window is one)."""

    @property
    def bytes(self) -> int:
        """Of one token."""
        return 2 * self.layers * self.heads * self.dim * self.dtype.itemsize


class Slot:
    """What one conversation has computed: `kv` is (2 layers, heads, room, dim), keys and values in turn."""

    __slots__ = ("begins", "ids", "kv")

    def __init__(self) -> None:
        self.ids: list[int] = []
        """The tokens whose keys and values are in `kv`."""
        self.kv: torch.Tensor | None = None
        self.begins: tuple[int, ...] | None = None
        """How it was offered to others."""

    @property
    def bytes(self) -> int:
        """What it takes."""
        return 0 if self.kv is None else self.kv.nbytes


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many leading tokens two contexts share."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:  # the first `low` are equal, the first `high` are not
        middle = (low + high) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle)
    return low


def beginning(context: Sequence[int]) -> tuple[int, ...]:
    """What contexts that may have more in common are found by."""
    return tuple(context[:_KEY])


class Store:
    """The slots of all conversations, and the buffers of those that ended, within a number of bytes."""

    def __init__(self, layout: Layout, budget: int) -> None:
        """Above `budget` bytes, conversations that have waited longest are forgotten (and computed again when they go on);
        those that are being worked on are kept whatever it costs."""
        self.layout, self.budget = layout, budget
        self.bytes = 0
        self._slots: OrderedDict[Hashable, Slot] = OrderedDict()
        self._donors: dict[tuple[int, ...], Slot] = {}
        self._ended: OrderedDict[tuple[int, ...], Slot] = OrderedDict()
        self._free: dict[int, list[torch.Tensor]] = {}
        self._busy: set[int] = set()

    def slot(self, key: Hashable) -> Slot:
        """The slot of a conversation, made when first asked for."""
        if key not in self._slots:
            self._slots[key] = Slot()
        self._slots.move_to_end(key)
        return self._slots[key]

    def work_on(self, slots: Iterable[Slot]) -> None:
        """These are needed until the next call."""
        self._busy = {id(slot) for slot in slots}

    def donor(self, context: Sequence[int]) -> Slot | None:
        """The slot of a conversation that begins like this one, if one is known."""
        return self._donors.get(beginning(context))

    def offer(self, slot: Slot) -> None:
        """Others that begin like this conversation may copy from it."""
        if slot.begins is None and len(slot.ids) >= _KEY:
            slot.begins = beginning(slot.ids)
            self._donors[slot.begins] = slot
            # Not to be used again yet: somebody may be about to copy from it.
            self._discard(self._ended.pop(slot.begins, None))

    def drop(self, key: Hashable) -> None:
        """A conversation is over. Some that others may begin like are kept for a while."""
        slot = self._slots.pop(key, None)
        if slot is None or slot.kv is None:
            return
        if slot.begins is None or self._donors.get(slot.begins) is not slot:
            self._recycle(slot)
            return
        self._ended[slot.begins] = slot
        while len(self._ended) > 1 and sum(s.bytes for s in self._ended.values()) > _SPARE:
            self._recycle(self._oldest_ended())

    def grow(self, slot: Slot, length: int) -> torch.Tensor:
        """The slot's buffer, with room for `length` tokens."""
        old, kept = slot.kv, len(slot.ids)
        if old is None or old.shape[2] < length:
            room = _STEP
            while room < length:
                room *= 2
            slot.kv = self._buffer(room)
            if old is not None:
                slot.kv[:, :, :kept] = old[:, :, :kept]
                self._free.setdefault(old.shape[2], []).append(old)
        assert slot.kv is not None  # it was there or has been made
        return slot.kv

    def _buffer(self, room: int) -> torch.Tensor:
        if self._free.get(room):
            return self._free[room].pop()
        at = self.layout
        size = at.bytes * room
        if self.bytes + size > self.budget:
            self._make_way(size)
        self.bytes += size
        return torch.empty((2 * at.layers, at.heads, room, at.dim), dtype=at.dtype, device=at.device)

    def _make_way(self, size: int) -> None:
        self.bytes -= sum(t.nbytes for tensors in self._free.values() for t in tensors)
        self._free.clear()
        idle = [
            s for s in (*self._ended.values(), *self._slots.values()) if s.kv is not None and id(s) not in self._busy
        ]
        for slot in idle:
            if self.bytes + size <= self.budget:
                return
            self._discard(slot)

    def _oldest_ended(self) -> Slot:
        begins, slot = self._ended.popitem(last=False)
        del self._donors[begins]
        return slot

    def _recycle(self, slot: Slot) -> None:
        if slot.kv is not None:
            self._free.setdefault(slot.kv.shape[2], []).append(slot.kv)
        slot.kv, slot.ids = None, []

    def _discard(self, slot: Slot | None) -> None:
        if slot is not None and slot.kv is not None:
            self.bytes -= slot.bytes
            if id(slot) not in self._busy:
                slot.kv, slot.ids = None, []


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # its __init_subclass__
    """One layer's part of the desk."""

    is_sliding = False

    def __init__(self, desk: Desk, index: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._desk, self._index = desk, index
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Write (rows, heads, T, dim) at the desk's column; all columns up to there."""
        return self._desk.write(self._index, torch.stack((key_states, value_states)))

    def lazy_initialization(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the desk has its buffer."""

    def get_seq_length(self, *args: Any, **kwargs: Any) -> int:
        """Columns that are filled."""
        return self._desk.column - self._desk.first

    def get_mask_sizes(self, query_length: Any, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """Columns after the next step, and no offset."""
        new = query_length if isinstance(query_length, int) else len(query_length)  # older versions give positions
        return self.get_seq_length() + new, 0

    def get_max_length(self) -> int:
        """No limit of its own."""
        return -1

    get_max_cache_shape = get_max_length  # its name in older versions


class Desk(Cache):
    """Keys and values of the conversations being worked on: `whole` is (2 layers, rows, heads, columns, dim)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layers=[_Layer(self, i) for i in range(layout.layers)])
        self.layout = layout
        self._flat = self._zeros(0)
        self.lay(0, 0)

    def lay(self, rows: int, columns: int) -> None:
        """A desk of that size. What is on it is undefined, but finite."""
        self.whole = self._shaped(rows, columns)
        self.focus(slice(0, rows), 0, 0)

    def focus(self, rows: slice, first: int, column: int) -> None:
        """The next forward is of these rows, sees the columns from `first` on, and writes at `column`."""
        self.first, self.column = first, column
        shown = self.whole[:, rows]
        self._layers = shown.view(self.layout.layers, 2, *shown.shape[1:]).unbind(0)

    def write(self, layer: int, kv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put a layer's (2, rows, heads, T, dim) keys and values at the column; its keys and values up to there."""
        at, new = self._layers[layer], kv.shape[3]
        at.narrow(3, self.column, new).copy_(kv)
        keys, values = at.narrow(3, self.first, self.column + new - self.first).unbind(0)
        return keys, values

    def keep(self, stay: list[int]) -> list[int]:
        """Only these rows stay, and move together; which row lies where after that."""
        count = len(stay)
        kept = set(stay)
        order = [row if row in kept else -1 for row in range(count)]
        late = [row for row in stay if row >= count]
        for place in range(count):
            if order[place] < 0:
                order[place] = late.pop()
                self.whole[:, place, :, : self.column] = self.whole[:, order[place], :, : self.column]
        self.whole = self.whole[:, :count]
        self.focus(slice(0, count), self.first, self.column)
        return order

    def _shaped(self, rows: int, columns: int) -> torch.Tensor:
        at = self.layout
        shape = (2 * at.layers, rows, at.heads, columns, at.dim)
        size = 2 * at.layers * rows * at.heads * columns * at.dim
        if self._flat.numel() < size:
            # Zeros, because a masked column still counts as 0 times what is in it, which must not be nan.
            self._flat = self._zeros(max(size, 2 * self._flat.numel()))
        return self._flat[:size].view(shape)

    def _zeros(self, size: int) -> torch.Tensor:
        return torch.zeros(size, dtype=self.layout.dtype, device=self.layout.device)
