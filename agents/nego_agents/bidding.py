"""What one seat knows of a structured negotiation: its own worth of every deal, the others' offers, and a guess at what
deals are worth to them.

1. Worth is additive over issues, so all deals are valued at once by outer sums; deals are numbered as in
   `nego_env.accounting.DealTable`, the last issue varying fastest.
2. An *offer* is a deal a seat has proposed or accepted: under these rules proposing is accepting, and the other way round
   an acceptance says as much about the accepter as an offer does.
3. The others' worth is guessed by a frequency model: options a seat offers often, and early, are good for it, and issues it
   does not move on matter to it (Hindriks & Tykhonov 2008; van Krimpen, Looije & Hajizadeh 2013, the HardHeaded agent).
   Scores a seat has published replace the guess; issues it asks about count for a little more.
4. Offers are gathered as they come into view, so a short memory window loses none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from nego_env.accounting import FLOOR, TOLERANCE, best_score
from nego_env.rules import Utterance
from nego_env.scenario import Deal, Scenario
from nego_env.view import View

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]

LIKELY_WALK_AWAY = (0.25, 0.5)
"""Where another seat's unknown walk-away value is taken to lie, as a share of its best deal."""

_UNTRIED = 0.15
"""Guessed worth, as a share of the issue's best, of an option a seat keeps leaving out of its offers."""


def additive(rows: Sequence[Sequence[float] | Floats]) -> Floats:
    """The sum of one entry per row, for every combination of entries: (D,), the last row varying fastest."""
    total = np.asarray(rows[0], dtype=np.float64)
    for row in rows[1:]:
        total = np.add.outer(total, np.asarray(row, dtype=np.float64)).reshape(-1)
    return total


class Bargain:
    """One seat's knowledge, kept up to date by `observe`. Holds nothing that the seat's views do not hold."""

    def __init__(self, scenario: Scenario, seat: int) -> None:
        stakes = scenario.seats[seat].stakes
        assert stakes is not None  # callers refuse open dilemmas, and a seat's own stakes are never redacted
        self.scenario = scenario
        self.seat = seat
        self.others = tuple(j for j in range(scenario.n) if j != seat)
        worths = additive(stakes.scores)
        room = best_score(stakes) - stakes.walk_away
        # Half the tolerance, so that sums that differ in the last bit never reach below what the accounts allow.
        self.acceptable: Bools = worths >= stakes.walk_away - TOLERANCE / 2
        """(D,): worth at least the walk-away value."""
        self.gains: Floats = (worths - stakes.walk_away) / room if room > 0 else np.where(self.acceptable, 0.0, -1.0)
        """(D,): 1 at the best deal, 0 at the walk-away value."""
        self.g: Floats = np.where(self.acceptable, FLOOR + (1 - FLOOR) * np.maximum(self.gains, 0.0), 0.0)
        """(D,): this seat's g of `nego_env.accounting`."""
        ranked = np.argsort(-self.gains, kind="stable")
        self.order: Ints = ranked[self.acceptable[ranked]]
        """Acceptable deals, best first; never empty."""
        self.ladder: Floats = self.gains[self.order]
        """Their gains, falling."""
        self.importance = tuple(max(row) - min(row) for row in stakes.scores)
        """Per issue: how much of this seat's worth hangs on it, in its own points."""
        self.favourites = tuple(max(range(len(row)), key=row.__getitem__) for row in stakes.scores)
        """Per issue: this seat's best option."""
        self.offers: tuple[list[int], ...] = tuple([] for _ in range(scenario.n))
        """Per seat: the deals it has proposed or accepted, oldest first."""
        self.asked: list[tuple[int, int]] = []
        """(seat, issue) of every question, oldest first."""
        self.standing: int | None = None
        """The deal on the table."""
        self.published: dict[tuple[int, int], tuple[float, ...]] = {}
        """(seat, issue) -> true scores."""
        self._counts = [[[0.0] * c for c in scenario.counts] for _ in range(scenario.n)]
        self._stays = [[0] * len(scenario.counts) for _ in range(scenario.n)]
        self._strides = tuple(math.prod(scenario.counts[k + 1 :]) for k in range(len(scenario.counts)))
        self._seen = 0

    # ---------------------------------------------------------------- deals
    def index(self, option_ids: Sequence[str]) -> int:
        """The number of a deal given by option ids."""
        return sum(j * s for j, s in zip(self.scenario.deal(tuple(option_ids)), self._strides, strict=True))

    def deal(self, index: int) -> Deal:
        """The deal of a number."""
        return tuple(index // s % c for s, c in zip(self._strides, self.scenario.counts, strict=True))

    def ids(self, index: int) -> tuple[str, ...]:
        """The option ids of a deal."""
        return self.scenario.ids(self.deal(index))

    # ---------------------------------------------------------------- what the others do
    def observe(self, view: View) -> None:
        """Take in everything the view shows that was not there before."""
        for u in view.utterances[max(0, self._seen - view.omitted) :]:
            self._hear(u)
        self._seen = view.omitted + len(view.utterances)
        self.standing = None if view.table is None else self.index(view.table.deal)
        for r in view.revealed[len(self.published) :]:
            self.published[int(r.seat.removeprefix("seat_")), self._issue(r.issue)] = r.scores

    def _hear(self, u: Utterance) -> None:
        if u.act is None:
            return
        seat = int(u.seat.removeprefix("seat_"))
        if u.act.kind == "propose":
            self.standing = self.index(u.act.deal)
            self._offered(seat, self.standing)
        elif u.act.kind == "accept" and self.standing is not None:
            self._offered(seat, self.standing)
        elif u.act.kind == "ask":
            self.asked.append((seat, self._issue(u.act.issue)))

    def _offered(self, seat: int, index: int) -> None:
        offers, deal = self.offers[seat], self.deal(index)
        previous = self.deal(offers[-1]) if offers else None
        weight = 1.0 / (1 + len(offers))  # early offers lie closest to what a seat wants
        for i, option in enumerate(deal):
            self._counts[seat][i][option] += weight
            self._stays[seat][i] += previous is not None and previous[i] == option
        offers.append(index)

    def _issue(self, issue: str) -> int:
        return self.scenario.issue_index[issue.upper()]

    # ---------------------------------------------------------------- guesses about the others
    def likely(self, seat: int) -> Floats:
        """(D,): what each deal is guessed to be worth to another seat, as a share of its best deal (1 at the best)."""
        known = {i: self.published[seat, i] for i in range(len(self.scenario.counts)) if (seat, i) in self.published}
        typical = sum(max(row) for row in known.values()) / len(known) if known else 1.0
        typical = typical if typical > 0 else 1.0
        weights = self._weights(seat, known)
        rows: list[Sequence[float]] = []
        best = 0.0
        for i in range(len(self.scenario.counts)):
            if i in known:
                rows.append(known[i])
                best += max(known[i])
            else:
                peak = typical * weights[i]
                rows.append([peak * v for v in self._preference(seat, i)])
                best += peak
        guessed = additive(rows)
        # Scores may be negative throughout; then only the distance from the best says anything.
        return guessed / best if best > 0 else guessed - best + 1.0

    def _weights(self, seat: int, known: dict[int, tuple[float, ...]]) -> dict[int, float]:
        """How much each unpublished issue seems to matter to a seat; 1 on average."""
        raw = {
            i: 1.0 + stays + 0.25 * ((seat, i) in self.asked)
            for i, stays in enumerate(self._stays[seat])
            if i not in known
        }
        mean = sum(raw.values()) / len(raw) if raw else 1.0
        return {i: w / mean for i, w in raw.items()}

    def _preference(self, seat: int, issue: int) -> list[float]:
        """Guessed worth of an issue's options to a seat, in [0, 1]: 0.5 each until there are offers to go by."""
        counts = self._counts[seat][issue]
        top = max(counts)
        if top == 0.0:
            return [0.5] * len(counts)
        total = sum(counts)
        sure = total / (total + 0.5)
        return [0.5 * (1 - sure) + sure * (_UNTRIED + (1 - _UNTRIED) * c / top) for c in counts]

    def others_g(self) -> Floats:
        """(D,): the product over the other seats of their expected g, their walk-away values being unknown."""
        grid, curve = _expected_g()
        product = np.ones(len(self.gains))
        for j in self.others:
            product *= np.interp(self.likely(j), grid, curve)
        return product

    def joint(self) -> Floats:
        """(D,): the guessed geometric mean of everybody's g, exact in this seat's own part; 0 below its walk-away."""
        mean: Floats = (self.g * self.others_g()) ** (1.0 / self.scenario.n)
        return mean

    def similarity(self) -> Floats:
        """(D,): how alike each deal is to the others' latest offers, in settled issues per seat (Faratin, Sierra &
        Jennings 2002 make trade-offs this way). 0 while nobody else has offered anything."""
        rows = [[0.0] * c for c in self.scenario.counts]
        for j in self.others:
            if self.offers[j]:
                for i, option in enumerate(self.deal(self.offers[j][-1])):
                    rows[i][option] += 1.0
        return additive(rows)

    # ---------------------------------------------------------------- this seat's own bids
    def band(self, target: float, width: float) -> Ints:
        """Acceptable deals whose gain lies within `width` above the first one at or above `target`; never empty."""
        last = max(int(np.searchsorted(-self.ladder, -target + TOLERANCE, side="right")) - 1, 0)
        first = int(np.searchsorted(-self.ladder, -(self.ladder[last] + width) - TOLERANCE, side="left"))
        return self.order[first : last + 1]

    def best_of(self, deals: Ints, worth: Floats) -> int:
        """The deal with the highest `worth` (D,); of equals the first of `deals`, which go from best to worst for this seat
        unless said otherwise."""
        return int(deals[int(np.argmax(np.round(worth[deals], 9)))])


@cache
def _expected_g() -> tuple[Floats, Floats]:
    """g of a seat by its share of its best deal, averaged over where its walk-away value is likely to lie."""
    shares = np.linspace(0.0, 1.0, 101)
    curves = [
        np.where(shares >= w, FLOOR + (1 - FLOOR) * (shares - w) / (1 - w), 0.0)
        for w in np.linspace(*LIKELY_WALK_AWAY, 6)
    ]
    # A trace of hope below every likely walk-away value keeps the order of bad deals.
    return shares, np.mean(curves, axis=0) + 0.001 * shares
