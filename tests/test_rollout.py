"""The engine: redraws, agents with state, judges that fail, and a run that stops when told to.

1. A judge that raises or returns rubbish ends its own episode, unscored; its siblings go on.
2. Whatever was spawned is closed once, however its episode ended.
3. A finished episode is on disk before it is reported; a run that is stopped records what was under way.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from face_support import BROKEN_VERDICTS, BrokenJudge, agreeable, haggler, silent, suite
from rollout_support import Batched, assert_only_the_chosen_failed, chosen
from rollout_support import nothing_left_behind as nothing_left_behind
from support import FixedJudge, bargain, council, dilemma

from nego_env import Reply, play
from nego_env.errors import Leave, SettingsError
from nego_env.rollout import rollout
from nego_env.rules import StopReason
from nego_env.run import Run
from nego_env.store import TranscriptWriter, meta_path, read, read_final
from nego_env.transcript import Transcript
from nego_env.verdict import Case, Verdict
from nego_env.view import View


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
