"""A language model that says which of two completions is better, by one aspect (arXiv 2603.10476, sec. 4.2).

`nego_trainers.pairwise` puts each pair before it in both orders. The paper's prompts are not printed; these are ours: two
responses, one aspect, a short reason, then A, B or TIE.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from nego_agents.judging.asking import Asker, judging_sampling, read_choice
from nego_agents.judging.framing import block
from nego_agents.judging.judge import dilemma_blocks, model_name, named_backend, persona_blocks
from nego_agents.judging.prompting import prompt
from nego_env.backend import Backend, Sampling
from nego_env.errors import unknown_name
from nego_env.messages import Message
from nego_env.rollout import run_blocking
from nego_env.scenario import Scenario

Aspect = Literal["ca", "resolution"]
Choice = Literal["a", "b", "tie"]
ASPECTS = {"ca": "pairwise-ca-1", "resolution": "pairwise-resolution-1"}
"""Collective Agency, and the quality of conflict resolution."""


class PromptedPairwise:
    """A language model that compares completions."""

    def __init__(
        self,
        backend: str | Backend,
        *,
        aspect: Aspect = "ca",
        cache: bool | Path = True,
        sampling: Sampling | None = None,
    ) -> None:
        """`backend`, `cache`, `sampling`: as for `PromptedJudge`. Raises as that does, and `NotFoundError` for an aspect that is
        none of `ASPECTS`."""
        if aspect not in ASPECTS:
            raise unknown_name("aspect", aspect, ASPECTS)
        found = named_backend(backend, "pairwise", cache)
        self.prompt = prompt(ASPECTS[aspect])
        chosen = sampling or judging_sampling(found)
        self.name = f"{model_name('pairwise', found, chosen)}/{self.prompt.id}"
        self._asker = Asker(found, chosen, self.name)

    def compare(self, scenario: Scenario, a: str, b: str) -> Choice:
        """As `acompare`, waited for."""
        return run_blocking(self.acompare(scenario, a, b))

    async def acompare(self, scenario: Scenario, a: str, b: str) -> Choice:
        """The better completion, in this order. Raises `JudgeError` where the model gives no verdict."""
        found = await self._asker.ask(self.prompt, self.messages(scenario, a, b), read_choice)
        return cast("Choice", found.value)

    def messages(self, scenario: Scenario, a: str, b: str) -> tuple[Message, Message]:
        """What the model is asked about a pair."""
        return self.prompt.messages(
            dilemma=dilemma_blocks(scenario),
            personas=persona_blocks(scenario),
            response_a=[block("response_a", a)],
            response_b=[block("response_b", b)],
        )

    def __repr__(self) -> str:
        return f"PromptedPairwise({self.name!r})"
