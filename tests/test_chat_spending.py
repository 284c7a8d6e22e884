"""What is used is counted, what it costs is known, and a budget ends a run cleanly."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chat_support import HELLO, agent, backend, clean_environment
from stand_in import StandIn
from support import single_line

from nego_agents.chat.backend import ChatBackend
from nego_agents.chat.spending import Budget, Price, environment_budget, read_prices
from nego_env.errors import BudgetError, NotFoundError, RunError, SettingsError
from nego_env.rollout import play
from nego_env.rules import StopReason
from nego_env.store import read, read_final

__all__ = ["clean_environment"]

PRICE = Price(input=2.0, output=10.0, cached=1.0)


def test_a_price_is_per_million_tokens() -> None:
    usage = {"prompt_tokens": 1000, "cached_tokens": 400, "completion_tokens": 50}
    # 600 * 2 + 400 * 1 + 50 * 10 = 2100 millionths
    assert PRICE.cost(usage) == pytest.approx(0.0021)
    assert Price(2, 10).cost(usage) == pytest.approx(0.0025)


def test_a_price_table(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"m": {"input": 2, "output": 10, "cached": 1}}')
    assert read_prices(path) == {"m": PRICE}
    for text, words in (
        ('{"m": {"input": 2}}', "missing required field `output`"),
        ('{"m": {"input": -2, "output": 1}}', "at least 0"),
        ("[]", "expected"),
        ("{", "no price table"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=words) as e:
            read_prices(path)
        assert single_line(str(e.value))
    with pytest.raises(SettingsError, match=r"gone\.json: the price table cannot be read"):
        read_prices(tmp_path / "gone.json")


def test_budgets_are_read() -> None:
    assert Budget.parse("calls=10, tokens=2e6,money=1.5") == Budget(10, 2_000_000, 1.5)
    assert Budget.parse("") == Budget()
    for text, error, words in (
        ("call=1", NotFoundError, "did you mean 'calls'"),
        ("calls=many", SettingsError, "calls is 'many', expected a number"),
        ("money=-1", SettingsError, "money is -1"),
        ("money=nan", SettingsError, "money is nan"),
    ):
        with pytest.raises(error, match=words):
            Budget.parse(text)


def test_one_budget_for_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEGO_BUDGET", "calls=3")
    assert environment_budget() is environment_budget()
    assert environment_budget().calls == 3


async def test_calls_are_counted_before_they_are_sent() -> None:
    with StandIn(reply=lambda _: "Hello.") as server:
        asked = backend(server, budget=Budget(calls=5))
        found = await asyncio.gather(*(asked.complete(HELLO) for _ in range(20)), return_exceptions=True)
    assert server.calls == 5
    assert sum(isinstance(f, BudgetError) for f in found) == 15
    assert "the budget of 5 calls is spent" in str(next(f for f in found if isinstance(f, BudgetError)))


@pytest.mark.parametrize("budget", [Budget(tokens=20), Budget(money=0.00008)])
async def test_tokens_and_money_are_counted_when_they_are_known(budget: Budget) -> None:
    with StandIn(reply=lambda _: "Hello, you.") as server:  # 5 tokens read, 2 written: 30 millionths
        asked = backend(server, budget=budget, price=PRICE)
        for _ in range(3):
            answer = await asked.complete(HELLO)
        assert answer.cost == pytest.approx(0.00003)
        with pytest.raises(BudgetError):
            await asked.complete(HELLO)
    assert (asked.spent.tokens, asked.spent.money) == (21, pytest.approx(0.00009))


def test_money_needs_a_price() -> None:
    with pytest.raises(SettingsError, match="a budget in money needs the price of 'm'"):
        ChatBackend("m@localhost:1", budget=Budget(money=1))


async def test_tokens_that_are_not_reported_cannot_be_limited() -> None:
    with StandIn(reply=lambda _: "Hello.") as server:
        asked = backend(server, "stream=yes,server=transformers", budget=Budget(tokens=100))
        server_says_nothing = asked._reply.Stream  # a stream without the count
        asked._reply = type("Mute", (), {"Stream": _mute(server_says_nothing), "read": asked._reply.read})  # type: ignore[assignment]
        with pytest.raises(RunError, match="does not say how many tokens it used"):
            await asked.complete(HELLO)


def _mute(stream: type) -> type:
    class Mute(stream):  # type: ignore[misc]
        def answer(self) -> object:
            self._usage = None
            return super().answer()

    return Mute


def test_a_budget_ends_a_run_cleanly_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    """Nothing is lost or played twice, and the whole is what one run without a budget would have been."""
    free, cut = tmp_path / "free.jsonl", tmp_path / "cut.jsonl"
    with StandIn() as server:
        play("train", [agent(server)], episodes=20, out=free, in_flight=4)
        whole, server.calls = server.calls, 0
        play("train", [agent(server, budget=Budget(calls=whole // 2))], episodes=20, out=cut, in_flight=4)
        assert server.calls == whole // 2
        stops = [t.stop for t in read(cut)]
        assert 1 <= stops.count(StopReason.BUDGET) <= 4  # those in flight; the rest was not begun
        assert len(stops) < 20
        told = next(t.error for t in read(cut) if t.stop is StopReason.BUDGET)
        assert told is not None
        assert "stand-in at seat_" in told
        assert f"the budget of {whole // 2:,} calls is spent" in told
        scored = [t for t in read(cut) if t.scored]
        play("train", [agent(server)], episodes=20, out=cut, in_flight=4)
    assert [t.encode() for t in read_final(cut)] == [t.encode() for t in read_final(free)]
    assert [t.encode() for t in list(read(cut))[: len(stops)] if t.scored] == [t.encode() for t in scored]


def test_usage_and_cost_stand_in_the_sidecar(tmp_path: Path) -> None:
    import msgspec

    from nego_env.store import EpisodeMeta, meta_path

    out = tmp_path / "run.jsonl"
    with StandIn() as server:
        seated = agent(server, price=PRICE)
        play("thesis-deadline", [seated], out=out)
    meta = msgspec.json.decode(meta_path(out).read_bytes(), type=EpisodeMeta)
    assert sum(t.usage["prompt_tokens"] for t in meta.turns) == seated.backend.spent.prompt_tokens  # type: ignore[attr-defined]
    assert sum(t.usage["cost_millionths"] for t in meta.turns) > 0
    assert {t.finish_reason for t in meta.turns} == {"stop"}
