"""One batch of replies: past keys and values are laid on the desk, new tokens are fed, and all rows step together.

Columns of the desk, for a row with p past tokens and n new ones in a chunk of width T; all rows meet at E:

    ... E-T-p ........ E-T ......... E-n ........ E ............ E+limit
        past, p tokens     hole, T-n     new, n      sampled
"""

from __future__ import annotations

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
        ends = torch.zeros(logits.shape[1], dtype=torch.bool, device=device)
        ends[[i for i in end if i < len(ends)]] = True
        uniforms = np.zeros((len(rows), self.limit))
        for r, row in enumerate(rows):
            uniforms[r, : row.request.limit] = row.request.uniforms[: row.request.limit]
        drawn = self._tensor(uniforms)
        limits = self._tensor(np.array([r.request.limit for r in rows]))
        position = self._tensor(np.array([len(r.request.context) for r in rows]))
        drawer = Drawer([r.request.sampling for r in rows], device)
        mask = self._later_mask()
        tokens_BT = torch.zeros((len(rows), self.limit), dtype=torch.long, device=device)
        logps_BT = torch.zeros((len(rows), self.limit), dtype=torch.float32, device=device)
        length = torch.zeros(len(rows), dtype=torch.long, device=device)
        here = torch.arange(len(rows), device=device)  # which row lies where
        over = torch.zeros(len(rows), dtype=torch.bool, device=device)
        left = len(rows)
        self.desk.focus(slice(0, left), 0, self.meet)
        for t in range(self.limit):
            tokens, logps = drawer.draw(logits, drawn[:, t])
            tokens_BT[here, t], logps_BT[here, t] = tokens, logps
            length[here] += ~over
            over = over | ends[tokens] | (limits <= t + 1)
            alive = len(over) - int(over.sum())
            if alive == 0:
                break
            self.desk.column = self.meet + t  # all columns before it are filled, the last step's among them
            if alive <= _ALIVE * len(over):
                self._save_all(over.nonzero()[:, 0], here, tokens_BT, length)
                stay = torch.tensor(self.desk.keep((~over).nonzero()[:, 0].tolist()), device=device)
                drawer.keep(stay)
                here, over, tokens, drawn, limits, position, mask = (
                    x[stay] for x in (here, over, tokens, drawn, limits, position, mask)
                )
            seen = mask[..., : self.meet + t + 1]
            logits = self.forward(self.desk, tokens[:, None], (position + t)[:, None], seen)
        self._save_all(torch.arange(len(here)), here, tokens_BT, length)
        logprobs = logps_BT.double().round(decimals=7).tolist()  # seven digits are all a float32 has
        said = zip(tokens_BT.tolist(), logprobs, length.tolist(), strict=True)
        replies = {row.index: Sampled(ids[:n], lps[:n]) for row, (ids, lps, n) in zip(rows, said, strict=True)}
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
    def _save_all(
        self, places: torch.Tensor, here: torch.Tensor, tokens_BT: torch.Tensor, length: torch.Tensor
    ) -> None:
        """Keep what the rows at these places of the desk computed; `here` says which row lies where."""
        which, said = here.tolist(), tokens_BT.tolist()
        counts = length.tolist()
        for at in places.tolist():
            r = which[at]
            self._save(at, self.rows[r], said[r][: counts[r] - 1])  # the last one was not fed

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
