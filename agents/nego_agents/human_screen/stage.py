"""The engine behind a screen: who runs where.

1. The screen has the main thread and its event loop, so that keys are answered whatever the other agents do; the engine runs in
   a thread of its own, and a local model that computes for a minute holds up nothing but its own reply.
2. A view is handed over as a future. Leaving fails every open future with `Leave`, and every later one at once: the engine
   then ends the episode as it would for a person at a plain terminal.
3. A person who leaves while somebody else speaks stops the run. The screen is gone at once; the engine gets to write what it
   has, and a second Ctrl-C does not even wait for that.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from nego_env.errors import AgentError, Leave
from nego_env.moves import Move
from nego_env.transcript import Transcript
from nego_env.view import View

if TYPE_CHECKING:
    from nego_agents.human_screen.app import TableScreen

T = TypeVar("T")

_GRACE = 1.0
"""Seconds a run may take to end before the person is told what it waits for."""


class Handover:
    """What waits for the person, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[Future[Any]] = set()
        self.left: str | None = None
        """Why the person left; None while they are here."""
        self.answered = False
        """Something waited for the person when they left: the run ends by itself."""

    def open(self) -> Future[Any]:
        """A future for the person's answer. Raises `Leave` where they have left."""
        with self._lock:
            if self.left is not None:
                raise Leave(self.left)
            future: Future[Any] = Future()
            self._open.add(future)
            future.add_done_callback(self._forget)
            return future

    def leave(self, why: str) -> None:
        """End it all, once."""
        with self._lock:
            if self.left is not None:
                return
            self.left = why
            waiting = list(self._open)
            self.answered = bool(waiting)
        for future in waiting:
            with suppress(InvalidStateError):  # given up meanwhile
                future.set_exception(Leave(why))

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._open.discard(future)


class ScreenSeat:
    """A person at the screen, in one seat of one episode."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def aact(self, view: View) -> Move:
        """What the person says. Raises `Leave` when they leave."""
        return await self._stage.ask(view)


class Stage:
    """A screen, and the run behind it."""

    def __init__(self, app: TableScreen | None = None) -> None:
        """`app` is for tests; a new screen in the terminal's colours when None."""
        from nego_agents.human_screen.app import TableScreen

        self.handover = Handover()
        self.app = TableScreen() if app is None else app
        self.app.when_left = self.handover.leave

    def seat(self) -> ScreenSeat:
        """The person, for one seat of one episode."""
        return ScreenSeat(self)

    async def ask(self, view: View) -> Move:
        """The person's move. Raises `Leave` when they leave or have left."""
        answer = self.handover.open()
        self.app.ask(view, answer)
        move = await asyncio.wrap_future(answer)
        assert isinstance(move, Move)  # what the screen answers a view with
        return move

    def hear(self, view: View, piece: str) -> None:
        """Another seat's words as they come (`nego_env.speaking`)."""
        self.app.hear(view, piece)

    async def show(self, t: Transcript) -> None:
        """How an episode ended; returns when the person has seen it, or has left."""
        with suppress(Leave):
            seen = self.handover.open()
            self.app.show_end(t, seen)
            await asyncio.wrap_future(seen)

    def run(self, work: Coroutine[Any, Any, T], **options: Any) -> T:
        """The result of `work`, played behind the screen. Raises what it raises, and `KeyboardInterrupt` for a person who left
        while somebody else spoke. `options` go to Textual's `App.run`."""
        engine = _Engine(work, self.app.close_soon)
        self.app.when_ready = engine.start
        try:
            self.app.run(**options)
        finally:
            self.app.print_captured()
            self.handover.leave("interrupted")
            engine.finish(patient=self.handover.answered)
        if engine.stopped:
            raise KeyboardInterrupt
        if self.app.return_code:
            raise AgentError("human: the screen failed; --plain plays without it")
        result: T = engine.result()
        return result


class _Engine:
    """A coroutine in a thread of its own."""

    def __init__(self, work: Coroutine[Any, Any, Any], over: Callable[[], None]) -> None:
        self._work, self._tell = work, over
        self._over = threading.Event()
        self._stop: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self._target, name="nego-engine", daemon=True)
        self._result: Any = None
        self._error: BaseException | None = None
        self.stopped = False
        """It was told to stop, and did."""

    def start(self) -> None:
        """Begin; called once the screen stands."""
        self._thread.start()

    def result(self) -> Any:
        """What came of it. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def finish(self, *, patient: bool) -> None:
        """Wait for the end; unless it ends by itself (`patient`), stop it first. Interruptible."""
        if self._thread.ident is None:  # the screen never stood
            self._work.close()
            return
        if not patient:
            self._cancel()
        if not self._over.wait(_GRACE):
            self._cancel()
            sys.stderr.write("nego: waiting for the reply under way; Ctrl-C gives it up\n")
            self._over.wait()

    def _cancel(self) -> None:
        if self._stop is not None:
            with suppress(RuntimeError):  # its loop is closed: it was over anyway
                self._stop()

    def _target(self) -> None:
        from nego_env.rollout import run_blocking

        try:
            self._result = run_blocking(self._stoppable())
        except asyncio.CancelledError:
            self.stopped = True
        except BaseException as e:
            self._error = e
        finally:
            self._over.set()
            self._tell()

    async def _stoppable(self) -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # run_blocking made one
        self._stop = lambda: loop.call_soon_threadsafe(task.cancel)
        return await self._work
