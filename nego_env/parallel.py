"""The parallel face, written by hand.

All seats "act" every step; the seat whose turn it is not has a NOOP, `mask = [0 ... 0, 1]`, and what it sends is ignored.
In a suite, seats that the scenario drawn does not have are there too, with nothing but the NOOP: vectorised learners then
see one set of agents and one shape.
(PettingZoo's `aec_to_parallel`, if forced, passes the tests while the second seat answers a stale observation.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from nego_env.errors import MoveError, SettingsError
from nego_env.face import RENDER_MODES, Face, check_render_mode
from nego_env.judges import Judge
from nego_env.moves import MAX_CHARS
from nego_env.session import Codecs, ScenarioLike, Session, names_max_rounds
from nego_env.view import View


class ParallelNegotiation(Face, ParallelEnv[str, Any, Any]):
    """Negotiation with every seat stepping at once.

    Arguments as for `raw_env`, plus `flat`: observations are then the bare feature Box and the mask stands in
    `infos[seat]["action_mask"]` (in one place only: both at once breaks TorchRL). Codecs default to `act`.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": list(RENDER_MODES),
        "name": "negotiation_v0",
        "render_fps": 2,
    }

    def __init__(
        self,
        scenario: ScenarioLike | None = None,
        *,
        codecs: Codecs | None = None,
        flat: bool = False,
        judge: str | Judge | None = None,
        max_rounds: int | None = None,
        max_cycles: int | None = None,
        memory: int | None = None,
        selfishness: float = 0.0,
        completion: Literal["write", "render"] | None = None,
        complete: Literal["agreement", "always"] = "agreement",
        agents: Sequence[str] | None = None,
        render_mode: str | None = None,
        max_chars: int = MAX_CHARS,
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        self.session = Session(
            scenario,
            codecs="act" if codecs is None else codecs,
            judge=judge,
            max_rounds=names_max_rounds(max_rounds, max_cycles),
            memory=memory,
            selfishness=selfishness,
            completion=completion,
            complete=complete,
            agents=agents,
            max_chars=max_chars,
        )
        self.flat = flat
        if flat and "text" in self.session.codecs:
            raise SettingsError("flat observations are numbers: use act seats")
        self.possible_agents = [f"seat_{i}" for i in range(self.session.shape.seats)]
        self.agents = []
        self._observation_spaces: dict[str, spaces.Space[Any]] = {
            a: self.session.feature_space() if flat else self.session.observation_space(noop=True)
            for a in self.possible_agents
        }
        self._action_spaces = {a: self.session.action_space(i, noop=True) for i, a in enumerate(self.possible_agents)}
        if self.session.acts is not None:
            size = self.session.feature_space().shape[0]
            self.state_space = spaces.Box(-1.0, 1.0, (len(self.possible_agents) * size,), np.float32)
        self._printed = 0

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The same object every time."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The same object every time."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A fresh match (`Session.reset`): observations and infos of every seat."""
        self.session.reset(seed, options)
        self.agents = self.possible_agents[:]
        self._printed = 0
        return self._observations(), self._infos()

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """One utterance: the action of the seat whose turn it is counts, the others' are ignored.

        Raises `MoveError` where that seat sent nothing, or something of a wrong type.
        """
        if not self.agents:
            raise MoveError("the match is over: reset() the environment")
        state = self.session.playing
        mover = self.possible_agents[state.seat]
        if mover not in actions:
            raise MoveError(f"it is {mover}'s turn, but actions hold only {', '.join(sorted(actions)) or 'nothing'}")
        action = actions[mover]
        acts = self.session.acts
        noop = acts is not None and not isinstance(action, str) and _is(action, acts.noop)
        state = self.session.play("" if noop else self.session.move(action, state.seat))
        observations, infos = self._observations(), self._infos()
        over = state.stop is not None
        rewards = dict.fromkeys(self.agents, 0.0)
        rewards.update(zip(self.agents, state.rewards or (), strict=False))  # absent seats keep 0
        terminations = dict.fromkeys(self.agents, over and state.stop is not None and state.stop.scored)
        truncations = dict.fromkeys(self.agents, over and state.stop is not None and not state.stop.scored)
        if over:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return observations, rewards, terminations, truncations, infos

    def _observations(self) -> dict[str, Any]:
        if self.flat:
            return {a: self.session.features(i) for i, a in enumerate(self.agents)}
        return {a: self.session.observation(i, noop=True) for i, a in enumerate(self.agents)}

    def _infos(self) -> dict[str, Any]:
        infos: dict[str, Any] = self.session.infos(self.agents)
        if self.flat:
            for i, a in enumerate(self.agents):
                infos[a]["action_mask"] = self.session.mask(i, noop=True)
        return infos

    def view(self, agent: str) -> View:
        """The `View` an agent object is given at this seat."""
        return self.session.view(self.possible_agents.index(agent))


def _is(action: Any, number: int) -> bool:
    try:
        return int(action) == number
    except (TypeError, ValueError):
        return False


def parallel_env(scenario: ScenarioLike | None = None, **settings: Any) -> ParallelNegotiation:
    """The parallel environment; arguments as for `ParallelNegotiation`."""
    return ParallelNegotiation(scenario, **settings)
