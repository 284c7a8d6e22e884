"""Time-dependent concession: how much a seat asks for depends on the clock alone.

Faratin, Sierra & Jennings 1998, "Negotiation decision functions for autonomous agents", sec. 4.1 (polynomial family). The
gain asked for at time t in [0, 1] is

    target(t) = 1 - t ** (1 / e)

from the best deal down to the walk-away value; e < 1 holds out (*boulware*), e > 1 gives in early (*conceder*). t is 0 in the
first round and 1 in the last. Among the deals at the target or a little above, the one most like the others' latest offers
is proposed. The source defines the tactic for one opponent; nothing in it counts opponents, and only the choice among equals
looks at offers, those of all the others alike. So it holds for any number of seats as it stands.
"""

from __future__ import annotations

from typing import ClassVar

from nego_agents.arguments import number, spec_of
from nego_agents.bidding import Bargain
from nego_agents.negotiator import Negotiator
from nego_agents.speech import FIRM, WARM, Voice
from nego_env.view import View


class TimeDependent(Negotiator):
    """Concedes by the clock with exponent e (module docstring)."""

    default: ClassVar[float]
    """The exponent used when none is given."""

    def __init__(self, exponent: float | str | None = None, *, width: float = 0.1) -> None:
        """`exponent` > 0 (also as text, from `boulware:0.3`); `width` in gain: how far above the target an offer may lie."""
        self.exponent = self.default if exponent is None else number(self.name, "exponent", exponent, above=0.0)
        self.width = number(self.name, "width", width, above=0.0, most=1.0)

    @property
    def spec(self) -> str:
        """`boulware`, or with another exponent `boulware:0.3`."""
        return spec_of(self, self.name if self.exponent == self.default else f"{self.name}:{self.exponent:g}")

    def target(self, round: int, max_rounds: int) -> float:
        """The gain asked for in a round, in [0, 1]."""
        t = (round - 1) / (max_rounds - 1) if max_rounds > 1 else 0.0
        return float(1.0 - t ** (1.0 / self.exponent))

    def plan(self, view: View, bargain: Bargain) -> int:
        """The deal in the band above the target that is most like the others' latest offers."""
        deals = bargain.band(self.target(view.round, view.max_rounds), self.width)
        return bargain.best_of(deals, bargain.similarity())


class Boulware(TimeDependent):
    """Holds out, and gives way when the rounds run out (time-dependent concession, Faratin et al. 1998)."""

    name = "boulware"
    voice: ClassVar[Voice] = FIRM
    default = 0.2


class Conceder(TimeDependent):
    """Gives way early and saves a little for the end (time-dependent concession, Faratin et al. 1998)."""

    name = "conceder"
    voice: ClassVar[Voice] = WARM
    default = 2.0
