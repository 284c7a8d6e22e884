"""A person at the table, or watching, sees the words of chat agents as they come, and nothing a whole message would not show."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from agent_samples import structured
from chat_support import agent, clean_environment
from human_screen_support import LARGE, SMALL, sitting
from rich.console import Console
from stand_in import StandIn
from support import bargain, begin, say

from nego_agents import HumanAgent
from nego_agents.chat.agent import ChatAgent
from nego_env.commands.growing import Growing
from nego_env.commands.watching import watched
from nego_env.rollout import play, rollout
from nego_env.run import Run
from nego_env.scenario import Scenario
from nego_env.speaking import heard, spoken
from nego_env.view import View, seat_randoms, view

__all__ = ["clean_environment"]

TRADE = structured([[[9, 0], [1, 0]], [[0, 1], [0, 9]]], [2, 2])
EVIL = "Shall \x1b[2J[bold]we\u202e trade? [Propose: A1 B2]"
SHOWN = r"Shall \x1b[2J[bold]we\u202e trade? [Propose: A1 B2]"


class Gate:
    """Lets a stand-in's events through one by one; asked on the server's thread, opened on the test's."""

    def __init__(self) -> None:
        self._open = 0
        self._changed = threading.Condition()

    async def __call__(self, event: int) -> None:
        await asyncio.to_thread(self._wait, event)

    def _wait(self, event: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._open > event, 30)

    def open(self, events: int) -> None:
        """So many events of each answer may pass."""
        with self._changed:
            self._open = events
            self._changed.notify_all()


def seen(scenario: Scenario, *said: str) -> View:
    """What the next seat sees."""
    state = say(begin(scenario), *said)
    return view(state, seat_randoms(state.header, scenario.n))


# ---------------------------------------------------------------- pieces
def test_pieces_add_up_and_an_empty_one_begins_anew() -> None:
    one, other = seen(bargain()), seen(bargain(), "Hello.")
    now = None
    for piece, text in (("", ""), ("Good", "Good"), (" day", "Good day"), ("", ""), ("Bad", "Bad")):
        now = heard(now, one, piece)
        assert (now.text, now.at, now.seat, now.name) == (text, 0, "seat_0", "the tenant")
    now = heard(now, other, "I")
    assert (now.text, now.at, now.seat, now.round) == ("I", 1, "seat_1", 1)


def test_what_is_handed_on_is_known_to_everybody() -> None:
    mine = seen(bargain())
    assert mine.persona not in repr(spoken(mine))
    assert "stakes" not in repr(spoken(mine))


# ---------------------------------------------------------------- the screen
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_words_grow_on_the_screen_and_are_shown_as_whole_messages_are(size: tuple[int, int]) -> None:
    gate = Gate()
    with StandIn(reply=lambda _: EVIL, between=gate) as server:
        other = agent(server, "server=openai,repairs=0")
        async with sitting(TRADE, other, size=size, watch=True) as at:
            await at.asked()
            await at.say("Good morning.")
            gate.open(2)
            first = await at.sees(r"Shall \x1b[2J[bold]we\u202e", "…")
            assert "trade?" not in first
            gate.open(99)
            await at.asked(round=2)
            whole = await at.sees(r"\u202e trade?")
            assert whole.count(r"\x1b[2J[bold]we\u202e") == 1
            assert "  …" not in whole
            assert "\x1b" not in whole
            assert [u.text for u in at.app.view.utterances] == ["Good morning.", EVIL]  # type: ignore[union-attr]


async def test_whoever_speaks_first_is_heard_before_the_person_is_asked() -> None:
    gate = Gate()
    with StandIn(reply=lambda _: "I would like the bread.", between=gate) as server:
        async with sitting(TRADE, agent(server, "server=openai"), first=False, watch=True) as at:
            gate.open(2)
            await at.sees("round 1 of", "I would")
            gate.open(99)
            await at.asked()
            shown = await at.sees("I would like the bread.")
            assert shown.count("I would like") == 1
            assert shown.count("round 1 of") == 2  # in the title and above the words


async def test_words_begun_anew_take_the_place_of_the_old() -> None:
    gate = Gate()
    with StandIn(reply=lambda _: "Let us share it.", between=gate, cut_streams=1) as server:
        async with sitting(TRADE, agent(server, "server=openai"), watch=True) as at:
            await at.asked()
            await at.say("Well?")
            gate.open(99)
            await at.asked(round=2)
            shown = await at.sees("Let us share it.")
            assert shown.count("Let us") == 1


# ---------------------------------------------------------------- a plain terminal
class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def plainly(reply: str, lines: str, output: io.StringIO, **server_options: Any) -> str:
    """What a person at plain lines was shown of an episode in which the other says `reply`."""
    person = HumanAgent(input=io.StringIO(lines), output=output)
    with StandIn(reply=lambda _: reply, **server_options) as server:
        run = Run(TRADE, [person, agent(server, "server=openai,repairs=0")], seed=1, max_rounds=2)

        async def everything() -> None:
            async for _ in rollout(run, 1):
                pass

        with watched(run, None, alone=True):
            asyncio.run(everything())
        streamed = [body.get("stream", False) for body in server.bodies]
    assert streamed == [output.isatty()] * len(streamed)
    return output.getvalue()


def test_plain_lines_are_printed_as_they_come_and_once() -> None:
    shown = plainly(EVIL, "Hello.\nWell.\n", Terminal())
    assert shown.count(SHOWN) == 2  # two messages, each once
    assert "\x1b[2J" not in shown
    assert "On the table, by" in shown
    assert f": {SHOWN}\n" in shown


def test_plain_lines_say_what_begins_anew() -> None:
    shown = plainly("Let us share it.", "Hello.\nWell.\n", Terminal(), cut_streams=1)
    assert "Let us\n(begins anew)\n" in shown
    assert shown.count("Let us share it.") == 2


def test_nothing_is_streamed_into_a_file() -> None:
    shown = plainly("Let us share it.", "Hello.\nWell.\n", io.StringIO())
    assert shown.count("Let us share it.") == 1  # read in round 2


# ---------------------------------------------------------------- nobody at the table
def watching(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, alone: bool = True) -> tuple[str, list[bool]]:
    """What stderr shows while an episode is played, and which calls asked for a stream."""
    error = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", error)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with StandIn(reply=lambda _: EVIL) as server:
        seated = agent(server, "server=openai,repairs=0")
        with watched(Run(TRADE, [seated]), None, alone=alone):
            play(TRADE, [seated], max_rounds=1)
        assert seated.watch is None
        return error.getvalue(), ["stream" in body for body in server.bodies]


def test_somebody_who_watches_one_episode_sees_it_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, streamed = watching(monkeypatch, terminal=True)
    assert streamed == [True, True]
    assert SHOWN.removesuffix(" trade? [Propose: A1 B2]") in shown
    assert "\u202e" not in shown
    assert "\x1b[2J[" not in shown


@pytest.mark.parametrize(("terminal", "alone"), [(False, True), (True, False)])
def test_nobody_else_is_streamed_to(monkeypatch: pytest.MonkeyPatch, terminal: bool, alone: bool) -> None:
    shown, streamed = watching(monkeypatch, terminal=terminal, alone=alone)
    assert streamed == [False, False]
    assert shown == ""


def test_a_dialogue_longer_than_the_terminal_shows_its_end() -> None:
    growing = Growing()
    growing.hear(seen(bargain(), *(f"line {i}" for i in range(6))), "\n".join(f"word {i}" for i in range(30)))
    out = io.StringIO()
    Console(file=out, width=40, height=10, color_system=None).print(growing)
    lines = out.getvalue().rstrip("\n").split("\n")
    assert len(lines) <= 10
    assert lines[-1] == "word 29 …"
    assert "line 0" not in out.getvalue()


def test_a_watch_of_ones_own_stays() -> None:
    mine: list[str] = []
    with StandIn(reply=lambda _: "Hello.") as server:
        seated = agent(server, watch=lambda view, piece: mine.append(piece))
        with watched(Run(TRADE, [seated]), SimpleNamespace(hear=None), alone=True):
            play(TRADE, [seated], max_rounds=1)
    assert "Hello." in mine


def test_an_agent_is_given_back_its_silence_when_the_run_fails() -> None:
    seated = ChatAgent("m@localhost:1")
    person = HumanAgent(input=io.StringIO(), output=Terminal())
    with watched(Run(TRADE, [person, seated]), None, alone=True):
        assert seated.watch is not None
    assert seated.watch is None
    with pytest.raises(ZeroDivisionError), watched(Run(TRADE, [person, seated]), None, alone=True):
        _ = 1 / 0
    assert seated.watch is None
