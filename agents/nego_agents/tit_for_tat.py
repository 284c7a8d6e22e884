"""Behaviour-dependent concession: give as much as the others gave.

After the tit-for-tat family of Faratin, Sierra & Jennings 1998, "Negotiation decision functions for autonomous agents",
sec. 4.3, in gains instead of issue values: a seat has conceded from its best deal as much as the other has conceded to it
since its first offer, both measured in this seat's own gain.

    target = 1 - opening - mean over others j of (best offer by j so far - first offer by j)

Departures, each for a reason. `opening` is conceded unasked from the second offer on: two seats that only mirror wait for
each other forever. The best offer so far counts, not the latest: the others' trades move this seat's gain both ways, and two
seats that mirror every swing go round in circles. In the last round the walk-away value is asked for: the source mixes the
tactic with time-dependent ones. And the source is bilateral: with N seats the *mean* concession of the others is mirrored, a
seat that has offered once or never counting as none, so that one stubborn seat slows everybody down.
"""

from __future__ import annotations

from nego_agents.arguments import no_argument, number
from nego_agents.bidding import Bargain
from nego_agents.negotiator import Negotiator
from nego_env.view import View


class TitForTat(Negotiator):
    """Concedes as much as the others conceded to it (tit-for-tat, Faratin et al. 1998; N seats: their mean)."""

    name = "tit-for-tat"

    def __init__(self, argument: str = "", *, opening: float = 0.25, width: float = 0.1) -> None:
        """`opening` is the first step; `width` is how far above the target an offer may lie. Both in gain, in (0, 1]."""
        no_argument(self.name, argument)
        self.opening = number(self.name, "opening", opening, above=0.0, most=1.0)
        self.width = number(self.name, "width", width, above=0.0, most=1.0)

    def conceded(self, bargain: Bargain) -> float:
        """What the others have given this seat since their first offers, in its own gain, on average; at least 0."""
        steps = [
            float(bargain.gains[offers].max() - bargain.gains[offers[0]])
            for offers in (bargain.offers[j] for j in bargain.others)
            if offers
        ]
        return sum(steps) / len(bargain.others)

    def target(self, view: View, bargain: Bargain) -> float:
        """The gain asked for next, in [0, 1]."""
        if not bargain.offers[bargain.seat]:
            return 1.0
        if view.round == view.max_rounds:
            return 0.0
        return max(0.0, 1.0 - self.opening - self.conceded(bargain))

    def plan(self, view: View, bargain: Bargain) -> int:
        """The deal in the band above the target that is most like the others' latest offers."""
        return bargain.best_of(bargain.band(self.target(view, bargain), self.width), bargain.similarity())
