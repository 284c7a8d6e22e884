"""A model on this machine as a backend, and a judge that speaks through it."""

from __future__ import annotations

import asyncio

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from nego_agents.judging.judge import PromptedJudge  # noqa: E402
from nego_agents.judging.prompting import prompt  # noqa: E402
from nego_agents.local.backend import LocalBackend  # noqa: E402
from nego_agents.local.model import LocalModel  # noqa: E402
from nego_env.backend import GREEDY, Answer, Backend, Sampling  # noqa: E402
from nego_env.errors import AgentError, BackendError, JudgeError, NotFoundError, RunError  # noqa: E402
from nego_env.messages import Message  # noqa: E402
from nego_env.rollout import run_blocking  # noqa: E402
from tests.judge_samples import plan  # noqa: E402
from tests.tiny_models import shared_tokenizer, tiny_model  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def backend(positions: int = 4096) -> LocalBackend:
    return LocalBackend(model=LocalModel(tiny_model(positions=positions), shared_tokenizer(), name="tiny"))


def chats(count: int) -> list[tuple[Message, ...]]:
    return [(Message("system", "You are the tenant."), Message("user", f"round {k} " * (k + 1))) for k in range(count)]


def ask(model: LocalBackend, questions: list[tuple[Message, ...]], sampling: Sampling) -> list[Answer]:
    async def added_shares() -> list[Answer]:
        return await asyncio.gather(*(model.complete(q, sampling) for q in questions))

    return run_blocking(added_shares())


def test_questions_at_once_are_one_batch_with_the_answers_of_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batches = backend(), []
    sample = model._decoder.sample
    monkeypatch.setattr(model._decoder, "sample", lambda requests: (batches.append(len(requests)), sample(requests))[1])
    sampling = Sampling(temperature=0.0, max_tokens=12)
    together = ask(model, chats(6), sampling)
    assert batches == [6]
    alone = [ask(model, [q], sampling)[0] for q in chats(6)]
    assert [a.text for a in together] == [a.text for a in alone]
    assert len({a.text for a in together}) > 1
    assert all(a.usage["completion_tokens"] <= 12 and a.finish in ("stop", "length") for a in together)
    assert isinstance(model, Backend)


def test_a_seed_draws_the_same_words_again() -> None:
    model, (question,) = backend(), chats(1)
    warm = Sampling(temperature=1.0, max_tokens=12, seed=7)
    first, second = (ask(model, [question], warm)[0] for _ in range(2))
    other = ask(model, [question], Sampling(temperature=1.0, max_tokens=12, seed=8))[0]
    assert first.text == second.text != other.text


def test_stop_words_and_watching() -> None:
    model, (question,) = backend(), chats(1)
    whole = ask(model, [question], Sampling(temperature=0.0, max_tokens=12))[0].text
    stop = whole[len(whole) // 2 :][:2]
    heard: list[str] = []

    async def watched() -> Answer:
        sampling = Sampling(temperature=0.0, max_tokens=12, stop=(stop,))
        return await model.complete(question, sampling, session="a", watch=heard.append)

    answer = run_blocking(watched())
    assert answer.text == whole[: whole.find(stop)]
    assert (answer.finish, heard) == ("stop", [answer.text])


def test_what_does_not_fit_and_what_it_does_not_do() -> None:
    small = backend(positions=64)
    with pytest.raises(BackendError, match="tiny reads at most 64 tokens"):
        ask(small, [(Message("user", "a much too long question " * 20),)], GREEDY)
    with pytest.raises(BackendError, match="no chat to be answered"):
        ask(small, [()], GREEDY)
    with pytest.raises(RunError, match="reasoning=high"):
        ask(small, chats(1), Sampling(reasoning="high"))
    with pytest.raises(AgentError, match="temperature is for a seat"):
        LocalBackend("nego-tiny,temperature=0.5")
    with pytest.raises(NotFoundError, match="no such folder"):
        LocalBackend("./nowhere")


def test_one_failure_of_the_machine_costs_its_batch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model = backend()
    sample = model._decoder.sample
    faults = iter([RuntimeError("out of memory")])

    def once(requests: object) -> object:
        for fault in faults:
            raise fault
        return sample(requests)  # type: ignore[arg-type]

    monkeypatch.setattr(model._decoder, "sample", once)
    with pytest.raises(BackendError, match="out of memory"):
        ask(model, chats(1), GREEDY)
    assert ask(model, chats(1), Sampling(temperature=0.0, max_tokens=4))[0].usage["completion_tokens"] <= 4


def test_a_judge_over_it_gives_a_verdict_or_none_at_all() -> None:
    judge = PromptedJudge(backend(), sampling=Sampling(temperature=0.0, max_tokens=8))
    assert judge.name == f"prompted:hf:tiny/{prompt('agreement-1').id}/{prompt('ca-1').id}"
    with pytest.raises(JudgeError, match=r"asked twice, hf:tiny gave no answer|reads at most"):
        judge.judge(plan("We will share the tap."))
