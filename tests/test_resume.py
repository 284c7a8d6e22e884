"""A run that is killed or interrupted loses nothing that was finished, and goes on where it stopped.

The programs run as a user runs them, and are stopped once a part of their file is there, not after a time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import bargain

from nego_env.scenario import encode_scenario
from nego_env.store import TranscriptFile, read, read_final

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

AGENTS = '''
import asyncio

async def seller(view):
    """Slow enough that a signal lands in the middle of a run; everything it says is drawn from its own generator."""
    await asyncio.sleep(0.002)
    if view.table is None or view.rng.random() < 0.6:
        return "[Propose: A%d B%d]" % tuple(view.rng.integers(1, 4, 2))
    return "[Accept]"
'''

NOTEBOOK = """
import asyncio, sys
from nego_env import play

async def cell():
    play(sys.argv[1], sys.argv[2], episodes=1000, in_flight=8, out=sys.argv[3])

loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(cell())
except KeyboardInterrupt:
    print("stopped")
"""


class Program:
    """`nego play` on a small scenario, with its file."""

    def __init__(self, folder: Path) -> None:
        self.scenario, self.agents = folder / "allotment.jsonl", folder / "agents.py"
        self.scenario.write_bytes(encode_scenario(bargain()) + b"\n")
        self.agents.write_text(AGENTS)
        self.started: list[subprocess.Popen[str]] = []

    @property
    def agent(self) -> str:
        """The agent's name."""
        return f"{self.agents}:seller"

    def start(self, out: Path, episodes: int, *flags: str) -> subprocess.Popen[str]:
        """The program, running."""
        command = ["play", "--scenario", str(self.scenario), "--agents", self.agent, "--out", str(out)]
        return self._run("-m", "nego_env.cli", *command, "--episodes", str(episodes), "--max-rounds", "3", *flags)

    def start_notebook(self, out: Path) -> subprocess.Popen[str]:
        """`play()` where a loop is running already."""
        return self._run("-c", NOTEBOOK, str(self.scenario), self.agent, str(out))

    def _run(self, *arguments: str) -> subprocess.Popen[str]:
        pipes = subprocess.PIPE
        process = subprocess.Popen([sys.executable, *arguments], stdout=pipes, stderr=pipes, text=True)
        self.started.append(process)
        return process


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    found = Program(tmp_path)
    yield found
    for process in found.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_lines(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Returns once the file has so many lines. The program must still be running then."""
    until = time.monotonic() + 60
    while not out.exists() or out.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    assert process.poll() is None, "it finished before the signal: the test shows nothing"


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """What the program said, once it ended as it should."""
    said, errors = process.communicate(timeout=120)
    assert process.returncode == code, (said, errors)
    assert "Traceback" not in errors
    return said + errors


def scored_lines(out: Path) -> list[bytes]:
    """Every scored line of a file, sorted."""
    return sorted(t.encode() for t in read(out) if t.scored)


def test_kill_9_in_the_middle_of_1000_episodes(program: Program, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    unbroken = program.start(whole, 1000)

    for lines in (150, 500):  # twice: a resumed run may be killed too
        process = program.start(broken, 1000)
        wait_for_lines(broken, lines, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        finished = broken.read_bytes()
        finished = finished[: finished.rfind(b"\n") + 1]
        assert lines <= finished.count(b"\n") < 1000

    with broken.open("ab") as f:  # and what a kill in the middle of a write leaves
        f.write(b'{"format":"nego/1","id":"5')
    assert "passed over" in TranscriptFile(broken).notes[0]
    said = finish(program.start(broken, 1000))
    there = finished.count(b"\n")
    assert f"resuming {broken}: {there} of 1000 episodes are there" in said
    assert "of an unfinished last line" in said

    finish(unbroken)
    assert broken.read_bytes().startswith(finished), "every finished episode is kept, as it was written"
    assert Counter(t.index for t in read(broken)) == Counter(range(1000)), "none is missing, none is doubled"
    assert scored_lines(broken) == scored_lines(whole)
    before = broken.read_bytes()
    finish(program.start(broken, 1000))
    assert broken.read_bytes() == before, "a finished run has nothing to add"


def test_ctrl_c_says_so_records_what_was_under_way_and_can_be_resumed(program: Program, tmp_path: Path) -> None:
    out, whole = tmp_path / "run.jsonl", tmp_path / "whole.jsonl"
    process = program.start(out, 300, "--in-flight", "16")
    wait_for_lines(out, 50, process)
    process.send_signal(signal.SIGINT)
    said = finish(process, 130).strip()

    played = list(read(out))
    scored = sum(t.scored for t in played)
    assert said == (
        f"nego: interrupted: {scored} of 300 episodes are scored and saved in {out}; the same command with --out {out} goes on"
    )
    cut = [t for t in played if not t.scored]
    assert 0 < len(cut) <= 16
    assert {(t.stop.value, t.error, t.attempt) for t in cut} == {("interrupted", "the run was stopped", 0)}
    assert all(t.utterances for t in cut)
    assert len(played) < 300

    finish(program.start(out, 300, "--in-flight", "3"))
    finish(program.start(whole, 300))
    assert [t.encode() for t in read_final(out)] == [t.encode() for t in read_final(whole)]


def test_a_second_writer_is_refused_and_the_first_goes_on(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    first = program.start(out, 300)
    wait_for_lines(out, 1, first)
    first.send_signal(signal.SIGSTOP)  # so that it cannot be done before the second begins
    said = finish(program.start(out, 300), 2)
    first.send_signal(signal.SIGCONT)
    assert "another process is writing to it" in said
    assert said.count("\n") == 1
    finish(first)
    assert Counter(t.index for t in read(out)) == Counter(range(300))


def test_another_run_is_not_mixed_into_the_file(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    finish(program.start(out, 3))
    before = out.read_bytes()
    assert "holds another run" in finish(program.start(out, 3, "--seed", "1"), 2)
    assert out.read_bytes() == before
    finish(program.start(out, 5))
    assert out.read_bytes().startswith(before), "more episodes of the same run are added"
    assert len(read_final(out)) == 5


def test_ctrl_c_where_a_loop_is_running_already_stops_the_run_too(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    process = program.start_notebook(out)
    wait_for_lines(out, 30, process)
    process.send_signal(signal.SIGINT)
    assert "stopped" in finish(process)
    played = list(read(out))
    assert len(played) < 1000
    assert 0 < sum(t.stop.value == "interrupted" for t in played) <= 8
