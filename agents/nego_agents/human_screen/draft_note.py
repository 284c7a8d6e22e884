"""What a draft stands for, and the line under it that says so."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from nego_agents.human_lines import fault_text, plan, typed
from nego_agents.human_screen import render
from nego_env.errors import NegoError
from nego_env.moves import MAX_CHARS, Move
from nego_env.replay.render import safe
from nego_env.replay.style import Palette
from nego_env.view import View

_OPENS = ("help", "moves", "view", "propose", "ask", "reveal")
"""Commands that open something when they stand alone."""


def opens(view: View, text: str) -> str | None:
    """What a draft opens instead of being sent: one of `help`, `view`, `propose`, `ask`, `reveal`."""
    if view.phase == "completion" or not text.startswith("/") or text[1:].lower() not in _OPENS:
        return None
    command = text[1:].lower()
    return "help" if command == "moves" else command


def read(view: View, text: str) -> Move:
    """The move a draft stands for. Raises `NegoError` with the fault."""
    return plan(view, text) if view.phase == "completion" else typed(view, text)


def note(view: View, text: str, palette: Palette) -> RenderableType:
    """What a draft would do if it were sent, or its fault."""
    if not text:
        return Text("your turn: type a message and press Enter; ? helps", palette.quiet)
    if text.rfind("[") > text.rfind("]"):
        return Text("a tag is closed by ]", palette.quiet)
    if command := opens(view, text):
        return Text(f"Enter opens: {command}", palette.quiet)
    try:
        move = read(view, text)
    except NegoError as e:
        return safe(f"! {fault_text(e, view.scenario)}", palette.warn)
    if len(move.text) > MAX_CHARS:
        return Text(f"{len(move.text):,} characters: what is beyond {MAX_CHARS:,} will be cut", palette.warn)
    return render.preview(view, move.act, palette)


def waiting(view: View | None, seconds: float, palette: Palette) -> Text:
    """Who there is to wait for."""
    others = [s.name for i, s in enumerate(view.scenario.seats) if i != view.index] if view is not None else []
    who = others[0] if len(others) == 1 else "the others"
    return safe(f"waiting for {who} … {int(seconds)} s", palette.quiet)
