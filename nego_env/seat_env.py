"""One learning seat as a Gymnasium environment; the other seats play inside.

One step is the learner's own utterance and the others' until it is the learner's turn again or the match is over, so every
reward lands on a transition of the learner. Any single-agent library can train on it; `action_masks` is what
sb3-contrib's MaskablePPO looks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt

from nego_env.agents import AgentLike, NamedAgent, Reply, resolve_agent
from nego_env.errors import AgentError, MoveError, SettingsError
from nego_env.face import RENDER_MODES, check_render_mode
from nego_env.safe_text import visible
from nego_env.session import ScenarioLike, Session
from nego_env.settings import CodecName
from nego_env.transcript import Transcript


class SeatEnv(gymnasium.Env[Any, Any]):
    """Negotiation from one seat. What an opponent raises, `reset` and `step` raise.

    `opponents` is one agent for all the others, or one per other seat in order. `seat` is the learner's seat, or None to
    draw it at each reset. `codec` is the learner's (`act` or `text`); `flat` gives the bare feature Box as observation
    (then the mask is in `info["action_mask"]`). Further arguments as for `raw_env`.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(RENDER_MODES), "render_fps": 2}  # type: ignore[misc]

    def __init__(
        self,
        scenario: ScenarioLike | None = None,
        *,
        opponents: AgentLike | Sequence[AgentLike] = "boulware",
        seat: int | None = 0,
        codec: CodecName = "act",
        flat: bool = False,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        self.session = Session(scenario, codecs=codec, **settings)
        seats = self.session.shape.seats
        if seat is not None and not 0 <= seat < seats:
            raise SettingsError(f"seat is {seat}, it must lie in 0 to {seats - 1}, or be None to draw it")
        if flat and codec == "text":
            raise SettingsError("flat observations are numbers: use codec='act'")
        self._opponents = _opponents(opponents, seats - 1)
        self._fixed, self.flat, self.codec = seat, flat, codec
        self.observation_space = self.session.feature_space() if flat else self.session.observation_space()
        self.action_space = self.session.action_space(0)
        self.seat = 0
        self._playing: dict[int, Any] = {}
        self._spawned: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A fresh match, played up to the learner's first turn."""
        super().reset(seed=seed)
        self._release()
        state = self.session.reset(seed, options)
        n = state.scenario.n
        self.seat = int(self.np_random.integers(n)) if self._fixed is None else min(self._fixed, n - 1)
        others = [i for i in range(n) if i != self.seat]
        for position, i in enumerate(others):
            agent: Any = self._opponents[position].agent
            if hasattr(agent, "spawn"):
                agent = agent.spawn(f"seat_{i}", state.scenario.for_seat(i))
                self._spawned.append(agent)
            self._playing[i] = agent
        self._others_play()
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The learner's utterance, then the others' until it is the learner's turn or the match is over."""
        self.session.play(self.session.move(action, self.seat))
        self._others_play()
        state = self.session.playing
        reward = state.rewards[self.seat] if state.rewards is not None else 0.0
        scored = state.stop is not None and state.stop.scored
        return self._observation(), reward, scored, state.stop is not None and not scored, self._info()

    def _others_play(self) -> None:
        while self.session.playing.stop is None and self.session.playing.seat != self.seat:
            seat = self.session.playing.seat
            act = getattr(self._playing[seat], "act", None)
            if act is None:
                raise AgentError(
                    f"an opponent inside a Gymnasium environment needs a plain act(view), seat_{seat}'s has none"
                )
            said = act(self.session.view(seat))
            said = said.move if isinstance(said, Reply) else said
            try:
                self.session.play(self.session.move(said, seat))
            except MoveError as e:
                raise AgentError(f"the agent at seat_{seat} gave a reply that is no move: {e}") from None

    def _observation(self) -> Any:
        return self.session.features(self.seat) if self.flat else self.session.observation(self.seat)

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {**self.session.info(self.seat), "seat": self.seat}
        if self.flat:
            info["action_mask"] = self.session.mask(self.seat)
        return info

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(A,) bool: the acts that count now."""
        return self.session.mask(self.seat).astype(bool)

    @property
    def transcript(self) -> Transcript | None:
        """The record of the match once it is over; None while it runs."""
        return self.session.transcript

    def render(self) -> Any:
        """`ansi`: the dialogue so far as a string. `human`: prints it."""
        text = visible(self.session.dialogue)
        if self.render_mode == "human":
            print(text)  # noqa: T201  # what human mode is for
        return text if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Closes what the opponents opened."""
        self._release()

    def _release(self) -> None:
        for agent in self._spawned:
            if hasattr(agent, "close"):
                agent.close()
        self._playing, self._spawned = {}, []


def _opponents(opponents: AgentLike | Sequence[AgentLike], n: int) -> list[NamedAgent]:
    given: list[Any] = list(opponents) if isinstance(opponents, (list, tuple)) else [opponents]
    if len(given) not in (1, n):
        raise SettingsError(f"{len(given)} opponents for {n} other seats: give one, or one each")
    named = [resolve_agent(a) for a in given]
    return named * n if len(named) == 1 else named
