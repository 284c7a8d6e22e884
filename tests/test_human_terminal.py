"""A person at a real terminal, with lines and with the screen: leaving it is immediate and keeps the episode."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agent_samples import TRADE

from nego_env.rules import StopReason
from nego_env.scenario import encode_scenario
from nego_env.store import read

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

ON_ITS_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from nego_env.cli import main
sys.exit(main())
"""
NOISY = "def agent(view):\n    print('noise behind the screen')\n    return 'I see.'\n"
GONE = "\x1b[?1049l"
"""The terminal is as it was."""
LARGE_ENOUGH = (30, 100)
"""Lines and columns in which the screen is shown; a terminal that has no size gets lines."""


class Terminal:
    """`nego play` with a person on a terminal of its own."""

    def __init__(self, folder: Path, other: str, *flags: str, size: tuple[int, int] = (0, 0)) -> None:
        import fcntl
        import termios

        self.out = folder / "run.jsonl"
        (folder / "trade.jsonl").write_bytes(encode_scenario(TRADE) + b"\n")
        (folder / "noisy.py").write_text(NOISY)
        command = ["play", "--scenario", "trade.jsonl", "--agents", "human", other, "--out", "run.jsonl", *flags]
        self.end, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("NEGO_PLAIN", "NO_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_ITS_TERMINAL, *command],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=folder,
            env={**environment, "TERM": "xterm-256color", "INPUTRC": os.devnull},
        )  # fmt: skip
        os.close(theirs)
        self.all = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.end)

    def type(self, keys: str) -> None:
        """Keys, as a keyboard sends them."""
        os.write(self.end, keys.encode())

    def waits(self) -> None:
        """Wait until it waits for a line: a signal between the prompt and that is acted on with the next key only."""
        state = Path(f"/proc/{self.process.pid}/stat")
        calm, until = 0, time.monotonic() + 60
        while calm < 5 and time.monotonic() < until:
            sleeps = not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "S"
            calm = calm + 1 if sleeps else 0
            time.sleep(0.02)

    def shows(self, text: str) -> str:
        """What it shows up to and with `text`."""
        shown, until = "", time.monotonic() + 90
        while text not in shown:
            assert select.select([self.end], [], [], max(0, until - time.monotonic()))[0], shown
            try:
                shown += os.read(self.end, 65536).decode(errors="replace")
            except OSError:  # Linux's end of file, once nobody has the other end
                raise AssertionError(f"it ended without {text!r}: {shown}") from None
        self.all += shown
        return shown


@pytest.mark.parametrize("how", ["ctrl-c", "ctrl-d", "SIGTERM", "SIGHUP"])
def test_leaving_lines_is_immediate_and_keeps_the_episode(how: str, tmp_path: Path) -> None:
    with Terminal(tmp_path, "boulware") as terminal:
        terminal.shows("round 1/7, the baker > ")
        terminal.type("Hello.\r")
        terminal.shows("round 2/7, the baker > ")
        terminal.waits()
        if how.startswith("SIG"):
            terminal.process.send_signal(getattr(signal, how))
        else:
            terminal.type("\x03" if how == "ctrl-c" else "\x04")
        shown = terminal.shows("replay it: ")
        assert terminal.process.wait(60) == 0
    assert "Traceback" not in shown
    assert "saved: " in shown
    (t,) = read(terminal.out)
    assert t.stop is StopReason.INTERRUPTED
    assert t.error == f"human at seat_0: {'you have left the table' if how == 'ctrl-d' else 'interrupted'}"
    assert t.utterances[0].text == "Hello."
    assert [u.seat for u in t.utterances] == ["seat_0", "seat_1"]


def test_a_line_can_be_edited(tmp_path: Path) -> None:
    pytest.importorskip("readline")
    with Terminal(tmp_path, "boulware") as terminal:
        terminal.shows("the baker > ")
        terminal.type("Helo\x1b[Dl\r")
        terminal.shows("round 2/7")
        terminal.type("\x04")
        terminal.shows("replay it: ")
    (t,) = read(terminal.out)
    assert t.utterances[0].text == "Hello"


@pytest.mark.parametrize("how", ["ctrl-c", "SIGTERM"])
def test_one_key_leaves_the_screen_and_everything_is_as_it_was(how: str, tmp_path: Path) -> None:
    pytest.importorskip("textual")
    with Terminal(tmp_path, "noisy.py:agent", size=LARGE_ENOUGH) as table:
        table.shows("your turn")
        table.type("Hello.\r")
        table.shows("2 of 7")
        if how == "ctrl-c":
            table.type("\x03")
        else:
            table.process.send_signal(signal.SIGTERM)
        table.shows("replay it: ")
        assert table.process.wait(60) == 0
    assert GONE in table.all
    assert "Traceback" not in table.all
    after = table.all[table.all.rindex(GONE) :]
    assert "noise behind the screen" in after
    assert "saved: run.jsonl" in after
    (t,) = read(table.out)
    assert t.stop is StopReason.INTERRUPTED
    assert t.error == "human at seat_0: interrupted"
    assert [u.text for u in t.utterances] == ["Hello.", "I see."]


def test_plain_is_plain(tmp_path: Path) -> None:
    with Terminal(tmp_path, "noisy.py:agent", "--plain", size=LARGE_ENOUGH) as table:
        table.shows("round 1/7, the baker > ")
        table.type("\x04")
        table.shows("replay it: ")
    assert GONE not in table.all
