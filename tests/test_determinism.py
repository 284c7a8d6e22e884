"""The same seed and the same replies give the same transcript, byte for byte: in turn or side by side, here or elsewhere."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from face_support import agreeable, env, haggler, parallel_env, suite
from support import bargain, council, dilemma, quorum

from nego_env import play
from nego_env.agents import resolve_agent
from nego_env.codec import ActTable
from nego_env.packs import Shape
from nego_env.rules import StopReason
from nego_env.scenario import Scenario, encode_scenario
from nego_env.transcript import Transcript, decode
from nego_env.view import View


class Numbers:
    """Plays `haggler`'s acts as numbers of one shape."""

    def __init__(self, shape: Shape) -> None:
        self.acts = ActTable(shape)

    def act(self, view: View) -> Any:
        move = haggler(view)
        if isinstance(move, str) or move.act is None or view.phase == "completion":
            return move
        return np.int64(self.acts.encode(move.act, view.scenario))


def in_turn(e: Any, agents: list[Any], **reset: Any) -> Transcript:
    """The same episode from the AEC face, with the same agents at its seats."""
    e.reset(**reset)
    players = [resolve_agent(agents[i % len(agents)]).agent for i in range(len(e.agents))]
    for seat in e.agent_iter():
        done = e.terminations[seat] or e.truncations[seat]
        e.step(None if done else players[int(seat[5:])].act(e.unwrapped.view(seat)))
    found: Transcript = e.unwrapped.transcript
    return found


SETTINGS: list[dict[str, Any]] = [
    {},
    {"memory": 1},
    {"codecs": "act", "memory": 2},
    {"completion": "write"},
    {"completion": "write", "complete": "always", "max_rounds": 1},
    {"completion": "write", "codecs": "act"},
    {"selfishness": 0.3, "max_rounds": 2},
    {"max_chars": 80},
]


@pytest.mark.parametrize("options", SETTINGS, ids=[str(i) for i in range(len(SETTINGS))])
@pytest.mark.parametrize("scenario", [bargain(), council(finalizer=1), quorum()], ids=lambda s: str(s.id))
@pytest.mark.parametrize("agents", [["haggler"], ["haggler", "agreeable"]], ids=["one", "two"])
def test_the_engine_plays_what_the_environment_plays(
    scenario: Scenario, options: dict[str, Any], agents: list[str]
) -> None:
    names = [f"face_support:{a}" for a in agents]
    played = play(scenario, names, episodes=3, seed=7, in_flight=2, **options)
    e = env(scenario, agents=played[0].agents, **options)
    for index, t in enumerate(played):
        same = in_turn(e, names, seed=7 if index == 0 else None)
        assert (same.index, same.stop.scored) == (index, True)
        assert same.encode() == t.encode()
    assert len({t.encode() for t in played}) == 3


@pytest.mark.parametrize("codecs", [("text", "act"), ("act", "text")])
def test_mixed_seats_and_acts_by_number(codecs: Any) -> None:
    agents: list[Any] = [Numbers(Shape(2, (3, 3))), haggler]
    for completion in ("write", "render"):
        played = play(bargain(), agents, episodes=3, codecs=codecs, completion=completion)
        e = env(bargain(), codecs=codecs, completion=completion, agents=played[0].agents)
        for i, t in enumerate(played):
            assert in_turn(e, agents, seed=0 if i == 0 else None).encode() == t.encode()


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("options", [{}, {"complete": "always", "max_rounds": 1}, {"memory": 1}])
def test_open_dilemmas_too(n: int, options: dict[str, Any]) -> None:
    played = play(dilemma(n), haggler, episodes=4, seed=2, **options)
    e = env(dilemma(n), agents=played[0].agents, **options)
    for i, t in enumerate(played):
        assert in_turn(e, [haggler], seed=2 if i == 0 else None).encode() == t.encode()


def test_a_suite_through_options_and_successive_resets() -> None:
    # The engine goes through a suite in order; the environment is told which scenario comes next.
    small = suite()
    agents: list[Any] = [Numbers(small.shape), agreeable]
    for options in ({"codecs": "act"}, {"completion": "write"}):
        played = play(small, agents, episodes=6, seed=5, **options)
        names = tuple(played[2].agents)  # as many as the suite has seats
        e = env(small, agents=names, **options)
        for i, t in enumerate(played):
            assert t.agents == names[: t.scenario.n]
            again = in_turn(e, agents, seed=5 if i == 0 else None, options={"scenario": t.scenario.id})
            assert again.encode() == t.encode()


def test_a_judge_that_fails_leaves_the_same_record() -> None:
    from face_support import BROKEN_VERDICTS, BrokenJudge

    for how in BROKEN_VERDICTS:
        judge = BrokenJudge(how.values[0])
        t = play(bargain(), agreeable, judge=judge, redraws=0)
        e = env(bargain(), judge=judge, agents=t.agents)
        assert t.stop is StopReason.JUDGE_ERROR
        assert in_turn(e, [agreeable], seed=0).encode() == t.encode()


def test_the_parallel_face_plays_them_too() -> None:
    t = play(council(), haggler, seed=3, codecs="act")
    p = parallel_env(council(), agents=t.agents)
    p.reset(seed=3)
    while p.agents:
        mover = f"seat_{p.session.playing.seat}"
        p.step(dict.fromkeys(p.agents, 0) | {mover: haggler(p.view(mover))})
    assert p.transcript.encode() == t.encode()


def test_another_seed_index_or_attempt_draws_anew() -> None:
    played = [*play(bargain(), haggler, episodes=8, seed=0), *play(bargain(), haggler, episodes=8, seed=1)]
    assert len({t.utterances for t in played}) > 12
    assert len({t.id for t in played}) == 16


def test_a_line_read_back_is_the_line_that_was_written() -> None:
    for t in play(suite(), haggler, episodes=9, completion="write"):
        assert decode(t.encode(), "line") == t
        assert decode(t.encode(), "line").encode() == t.encode()


# ---------------------------------------------------------------- elsewhere
PROGRAM = """
import hashlib, sys
from nego_env import play
from nego_env.packs import LooseScenarios, read_jsonl
from pathlib import Path
suite = LooseScenarios("small", read_jsonl(Path(sys.argv[1])))
played = play(suite, ["face_support:haggler", sys.argv[2]], episodes=30, seed=11, in_flight=int(sys.argv[3]))
print(hashlib.sha256(b"\\n".join(t.encode() for t in played)).hexdigest(), len(played))
"""


def test_other_processes_and_hash_seeds_play_the_same_bytes(tmp_path: Path) -> None:
    scenarios, agent = tmp_path / "small.jsonl", tmp_path / "mine.py"
    scenarios.write_bytes(b"".join(encode_scenario(s) + b"\n" for s in suite()))
    agent.write_text(
        "def mine(view):\n"
        "    words = {'on', 'the', 'other', 'hand'}\n"
        "    return ' '.join(sorted(words)) + (' [Accept]' if view.legal.accept and view.rng.random() < 0.5 else '')\n"
    )
    arguments = [str(scenarios), f"{agent}:mine"]
    found = set()
    for hash_seed, in_flight in (("0", "1"), ("1", "64"), ("random", "5")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", PROGRAM, *arguments, in_flight]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found.add(done.stdout.strip())
    here = play(suite(), ["face_support:haggler", arguments[1]], episodes=30, seed=11)
    lines = b"\n".join(t.encode() for t in here)
    found.add(f"{hashlib.sha256(lines).hexdigest()} 30")
    assert len(found) == 1
