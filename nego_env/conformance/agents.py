"""What an agent promises (`nego_env.conformance` lists it)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nego_env.agents import AgentLike, NamedAgent, Reply, resolve_agent
from nego_env.conformance.guards import global_randomness, untouched
from nego_env.conformance.samples import KINDS, ConformanceError, Kind, partner, play_at, sample_scenarios
from nego_env.errors import AgentError, NegoError
from nego_env.rollout import run_blocking
from nego_env.rules import State, StopReason, pending, start
from nego_env.scenario import Scenario
from nego_env.settings import resolve
from nego_env.transcript import Transcript, header
from nego_env.view import View, seat_randoms, view


def check_agent(
    agent: AgentLike,
    *,
    kinds: Sequence[Kind] | None = None,
    scenarios: Sequence[Scenario] | None = None,
    episodes: int = 2,
    seed: int = 0,
    notices: bool = False,
    deterministic: bool = True,
) -> None:
    """Raises `ConformanceError` at the first promise listed in `nego_env.conformance` that the agent breaks.

    `kinds` are the dilemmas it plays (None: those it declares as `agent.kinds`, else both); the other kind it must refuse.
    `scenarios` replaces `sample_scenarios()`; `episodes` are played on each, per seating. `notices` allows tags that do not
    count, as a model's may; `deterministic=False` leaves out promise 7, for models that sample outside `view.rng`.
    """
    named = _resolved(agent)
    kinds = getattr(named.agent, "kinds", KINDS) if kinds is None else kinds
    given = list(sample_scenarios() if scenarios is None else scenarios)
    played = [s for s in given if s.kind in kinds]
    for kind in KINDS:
        if kind not in kinds:
            _check_refuses(named, next((s for s in given if s.kind == kind), sample_scenarios(kind)[0]))
    with global_randomness(f"agent {named.name!r}"), untouched(named.name, given):
        for s in played:
            try:
                transcripts = [t for table in _seatings(named, s) for t in play_at(table, s, episodes, seed)]
            except AgentError as e:
                raise _broken(named, "plays every seat", str(e)) from None
            for t in transcripts:
                _check_played(named, t, notices=notices)
            if deterministic:
                _check_repeats(named, s, max(2, episodes), seed)
            _check_batch(named, transcripts)
            _check_spawn(named, transcripts)


def _resolved(agent: AgentLike) -> NamedAgent:
    try:
        return resolve_agent(agent)
    except NegoError as e:
        raise ConformanceError(f"agent {agent!r} does not resolve: {e}") from None


def _broken(named: NamedAgent, promise: str, what: str) -> ConformanceError:
    return ConformanceError(f"agent {named.name!r} breaks its promise: {promise}: {what}")


def _check_refuses(named: NamedAgent, s: Scenario) -> None:
    if s.kind not in getattr(named.agent, "kinds", KINDS):
        return  # it says so itself, and is refused before a run starts
    promise = f"refuses {'an open' if s.kind == 'open' else 'a structured'} dilemma with an AgentError"
    state, player = _start(s), None
    try:
        player = _spawned(named, "seat_0", s)
        _ask(player, view(state, seat_randoms(state.header, s.n), 0))
    except AgentError as e:
        if not str(e).strip():
            raise _broken(named, promise, "its message is empty; say which dilemmas it plays") from None
        return
    except Exception as e:
        raise _broken(named, promise, f"it raised {type(e).__name__}: {e}") from None
    finally:
        if player is not named.agent:
            _check_close(named, player)
    raise _broken(named, promise, f"it played on {s.id!r}; give kinds={KINDS!r} if it plays both")


def _seatings(named: NamedAgent, s: Scenario) -> Iterator[list[Any]]:
    """The agent in every seat at once, then in each seat alone among strangers."""
    yield [named.agent] * s.n
    for i in range(s.n):
        yield [named.agent if i == j else partner for j in range(s.n)]


def _check_played(named: NamedAgent, t: Transcript, *, notices: bool) -> None:
    where = f"on {t.scenario.id!r} ({t.scenario.n} seats)"
    if not t.scored and t.stop is not StopReason.JUDGE_ERROR:
        raise _broken(named, "plays every seat", f"{where} after {len(t.utterances)} utterances: {t.error}")
    for u in t.utterances:
        if t.agents[int(u.seat.removeprefix("seat_"))] != named.name:
            continue
        if u.phase == "completion" and not u.text.strip():
            raise _broken(named, "writes the final plan", f"{where} it wrote nothing when view.phase was 'completion'")
        if u.notice is not None and not notices:
            told = f"{where}, round {u.round}, as {u.seat}: {u.notice} (text: {u.text[-60:]!r})"
            raise _broken(named, "its tags count", f"{told}; notices=True allows this")


def _check_repeats(named: NamedAgent, s: Scenario, episodes: int, seed: int) -> None:
    table = [named.agent] * s.n
    first, second, interleaved = (
        [t.encode() for t in play_at(table, s, episodes, seed, in_flight=n)] for n in (1, 1, episodes)
    )
    if first != second:
        what = (
            f"on {s.id!r} two runs with seed {seed} differ; draw from view.rng, and keep state in what spawn() returns"
        )
        raise _broken(named, "same seed, same replies", what)
    if first != interleaved:
        what = f"on {s.id!r} it plays otherwise when {episodes} episodes run at once; give it spawn(seat, scenario)"
        raise _broken(named, "same seed, same replies", what)


def _check_batch(named: NamedAgent, transcripts: list[Transcript]) -> None:
    if not callable(getattr(named.agent, "act_batch", None)):
        return
    for t in transcripts:
        many = _batch(named, [v for _, v in _views(named, t)])
        for number, ((_, alone), reply) in enumerate(zip(_views(named, t), many, strict=True)):
            if (single := _batch(named, [alone])[0]) != reply:
                what = f"on {t.scenario.id!r}, view {number} of {len(many)}: together {reply!r}, alone {single!r}"
                raise _broken(named, "act_batch answers each view as it would alone", what)


def _batch(named: NamedAgent, views: list[View]) -> list[Any]:
    replies = _finished(named.agent.act_batch(views))  # type: ignore[attr-defined]
    if len(list(replies)) != len(views):
        what = f"{len(list(replies))} replies for {len(views)} views"
        raise _broken(named, "act_batch answers each view as it would alone", what)
    return [_bare(r) for r in replies]


def _check_spawn(named: NamedAgent, transcripts: list[Transcript]) -> None:
    if not callable(getattr(named.agent, "spawn", None)) or callable(getattr(named.agent, "act_batch", None)):
        return
    promise = "spawn gives a fresh state"
    for t in transcripts:
        for seat in dict.fromkeys(seat for seat, _ in _views(named, t)):
            used, fresh = (_spawned(named, seat, t.scenario) for _ in range(2))
            replies = [_ask(used, v) for s, v in _views(named, t) if s == seat]  # a whole episode goes by
            again = _ask(fresh, next(v for s, v in _views(named, t) if s == seat))
            if _bare(replies[0]) != _bare(again):
                what = f"on {t.scenario.id!r} as {seat}, to one view: {_bare(replies[0])!r}, the next time {_bare(again)!r}"
                raise _broken(named, promise, what)
            _check_close(named, used)
            _check_close(named, fresh)


def _check_close(named: NamedAgent, player: Any) -> None:
    if not callable(getattr(player, "close", None)):
        return
    for time in ("once", "twice"):
        try:
            player.close()
        except Exception as e:
            raise _broken(named, "closes twice without complaint", f"closed {time}: {type(e).__name__}: {e}") from None


def _views(named: NamedAgent, t: Transcript) -> Iterator[tuple[str, View]]:
    """Every view the agent had in an episode, with fresh generators, in order."""
    for state in t.states():
        due = pending(state)
        if due is not None and due.what == "utterance" and t.agents[due.seat] == named.name:
            yield t.scenario.seat_ids[due.seat], view(state, seat_randoms(state.header, t.scenario.n), due.seat)


def _start(s: Scenario) -> State:
    settings = resolve(s)
    return start(s, settings, header(s, settings, ("check",) * s.n, seed=0))


def _spawned(named: NamedAgent, seat: str, s: Scenario) -> Any:
    """A player as the engine would get it."""
    agent: Any = named.agent
    if callable(getattr(agent, "act_batch", None)) or not callable(getattr(agent, "spawn", None)):
        return agent
    return agent.spawn(seat, s.for_seat(s.seat_ids.index(seat)))


def _ask(player: Any, view: View) -> Any:
    """One reply, asked for as the engine would."""
    if callable(getattr(player, "act_batch", None)):
        replies = list(_finished(player.act_batch([view])))
        return replies[0]
    return _finished(player.aact(view) if callable(getattr(player, "aact", None)) else player.act(view))


def _finished(result: Any) -> Any:
    import inspect

    return run_blocking(result) if inspect.iscoroutine(result) else result


def _bare(reply: Any) -> Any:
    return reply.move if isinstance(reply, Reply) else reply
