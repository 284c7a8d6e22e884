"""Whether this process stands on a terminal that can show a screen, and how it is told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

LEAST_COLUMNS, LEAST_LINES = 60, 16
"""A smaller terminal gets plain lines."""


def can_show() -> bool:
    """Whether a screen can be shown: a terminal at both ends that moves its cursor, is large enough and says how large, and
    nobody asked for plain lines (`NEGO_PLAIN`)."""
    if os.environ.get("NEGO_PLAIN", "0") not in ("", "0") or os.environ.get("TERM", "") in ("dumb", "unknown"):
        return False
    # Both what Python writes to and what it started with: the first may be redirected by a caller, the second is the screen's.
    streams = (sys.stdin, sys.stdout, sys.__stdin__, sys.__stdout__, sys.__stderr__)
    try:
        if not all(s is not None and s.isatty() for s in streams):
            return False
        assert sys.__stdout__ is not None  # one of the streams
        size = os.get_terminal_size(sys.__stdout__.fileno())
    except (OSError, ValueError):  # closed, or of no size
        return False
    return size.columns >= LEAST_COLUMNS and size.lines >= LEAST_LINES


def on_signals(leave: Callable[[], None]) -> None:
    """Call this in the running loop when the process is interrupted, told to end, or loses its terminal."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):  # Windows
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), leave)
