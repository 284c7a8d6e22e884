"""How agents are asked, and what becomes of those that fail.

1. All views pending at an agent reach it together.
2. An agent that raises, hangs, exits or returns rubbish ends its own episode, unscored; its siblings go on.
3. Its error says where it comes from, without a folder.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from face_support import agreeable, silent
from rollout_support import Batched, assert_only_the_chosen_failed, chosen
from rollout_support import nothing_left_behind as nothing_left_behind
from support import bargain, dilemma

from nego_env import Reply, play
from nego_env.moves import Act, Move
from nego_env.rules import StopReason
from nego_env.store import read_final
from nego_env.view import View


# ---------------------------------------------------------------- batches
@pytest.mark.parametrize("timeout", [None, 30.0])
def test_all_pending_views_reach_an_agent_together(timeout: float | None) -> None:
    # Two utterances an episode, 100 episodes, 50 in flight: four batches of 50.
    agent = Batched()
    played = play(bargain(), agent, episodes=100, in_flight=50, timeout=timeout)
    assert all(t.stop is StopReason.AGREEMENT for t in played)
    assert agent.sizes == [50] * 4
    one, two = Batched(), Batched()
    play(bargain(), [one, two], episodes=30, in_flight=30, timeout=timeout)
    assert (one.sizes, two.sizes) == ([30], [30])
    mixed = Batched()
    play(bargain(), [silent, mixed], episodes=10, in_flight=10, max_rounds=2)
    assert mixed.sizes == [10, 10]


def test_awaited_agents_are_asked_side_by_side() -> None:
    at_once, most = 0, 0

    async def endpoint(view: View) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1
        return agreeable(view)

    play(bargain(), endpoint, episodes=40, in_flight=20)
    assert most == 20


def test_batches_stay_full_while_episodes_of_other_lengths_come_and_go() -> None:
    class Uneven(Batched):
        def act_batch(self, views: list[View]) -> Any:
            self.sizes.append(len(views))
            return ["hm" if v.round == 1 and not chosen(v.episode) else agreeable(v) for v in views]

    agent = Uneven()
    play(bargain(), agent, episodes=100, in_flight=20)
    assert agent.sizes[:8] == [20] * 8
    assert agent.sizes == sorted(agent.sizes, reverse=True), "they shrink only when nothing is left to begin"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_batch_that_fails_is_asked_again_view_by_view(asynchronous: bool, caplog: pytest.LogCaptureFixture) -> None:
    class Touchy(Batched):
        def act_batch(self, views: list[View]) -> Any:
            self.sizes.append(len(views))
            if any(chosen(v.episode) for v in views):
                raise RuntimeError("one of these is too long")
            return [agreeable(v) for v in views]

    class AsyncTouchy(Touchy):
        async def act_batch(self, views: list[View]) -> Any:
            return Touchy.act_batch(self, views)

    agent = AsyncTouchy() if asynchronous else Touchy()
    played = play(bargain(), agent, episodes=40, in_flight=40, redraws=0)
    assert_only_the_chosen_failed(played, StopReason.AGENT_ERROR, "RuntimeError: one of these is too long")
    assert agent.sizes[:41] == [40] + [1] * 40
    assert agent.sizes[41] == sum(t.scored for t in played), "the rest go on in one batch"
    assert "a batch of 40 views failed" in caplog.text


@pytest.mark.parametrize("replies", [[], ["a"], ["a"] * 3, None, 7, "ab"])
def test_a_wrong_number_of_replies_fails_the_batch(replies: Any) -> None:
    class Miscounting(Batched):
        def act_batch(self, views: list[View]) -> Any:
            return replies if len(views) == 2 and replies != "ab" else ["[Accept]"] * (len(views) + (replies == "ab"))

    played = play(bargain(), Miscounting(), episodes=2, in_flight=2, max_rounds=1, redraws=0)
    if replies == "ab":
        assert all("act_batch returned 2 replies for 1 views" in str(t.error) for t in played)
    else:
        assert [t.stop for t in played] == [StopReason.CAP] * 2, "asked one by one, it answers"


# ---------------------------------------------------------------- agents that fail
class Unprintable(Exception):
    """A message over several lines, with what a terminal would obey."""

    def __str__(self) -> str:
        return "first\nsecond \x1b[2J\ud800"


FAULTS: list[Any] = [
    pytest.param(ValueError("no idea"), "ValueError: no idea", id="raises"),
    pytest.param(Unprintable(), "Unprintable: first second", id="raises-lines"),
    pytest.param(StopIteration(), "StopIteration", id="stop-iteration"),
    pytest.param(RecursionError("deep"), "RecursionError", id="recursion"),
    pytest.param(asyncio.CancelledError(), "CancelledError", id="cancelled"),
    pytest.param(None, "returned NoneType, expected a str, Move, Reply or act number", id="None"),
    pytest.param(3.5, "returned float", id="float"),
    pytest.param(True, "returned bool", id="bool"),
    pytest.param(object(), "returned object", id="object"),
    pytest.param(["[Accept]"], "returned list", id="list"),
    pytest.param(15, "action 15 is outside Discrete(15)", id="above"),
    pytest.param(-1, "action -1 is outside Discrete(15)", id="below"),
    pytest.param(Move.propose("A9 B1"), "no option 'A9'", id="option"),
    pytest.param(Move.propose("A1"), "no option for issue B", id="too-few"),
    pytest.param(Move("x", Act("shout")), "is no act", id="act"),  # type: ignore[arg-type]
    pytest.param(Move(7), "the words of a move are a str, not int", id="words"),  # type: ignore[arg-type]
    pytest.param(Reply(None), "returned NoneType", id="reply-None"),  # type: ignore[arg-type]
    pytest.param(Reply("x", usage={"tokens": object()}), "field of the wrong type", id="reply-usage"),  # type: ignore[dict-item]
    pytest.param(Reply("x", finish_reason=3), "field of the wrong type", id="reply-reason"),  # type: ignore[arg-type]
]


def faulty(fault: Any, view: View) -> Any:
    """The fault in the chosen episodes, an agreeable reply in the others."""
    if not chosen(view.episode):
        return agreeable(view)
    if isinstance(fault, BaseException):
        raise fault
    return fault


@pytest.mark.parametrize(("fault", "message"), FAULTS)
@pytest.mark.parametrize("form", ["act", "thread", "aact", "act_batch", "async-batch"])
def test_what_an_agent_does_wrong_costs_its_own_episode_only(
    fault: Any, message: str, form: str, tmp_path: Path
) -> None:
    class Act:
        spec = "faulty"

        def act(self, view: View) -> Any:
            return faulty(fault, view)

    class Aact:
        spec = "faulty"

        async def aact(self, view: View) -> Any:
            await asyncio.sleep(0)
            return faulty(fault, view)

    class Batch:
        spec = "faulty"

        def act_batch(self, views: list[View]) -> Any:
            return [faulty(fault, v) for v in views]

    class AsyncBatch:
        spec = "faulty"

        async def act_batch(self, views: list[View]) -> Any:
            return [faulty(fault, v) for v in views]

    agent: Any = {"act": Act, "thread": Act, "aact": Aact, "act_batch": Batch, "async-batch": AsyncBatch}[form]()
    out = tmp_path / "run.jsonl"
    timeout = 30.0 if form == "thread" else None
    played = play(bargain(), [agreeable, agent], episodes=24, redraws=1, timeout=timeout, out=out)
    assert_only_the_chosen_failed(played, StopReason.AGENT_ERROR, message)
    assert all(str(t.error).startswith("faulty at seat_1: ") for t in played if not t.scored)
    assert {t.attempt for t in played if not t.scored} == {1}
    assert read_final(out) == played, "every line can be read again"


@pytest.mark.parametrize("form", ["act", "act_batch"])
def test_an_agent_that_hangs_is_abandoned_with_its_thread(form: str) -> None:
    release = threading.Event()

    class Act:
        def act(self, view: View) -> str:
            if chosen(view.episode):
                release.wait(30)
            return agreeable(view)

    class Batch:
        def act_batch(self, views: list[View]) -> list[str]:
            if any(chosen(v.episode) for v in views):
                release.wait(30)
            return [agreeable(v) for v in views]

    try:
        agent = Act() if form == "act" else Batch()
        played = play(bargain(), [agreeable, agent], episodes=16, timeout=0.2, redraws=0)
        assert_only_the_chosen_failed(played, StopReason.AGENT_TIMEOUT, "at seat_1: no answer within 0.2 s")
    finally:
        release.set()


@pytest.mark.parametrize("form", ["aact", "async-batch"])
def test_an_awaited_agent_that_hangs_is_cancelled(form: str) -> None:
    cancelled = []

    async def answer(view: View) -> str:
        try:
            if chosen(view.episode):
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(view.episode)
            raise
        return agreeable(view)

    class AsyncBatch:
        async def act_batch(self, views: list[View]) -> list[str]:
            return [await answer(v) for v in views]

    agent: Any = answer if form == "aact" else AsyncBatch()
    played = play(bargain(), [agreeable, agent], episodes=16, timeout=0.1, redraws=0)
    assert_only_the_chosen_failed(played, StopReason.AGENT_TIMEOUT, "no answer within 0.1 s")
    assert set(cancelled) == {t.id for t in played if not t.scored}


def test_an_act_number_means_nothing_on_an_open_dilemma() -> None:
    t = play(dilemma(), lambda view: 3, redraws=0)
    assert (t.stop, t.rewards) == (StopReason.AGENT_ERROR, None)
    assert "open dilemma" in str(t.error)


def test_words_of_a_str_subclass_are_stored_as_str(tmp_path: Path) -> None:
    def drawing(view: View) -> Any:
        return view.rng.choice(["good morning", "good evening"])

    (t,) = play(bargain(), drawing, episodes=1, max_rounds=1, out=tmp_path / "run.jsonl")
    assert {u.text for u in t.utterances} <= {"good morning", "good evening"}


def leaves_the_process(view: View) -> str:
    """Ends its episode by ending the process, if it could."""
    sys.exit(3)


class LeavesTheProcess:
    """The same while being made ready."""

    def spawn(self, seat: str, scenario: object) -> LeavesTheProcess:
        sys.exit(3)

    def act(self, view: View) -> str:
        raise AssertionError("it was never ready")


@pytest.mark.parametrize("agent", [leaves_the_process, LeavesTheProcess()])
@pytest.mark.parametrize("timeout", [None, 5.0])
def test_an_agent_that_exits_costs_its_own_episode_only(agent: Any, timeout: float | None) -> None:
    played = play(bargain(), [agreeable, agent], episodes=3, redraws=0, timeout=timeout)
    assert [t.stop for t in played] == [StopReason.AGENT_ERROR] * 3
    assert all("SystemExit: 3 (test_calling.py:" in str(t.error) for t in played)


def test_the_time_out_binds_a_batch_that_works_while_it_is_listed_and_an_agent_that_is_slow_to_be_ready() -> None:
    release = threading.Event()

    class Lazy:
        def act_batch(self, views: list[View]) -> Iterator[str]:
            for v in views:
                release.wait(30)
                yield agreeable(v)

    class Slow:
        def spawn(self, seat: str, scenario: object) -> Slow:
            release.wait(30)
            return self

        def act(self, view: View) -> str:
            return agreeable(view)

    try:
        for agent, told in ((Lazy(), "no answer within 0.2 s"), (Slow(), "not ready within 0.2 s")):
            t = play(bargain(), [agreeable, agent], timeout=0.2, redraws=0)
            assert t.stop is StopReason.AGENT_TIMEOUT
            assert told in str(t.error)
    finally:
        release.set()


def test_an_error_in_a_call_of_the_engine_names_no_place() -> None:
    class Short:
        def act_batch(self, views: list[View]) -> int:
            return 3

    t = play(bargain(), [agreeable, Short()], redraws=0)
    assert str(t.error).endswith("TypeError: 'int' object is not iterable")


def test_an_agent_error_says_where_it_comes_from_without_a_folder() -> None:
    def wrong(view: View) -> str:
        raise ValueError("no such word")

    t = play(bargain(), [agreeable, wrong], redraws=0)
    assert re.search(r"ValueError: no such word \(test_calling\.py:\d+\)$", str(t.error))
