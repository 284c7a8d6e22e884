"""One episode being played: its state, its players, its clock; whatever agents and judges do, it comes to an end."""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nego_env import calling
from nego_env.agents import NamedAgent, Reply
from nego_env.calling import Caller, stopping
from nego_env.errors import AgentError, BackendError, BudgetError, Leave, MoveError, RunError
from nego_env.judging import check_verdict, judge_fault
from nego_env.moves import Move
from nego_env.rules import State, StopReason, case, fail, judged, pending, utter
from nego_env.run import Run
from nego_env.scenario import Scenario
from nego_env.session import plain
from nego_env.store import EpisodeMeta, TurnMeta
from nego_env.tokens import TOKEN_FORMAT, EpisodeTokens, TurnTokens
from nego_env.view import seat_randoms, view

log = logging.getLogger("nego_env")


class LiveEpisode:
    """One episode at the table: its state, its players, its clock."""

    def __init__(
        self, run: Run, callers: Mapping[int, Caller], scenario: Scenario, seats: tuple[NamedAgent, ...], state: State
    ) -> None:
        """`callers` by the `id` of the agent they ask."""
        self.run, self.callers, self.scenario, self.seats, self.state = run, callers, scenario, seats, state
        self.judge = run.terms.judge(scenario)
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
                caller = self.callers[id(seat.agent)]
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
        caller = self.callers[id(self.seats[seat].agent)]
        began = time.perf_counter()
        try:
            reply = await caller.ask(self.players[seat], view(self.state, self.randoms, seat))
            turn = _turn(reply, seat, time.perf_counter() - began)
            tokens = _tokens(reply, seat, len(self.state.utterances))
            self.state = utter(self.state, _said(reply, self.run, self.scenario))
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
            if stopping(e):
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
            if stopping(e):
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


def _said(reply: object, run: Run, scenario: Scenario) -> str | Move:
    """What an agent's reply says. Raises `AgentError` for anything that is no move."""
    if isinstance(reply, Reply):
        reply = reply.move
    if isinstance(reply, (str, Move)):
        return plain(reply)
    if isinstance(reply, (int, np.integer)) and not isinstance(reply, bool):
        return run.acts.decode(int(reply), scenario)
    raise AgentError(f"returned {type(reply).__name__}, expected a str, Move, Reply or act number")


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
    """Where it was raised; nothing for the engine's own two files that call agents."""
    trace = e.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename in (__file__, calling.__file__):
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
