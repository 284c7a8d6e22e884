"""Ctrl-C that waits: an update that is half made is a model that nothing can go on from."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """Holds Ctrl-C back between `hold` and `let_go`. Elsewhere than in the main thread, where it never arrives, it does
    nothing."""

    def __init__(self) -> None:
        self._before: Any = None
        self._holding = False
        self._caught = False

    def hold(self) -> None:
        """From now on Ctrl-C waits."""
        if not self._holding and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._catch)
            self._holding, self._caught = True, False

    def let_go(self) -> None:
        """Raises `KeyboardInterrupt` if one is waiting."""
        if self._holding:
            signal.signal(signal.SIGINT, self._before)
            self._holding = False
            if self._caught:
                raise KeyboardInterrupt

    def _catch(self, *_: object) -> None:
        self._caught = True


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the block is done; an error in the block goes first."""
    held = Interrupts()
    held.hold()
    try:
        yield
    except BaseException:
        held._caught = False
        held.let_go()
        raise
    held.let_go()
