"""How agents are asked: in batches, awaited, or called, within a time limit.

Each distinct agent answers all its pending views together: one `act_batch` call, or one gather of `aact` calls, or plain `act`
calls. A failed batch is retried view by view, so that one bad view costs its own episode only.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nego_env.agents import Said
from nego_env.errors import AgentError
from nego_env.scenario import Scenario
from nego_env.view import View

log = logging.getLogger("nego_env")

T = TypeVar("T")


class Caller:
    """How one agent is asked: batched, awaited, or called."""

    def __init__(self, agent: Any, timeout: float | None) -> None:
        self.agent, self.timeout = agent, timeout
        self.batched = callable(getattr(agent, "act_batch", None))
        self._waiting: list[tuple[View, asyncio.Future[Said]]] = []

    async def spawn(self, seat: str, scenario: Scenario) -> Any:
        """The agent for one episode and seat. Raises what it raises, and `TimeoutError`."""
        if self.batched or not callable(getattr(self.agent, "spawn", None)):
            return self.agent
        if self.timeout is not None:
            return await _on_daemon_thread(lambda: self.agent.spawn(seat, scenario), self.timeout)
        return self.agent.spawn(seat, scenario)

    async def ask(self, player: Any, view: View) -> Said:
        """The agent's reply. Raises what it raises, and `TimeoutError`."""
        if self.batched:
            return await self._batch(view)
        if callable(getattr(player, "aact", None)):
            return await asyncio.wait_for(player.aact(view), self.timeout)
        if self.timeout is not None:
            return await _on_daemon_thread(lambda: player.act(view), self.timeout)
        return player.act(view)  # type: ignore[no-any-return]  # checked by `nego_env.live`

    def _batch(self, view: View) -> Awaitable[Said]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Said] = loop.create_future()
        self._waiting.append((view, future))
        if len(self._waiting) == 1:
            # Two ticks: every episode that can reach its next view without waiting does so before the batch leaves.
            loop.call_soon(loop.call_soon, self._flush)
        return future

    def _flush(self) -> None:
        waiting = [(v, f) for v, f in self._waiting if not f.done()]
        self._waiting = []
        if waiting:
            task = asyncio.ensure_future(self._answer(waiting))
            task.add_done_callback(_consume)

    async def _answer(self, waiting: list[tuple[View, asyncio.Future[Said]]]) -> None:
        try:
            replies = await self._call([v for v, _ in waiting])
        except (Exception, SystemExit, asyncio.CancelledError) as e:
            if stopping(e):
                raise
            if len(waiting) == 1:
                _settle_future(waiting[0][1], error=e)
                return
            log.warning("a batch of %d views failed (%s: %s); asking one by one", len(waiting), type(e).__name__, e)
            for one in waiting:
                await self._answer([one])
            return
        for (_, future), reply in zip(waiting, replies, strict=True):
            _settle_future(future, reply=reply)

    async def _call(self, views: list[View]) -> list[Said]:
        def called() -> Any:
            replies = self.agent.act_batch(views)
            return replies if inspect.isawaitable(replies) else list(replies)  # a generator does its work here

        replies: Any = called() if self.timeout is None else await _on_daemon_thread(called, self.timeout)
        if inspect.isawaitable(replies):
            replies = list(await asyncio.wait_for(replies, self.timeout))
        if len(replies) != len(views):
            raise AgentError(f"act_batch returned {len(replies)} replies for {len(views)} views")
        return replies  # type: ignore[no-any-return]  # each is checked by `nego_env.live`


def stopping(e: BaseException) -> bool:
    """The run itself is being stopped; otherwise a cancellation is one that an agent or judge let escape, and its fault."""
    task = asyncio.current_task()
    return isinstance(e, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _settle_future(
    future: asyncio.Future[Said], *, reply: Said | None = None, error: BaseException | None = None
) -> None:
    if future.done():  # its episode was cancelled meanwhile
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(reply)  # type: ignore[arg-type]  # rubbish is caught by `nego_env.live`


def _consume(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("the batch call failed: %s", task.exception())


async def _on_daemon_thread(call: Callable[[], T], timeout: float) -> T:
    """The result of a blocking call, or `TimeoutError`; a call that hangs is abandoned with its thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except StopIteration as e:  # a future cannot hold one
            error = RuntimeError(f"StopIteration: {e}")
        except (Exception, SystemExit, asyncio.CancelledError) as e:
            error = e
        try:
            loop.call_soon_threadsafe(deliver, result, error)
        except RuntimeError:
            log.debug("an abandoned agent answered after the run was over")

    threading.Thread(target=work, name="nego-agent", daemon=True).start()
    return await asyncio.wait_for(future, timeout)
