"""What is to be played, before anything is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from nego_env.agents import AgentLike, NamedAgent, resolve_agent
from nego_env.codec import ActTable
from nego_env.errors import AgentError, SettingsError
from nego_env.judges import Judge
from nego_env.judging import Terms
from nego_env.packs import Suite
from nego_env.scenario import Scenario
from nego_env.session import ScenarioLike, as_suite
from nego_env.settings import CodecName, Options, Settings
from nego_env.transcript import episode_id


class Run:
    """What is to be played: which scenario, settings and agents episode `index` has, for every index.

    A suite is gone through in order, again and again. Raises on construction whatever would fail every episode alike.
    """

    def __init__(
        self,
        scenario: ScenarioLike,
        agents: AgentLike | Sequence[AgentLike],
        *,
        seed: int = 0,
        judge: str | Judge | None = None,
        codecs: CodecName | Sequence[CodecName] = "text",
        **options: Unpack[Options],
    ) -> None:
        """`options`: settings (`nego_env.settings.resolve`), such as `max_rounds`, `memory` and `selfishness`."""
        if seed < 0:
            raise SettingsError(f"seed is {seed}, it must be at least 0")
        self.suite: Suite = as_suite(scenario)
        self.ids = self.suite.ids()
        if not self.ids:
            raise SettingsError(f"suite {self.suite.name!r} is empty")
        self.seed = seed
        self.terms = Terms(codecs=codecs, judge=judge, **options)
        given: list[Any] = list(agents) if isinstance(agents, (list, tuple)) else [agents]
        if not given:
            raise AgentError("no agents given")
        known: dict[str | int, NamedAgent] = {}  # every mention of one agent is one object, so that its calls batch
        self.agents: list[NamedAgent] = []
        for a in given:
            key = a if isinstance(a, str) else id(a)
            if key not in known:
                known[key] = resolve_agent(a)
            self.agents.append(known[key])
        self._acts: ActTable | None = None
        self.episode(0)

    def scenario(self, index: int) -> Scenario:
        """The scenario of an episode."""
        return self.suite.get(self.ids[index % len(self.ids)])

    def seats(self, scenario: Scenario) -> tuple[NamedAgent, ...]:
        """Who sits where: the agents dealt round the table, as often as it takes. More agents than seats is an `AgentError`."""
        if len(self.agents) > scenario.n:
            raise AgentError(
                f"{len(self.agents)} agents for the {scenario.n} seats of {scenario.id!r}: give at most {scenario.n} "
                f"(fewer are dealt round the table)"
            )
        for a in self.agents:
            kinds = getattr(a.agent, "kinds", None)
            if kinds is not None and scenario.kind not in kinds:
                raise AgentError(
                    f"agent {a.name!r} plays {' and '.join(kinds)} dilemmas only; {scenario.id!r} is {scenario.kind}"
                )
        return tuple(self.agents[i % len(self.agents)] for i in range(scenario.n))

    def episode(self, index: int) -> tuple[Scenario, Settings, tuple[NamedAgent, ...]]:
        """Everything an episode is played with, but its seed."""
        scenario = self.scenario(index)
        return scenario, self.terms.settings(scenario), self.seats(scenario)

    def id(self, index: int) -> str:
        """The episode's id: what a transcript file is checked against."""
        scenario, settings, seats = self.episode(max(0, index))
        return episode_id(scenario, settings, tuple(a.name for a in seats), self.seed, index)

    @property
    def acts(self) -> ActTable:
        """The act codec of the suite, for agents that answer with a number."""
        if self._acts is None:
            self._acts = ActTable(self.suite.shape)
        return self._acts

    @property
    def one_at_a_time(self) -> bool:
        """An agent (a person at a terminal) plays one episode at a time."""
        return any(getattr(a.agent, "one_at_a_time", False) for a in self.agents)
