"""What the structured negotiators share: one `Bargain` per episode and seat, and when to say yes.

A strategy says which deal it would propose now (`Negotiator.plan`); the standing deal is accepted when it is worth at
least as much (AC_next: Baarslag, Hindriks & Jonker 2014, "Effective acceptance conditions in real-time automated
negotiation"). No negotiator here proposes or accepts a deal below its own walk-away value, and none walks away: a
walk-away and the end of the rounds are worth the same to everybody, and the next offer may be better.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from nego_agents.arguments import spec_of
from nego_agents.bidding import Bargain
from nego_agents.completion import write_completion
from nego_agents.speech import PLAIN, Speaker, Voice
from nego_env.accounting import TOLERANCE
from nego_env.errors import AgentError
from nego_env.moves import Move
from nego_env.scenario import Scenario
from nego_env.view import View


def last_word(view: View) -> bool:
    """Nobody speaks after this seat: a deal not accepted now is none."""
    present = [name for name in view.scenario.seat_ids if name not in view.walked]
    return view.round == view.max_rounds and present[-1] == view.seat


def nearly_best_for_all(view: View, bargain: Bargain, margin: float) -> bool:
    """The standing deal is no loss to this seat, and jointly within `margin` of the best deal it can see.

    The margin grows over the last three rounds, and with the last word any deal that is no loss will do.
    """
    standing = bargain.standing
    if standing is None or not bargain.acceptable[standing]:
        return False
    late = max(0, 3 - (view.max_rounds - view.round)) / 3
    joint = bargain.joint()
    return last_word(view) or bool(joint[standing] >= (1 - margin) * (1 - 0.5 * late) * joint.max())


class Negotiator(ABC):
    """A seat that reckons with its scores. Without `spawn`, each call starts from what its view shows."""

    name: ClassVar[str]
    """As registered."""
    kinds: ClassVar[tuple[str, ...]] = ("structured",)
    voice: ClassVar[Voice] = PLAIN
    accepts_at_last: ClassVar[bool] = True
    """With the last word, accept anything at or above the walk-away value."""

    _bargain: Bargain | None = None

    @property
    def spec(self) -> str:
        """The name that makes this agent again, with the parameters that are not the default."""
        return spec_of(self, self.name)

    def spawn(self, seat: str, scenario: Scenario) -> Self:
        """A fresh negotiator for one episode. Raises `AgentError` on an open dilemma."""
        if not scenario.issues:
            raise AgentError(
                f"{self.name} needs a structured dilemma (issues and scores); {scenario.id!r} is open: "
                "use mediator, sycophant, stonewaller or injector"
            )
        fresh = copy.copy(self)
        fresh._bargain = Bargain(scenario, scenario.seat_ids.index(seat))
        return fresh

    def close(self) -> None:  # noqa: B027 -- optional to override
        """Nothing to let go of."""

    def act(self, view: View) -> Move:
        """The seat's move, or the completion in words. Raises `AgentError` on an open dilemma."""
        bargain = self._bargain
        if bargain is None:
            return self.spawn(view.seat, view.scenario).act(view)
        bargain.observe(view)
        if view.phase == "completion":
            return Move(write_completion(view, bargain))
        return self.move(view, bargain)

    def move(self, view: View, bargain: Bargain) -> Move:
        """Accept, or propose what `plan` says."""
        return self.respond(view, bargain, self.plan(view, bargain))

    @abstractmethod
    def plan(self, view: View, bargain: Bargain) -> int:
        """The deal to propose now, at or above the walk-away value."""

    def respond(self, view: View, bargain: Bargain, planned: int) -> Move:
        """Accept the standing deal when it satisfies this seat as much as its own next offer would, else make that offer.

        Where this seat has accepted the standing deal before and others are still to answer, it says that it holds.
        """
        if self.satisfied(view, bargain, planned):
            if view.legal.accept:
                return self.accept(view, bargain)
            if view.table is not None and view.table.by != view.seat:
                return Move(Speaker(view, bargain, self.voice).hold())
        return self.propose(view, bargain, planned)

    def satisfied(self, view: View, bargain: Bargain, planned: int) -> bool:
        """AC_next, and with the last word anything at or above the walk-away value (`accepts_at_last`)."""
        standing = bargain.standing
        if standing is None or not bargain.acceptable[standing]:
            return False
        if bargain.gains[standing] >= bargain.gains[planned] - TOLERANCE:
            return True
        return self.accepts_at_last and last_word(view)

    def accept(self, view: View, bargain: Bargain) -> Move:
        """Accept the standing deal, in words."""
        return Move.accept(Speaker(view, bargain, self.voice).accept())

    def propose(self, view: View, bargain: Bargain, planned: int) -> Move:
        """Propose a deal, in words."""
        return Move.propose(bargain.ids(planned), Speaker(view, bargain, self.voice).offer(planned))
