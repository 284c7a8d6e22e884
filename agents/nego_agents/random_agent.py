"""An agent without a thought: the floor of every table, and a fuzzer of the rules."""

from __future__ import annotations

import numpy as np

from nego_agents.arguments import no_argument, number, spec_of
from nego_agents.bidding import Bargain
from nego_agents.completion import write_completion
from nego_agents.open_words import open_completion
from nego_agents.speech import pick
from nego_env.errors import AgentError
from nego_env.moves import Move
from nego_env.view import View

_SMALL_TALK = (
    "There is something in that.",
    "I am not sure yet where this is going.",
    "Let us keep talking.",
    "That is one way to look at it.",
    "Perhaps we should hear everyone first.",
)


class RandomAgent:
    """Makes a random legal move, with no regard for its scores: it may well agree to a loss."""

    name = "random"

    def __init__(
        self,
        argument: str = "",
        *,
        propose: float = 0.5,
        accept: float = 0.3,
        ask: float = 0.08,
        reveal: float = 0.08,
        talk: float = 0.03,
        walk: float = 0.01,
        agree: float = 0.3,
    ) -> None:
        """Relative odds of each kind of move; those that are not legal now are left out of the draw.

        `agree` is the chance in [0, 1] of an `[Agree]` on an open dilemma, where everything else is talk.
        Raises `AgentError` for negative odds or for `propose` and `talk` both 0: something must always be possible.
        """
        no_argument(self.name, argument)
        odds = {"propose": propose, "accept": accept, "ask": ask, "reveal": reveal, "talk": talk, "walk": walk}
        for kind, x in (*odds.items(), ("agree", agree)):
            if not 0.0 <= x < float("inf"):
                raise AgentError(f"random: {kind} is {x!r}, it must be a finite number of at least 0")
        number(self.name, "propose + talk", propose + talk, above=0.0)
        self.propose, self.accept, self.ask, self.reveal = propose, accept, ask, reveal
        self.talk, self.walk, self.agree = talk, walk, agree
        self._odds = odds

    @property
    def spec(self) -> str:
        """`random`, with the odds that are not the default."""
        return spec_of(self, self.name)

    def act(self, view: View) -> Move:
        """A random legal move, or a completion that says what was agreed."""
        if not view.scenario.issues:
            return self._open(view)
        if view.phase == "completion":
            bargain = Bargain(view.scenario, view.index)
            bargain.observe(view)
            return Move(write_completion(view, bargain))
        return self._structured(view)

    def _structured(self, view: View) -> Move:
        legal, rng = view.legal, view.rng
        possible = {
            "propose": legal.propose, "accept": legal.accept, "ask": bool(legal.ask), "reveal": bool(legal.reveal),
            "talk": True, "walk": legal.walk,
        }  # fmt: skip
        weights = np.array([self._odds[k] if possible[k] else 0.0 for k in self._odds])
        kind = list(self._odds)[int(rng.choice(len(weights), p=weights / weights.sum()))]
        match kind:
            case "propose":
                return Move.propose(i.options[int(rng.integers(len(i.options)))].id for i in view.scenario.issues)
            case "accept":
                return Move.accept()
            case "ask":
                return Move.ask(pick(rng, legal.ask))
            case "reveal":
                return Move.reveal(pick(rng, legal.reveal))
            case "walk":
                return Move.walk()
            case _:
                return Move(pick(rng, _SMALL_TALK))

    def _open(self, view: View) -> Move:
        if view.phase == "completion":
            return Move(open_completion(view))
        if view.rng.random() < self.agree:
            return Move.agree("Fine, let us do it like that.")
        return Move(pick(view.rng, _SMALL_TALK))

    def close(self) -> None:
        """Nothing to let go of."""
