"""The engine: batches, failures that cost their own episode only, redraws, and a run that stops when told to.

1. All views pending at an agent reach it together.
2. An agent or judge that raises, hangs or returns rubbish ends its own episode, unscored; its siblings go on.
3. Whatever was spawned is closed once, however its episode ended.
4. A finished episode is on disk before it is reported; a run that is stopped records what was under way.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from face_support import BROKEN_VERDICTS, BrokenJudge, agreeable, haggler, silent, suite
from support import FixedJudge, bargain, council, dilemma, single_line

from nego_env import Reply, play
from nego_env.errors import Leave, SettingsError
from nego_env.moves import Act, Move
from nego_env.rollout import rollout
from nego_env.rules import StopReason
from nego_env.run import Run
from nego_env.store import TranscriptWriter, meta_path, read, read_final
from nego_env.transcript import Transcript
from nego_env.verdict import Case, Verdict
from nego_env.view import View


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test leaves a task or future whose error nobody read."""
    yield
    gc.collect()
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio" and r.levelno >= logging.ERROR] == []


def chosen(episode: str) -> bool:
    """About a quarter of all episodes, by their ids."""
    return int(episode, 16) % 4 == 0


def assert_only_the_chosen_failed(played: list[Transcript], stop: StopReason, message: str) -> None:
    """Those episodes ended so, without a reward and with a line that says why; all the others were scored."""
    failed = [t for t in played if chosen(t.id)]
    assert 0 < len(failed) < len(played)
    for t in played:
        if chosen(t.id):
            assert (t.stop, t.rewards, t.outcome.ca) == (stop, None, None)
            assert t.error is not None
            assert message in t.error
            assert single_line(t.error)
        else:
            assert t.scored, t.error


class Batched:
    """Keeps the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def act_batch(self, views: list[View]) -> Any:
        self.sizes.append(len(views))
        return [agreeable(v) for v in views]


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


# ---------------------------------------------------------------- redraws
@pytest.mark.parametrize("redraws", [0, 1, 3])
def test_an_unscored_episode_is_drawn_again_within_the_budget(redraws: int, tmp_path: Path) -> None:
    draws: list[float] = []

    def failing(view: View) -> str:
        draws.append(float(view.rng.random()))
        raise ValueError("never")

    out = tmp_path / "run.jsonl"
    (t,) = play(bargain(), failing, episodes=1, redraws=redraws, out=out)
    assert t.attempt == redraws
    assert [r.attempt for r in read(out)] == list(range(redraws + 1))
    assert len({r.id for r in read(out)}) == 1
    assert len(set(draws)) == redraws + 1, "every attempt draws anew"
    metas = [msgspec.json.decode(line) for line in meta_path(out).read_bytes().splitlines()]
    assert [m["attempt"] for m in metas] == list(range(redraws + 1))


def test_a_redraw_that_is_scored_is_final_and_a_resumed_run_counts_on() -> None:
    failures = Counter[str]()

    def shaky(view: View) -> str:
        if failures[view.episode] < 2:
            failures[view.episode] += 1
            raise ValueError("not yet")
        return agreeable(view)

    assert [t.attempt for t in play(bargain(), shaky, episodes=4, redraws=5)] == [2] * 4


def test_a_resumed_run_goes_on_with_the_next_attempt(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    failing = True

    def shaky(view: View) -> str:
        if failing and chosen(view.episode):
            raise ValueError("not yet")
        return agreeable(view)

    first = play(bargain(), shaky, episodes=12, redraws=1, out=out)
    assert_only_the_chosen_failed(first, StopReason.AGENT_ERROR, "not yet")
    failing = False
    second = play(bargain(), shaky, episodes=12, redraws=1, out=out)
    assert [t.attempt for t in second] == [2 if chosen(t.id) else 0 for t in first]
    assert [t for t in second if not chosen(t.id)] == [t for t in first if t.scored]
    assert all(t.scored for t in second)


# ---------------------------------------------------------------- agents with state
class Spawned:
    """A fresh one for each episode and seat; what is made and closed is counted."""

    def __init__(self, how: str = "well", made: Counter[str] | None = None, closed: Counter[str] | None = None) -> None:
        self.how, self.key = how, ""
        self.made = Counter[str]() if made is None else made
        self.closed = Counter[str]() if closed is None else closed

    def spawn(self, seat: str, scenario: Any) -> Spawned:
        if self.how == "spawn" and seat == "seat_1":
            raise OSError("no more room")
        assert [s.stakes is not None for s in scenario.seats] == [f"seat_{i}" == seat for i in range(scenario.n)]
        child = Spawned(self.how, self.made, self.closed)
        child.key = f"{seat}#{sum(self.made.values())}"
        self.made[child.key] += 1
        return child

    def act(self, view: View) -> str:
        assert self.key.startswith(view.seat)
        if self.how == "act" and view.seat == "seat_1":
            raise ValueError("no")
        return agreeable(view)

    def close(self) -> None:
        self.closed[self.key] += 1
        if self.how == "close":
            raise OSError("will not close")


@pytest.mark.parametrize(("how", "stop", "made"), [
    ("well", StopReason.AGREEMENT, 10),
    ("act", StopReason.AGENT_ERROR, 20),
    ("spawn", StopReason.AGENT_ERROR, 10),
    ("close", StopReason.AGREEMENT, 10),
])  # fmt: skip
def test_what_is_spawned_for_an_episode_and_seat_is_closed_once(how: str, stop: StopReason, made: int) -> None:
    # Five episodes of two seats: ten; twice that with a redraw; half of it where the second seat cannot be spawned.
    agent = Spawned(how)
    played = play(bargain(), agent, episodes=5, redraws=1)
    assert {t.stop for t in played} == {stop}
    assert len(agent.made) == made
    assert agent.closed == agent.made
    assert set(agent.made.values()) == {1}


def test_an_agent_that_is_not_spawned_is_not_closed() -> None:
    class Shared:
        closed = 0

        def act(self, view: View) -> str:
            return agreeable(view)

        def close(self) -> None:
            self.closed += 1

    class SharedBatch(Batched):
        def spawn(self, seat: str, scenario: Any) -> Any:
            raise AssertionError("an agent with act_batch is not spawned")

    agent = Shared()
    assert all(t.scored for t in play(bargain(), [agent, SharedBatch()], episodes=3))
    assert agent.closed == 0


# ---------------------------------------------------------------- people
@pytest.mark.parametrize("in_flight", [1, 3])
def test_who_leaves_ends_the_run_and_what_was_said_is_kept(in_flight: int, tmp_path: Path) -> None:
    out, seen, patience = tmp_path / "run.jsonl", list[str](), 0

    def person(view: View) -> str:
        if view.episode not in seen:
            seen.append(view.episode)
        if len(seen) == 4 and patience == 0:
            raise Leave("had enough" if in_flight == 1 else "")
        return agreeable(view)

    played = play(bargain(), [agreeable, person], episodes=20, in_flight=in_flight, out=out)
    left = [t for t in played if t.stop is StopReason.INTERRUPTED]
    assert len(left) == 1, "and it is not drawn again"
    assert left[0].error == f"{left[0].agents[1]} at seat_1: {'had enough' if in_flight == 1 else 'left the table'}"
    assert [u.seat for u in left[0].utterances] == ["seat_0"]
    assert all(t.scored for t in played if t is not left[0])
    assert 4 <= len(played) <= 3 + in_flight, "nothing new is begun"
    patience = 1
    again = play(bargain(), [agreeable, person], episodes=20, in_flight=in_flight, out=out)
    assert [t.attempt for t in again] == [0] * 20, "an interruption is no failed attempt"
    assert all(t.scored for t in again)


def test_an_agent_may_ask_to_play_one_episode_at_a_time() -> None:
    class Person:
        one_at_a_time = True
        now: set[str] = set()  # noqa: RUF012  # shared on purpose

        async def aact(self, view: View) -> str:
            self.now.add(view.episode)
            assert len(self.now) == 1
            await asyncio.sleep(0)
            if view.table is not None:
                self.now.discard(view.episode)
            return agreeable(view)

    assert all(t.scored for t in play(bargain(), [silent, Person()], episodes=0, in_flight=8))
    assert all(t.scored for t in play(bargain(), [agreeable, Person()], episodes=5, in_flight=8, redraws=0))


# ---------------------------------------------------------------- judges
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("how", "message"),
    [*BROKEN_VERDICTS, pytest.param(asyncio.CancelledError(), "CancelledError", id="cancelled")],
)
def test_a_judge_that_fails_costs_its_own_episode_only(
    how: Any, message: str, asynchronous: bool, tmp_path: Path
) -> None:
    class SometimesBroken(BrokenJudge):
        def judge(self, case: Case) -> Verdict:
            if case.lines[0][1].startswith("A"):
                return super().judge(case)
            return Verdict("score", "broken", 4.0)

    class AwaitedJudge(SometimesBroken):
        async def ajudge(self, case: Case) -> Verdict:
            await asyncio.sleep(0)
            return SometimesBroken.judge(self, case)

    def opener(view: View) -> str:
        return f"{'A' if chosen(view.episode) else 'B'} {agreeable(view)}"

    judge = AwaitedJudge(how) if asynchronous else SometimesBroken(how)
    out = tmp_path / "run.jsonl"
    played = play(bargain(), opener, episodes=12, redraws=0, judge=judge, out=out)
    assert_only_the_chosen_failed(played, StopReason.JUDGE_ERROR, message)
    assert {t.rewards for t in played if t.scored} == {(4.0, 4.0)}
    assert all(len(t.utterances) == 2 and str(t.error).startswith("broken: ") for t in played if not t.scored)
    assert read_final(out) == played


def test_a_judge_of_agreement_is_asked_after_each_round_and_its_score_is_the_reward() -> None:
    judge = FixedJudge(3.5)
    t = play(dilemma(3), lambda view: f"round {view.round}", judge=judge)
    assert (t.rewards, t.settings.judge) == ((3.5,) * 3, "fixed")
    assert [c.kind for c in judge.cases] == ["agreement", "score"]
    never = FixedJudge(agreed=False)
    t = play(dilemma(3), silent, judge=never, max_rounds=4)
    assert (t.stop, t.rewards, len(never.cases)) == (StopReason.CAP, (0.0,) * 3, 4)


@pytest.mark.parametrize("value", [np.float64(2.5), np.float32(2.5)])
def test_a_numpy_number_is_a_value_a_judge_may_return(value: Any, tmp_path: Path) -> None:
    (t,) = play(
        bargain(), agreeable, episodes=1, judge=BrokenJudge(Verdict("score", "broken", value)), out=tmp_path / "r.jsonl"
    )
    assert t.rewards == (2.5, 2.5)


# ---------------------------------------------------------------- what is played
@pytest.mark.parametrize("agents", [haggler, [haggler, agreeable]])
def test_how_many_are_in_flight_changes_nothing(agents: Any) -> None:
    runs = [play(suite(), agents, episodes=30, in_flight=k, seed=3, memory=1) for k in (1, 7, 64)]
    assert runs[0] == runs[1] == runs[2]
    assert [t.index for t in runs[0]] == list(range(30))
    assert [t.scenario.id for t in runs[0][:4]] == ["allotment", "council", "quorum", "allotment"]
    assert len({t.encode() for t in runs[0]}) == 30


def test_one_transcript_or_a_list_of_them() -> None:
    one = play(bargain(), agreeable)
    assert isinstance(one, Transcript)
    assert play(bargain(), agreeable, episodes=1) == [one]
    assert play(bargain(), agreeable, episodes=0) == []
    with pytest.raises(SettingsError, match="holds 3 scenarios: say how many episodes"):
        play(suite(), agreeable)


async def test_it_plays_where_a_loop_is_running_already() -> None:
    async def awaited(view: View) -> str:
        await asyncio.sleep(0)
        return agreeable(view)

    # A1 B1 leaves both at their walk-away value, G = 0.1; the best G is 0.1 + 0.9 / 2: CA = 5 x 0.1 / 0.55.
    assert play(bargain(), awaited).rewards == play(bargain(), agreeable).rewards == (0.909091,) * 2
    with pytest.raises(SettingsError, match="episodes=-1"):
        play(bargain(), awaited, episodes=-1)


def test_settings_reach_the_episode() -> None:
    t = play(council(), agreeable, max_rounds=3, memory=2, selfishness=0.25, completion="write", seed=9)
    s = t.settings
    assert (s.max_rounds, s.memory, s.selfishness, s.completion, t.seed) == (3, 2, 0.25, "write", 9)
    assert t.utterances[-1].phase == "completion"


# ---------------------------------------------------------------- on disk
async def test_an_episode_is_on_disk_before_it_is_reported(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    run = Run(bargain(), agreeable)
    with TranscriptWriter(out, run.id) as writer:
        async for t in rollout(run, 20, in_flight=5, writer=writer):
            assert t.encode() + b"\n" in out.read_bytes().splitlines(keepends=True)


async def test_a_run_that_is_closed_early_stops_its_episodes_and_records_them(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"

    async def slow(view: View) -> str:
        if chosen(view.episode):
            await asyncio.sleep(3600)
        return agreeable(view)

    run = Run(bargain(), [agreeable, slow])
    with TranscriptWriter(out, run.id) as writer:
        async with aclosing(rollout(run, 40, in_flight=20, writer=writer)) as finished:
            async for t in finished:
                assert t.scored
                break
        assert asyncio.all_tasks() == {asyncio.current_task()}
    lines = list(read(out))
    interrupted = [t for t in lines if t.stop is StopReason.INTERRUPTED]
    assert interrupted
    assert all(t.error == "the run was stopped" and len(t.utterances) == 1 for t in interrupted)
    assert all(t.scored for t in lines if t not in interrupted)


async def test_a_run_that_is_cancelled_records_what_was_under_way(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    run = Run(bargain(), [agreeable, Batched()])
    stuck = asyncio.Event()

    class Stuck:
        async def act_batch(self, views: list[View]) -> list[str]:
            stuck.set()
            await asyncio.sleep(3600)
            return []

    run = Run(bargain(), [agreeable, Stuck()])
    with TranscriptWriter(out, run.id) as writer:

        async def everything() -> None:
            async for _ in rollout(run, 6, in_flight=4, writer=writer):
                raise AssertionError("nothing can finish")

        task = asyncio.create_task(everything())
        await stuck.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    for other in asyncio.all_tasks() - {asyncio.current_task()}:
        other.cancel()
        await asyncio.wait([other])
    assert [(t.index, t.stop.value, t.attempt) for t in read(out)] == [(i, "interrupted", 0) for i in range(4)]


def test_the_sidecar_holds_clocks_and_costs_and_the_record_none(tmp_path: Path) -> None:
    def costly(view: View) -> Reply:
        return Reply(agreeable(view), finish_reason="stop", usage={"prompt": 3, "completion": 2})

    out = tmp_path / "run.jsonl"
    (t,) = play(bargain(), costly, episodes=1, out=out)
    (meta,) = [msgspec.json.decode(line) for line in meta_path(out).read_bytes().splitlines()]
    assert (meta["id"], meta["attempt"]) == (t.id, 0)
    assert [turn["seat"] for turn in meta["turns"]] == ["seat_0", "seat_1"]
    assert all(turn["finish_reason"] == "stop" for turn in meta["turns"])
    assert all(turn["usage"] == {"prompt": 3, "completion": 2} for turn in meta["turns"])
    assert b"usage" not in out.read_bytes()


def resident() -> int:
    """Bytes of memory the process holds; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


async def test_memory_stays_flat_while_episodes_stream_to_disk(tmp_path: Path) -> None:
    run = Run(bargain(), agreeable)
    blocks, held, count = list[int](), list[int](), 0
    with TranscriptWriter(tmp_path / "run.jsonl", run.id) as writer:
        async for _ in rollout(run, 10_000, in_flight=64, writer=writer):
            count += 1
            if count in (2_000, 10_000):
                gc.collect()
                blocks.append(sys.getallocatedblocks())
                held.append(resident())
    assert blocks[1] - blocks[0] < 4_000, "8,000 episodes left less than half an object each behind"
    assert held[1] - held[0] < 4_000_000, "their lines alone are 10 MB"


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
    assert all("SystemExit: 3 (test_rollout.py:" in str(t.error) for t in played)


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
    assert re.search(r"ValueError: no such word \(test_rollout\.py:\d+\)$", str(t.error))
