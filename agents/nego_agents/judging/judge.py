"""A language model as judge: has one plan been agreed (arXiv 2603.10476, App. B.1), and how good is it (App. B.2.1).

1. Agreement: the model reads the dilemma and the latest message of every seat; no personas, nothing earlier.
2. Collective Agency: it reads the dilemma, every persona and the completion, and answers with one digit, 0 to 5.
3. It decides greedily. An answer that cannot be read is asked for again, once, with the fault named; then the judge fails.
4. The judge's name holds the model, and name, version and hash of each prompt: so does every verdict.
"""

from __future__ import annotations

from pathlib import Path

from nego_agents.judging.asking import Asker, Found, judging_sampling, read_agreement, read_score
from nego_agents.judging.framing import Block, block
from nego_agents.judging.prompting import prompt
from nego_env.backend import Backend, Sampling, resolve_backend
from nego_env.errors import JudgeError
from nego_env.messages import Message
from nego_env.rollout import run_blocking
from nego_env.scenario import Scenario
from nego_env.verdict import Case, Verdict
from nego_env.wording import SILENCE, issues_text

AGREEMENT, CA = "agreement-1", "ca-1"


class PromptedJudge:
    """A language model that judges agreement and Collective Agency: `prompted:openai:MODEL@URL`, `prompted:hf:MODEL`."""

    def __init__(
        self, backend: str | Backend = "", *, cache: bool | Path = True, sampling: Sampling | None = None
    ) -> None:
        """`backend`: its name, or one that is there. `cache`: keep answers on disk; True is the usual place. `sampling`: by
        default greedy, with what the backend's name says of max_tokens and reasoning.

        Raises `JudgeError` where no backend is named, and what `resolve_backend` raises."""
        found = named_backend(backend, "prompted", cache)
        self.agreement, self.ca = prompt(AGREEMENT), prompt(CA)
        chosen = sampling or judging_sampling(found)
        self.name = "/".join([model_name("prompted", found, chosen), self.agreement.id, self.ca.id])
        self._asker = Asker(found, chosen, self.name)

    def judge(self, case: Case) -> Verdict:
        """As `ajudge`, waited for."""
        return run_blocking(self.ajudge(case))

    async def ajudge(self, case: Case) -> Verdict:
        """The model's verdict; of an empty completion it is 0 without a question. Raises `JudgeError` where there is none."""
        if case.kind == "score" and not case.completion.strip():
            return Verdict("score", self.name, 0.0, reason="the completion is empty", flags=("empty",))
        blocks = agreement_blocks(case) if case.kind == "agreement" else ca_blocks(case)
        cut = any(b.cut for found in blocks.values() for b in found)
        if case.kind == "agreement":
            yes = await self._asker.ask(self.agreement, self.agreement.messages(**blocks), read_agreement)
            return self._verdict(case, float(yes.value), yes, cut)
        score = await self._asker.ask(self.ca, self.ca.messages(**blocks), read_score)
        return self._verdict(case, float(score.value), score, cut)

    def messages(self, case: Case) -> tuple[Message, Message]:
        """What the model is asked about a case."""
        if case.kind == "agreement":
            return self.agreement.messages(**agreement_blocks(case))
        return self.ca.messages(**ca_blocks(case))

    def _verdict(self, case: Case, value: float, found: Found[bool] | Found[int], cut: bool) -> Verdict:
        flags = [name for name, is_so in (("asked_again", found.again), ("cut", cut)) if is_so]
        return Verdict(case.kind, self.name, value, reason=found.reason, raw=found.raw, flags=tuple(flags))

    def __repr__(self) -> str:
        return f"PromptedJudge({self.name!r})"


def named_backend(backend: str | Backend, what: str, cache: bool | Path) -> Backend:
    """The backend a judge speaks through. Raises `JudgeError` where none is named."""
    if not backend:
        raise JudgeError(f"{what} needs a model: {what}:openai:MODEL@URL or {what}:hf:MODEL")
    return resolve_backend(backend, cache=cache)


def model_name(what: str, backend: Backend, sampling: Sampling) -> str:
    """How a judge is called, short of its prompts: the model, and what is not greedy or usual about it."""
    unusual = [f"temperature={sampling.temperature:g}"] if sampling.temperature else []
    unusual += [f"reasoning={sampling.reasoning}"] if sampling.reasoning is not None else []
    return ",".join([f"{what}:{backend.name}", *unusual])


# ---------------------------------------------------------------- what it is shown
def agreement_blocks(case: Case) -> dict[str, list[Block]]:
    """The dilemma, and the latest message of each seat that has spoken."""
    latest = dict(case.lines)
    names = {f"seat_{i}": s.name for i, s in enumerate(case.scenario.seats)}
    said = [(seat, latest[seat]) for seat in names if seat in latest]
    messages = [
        block("message", f"{names[seat]}:\n{text if text.strip() else SILENCE}", seat=seat) for seat, text in said
    ]
    return {"dilemma": dilemma_blocks(case.scenario), "messages": messages}


def ca_blocks(case: Case) -> dict[str, list[Block]]:
    """The dilemma, the personas and the completion; never what a seat's scores are."""
    return {
        "dilemma": dilemma_blocks(case.scenario),
        "personas": persona_blocks(case.scenario),
        "completion": [block("completion", case.completion)],
    }


def dilemma_blocks(scenario: Scenario) -> list[Block]:
    """The task, and what there is to settle where that is listed."""
    return [block("dilemma", "\n\n".join(filter(None, [scenario.task, issues_text(scenario)])))]


def persona_blocks(scenario: Scenario) -> list[Block]:
    """Every persona."""
    return [block("persona", f"{s.name}:\n{s.persona}", seat=f"seat_{i}") for i, s in enumerate(scenario.seats)]
