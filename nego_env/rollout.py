"""The rollout engine: many episodes in flight, each the same as the AEC environment would have played it.

1. `in_flight` workers each play one episode at a time and take the next at once.
2. Each distinct agent answers all its pending views together: one `act_batch` call, or one gather of `aact` calls, or plain
   `act` calls. A failed batch is retried view by view, so that one bad view costs its own episode only.
3. A finished episode is written before the next one starts. An agent that raises, hangs past `timeout` or returns rubbish
   ends its episode without a reward; it is drawn again up to `redraws` times. (`timeout` binds what is awaited or called
   on a thread: an `aact` that blocks the loop it should share cannot be stopped.) A `RunError` stops the run and reaches the
   caller; a `BudgetError` ends its episode as `budget`, and no further episode is begun.
4. What is played depends on (scenario, settings, agents, seed, index, attempt) alone, never on how many are in flight.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import platform
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import msgspec
import numpy as np

from nego_env.agents import AgentLike, NamedAgent, Reply, Said, resolve_agent
from nego_env.codec import ActTable
from nego_env.errors import AgentError, BackendError, BudgetError, Leave, MoveError, RunError, SettingsError
from nego_env.judges import Judge
from nego_env.judging import Terms, check_verdict, judge_fault
from nego_env.moves import MAX_CHARS, Move
from nego_env.packs import Suite
from nego_env.rules import CodecName, Settings, State, StopReason, case, fail, judged, pending, start, utter
from nego_env.scenario import Scenario
from nego_env.session import ScenarioLike, as_suite, plain
from nego_env.store import EpisodeMeta, TranscriptWriter, TurnMeta, read_final
from nego_env.tokens import TOKEN_FORMAT, EpisodeTokens, TurnTokens
from nego_env.transcript import Transcript, episode_id, header, transcript
from nego_env.view import View, seat_randoms, view

log = logging.getLogger("nego_env")

T = TypeVar("T")


class Run:
    """What is to be played: which scenario, settings and agents episode `index` has, for every index.

    A suite is gone through in order, again and again. Raises on construction whatever would fail every episode alike.
    """

    def __init__(
        self,
        scenario: ScenarioLike,
        agents: AgentLike | Sequence[AgentLike],
        *,
        seed: int = 0,
        judge: str | Judge | None = None,
        codecs: CodecName | Sequence[CodecName] = "text",
        max_rounds: int | None = None,
        memory: int | None = None,
        selfishness: float = 0.0,
        completion: Literal["write", "render"] | None = None,
        complete: Literal["agreement", "always"] = "agreement",
        max_chars: int = MAX_CHARS,
    ) -> None:
        if seed < 0:
            raise SettingsError(f"seed is {seed}, it must be at least 0")
        self.suite: Suite = as_suite(scenario)
        self.ids = self.suite.ids()
        if not self.ids:
            raise SettingsError(f"suite {self.suite.name!r} is empty")
        self.seed = seed
        self.terms = Terms(
            codecs=codecs,
            judge=judge,
            max_rounds=max_rounds,
            memory=memory,
            selfishness=selfishness,
            completion=completion,
            complete=complete,
            max_chars=max_chars,
        )
        given: list[Any] = list(agents) if isinstance(agents, (list, tuple)) else [agents]
        if not given:
            raise AgentError("no agents given")
        known: dict[str | int, NamedAgent] = {}  # every mention of one agent is one object, so that its calls batch
        self.agents: list[NamedAgent] = []
        for a in given:
            key = a if isinstance(a, str) else id(a)
            if key not in known:
                known[key] = resolve_agent(a)
            self.agents.append(known[key])
        self._acts: ActTable | None = None
        self.episode(0)

    def scenario(self, index: int) -> Scenario:
        """The scenario of an episode."""
        return self.suite.get(self.ids[index % len(self.ids)])

    def seats(self, scenario: Scenario) -> tuple[NamedAgent, ...]:
        """Who sits where: the agents dealt round the table, as often as it takes. More agents than seats is an `AgentError`."""
        if len(self.agents) > scenario.n:
            raise AgentError(
                f"{len(self.agents)} agents for the {scenario.n} seats of {scenario.id!r}: give at most {scenario.n} "
                f"(fewer are dealt round the table)"
            )
        for a in self.agents:
            kinds = getattr(a.agent, "kinds", None)
            if kinds is not None and scenario.kind not in kinds:
                raise AgentError(
                    f"agent {a.name!r} plays {' and '.join(kinds)} dilemmas only; {scenario.id!r} is {scenario.kind}"
                )
        return tuple(self.agents[i % len(self.agents)] for i in range(scenario.n))

    def episode(self, index: int) -> tuple[Scenario, Settings, tuple[NamedAgent, ...]]:
        """Everything an episode is played with, but its seed."""
        scenario = self.scenario(index)
        return scenario, self.terms.settings(scenario), self.seats(scenario)

    def id(self, index: int) -> str:
        """The episode's id: what a transcript file is checked against."""
        scenario, settings, seats = self.episode(max(0, index))
        return episode_id(scenario, settings, tuple(a.name for a in seats), self.seed, index)

    @property
    def acts(self) -> ActTable:
        """The act codec of the suite, for agents that answer with a number."""
        if self._acts is None:
            self._acts = ActTable(self.suite.shape)
        return self._acts

    @property
    def one_at_a_time(self) -> bool:
        """An agent (a person at a terminal) plays one episode at a time."""
        return any(getattr(a.agent, "one_at_a_time", False) for a in self.agents)


class _Caller:
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
        return player.act(view)  # type: ignore[no-any-return]  # checked by `_said`

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
            if _stopping(e):
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
        return replies  # type: ignore[no-any-return]  # each is checked by `_said`


def _stopping(e: BaseException) -> bool:
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
        future.set_result(reply)  # type: ignore[arg-type]  # rubbish is caught by `_said`


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


def _said(reply: object, run: Run, scenario: Scenario) -> str | Move:
    """What an agent's reply says. Raises `AgentError` for anything that is no move."""
    if isinstance(reply, Reply):
        reply = reply.move
    if isinstance(reply, (str, Move)):
        return plain(reply)
    if isinstance(reply, (int, np.integer)) and not isinstance(reply, bool):
        return run.acts.decode(int(reply), scenario)
    raise AgentError(f"returned {type(reply).__name__}, expected a str, Move, Reply or act number")


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
        self.callers = {id(a.agent): _Caller(a.agent, timeout) for a in run.agents}
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
        table = _Table(self, scenario, seats, start(scenario, settings, head))
        try:
            await table.play()
        except asyncio.CancelledError:
            table.state = fail(table.state, StopReason.INTERRUPTED, "the run was stopped")
            if table.state.utterances:
                self._write(table)
            raise
        finally:
            table.close()
            self._ended(head.id)
        if table.left:
            self.leaving = True
        return self._write(table)

    def _write(self, table: _Table) -> Transcript:
        t = transcript(table.state)
        if self.writer is not None:
            self.writer.write(t, table.meta(), table.episode_tokens())
        if self.on_tokens is not None:
            self.on_tokens(t, table.episode_tokens())
        return t

    def _ended(self, episode: str) -> None:
        """Tell the agents that keep something by episode."""
        for a in self.run.agents:
            if callable(ended := getattr(a.agent, "ended", None)):
                try:
                    ended(episode)
                except Exception:
                    log.exception("%s: ended(%r) failed", a.name, episode)


class _Table:
    """One episode at the table: its state, its players, its clock."""

    def __init__(self, engine: _Engine, scenario: Scenario, seats: tuple[NamedAgent, ...], state: State) -> None:
        self.engine, self.scenario, self.seats, self.state = engine, scenario, seats, state
        self.judge = engine.run.terms.judge(scenario)
        self.randoms = seat_randoms(state.header, scenario.n)
        self.players: list[Any] = []
        self.turns: list[TurnMeta] = []
        self.tokens: list[TurnTokens] = []
        self.left = False
        self.started = datetime.now(UTC)
        self._clock = time.perf_counter()

    async def play(self) -> None:
        """To the end, whatever agents and judges do."""
        for i, seat in enumerate(self.seats):
            try:
                caller = self.engine.callers[id(seat.agent)]
                self.players.append(await caller.spawn(f"seat_{i}", self.scenario.for_seat(i)))
            except TimeoutError:
                self._fail(StopReason.AGENT_TIMEOUT, i, f"not ready within {caller.timeout} s")
                return
            except (Exception, SystemExit) as e:
                self._fail(StopReason.AGENT_ERROR, i, e)
                return
        while (due := pending(self.state)) is not None:
            if due.what == "utterance":
                await self._utterance(due.seat)
            else:
                await self._verdict()

    async def _utterance(self, seat: int) -> None:
        caller = self.engine.callers[id(self.seats[seat].agent)]
        began = time.perf_counter()
        try:
            reply = await caller.ask(self.players[seat], view(self.state, self.randoms, seat))
            turn = _turn(reply, seat, time.perf_counter() - began)
            tokens = _tokens(reply, seat, len(self.state.utterances))
            self.state = utter(self.state, _said(reply, self.engine.run, self.scenario))
        except TimeoutError:
            limit = f"no answer within {caller.timeout:g} s" if caller.timeout is not None else "timed out"
            self._fail(StopReason.AGENT_TIMEOUT, seat, limit)
            return
        except Leave as e:
            self.left = True
            self._fail(StopReason.INTERRUPTED, seat, str(e) or "left the table")
            return
        except BudgetError as e:
            self.left = True
            self._fail(StopReason.BUDGET, seat, str(e))
            return
        except RunError:
            raise
        except (Exception, SystemExit, asyncio.CancelledError) as e:
            if _stopping(e):
                raise
            self._fail(StopReason.AGENT_ERROR, seat, e)
            return
        self.turns.append(turn)
        if tokens is not None:
            self.tokens.append(tokens)

    async def _verdict(self) -> None:
        asked = case(self.state)
        try:
            ajudge: Callable[..., Coroutine[Any, Any, object]] | None = getattr(self.judge, "ajudge", None)
            found = await ajudge(asked) if ajudge is not None else self.judge.judge(asked)
            self.state = judged(self.state, check_verdict(found, self.judge, asked.kind))
        except BudgetError as e:
            self.left = True
            self.state = fail(self.state, StopReason.BUDGET, f"{self.judge.name}: {e}")
        except RunError:
            raise
        except (Exception, SystemExit, asyncio.CancelledError) as e:
            if _stopping(e):
                raise
            self.state = fail(self.state, StopReason.JUDGE_ERROR, judge_fault(self.judge, e))

    def _fail(self, reason: StopReason, seat: int, what: BaseException | str) -> None:
        told = what if isinstance(what, str) else _told(what)
        self.state = fail(self.state, reason, f"{self.seats[seat].name} at seat_{seat}: {told}")

    def close(self) -> None:
        """`close()` of everything spawned; one that raises is logged and costs nothing."""
        for seat, player in zip(self.seats, self.players, strict=False):
            if player is not seat.agent and callable(getattr(player, "close", None)):
                try:
                    player.close()
                except Exception:
                    log.exception("closing %s failed", seat.name)
        self.players = []

    def episode_tokens(self) -> EpisodeTokens:
        """The token file's line."""
        head = self.state.header
        return EpisodeTokens(TOKEN_FORMAT, head.id, head.attempt, tuple(self.tokens))

    def meta(self) -> EpisodeMeta:
        """The sidecar's line."""
        return EpisodeMeta(
            id=self.state.header.id,
            attempt=self.state.header.attempt,
            started=self.started.isoformat(timespec="milliseconds"),
            seconds=round(time.perf_counter() - self._clock, 6),
            turns=tuple(self.turns),
            host=platform.node(),
            versions=_versions(),
        )


def _turn(reply: object, seat: int, seconds: float) -> TurnMeta:
    """What the sidecar keeps of a reply. Raises `AgentError` for facts about it that are of the wrong type."""
    facts: dict[str, Any] = {"seat": f"seat_{seat}", "seconds": round(seconds, 6)}
    if not isinstance(reply, Reply):
        return TurnMeta(**facts)
    try:
        return msgspec.convert({**facts, "finish_reason": reply.finish_reason, "usage": reply.usage}, TurnMeta)
    except msgspec.ValidationError as e:
        raise AgentError(f"returned a Reply with a field of the wrong type: {e}") from None


def _tokens(reply: object, seat: int, utterance: int) -> TurnTokens | None:
    """What the token file keeps of a reply; None of one without tokens. Raises `AgentError` for tokens that are none."""
    if not isinstance(reply, Reply) or not (reply.token_ids or reply.prompt_ids):
        return None
    if len(reply.logprobs) not in (0, len(reply.token_ids)):
        raise AgentError(f"returned a Reply with {len(reply.logprobs)} logprobs for {len(reply.token_ids)} tokens")
    return TurnTokens(
        utterance=utterance,
        seat=f"seat_{seat}",
        read=reply.prompt_ids,
        said=reply.token_ids,
        logprobs=reply.logprobs,
        continues=reply.continues,
        finish=reply.finish_reason,
    )


def _told(e: BaseException) -> str:
    """The error in a line, with the place it comes from: a file's name and line, never its folder."""
    if isinstance(e, (AgentError, BackendError, MoveError)):
        return str(e)
    return f"{type(e).__name__}: {e}{_place(e)}"


def _place(e: BaseException) -> str:
    trace = e.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename == __file__:
        return ""
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("nego-env", "pettingzoo", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


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
