"""The row of buttons: every kind of move the dilemma has, those enabled that are legal now."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Button

from nego_agents.human_screen import acts
from nego_agents.human_screen.style import KEYS
from nego_env.view import View

_ALWAYS = ("private", "help")


class MovesRow(Horizontal):
    """Buttons with their keys."""

    class Chosen(Message):
        """A button was pressed."""

        def __init__(self, kind: str) -> None:
            super().__init__()
            self.kind = kind

    def compose(self) -> ComposeResult:
        """One button per kind; those that do not exist here are hidden."""
        for key, kind, label in KEYS:
            yield Button(f"{key} {label}", id=f"do-{kind}")

    def draw(self, view: View | None, *, asked: bool, over: bool) -> None:
        """`asked`: it is the person's turn. `over`: the episode has ended."""
        for _, kind, _ in KEYS:
            button = self.query_one(f"#do-{kind}", Button)
            if kind in _ALWAYS:
                button.disabled = kind == "private" and view is None
                continue
            button.display = not over and view is not None and acts.exists(view, kind)
            button.disabled = not asked or view is None or not acts.legal(view, kind)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Chosen((event.button.id or "").removeprefix("do-")))
