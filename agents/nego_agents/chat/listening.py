"""An answer's words on their way to whoever watches them come.

1. Pieces are appended; an empty piece says that what came before is void, and the words begin anew (a call made again).
2. Thinking is not for others. Where it is marked it is left out. Some servers send it unmarked, and only its end tells
   (templates that open the block in the prompt): until a model has answered once, its words are held back until they are whole.
3. Secrets are concealed, also one that arrives in parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from nego_agents.chat.server import Secrets

_OPEN = re.compile(r"\s*<think(?:ing)?>")
_CLOSE = re.compile(r"</think(?:ing)?>")
_OPENINGS = ("<think>", "<thinking>")


class Habit:
    """What is known of how a model thinks."""

    def __init__(self, unmarked: bool | None = None) -> None:
        self.unmarked = unmarked
        """Its thinking has no beginning, only an end; None before its first answer."""

    def learn(self, words: str) -> None:
        """From a whole answer as it came."""
        if self.unmarked is None or _ends_unmarked(words):
            self.unmarked = _ends_unmarked(words)

    def said(self, words: str) -> str:
        """What of an unfinished answer is surely no thinking, without blanks that may turn out to stand at its end."""
        if _OPEN.match(words) or self.unmarked or _ends_unmarked(words):
            closed = _CLOSE.search(words)
            return words[closed.end() :].strip() if closed is not None else ""
        text = words.strip()
        if self.unmarked is None or any(opening.startswith(text) for opening in _OPENINGS):
            return ""  # it may yet turn out to be thinking
        return text


def _ends_unmarked(words: str) -> bool:
    """Thinking ends in it that never began."""
    closed = _CLOSE.search(words)
    return closed is not None and "<think" not in words[: closed.start()]


class Listener:
    """Whoever watches one answer, with what they have seen of it."""

    def __init__(self, watch: Callable[[str], None]) -> None:
        self._watch = watch
        self._seen = ""

    def so_far(self, text: str) -> None:
        """The answer's words up to here; passes on what is new."""
        if not text.startswith(self._seen):
            self._seen = ""
            self._watch("")
        if piece := text[len(self._seen) :]:
            self._seen = text
            self._watch(piece)


def shown(words: str, habit: Habit, secrets: Secrets) -> str:
    """What may be seen of an unfinished answer."""
    text = secrets.conceal(habit.said(words))
    return text[: len(text) - secrets.begun(text)].rstrip()
