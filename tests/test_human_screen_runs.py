"""The run behind a person's screen, and when there is no screen at all."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from agent_samples import TRADE
from human_screen_support import SMALL, screen

from nego_agents import HumanAgent
from nego_agents.human_screen import terminal
from nego_agents.human_screen.app import TableScreen
from nego_agents.human_screen.stage import Stage
from nego_env.cli import main
from nego_env.errors import Leave
from nego_env.rules import StopReason
from nego_env.scenario import encode_scenario
from nego_env.store import read


# ---------------------------------------------------------------- the run behind the screen
def behind(app: TableScreen, stage: Stage, work: Any, *steps: Any) -> Any:
    """A run behind a screen of its own, and a pilot that takes steps."""

    async def drive(pilot: Any) -> None:
        for step in steps:
            if callable(step):
                until = time.monotonic() + 20
                while not step():
                    assert time.monotonic() < until, screen(app)
                    await pilot.pause(0.01)
            else:
                await pilot.press(step)

    return stage.run(work, headless=True, size=SMALL, auto_pilot=drive)


def test_the_engine_runs_in_a_thread_of_its_own_and_its_result_comes_back() -> None:
    app = TableScreen(theme="dark")
    stage, seen = Stage(app), []

    async def work() -> int:
        seen.append(threading.current_thread() is threading.main_thread())
        await asyncio.sleep(0)
        return 7

    assert behind(app, stage, work()) == 7
    assert seen == [False]


def test_what_the_engine_raises_comes_back() -> None:
    app = TableScreen(theme="dark")

    async def work() -> None:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        behind(app, Stage(app), work())


def test_leaving_while_somebody_else_speaks_stops_the_run() -> None:
    app, ended = TableScreen(theme="dark"), []
    started = threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        behind(app, Stage(app), work(), started.is_set, "ctrl+c")
    assert ended == ["cancelled"]
    assert time.monotonic() - began < 30


class _Told(io.StringIO):
    """Standard error that says when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def write(self, text: str) -> int:
        self.told.set()
        return super().write(text)


def test_a_reply_under_way_is_waited_for_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    app, started, stderr = TableScreen(theme="dark"), threading.Event(), _Told()
    monkeypatch.setattr(sys, "stderr", stderr)

    async def work() -> None:
        started.set()
        stderr.told.wait(60)  # a local model that computes
        await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        behind(app, Stage(app), work(), started.is_set, "ctrl+c")
    assert "waiting for the reply under way; Ctrl-C gives it up" in stderr.getvalue()


async def test_nobody_is_asked_who_has_left() -> None:
    stage = Stage(TableScreen(theme="dark"))
    stage.handover.leave("interrupted")
    with pytest.raises(Leave, match="interrupted"):
        await stage.ask(None)  # type: ignore[arg-type]


def test_nego_play_puts_the_person_before_a_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario, out = tmp_path / "trade.jsonl", tmp_path / "run.jsonl"
    scenario.write_bytes(encode_scenario(TRADE) + b"\n")
    app = TableScreen(theme="dark")
    stage = Stage(app)
    steps = [
        lambda: app.turn, "H", "i", "enter", lambda: app.turn and app.turn.view.round == 2,
        "f6", "enter", lambda: app.end, "enter",
    ]  # fmt: skip
    run = stage.run
    monkeypatch.setattr(stage, "run", lambda work: behind(app, _Running(run), work, *steps))
    monkeypatch.setattr(HumanAgent, "stage", lambda self: setattr(self, "_stage", stage) or stage)
    assert main(["play", "--scenario", str(scenario), "--agents", "human", "boulware", "--out", str(out)]) == 0
    (t,) = read(out)
    assert t.stop is StopReason.WALK_AWAY
    assert t.agents == ("human", "boulware")
    assert t.utterances[0].text == "Hi"
    assert f"saved: {out}" in capsys.readouterr().out


class _Running:
    def __init__(self, run: Any) -> None:
        self.run = run


# ---------------------------------------------------------------- no screen
class _Stream(io.StringIO):
    def __init__(self, terminal: bool = True) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def fileno(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("change", "shows"),
    [
        ({}, True),
        ({"size": (60, 16)}, True),
        ({"size": (59, 40)}, False),
        ({"size": (120, 15)}, False),
        ({"size": (0, 0)}, False),
        ({"TERM": "dumb"}, False),
        ({"NEGO_PLAIN": "1"}, False),
        ({"NEGO_PLAIN": "0"}, True),
        ({"stdin": False}, False),
        ({"stdout": False}, False),
        ({"__stdout__": False}, False),
        ({"__stderr__": False}, False),
    ],
)
def test_when_a_screen_can_be_shown(change: dict[str, Any], shows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "__stdin__", "__stdout__", "__stderr__"):
        monkeypatch.setattr(sys, name, _Stream(change.get(name, True)))
    monkeypatch.setenv("TERM", change.get("TERM", "xterm"))
    monkeypatch.setenv("NEGO_PLAIN", change.get("NEGO_PLAIN", ""))
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size(change.get("size", (80, 24))))
    assert terminal.can_show() is shows


def test_streams_of_ones_own_get_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "can_show", lambda: True)
    assert HumanAgent(input=io.StringIO()).stage() is None
    person = HumanAgent()
    assert isinstance(person.stage(), Stage)
    assert type(person.spawn("seat_0", TRADE)).__name__ == "ScreenSeat"
