"""The AEC face: `env()`, `raw_env` and our boundary wrapper.

The ten rules of the face, each found by somebody's failure, are tests (`tests/test_pettingzoo_rules.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import BaseWrapper, OrderEnforcingWrapper

from nego_env.errors import MoveError
from nego_env.face import RENDER_MODES, Face, check_render_mode
from nego_env.judges import Judge
from nego_env.moves import MAX_CHARS, Move
from nego_env.rules import StopReason
from nego_env.session import Codecs, ScenarioLike, Session, names_max_rounds
from nego_env.view import View


class raw_env(Face, AECEnv[str, Any, Any]):  # PettingZoo's name for it
    """Negotiation, one seat at a time.

    `scenario` is a `Scenario`, a suite, an id, a pack name or a path; a suite draws a scenario at each `reset`.
    `codecs` is `"text"`, `"act"`, a sequence, or a dict by seat; `step` takes a str, an int or a `Move` at any seat. Where
    codecs differ, every seat observes what both read.
    `max_cycles` is another name for `max_rounds`. `agents` are names for the transcript. Rewards are 0 until the end, then
    the score of the completion, in [0, 5] at `selfishness=0`. After an infrastructure failure (a judge that raises)
    `truncations` are set, rewards are 0.0 and `infos[seat]["unscored"]` is 1.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # a class attribute in PettingZoo too
        "render_modes": list(RENDER_MODES),
        "name": "negotiation_v0",
        "is_parallelizable": False,  # seats speak one after another: converted, they would answer stale words
        "render_fps": 2,
    }

    def __init__(
        self,
        scenario: ScenarioLike | None = None,
        *,
        codecs: Codecs = "text",
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
        super().__init__()  # type: ignore[no-untyped-call]  # PettingZoo leaves it untyped
        self.render_mode = check_render_mode(render_mode)
        self.session = Session(
            scenario,
            codecs=codecs,
            judge=judge,
            max_rounds=names_max_rounds(max_rounds, max_cycles),
            memory=memory,
            selfishness=selfishness,
            completion=completion,
            complete=complete,
            agents=agents,
            max_chars=max_chars,
        )
        self.possible_agents = [f"seat_{i}" for i in range(self.session.shape.seats)]
        self._seat = {name: i for i, name in enumerate(self.possible_agents)}
        self.agents = []
        self.observation_spaces = {a: self.session.observation_space() for a in self.possible_agents}
        self.action_spaces = {a: self.session.action_space(i) for a, i in self._seat.items()}
        if self.session.acts is not None:
            size = self.session.feature_space().shape[0]
            self.state_space = spaces.Box(-1.0, 1.0, (len(self.possible_agents) * size,), np.float32)
        self._printed = 0

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The same object every time."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The same object every time."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """A fresh match (`Session.reset`)."""
        state = self.session.reset(seed, options)
        self.agents = self.possible_agents[: state.scenario.n]
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = self.session.infos(self.agents)
        self._skip_agent_selection: str | None = None  # type: ignore[assignment]  # as PettingZoo itself sets it
        self.agent_selection = self.agents[state.seat]
        self._printed = 0

    def observe(self, agent: str) -> dict[str, Any]:
        """What a seat observes now, in its observation space."""
        return self.session.observation(self._seat[agent])

    def step(self, action: str | int | Move | None) -> None:
        """The selected seat speaks: a str, an int of the act codec, or a `Move`; None once it is done.

        Raises `MoveError` for any other type and for a number outside the space. A masked act is talk, with a notice.
        """
        agent, session = self.agent_selection, self.session
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        # All rewards are 0 while the match runs: there are none to clear.
        said = action if type(action) is str else session.move(action, self._seat[agent])
        state = session.play(said)
        self.infos = session.infos(self.agents)
        if state.stop is None:
            self.agent_selection = self.possible_agents[state.seat]
        else:
            self._finish(state.stop)
        if self.render_mode == "human":
            self.render()

    def _finish(self, stop: StopReason) -> None:
        rewards, scored = self.session.playing.rewards, stop.scored
        self.rewards = dict(zip(self.agents, rewards or (0.0,) * len(self.agents), strict=True))
        self._cumulative_rewards = self.rewards.copy()  # nothing was earned before
        self.terminations = dict.fromkeys(self.agents, scored)
        self.truncations = dict.fromkeys(self.agents, not scored)
        # PettingZoo's `_deads_step_first`, where every seat is done at once.
        self._skip_agent_selection = self.agent_selection
        self.agent_selection = self.agents[0]

    def view(self, agent: str | None = None) -> View:
        """The `View` an agent object is given at this seat (by default the selected one)."""
        return self.session.view(self._seat[agent or self.agent_selection])


class BoundaryWrapper(BaseWrapper[str, Any, Any]):
    """What stands where other environments assert that an action is in its space.

    Real language is never refused: the rules cut text at `max_chars`, replace lone surrogates and take silence as silence,
    each recorded. What is left to refuse is a wrong call, and that is a `MoveError` which says what was expected.
    """

    def step(self, action: Any) -> None:
        """Checks the action's type against the seat before the match sees it."""
        env = self.env.unwrapped
        if action is None and not (env.terminations[env.agent_selection] or env.truncations[env.agent_selection]):
            raise MoveError(f'{env.agent_selection} is still playing: it needs an action ("" is silence), not None')
        if isinstance(action, bool):
            raise MoveError(f"{env.agent_selection}: an action is a str, an int or a Move, not bool")
        self.env.step(action)


def env(scenario: ScenarioLike | None = None, **settings: Any) -> OrderEnforcingWrapper[str, Any, Any]:
    """The AEC environment with its wrappers; arguments as for `raw_env`."""
    return OrderEnforcingWrapper(BoundaryWrapper(raw_env(scenario, **settings)))
