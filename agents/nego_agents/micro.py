"""MiCRO: a minimal concession strategy that models nothing.

de Jonge 2022, "An Analysis of the Linear Bilateral ANAC Domains Using the MiCRO Benchmark Strategy" (IJCAI 2022). All deals
are ranked by own worth, and offered down the ranking one at a time: the next one as long as this seat has made no more
distinct offers than it has received, else one of its earlier offers again, drawn at random. A deal is accepted when it is
worth at least as much as the lowest offer made or about to be made.

The source is bilateral. With N seats, "received" is the *fewest* distinct offers any other seat still at the table has made,
an acceptance counting as an offer: nobody is asked to be ahead of the slowest.

One step a round is too slow for seven rounds on all but small dilemmas: MiCRO then runs out of time. That is the strategy,
which was made for deadlines of thousands of offers, so no deadline rule is added here.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nego_agents.arguments import no_argument
from nego_agents.bidding import Bargain
from nego_agents.negotiator import Negotiator
from nego_env.view import View


class MiCRO(Negotiator):
    """Goes down its own ranking one deal at a time, as long as the others do (MiCRO, de Jonge 2022; N seats: the slowest)."""

    name = "micro"
    accepts_at_last: ClassVar[bool] = False

    def __init__(self, argument: str = "") -> None:
        """Takes no parameters: there are none."""
        no_argument(self.name, argument)

    def plan(self, view: View, bargain: Bargain) -> int:
        """The next deal down the ranking when a concession is due, else an earlier offer again."""
        mine = bargain.offers[bargain.seat]
        made = len(set(mine))
        present = [j for j in bargain.others if view.scenario.seat_ids[j] not in view.walked]
        received = min((len(set(bargain.offers[j])) for j in present), default=0)
        if made <= received:
            fresh = bargain.order[~np.isin(bargain.order, mine)]
            if len(fresh):
                return int(fresh[0])
        earlier = sorted(set(mine))
        return earlier[int(view.rng.random() * len(earlier))]

    def satisfied(self, view: View, bargain: Bargain, planned: int) -> bool:
        """The standing deal is worth at least the lowest offer made, the planned one among them."""
        mine = bargain.offers[bargain.seat]
        lowest = min([*mine, planned], key=lambda d: float(bargain.gains[d]))
        return super().satisfied(view, bargain, lowest)
