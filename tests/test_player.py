"""The player, driven by its keys on a screen of a known size."""

from __future__ import annotations

import html
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from replay_samples import AGREED, DILEMMA, FAILED, HARBOUR, SAMPLES, SIX
from replay_samples import episode as play
from textual.widgets import Input

from nego_env.errors import NegoError, NotFoundError
from nego_env.replay.player import KEEP, SPEEDS, WIDE, Player, Step, Transport
from nego_env.store import TranscriptFile
from nego_env.transcript import Transcript

SMALL, LARGE = (80, 24), (160, 45)


def write(path: Path, *episodes: Transcript) -> TranscriptFile:
    """A transcript file of these episodes."""
    path.write_bytes(b"".join(t.encode() + b"\n" for t in episodes))
    return TranscriptFile(path)


@pytest.fixture
def file(tmp_path: Path) -> TranscriptFile:
    """Every sample."""
    return write(tmp_path / "run.jsonl", *SAMPLES.values())


def screen(app: Player) -> str:
    """What is on the screen, as text without line breaks that mean anything."""
    picture = app.export_screenshot()
    words = re.findall(r"<text[^>]*>(.*?)</text>", picture, re.DOTALL)
    return html.unescape("\n".join(words)).replace("\xa0", " ")


def steps(app: Player) -> list[int]:
    """The steps in the dialogue."""
    return [s.number for s in app.screen_stack[0].query(Step)]


async def press(pilot: Any, *keys: str) -> None:
    """Keys one after the other, and what they set off."""
    await pilot.press(*keys)
    await pilot.pause()


async def step(app: Player, pilot: Any, by: int) -> None:
    """Several steps at once, for tests that are not about keys: each key costs a redraw."""
    await app.run_action(f"step({by})")
    await pilot.pause()


async def test_opens_at_the_start_with_the_dilemma_and_its_seats(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        shown = screen(app)
    assert "harbour-lease" in shown
    assert "episode 1 of 7" in shown
    assert "the fishers' guild" in shown
    assert "nothing on the table yet" in shown
    assert "0/7" in shown


async def test_steps_forward_and_back(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await press(pilot, "right", "right", "l")
        assert (app.at, steps(app)) == (3, [0, 1, 2, 3])
        shown = screen(app)
        assert "on the table, by " in shown
        assert "0.75" in shown
        assert "2.45 below the best" in shown
        await press(pilot, "left", "h")
        assert (app.at, steps(app)) == (1, [0, 1])
        assert "0.75" not in screen(app)
        await press(pilot, "left", "left")
        assert app.at == 0


async def test_ends_with_the_stop_reason_and_the_best_deal(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await press(pilot, "end")
        shown = screen(app)
        assert app.at == app.last == 7
        assert "Agreement after 3 rounds" in shown
        assert "best possible" in shown
        await press(pilot, "right")
        assert app.at == 7
        await press(pilot, "home")
        assert app.at == 0
        await press(pilot, "G", "g")
        assert app.at == 0


async def test_seeks_to_a_number_and_says_what_is_none(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await press(pilot, "slash")
        assert "go to utterance (0 to 7)" in screen(app)
        await press(pilot, "4", "enter")
        assert app.at == 4
        await press(pilot, "colon", "9", "9", "enter")
        assert app.at == 7
        await press(pilot, "slash", "x", "enter")
        assert app.at == 7
        assert "'x' is no number" in screen(app)
        await press(pilot, "slash", "escape")
        assert (app.at, len(app.screen_stack)) == (7, 1)


async def test_a_click_on_the_bar_seeks(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.pause()
        width = app.query_one(Transport).bar_width()
        await pilot.click("#transport", offset=(1 + Transport.START + width - 1, 0))
        await pilot.pause()
        assert app.at == app.last
        await pilot.click("#transport", offset=(1 + Transport.START, 0))
        await pilot.pause()
        assert app.at == 0


async def test_plays_to_the_end_and_stops_there(file: TranscriptFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Player, "seconds", lambda self: 0.01)
    app = Player(file)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.pause()
        await press(pilot, "space")
        for _ in range(300):
            if not app.playing:
                break
            await pilot.pause(0.02)
        assert (app.at, app.playing) == (app.last, False)
        monkeypatch.setattr(Player, "seconds", lambda self: 60.0)
        await press(pilot, "space")  # from the end, again from the start
        assert (app.at, app.playing) == (0, True)
        assert "▶" in screen(app)
        await press(pilot, "space")
        assert not app.playing
        await press(pilot, "space", "right")  # a step by hand pauses
        assert (app.at, app.playing) == (1, False)


async def test_speed(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.pause()
        await press(pilot, "right")
        slow = app.seconds()
        await press(pilot, "plus")
        assert app.seconds() == slow / 2
        assert "2x" in screen(app)
        await press(pilot, "equals_sign", "minus")
        assert app.speed == 2
        for _ in SPEEDS:
            app.action_speed(1)
        assert app.speed == SPEEDS[-1]
        for _ in SPEEDS:
            app.action_speed(-1)
        assert app.speed == SPEEDS[0]


async def test_next_and_previous_episode(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await press(pilot, "p")
        assert app.place == 0
        assert "this is the first episode" in screen(app)
        await press(pilot, "right", "n")
        assert (app.place, app.at, steps(app)) == (1, 0, [0])
        assert "mill-park" in screen(app)
        await press(pilot, "p")
        assert app.place == 0


async def test_goes_to_an_episode_by_number_or_id(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await press(pilot, "e", "3", "enter")
        assert app.place == 2
        await press(pilot, "e")
        app.screen.query_one(Input).value = SIX.id[:12]
        await press(pilot, "enter")
        assert app.place == 1
        await press(pilot, "e", "z", "enter")
        assert "no episode 'z'" in screen(app)


async def test_private_view_of_a_seat(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await step(app, pilot, 5)
        await press(pilot, "2")
        shown = screen(app)
        assert HARBOUR.seats[1].persona in shown
        assert HARBOUR.seats[0].persona not in shown
        assert "worth 12, gain 0.58" in shown
        assert "0.33" not in shown
        await press(pilot, "0")
        assert HARBOUR.seats[1].persona not in screen(app)
        await press(pilot, "5")
        assert app.seat is None
        assert "there are 2 seats" in screen(app)


async def test_a_seat_that_the_next_episode_lacks_is_let_go(file: TranscriptFile) -> None:
    app = Player(file, first=1, seat="seat_5")
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        assert "Get a pitch that drains." in screen(app)
        await press(pilot, "n")
        assert app.seat is None


@pytest.mark.parametrize("size", [SMALL, LARGE, (WIDE, 30)])
async def test_six_seats_fit(file: TranscriptFile, size: tuple[int, int]) -> None:
    app = Player(file, first=1)
    async with app.run_test(notifications=True, size=size) as pilot:
        await pilot.pause()
        await step(app, pilot, 7)
        shown = screen(app)
        assert app.screen.has_class("narrow") == (size[0] < WIDE)
        state = app.query_one("#table")
        assert state.max_scroll_y == 0  # nothing of it is out of sight
        for name in ("the mayor", "田中さん", "the café", "the river", "the night", "the football"):
            assert name in shown, name
        assert "0.30 below the best" in shown


@pytest.mark.parametrize("size", [(40, 20), (12, 5), (300, 80)])
async def test_odd_sizes_do_no_harm(file: TranscriptFile, size: tuple[int, int]) -> None:
    app = Player(file, first=1)
    async with app.run_test(size=size) as pilot:
        await press(pilot, "right", "1", "end")
        await pilot.resize_terminal(*SMALL)
        await pilot.pause()
        assert "Agreement" in screen(app)


async def test_dark_and_light(file: TranscriptFile) -> None:
    app = Player(file, theme="light")
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.pause()
        assert not app.current_theme.dark
        light = app.colours
        await press(pilot, "right", "d")
        assert app.current_theme.dark
        assert app.colours != light
        assert steps(app) == [0, 1]


async def test_help_lists_the_keys_any_key_closes_it_and_q_quits(file: TranscriptFile) -> None:
    app = Player(file)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.pause()
        await press(pilot, "question_mark")
        assert "play or pause" in screen(app)
        await press(pilot, "right")
        assert (len(app.screen_stack), app.at) == (1, 0)
        await press(pilot, "q")
    assert not app.is_running


async def test_scrolling(file: TranscriptFile) -> None:
    app = Player(file, first=1)
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.pause()
        await press(pilot, "end")
        await pilot.pause()
        dialogue = app.query_one("#dialogue")
        bottom = dialogue.scroll_y
        assert bottom > 0
        await press(pilot, "pageup", "k")
        assert dialogue.scroll_y < bottom
        assert app.at == app.last


async def test_an_open_dilemma_carries_its_label(file: TranscriptFile) -> None:
    app = Player(file, first=list(SAMPLES.values()).index(DILEMMA))
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await press(pilot, "end")
        shown = screen(app)
    assert "heuristic (not CA)" in shown
    assert "an open dilemma" in shown


async def test_a_failed_episode_says_what_failed(file: TranscriptFile) -> None:
    app = Player(file, first=list(SAMPLES.values()).index(FAILED))
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await press(pilot, "end")
        shown = screen(app)
    assert "Not scored: an agent failed" in shown
    assert "'boulware' has no line" in shown


async def test_a_broken_episode_is_a_message_and_the_others_play(tmp_path: Path) -> None:
    odd = replace(AGREED, utterances=AGREED.utterances[1:])
    file = write(tmp_path / "run.jsonl", AGREED, odd, SIX)
    with file.path.open("ab") as f:
        f.write(b'{"format":"nego/1","id":')
    file = TranscriptFile(file.path)
    app = Player(file)
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        assert "passed over" in screen(app)  # the torn last line
        await press(pilot, "n")
        assert "episode 2 cannot be shown" in screen(app)
        assert "utterances[0]" in screen(app)
        await press(pilot, "right", "space", "end", "1", "d")
        await press(pilot, "n")
        assert "mill-park" in screen(app)


def test_a_first_episode_that_cannot_be_shown_is_an_error(tmp_path: Path) -> None:
    odd = replace(AGREED, utterances=AGREED.utterances[1:])
    with pytest.raises(NegoError, match="not its turn"):
        Player(write(tmp_path / "run.jsonl", odd))
    with pytest.raises(NotFoundError, match="seat_2"):
        Player(write(tmp_path / "run.jsonl", AGREED), seat="seat_2")


async def test_control_characters_and_markup_are_shown_not_obeyed(tmp_path: Path) -> None:
    controls = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200B, 0xFFFD]))
    words = f"[bold red]loud[/] [@click=app.quit]click[/] {controls}\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\"
    t = play(HARBOUR, [words, f"{words} [Propose: A1 B1 C1]"], agents=(words, words))
    app = Player(write(tmp_path / "run.jsonl", t))
    async with app.run_test(notifications=True, size=LARGE) as pilot:
        await pilot.pause()
        await press(pilot, "right", "right", "1", "end")
        picture = app.export_screenshot()
        shown = screen(app)
        assert app.is_running
    assert "[bold red]loud[/]" in shown
    assert "\\x1b" in shown
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert {c for c in picture if unicodedata.category(c) in hidden} <= {"\n"}


async def test_a_long_episode_keeps_few_steps_on_screen(tmp_path: Path) -> None:
    t = play(HARBOUR, ["No."] * 600, max_rounds=300)
    app = Player(write(tmp_path / "run.jsonl", t))
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.pause()
        await press(pilot, "end")
        assert len(steps(app)) <= KEEP
        assert steps(app)[-1] == app.last == 601
        await press(pilot, "left")
        assert steps(app)[-1] == 600
        await press(pilot, "home")
        assert steps(app) == [0]


async def test_only_episodes_that_are_looked_at_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes((AGREED.encode() + b"\n") * 2000)
    decoded: list[int] = []
    plain = TranscriptFile.__getitem__

    def counted(self: TranscriptFile, i: int) -> Transcript:
        decoded.append(i)
        return plain(self, i)

    monkeypatch.setattr(TranscriptFile, "__getitem__", counted)
    app = Player(TranscriptFile(path))
    async with app.run_test(notifications=True, size=SMALL) as pilot:
        await pilot.pause()
        await press(pilot, "n", "e", *"1999", "enter", "n")
        assert app.place == 1999
    assert decoded == [0, 1, 1998, 1999]
