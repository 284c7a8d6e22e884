"""What the tests of prompted judges share: a model of six lines, and cases to judge."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nego_env.backend import Answer, Sampling
from nego_env.messages import Message
from nego_env.scenario import Scenario
from nego_env.verdict import Case
from tests.support import dilemma

Reply = Callable[[Sequence[Message]], str | Answer]


class Model:
    """A backend that answers as it is told: with a function of the chat, or with these words one after the other."""

    name = "double@here"

    def __init__(self, *said: str | Answer | Exception, reply: Reply | None = None) -> None:
        self.said, self.reply = list(said), reply
        self.asked: list[tuple[tuple[Message, ...], Sampling]] = []

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling = Sampling(),  # noqa: B008  # frozen
        **_: object,
    ) -> Answer:
        """The next answer."""
        self.asked.append((tuple(messages), sampling))
        said = self.reply(messages) if self.reply is not None else self.said.pop(0)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Answer) else Answer(said, "stop")

    async def aclose(self) -> None:
        """Nothing to close."""


def rule_follower(messages: Sequence[Message]) -> str:
    """A judge as a function of the framed blocks alone: whoever ends in [Agree] consents; a plan is worth its 'will's."""
    user = messages[1].content
    if "</message>" in user:
        said = re.findall(r"<message [^>]*>\n(.*?)\n</message>", user, re.DOTALL)
        return "YES\nAll consent." if all(s.endswith("[Agree]") for s in said) else "NO\nNot all consent."
    plan = re.search(r"<completion>\n(.*?)\n</completion>", user, re.DOTALL)
    assert plan is not None
    return str(min(5, plan[1].count(" will ")))


def agreement(*texts: str, scenario: Scenario | None = None) -> Case:
    """A question whether these messages, dealt round the table, agree."""
    scenario = scenario or dilemma(2)
    seats = scenario.seat_ids
    lines = tuple((seats[i % len(seats)], text) for i, text in enumerate(texts))
    return Case("agreement", scenario, lines)


def plan(completion: str, *texts: str, scenario: Scenario | None = None) -> Case:
    """A question how good a completion is."""
    asked = agreement(*texts, scenario=scenario)
    return Case("score", asked.scenario, asked.lines, completion=completion)
