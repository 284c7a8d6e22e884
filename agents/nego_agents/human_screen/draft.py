"""The field a message is written in: Enter sends, Ctrl-J breaks the line, Ctrl-Z undoes."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from nego_agents.human_lines import holds_control_characters

_BREAKS = ("ctrl+j", "shift+enter", "alt+enter")


class Draft(TextArea):
    """A message on its way."""

    class Sent(Message):
        """Enter was pressed."""

    class Asked(Message):
        """A question mark in an empty field: the person wants help."""

    class Cleaned(Message):
        """What was pasted held control characters, and was left without them."""

    async def on_key(self, event: events.Key) -> None:
        """Enter is not a line break here."""
        if event.key == "enter":
            self._take(event, self.Sent())
        elif event.key == "question_mark" and not self.text:
            self._take(event, self.Asked())
        elif event.key in _BREAKS:
            event.stop()
            event.prevent_default()
            self.insert("\n")

    async def on_paste(self, event: events.Paste) -> None:
        """Text without control characters."""
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        if holds_control_characters(text):
            text = "".join(c for c in text if not holds_control_characters(c))
            self.post_message(self.Cleaned())
        event.stop()
        event.prevent_default()
        self.replace(text, *self.selection)

    def _take(self, event: events.Key, message: Message) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(message)
