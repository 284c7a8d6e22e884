"""The judges' prompts: files of this package, versioned by name, told apart by their hash.

A file has three parts: [system], [user] with places for what is judged, and [again] for an answer that cannot be read. A place
is a line such as {completion}. What fills it is framed (`framing`) and put in once: it is never read for places itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import msgspec

from nego_agents.judging.framing import LIMIT, MARGIN, Block
from nego_env.messages import Message

_PARTS = re.compile(r"^\[(system|user|again)\]\n", re.MULTILINE)
_PLACE = re.compile(r"^\{([a-z_]+)\}$", re.MULTILINE)
_FRAMING = f"framing/1 {LIMIT} {MARGIN}"
"""Enters every hash: what is shown depends on it too."""


class Prompt(msgspec.Struct, frozen=True):
    """One prompt file."""

    name: str
    """With its version: `ca-1`."""
    system: str
    user: str
    again: str
    """Holds {fault} once."""
    digest: str
    """8 hex digits of SHA-256 over the file and the way of framing."""

    @property
    def id(self) -> str:
        """Name, version and hash: `ca-1.5e6f7a8b`."""
        return f"{self.name}.{self.digest}"

    def messages(self, **blocks: Sequence[Block]) -> tuple[Message, Message]:
        """The question: each place filled with its blocks."""
        pieces = _PLACE.split(self.user)
        for i in range(1, len(pieces), 2):
            pieces[i] = "\n".join(b.text for b in blocks[pieces[i]])
        return Message("system", self.system), Message("user", "".join(pieces))

    def asked_again(self, fault: str) -> Message:
        """The request to answer in the form that was asked for."""
        return Message("user", self.again.replace("{fault}", fault))


@cache
def prompt(name: str) -> Prompt:
    """A prompt of this package, read once."""
    from importlib.resources import files

    data = files("nego_agents").joinpath("judging", "prompts", f"{name}.txt").read_bytes()
    _, *parts = _PARTS.split(data.decode("utf-8"))
    found = {part: text.strip() for part, text in zip(parts[::2], parts[1::2], strict=True)}
    return Prompt(name=name, digest=sha256(_FRAMING.encode() + b"\n" + data).hexdigest()[:8], **found)
