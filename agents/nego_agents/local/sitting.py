"""One batch of replies: past keys and values are laid on the desk, new tokens are fed, and all rows step together.

Columns of the desk, for a row with p past tokens and n new ones in a chunk of width T; all rows meet at E:

    ... E-T-p ........ E-T ......... E-n ........ E ............ E+limit
        past, p tokens     hole, T-n     new, n      sampled
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from nego_agents.local.cache import Desk, Slot, Store
from nego_agents.local.probe import Forward, additive
from nego_agents.local.request import Request, Sampled
from nego_agents.local.sampling import Drawer

_ALIVE = 0.75
"""When no more than this share of the rows is left, they move together and go on alone."""


@dataclass
class Row:
    """A request on the desk."""

    index: int
    request: Request
    slot: Slot
    source: Slot
    """Where its past comes from: its own slot, or that of a conversation that begins alike."""
    past: int
    """How many leading tokens are computed already."""
    leads: bool = False
    """Rows fed later copy from it."""
    width: int = 0
    """T: tokens of its chunk's longest row."""

    @property
    def new(self) -> int:
        """Tokens to be fed."""
        return len(self.request.context) - self.past


class Sitting:
    """Rows in the order they lie on the desk, and the chunks (ranges of rows) they are fed in."""

    def __init__(self, rows: list[Row], chunks: list[slice], *, store: Store, desk: Desk, forward: Forward) -> None:
        self.rows, self.chunks, self.store, self.desk, self.forward = rows, chunks, store, desk, forward
        self.device, self.dtype = store.layout.device, store.layout.dtype
        self.meet = max(r.past + r.width for r in rows)
        self.limit = max(r.request.limit for r in rows)
        desk.lay(len(rows), self.meet + self.limit)

    def run(self, end: frozenset[int]) -> list[Sampled]:
        """Every row's reply, by index."""
        return self._steps(torch.cat([self._feed(chunk) for chunk in self.chunks]), end)

    # ------------------------------------------------------------ new tokens
    def _feed(self, chunk: slice) -> torch.Tensor:
        """(rows, V) logits after the chunk's new tokens."""
        rows, width = self.rows[chunk], self.rows[chunk.start].width
        begin = self.meet - width
        first = begin - max(r.past for r in rows)
        ids, positions = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
        for i, row in enumerate(rows):
            if row.past:
                assert row.source.kv is not None  # it has tokens
                self.desk.whole[:, chunk.start + i, :, begin - row.past : begin] = row.source.kv[:, :, : row.past]
            ids[i, width - row.new :] = row.request.context[row.past :]
            positions[i, width - row.new :] = np.arange(row.past, len(row.request.context))
        self.desk.focus(chunk, first, begin)
        logits = self.forward(self.desk, self._tensor(ids), self._tensor(positions), self._mask(rows, width, first))
        for i, row in enumerate(rows):
            if row.leads:
                self._save(chunk.start + i, row, [])
                self.store.offer(row.slot)
        return logits

    def _mask(self, rows: list[Row], width: int, first: int) -> torch.Tensor | None:
        """(rows, 1, T, columns); None where plain causal attention is meant."""
        if all(r.past == 0 and r.new == width for r in rows):
            return None
        columns = torch.arange(first, self.meet, device=self.device)
        begin = self.meet - width
        past = self._tensor(np.array([begin - r.past for r in rows]))[:, None]
        new = self._tensor(np.array([self.meet - r.new for r in rows]))[:, None]
        seen = ((columns >= past) & (columns < begin)) | (columns >= new)
        causal = columns <= torch.arange(begin, self.meet, device=self.device)[:, None]
        return additive(seen[:, None, None, :] & causal, self.dtype)

    # ------------------------------------------------------------ sampled tokens
    def _steps(self, logits: torch.Tensor, end: frozenset[int]) -> list[Sampled]:
        rows, device = self.rows, self.device
        uniforms = np.zeros((self.limit, len(rows)))
        for r, row in enumerate(rows):
            uniforms[: row.request.limit, r] = row.request.uniforms[: row.request.limit]
        drawn = self._tensor(uniforms)
        position = self._tensor(np.array([[len(r.request.context)] for r in rows]))
        drawer = Drawer([r.request.sampling for r in rows], device)
        mask = self._later_mask()
        said: list[list[int]] = [[] for _ in rows]
        logps: list[torch.Tensor] = []  # of every step, of the rows that were on the desk
        places: list[list[int]] = []  # and which row lay where
        here = list(range(len(rows)))
        over: set[int] = set()
        self.desk.focus(slice(0, len(rows)), 0, self.meet)
        for t in range(self.limit):
            tokens, logp = drawer.draw(logits, drawn[t])
            logps.append(logp)
            places.append(here)
            left = []
            for place, (r, token) in enumerate(zip(here, tokens.tolist(), strict=True)):
                if r in over:
                    continue
                said[r].append(token)
                if token in end or t + 1 == rows[r].request.limit:
                    over.add(r)
                else:
                    left.append(place)
            if not left:
                break
            self.desk.column = self.meet + t  # all columns before it are filled, the last step's among them
            if len(left) <= _ALIVE * len(here):
                self._save_all([place for place, r in enumerate(here) if r in over], here, said)
                stay = self.desk.keep(left)
                here = [here[place] for place in stay]
                kept = torch.tensor(stay, device=device)
                drawer.keep(kept)
                tokens, drawn, position, mask = tokens[kept], drawn[:, kept], position[kept], mask[kept]
            seen = mask.narrow(3, 0, self.meet + t + 1)
            logits = self.forward(self.desk, tokens[:, None], position + t, seen)
        self._save_all(range(len(here)), here, said)
        # Seven digits are all a float32 has.
        flat = iter(torch.cat(logps).double().round(decimals=7).tolist())
        logprobs: list[list[float]] = [[] for _ in rows]
        for r in (r for step in places for r in step):
            logprobs[r].append(next(flat))
        replies = {row.index: Sampled(ids, lps[: len(ids)]) for row, ids, lps in zip(rows, said, logprobs, strict=True)}
        return [replies[i] for i in range(len(rows))]

    def _later_mask(self) -> torch.Tensor:
        """(rows, 1, 1, all columns) for a row's sampled tokens."""
        columns = torch.arange(self.meet + self.limit, device=self.device)
        begin = self._tensor(np.array([self.meet - r.width for r in self.rows]))[:, None]
        past = begin - self._tensor(np.array([r.past for r in self.rows]))[:, None]
        new = self._tensor(np.array([self.meet - r.new for r in self.rows]))[:, None]
        seen = ((columns >= past) & (columns < begin)) | (columns >= new)
        return additive(seen[:, None, None, :], self.dtype)

    # ------------------------------------------------------------ back to the slots
    def _save_all(self, places: Iterable[int], here: list[int], said: list[list[int]]) -> None:
        """Keep what the rows at these places of the desk computed; `here` says which row lies where."""
        for at in places:
            self._save(at, self.rows[here[at]], said[here[at]][:-1])  # the last one was not fed

    def _save(self, at: int, row: Row, said: list[int]) -> None:
        slot, past, end = row.slot, row.past, self.meet + len(said)
        total = past + row.new + len(said)
        kv = self.store.grow(slot, total)
        if row.source is not slot:
            begin = self.meet - row.width
            kv[:, :, :past] = self.desk.whole[:, at, :, begin - past : begin]
        kv[:, :, past:total] = self.desk.whole[:, at, :, self.meet - row.new : end]
        slot.ids = [*row.request.context, *said]
        if past == 0:
            self.store.offer(slot)

    def _tensor(self, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)
