"""Seats played by a prompted language model, over any backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from nego_agents.chat.options import Options
from nego_agents.chat.prompting import prompted, read_system, repair
from nego_env.agents import Reply
from nego_env.backend import Answer, Backend, Sampling
from nego_env.errors import BackendError, RunError, unknown_name
from nego_env.messages import STYLES, Conversation, Message, Style
from nego_env.scenario import Scenario
from nego_env.view import View

GIVE_UP = 10
"""So many episodes in a row that a backend did not answer to the end are taken for all of them."""

Watch = Callable[[View, str], None]


class PromptedAgent:
    """A language model at the table: what it reads is rendered from the view, what it answers is said.

    `spawn` gives each episode and seat a chat of its own, which grows by appending; asked without it, the agent renders the
    whole chat from the view. Episodes it was not answered in are counted, and ten in a row stop the run.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        sampling: Sampling | None = None,
        completion_sampling: Sampling | None = None,
        style: Style = "full",
        guidance: bool = True,
        system: str = "",
        repairs: int = 1,
        spec: str | None = None,
        watch: Watch | None = None,
    ) -> None:
        """`completion_sampling`: for the final answer, as `sampling` by default. `guidance`, `repairs`: see `Options`; `system`:
        words added to the system message, with {name}, {persona} and {task} filled in. `spec`: the name in transcripts.
        `watch(view, piece)`: given the words as they come, for a person at the screen; an empty piece begins an utterance, and
        where there were pieces, anew (`nego_env.speaking`).

        Raises `NotFoundError` for an unknown style."""
        if style not in STYLES:
            raise unknown_name("style", style, STYLES)
        self.backend = backend
        self.sampling = sampling or Sampling()
        self.completion_sampling = completion_sampling or self.sampling
        self.style, self.guidance, self.system, self.repairs, self.watch = style, guidance, system, repairs, watch
        self.spec = spec or f"prompted:{backend.name}"
        self._unanswered: list[str] = []

    def spawn(self, seat: str, scenario: Scenario) -> Player:
        """The agent for one episode and seat."""
        return Player(self)

    def act(self, view: View) -> Reply:
        """The reply to one view, waited for."""
        from nego_env.rollout import run_blocking

        return run_blocking(self.aact(view))

    async def aact(self, view: View) -> Reply:
        """The reply to one view."""
        return await Player(self).aact(view)

    def ended(self, episode: str) -> None:
        """An episode is over: if the backend answered, those it did not answer in were no series."""
        if episode not in self._unanswered:
            self._unanswered.clear()

    def failed(self, episode: str, error: BackendError) -> None:
        """The backend gave no answer. Raises `RunError` when that has become a habit."""
        if episode not in self._unanswered:
            self._unanswered.append(episode)
        if len(self._unanswered) >= GIVE_UP:
            self._unanswered.clear()
            raise RunError(f"{GIVE_UP} episodes in a row failed, so the run stops; the last: {error}") from None

    def sampling_of(self, view: View) -> Sampling:
        """For an utterance or the final answer."""
        return self.completion_sampling if view.phase == "completion" else self.sampling


class Player:
    """One seat of one episode."""

    def __init__(self, agent: PromptedAgent) -> None:
        self._agent = agent
        self._chat = Conversation(agent.style)

    async def aact(self, view: View) -> Reply:
        """The model's words, after at most `repairs` requests to put a tag right."""
        agent = self._agent
        turn = self._chat.observe(view)
        messages = prompted(turn, view, guidance=agent.guidance and agent.style == "full", system=agent.system)
        self._show(view, "")
        try:
            answers = [await self._ask(view, messages)]
        except BackendError as e:
            agent.failed(view.episode, e)
            raise
        for _ in range(agent.repairs):
            said = answers[-1].text
            if (request := repair(said, view)) is None:
                break
            messages = (*messages, Message("assistant", said), Message("user", request))
            self._show(view, "")
            try:
                answers.append(await self._ask(view, messages))
            except BackendError:  # what it said is still something
                self._show(view, "")
                self._show(view, said)
                break
        self._chat.said(answers[-1].text)
        return Reply(answers[-1].text, finish_reason=answers[-1].finish, usage=_sum(answers))

    def _show(self, view: View, piece: str) -> None:
        if self._agent.watch is not None:
            self._agent.watch(view, piece)

    async def _ask(self, view: View, messages: Sequence[Message]) -> Answer:
        agent = self._agent
        pieces = None if agent.watch is None else partial(self._show, view)
        session = f"{view.episode}/{view.seat}"
        return await agent.backend.complete(messages, agent.sampling_of(view), session=session, watch=pieces)


class ChatAgent(PromptedAgent):
    """A model behind a server that speaks the OpenAI protocol: `openai:MODEL@BASE_URL`. Keys come from the environment."""

    def __init__(self, argument: str = "", *, backend: Backend | None = None, **changed: Any) -> None:
        """`argument`: `MODEL@BASE_URL` and options (see `Options`); `backend`: instead of the one the argument names; other
        keywords as for `PromptedAgent`, instead of the options'. Raises as `Options.parse` and `ChatBackend` do."""
        options = Options.parse(argument)
        from nego_agents.chat.backend import ChatBackend

        chosen: dict[str, Any] = {
            "sampling": options.sampling,
            "completion_sampling": options.completion_sampling,
            "style": options.style,
            "guidance": options.guidance,
            "system": read_system(options.system) if options.system else "",
            "repairs": options.repairs,
            "spec": f"openai:{argument}",
        }
        super().__init__(backend or ChatBackend(options), **(chosen | changed))


def _sum(answers: Sequence[Answer]) -> dict[str, int]:
    """Tokens over all calls of a turn; the cost in millionths; tries and repairs where there was more than one."""
    usage: dict[str, int] = {}
    for answer in answers:
        for name, count in answer.usage.items():
            usage[name] = usage.get(name, 0) + count
    costs = [a.cost for a in answers if a.cost is not None]
    if costs:
        usage["cost_millionths"] = round(1e6 * sum(costs))
    if (tries := sum(a.tries for a in answers)) > len(answers):
        usage["tries"] = tries
    if len(answers) > 1:
        usage["repairs"] = len(answers) - 1
    return usage
