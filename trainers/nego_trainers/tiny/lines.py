"""A message of a training chat."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """One message, with who made it."""

    role: str
    """`system`, `user`, `assistant`."""
    text: str
