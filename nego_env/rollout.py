"""The rollout engine: many episodes in flight, each the same as the AEC environment would have played it.

1. `in_flight` workers each play one episode at a time and take the next at once.
2. Each distinct agent answers all its pending views together (`nego_env.calling`).
3. A finished episode is written before the next one starts. An agent that raises, hangs past `timeout` or returns rubbish
   ends its episode without a reward; it is drawn again up to `redraws` times. (`timeout` binds what is awaited or called
   on a thread: an `aact` that blocks the loop it should share cannot be stopped.) A `RunError` stops the run and reaches the
   caller; a `BudgetError` ends its episode as `budget`, and no further episode is begun.
4. What is played depends on (scenario, settings, agents, seed, index, attempt) alone, never on how many are in flight.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, TypeVar, overload

from nego_env.agents import AgentLike
from nego_env.calling import Caller
from nego_env.errors import SettingsError
from nego_env.live import LiveEpisode
from nego_env.rules import StopReason, fail, start
from nego_env.run import Run
from nego_env.session import ScenarioLike
from nego_env.store import TranscriptWriter, read_final
from nego_env.tokens import EpisodeTokens
from nego_env.transcript import Transcript, header, transcript

log = logging.getLogger("nego_env")

T = TypeVar("T")


class _Engine:
    """One run in progress."""

    def __init__(
        self,
        run: Run,
        *,
        in_flight: int,
        timeout: float | None,
        redraws: int,
        writer: TranscriptWriter | None,
        on_tokens: Callable[[Transcript, EpisodeTokens], None] | None,
    ) -> None:
        self.run, self.redraws, self.writer, self.on_tokens = run, redraws, writer, on_tokens
        self.in_flight = 1 if run.one_at_a_time else in_flight
        self.callers = {id(a.agent): Caller(a.agent, timeout) for a in run.agents}
        self.leaving = False

    async def episodes(self, indices: Iterator[int]) -> AsyncGenerator[Transcript, None]:
        """Every episode's final attempt, as it finishes."""
        finished: asyncio.Queue[Transcript | BaseException | None] = asyncio.Queue(maxsize=self.in_flight)
        workers = [asyncio.create_task(self._work(indices, finished)) for _ in range(self.in_flight)]
        running = len(workers)
        try:
            while running:
                item = await finished.get()
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            for w in workers:
                w.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, indices: Iterator[int], finished: asyncio.Queue[Transcript | BaseException | None]) -> None:
        try:
            while not self.leaving and (index := next(indices, None)) is not None:
                await finished.put(await self._with_redraws(index))
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            raise
        except BaseException as e:
            await finished.put(e)
        else:
            await finished.put(None)

    async def _with_redraws(self, index: int) -> Transcript:
        first = self.writer.done[index].next_attempt if self.writer and index in self.writer.done else 0
        for attempt in range(first, first + self.redraws + 1):
            last = await self._play(index, attempt)
            if last.scored or last.stop in (StopReason.INTERRUPTED, StopReason.BUDGET):
                break
            log.info("episode %d, attempt %d: %s: %s", index, attempt, last.stop.value, last.error)
        return last

    async def _play(self, index: int, attempt: int) -> Transcript:
        scenario, settings, seats = self.run.episode(index)
        head = header(
            scenario, settings, tuple(a.name for a in seats), seed=self.run.seed, index=index, attempt=attempt
        )
        live = LiveEpisode(self.run, self.callers, scenario, seats, start(scenario, settings, head))
        try:
            await live.play()
        except asyncio.CancelledError:
            live.state = fail(live.state, StopReason.INTERRUPTED, "the run was stopped")
            if live.state.utterances:
                self._write(live)
            raise
        finally:
            live.close()
            self._ended(head.id)
        if live.left:
            self.leaving = True
        return self._write(live)

    def _write(self, live: LiveEpisode) -> Transcript:
        t = transcript(live.state)
        if self.writer is not None:
            self.writer.write(t, live.meta(), live.episode_tokens())
        if self.on_tokens is not None:
            self.on_tokens(t, live.episode_tokens())
        return t

    def _ended(self, episode: str) -> None:
        """Tell the agents that keep something by episode."""
        for a in self.run.agents:
            if callable(ended := getattr(a.agent, "ended", None)):
                try:
                    ended(episode)
                except Exception:
                    log.exception("%s: ended(%r) failed", a.name, episode)


async def rollout(
    run: Run,
    episodes: int,
    *,
    in_flight: int = 64,
    timeout: float | None = None,
    redraws: int = 1,
    writer: TranscriptWriter | None = None,
    on_tokens: Callable[[Transcript, EpisodeTokens], None] | None = None,
) -> AsyncGenerator[Transcript, None]:
    """The final attempt of every episode 0 ... episodes - 1, as each finishes. With a writer, episodes it holds a scored
    attempt of are skipped, and every attempt is written before it is yielded.

    `timeout` (seconds) binds each reply; `redraws` is how often an unscored episode is tried again. When the caller is
    cancelled, episodes under way are recorded as interrupted. `on_tokens` is given every attempt with the tokens its
    language models read and sampled, before it is yielded.
    """
    if episodes < 0 or in_flight < 1 or redraws < 0 or (timeout is not None and timeout <= 0):
        raise SettingsError(
            f"episodes={episodes}, in_flight={in_flight}, redraws={redraws}, timeout={timeout}: "
            "episodes and redraws are at least 0, in_flight at least 1, timeout above 0 or None"
        )
    done = writer.done if writer is not None else {}
    todo = (i for i in range(episodes) if not (i in done and done[i].scored))
    engine = _Engine(run, in_flight=in_flight, timeout=timeout, redraws=redraws, writer=writer, on_tokens=on_tokens)
    async with aclosing(engine.episodes(todo)) as finished:
        async for t in finished:
            yield t


@overload
def play(
    scenario: ScenarioLike, agents: AgentLike | Sequence[AgentLike], *, episodes: None = None, **options: Any
) -> Transcript: ...
@overload
def play(
    scenario: ScenarioLike, agents: AgentLike | Sequence[AgentLike], *, episodes: int, **options: Any
) -> list[Transcript]: ...
def play(
    scenario: ScenarioLike,
    agents: AgentLike | Sequence[AgentLike],
    *,
    episodes: int | None = None,
    out: str | Path | None = None,
    in_flight: int = 64,
    timeout: float | None = None,
    redraws: int = 1,
    **settings: Any,
) -> Transcript | list[Transcript]:
    """Play, and return what happened: one `Transcript`, or with `episodes=N` a list of N, by index.

    `agents`: names, callables or objects; fewer than there are seats are dealt round the table. `out` streams transcripts
    to a file and resumes it when it holds the same run. Settings are those of `Run`: seed, judge, codecs, max_rounds,
    memory, selfishness, completion, complete, max_chars. Works where an event loop is running already (notebooks).
    """
    run = Run(scenario, agents, **settings)
    count = 1 if episodes is None else episodes
    if episodes is None and len(run.ids) > 1:
        raise SettingsError(f"{run.suite.name!r} holds {len(run.ids)} scenarios: say how many episodes to play")

    async def everything() -> list[Transcript]:
        limits: dict[str, Any] = {"in_flight": in_flight, "timeout": timeout, "redraws": redraws}
        if out is None:
            return [t async for t in rollout(run, count, **limits)]
        with TranscriptWriter(out, run.id) as writer:
            async for _ in rollout(run, count, writer=writer, **limits):
                pass
        return [t for t in read_final(out) if t.index < count]

    played = sorted(run_blocking(everything()), key=lambda t: t.index)
    return played[0] if episodes is None else played


def run_blocking(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, from ordinary code; on a thread of its own where a loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    result: list[T] = []
    error: list[BaseException] = []
    stops: list[Callable[[], object]] = []

    async def stoppable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # asyncio.run made one
        stops.append(lambda: loop.call_soon_threadsafe(task.cancel))
        return await work

    over = threading.Event()

    def target() -> None:
        try:
            result.append(asyncio.run(stoppable()))
        except BaseException as e:
            error.append(e)
        finally:
            over.set()

    threading.Thread(target=target, name="nego-play").start()
    try:
        over.wait()  # not join: one that is interrupted takes the thread for finished (Python 3.11, 3.12)
    except BaseException:  # Ctrl-C reaches this thread, not the one that plays
        for stop in stops:
            with suppress(RuntimeError):  # its loop is closed: it was over anyway
                stop()
        over.wait()
        raise
    if error:
        raise error[0]
    return result[0]
