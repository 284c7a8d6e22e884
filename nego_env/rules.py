"""The rules of an episode, sans-IO: pure functions over frozen data.

    state = start(scenario, settings, header)
    while (due := pending(state)) is not None:      # what the episode waits for
        state = utter(state, text_or_move)          # Due("utterance", seat)
        state = judged(state, verdict)              # Due("agreement") or Due("score")
    state.stop, state.rewards

1. A *round* is one utterance by every seat still at the table, in order.
2. Structured: proposing is accepting; a new proposal clears the other acceptances, and repeating the standing one accepts
   it. Agreement is tested after every utterance once every seat has spoken.
3. Open: after each complete round a judge says whether one concrete plan was accepted (arXiv 2603.10476, App. B.1).
4. A walk-away before every seat has spoken is talk: no seat may end an episode before all have moved, or learners see
   empty ones. Later it ends the episode where acceptance has become unreachable; otherwise that seat passes for the rest.
5. After agreement the finalizer writes the completion (`completion="write"`), or it is rendered from the deal; the score
   of the completion, 0 to 5, is everybody's reward (sec. 3.2.2). No agreement is reward 0.
6. The cap on rounds is a rule of the game (a termination): learners that see it as a truncation learn to stall.
7. Infrastructure failures (`fail`) end the episode without a reward: None, not 0.

`selfishness` s mixes in what the deal is worth to each seat: r_i = (1 - s) CA + s * 5 * gain_i.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from nego_env.accounting import CA_MAX, canonical, gain, passes
from nego_env.errors import MoveError
from nego_env.moves import (
    Act,
    Move,
    agreed_deal,
    clean,
    clean_move,
    completion_words,
    parse,
    spoken,
    without_surrogates,
)
from nego_env.scenario import Deal, Scenario
from nego_env.settings import Settings
from nego_env.verdict import Case, Verdict

Phase = Literal["dialogue", "completion", "over"]


class StopReason(StrEnum):
    """Why an episode ended. The first three are outcomes of the game; the rest are failures, without reward."""

    AGREEMENT = "agreement"
    """The seats agreed and the completion was scored."""
    CAP = "cap"
    """The rounds ran out. Reward 0."""
    WALK_AWAY = "walk_away"
    """Somebody left and agreement became unreachable. Reward 0."""
    AGENT_ERROR = "agent_error"
    """An agent raised, or answered with something that is no move."""
    AGENT_TIMEOUT = "agent_timeout"
    """An agent did not answer in time."""
    JUDGE_ERROR = "judge_error"
    """A judge raised, or returned something that is no verdict."""
    BUDGET = "budget"
    """The run's budget of calls, tokens or money was spent."""
    INTERRUPTED = "interrupted"
    """A person left, or the run was stopped."""

    @property
    def scored(self) -> bool:
        """True for outcomes of the game, which carry a reward; False for infrastructure failures."""
        return self in _OUTCOMES


_OUTCOMES = frozenset({StopReason.AGREEMENT, StopReason.CAP, StopReason.WALK_AWAY})


class Header(msgspec.Struct, frozen=True):
    """What names an episode; copied into its transcript."""

    id: str
    seed: int
    index: int
    attempt: int
    agents: tuple[str, ...]


class Utterance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message by one seat, as everybody at the table sees it."""

    seat: str
    round: int
    """1, 2, ..."""
    phase: Literal["dialogue", "completion"]
    text: str
    """Empty means the seat stayed silent."""
    act: Act | None = None
    notice: str | None = None
    """The fault of a tag that did not count; shown to its speaker alone, in the next view."""
    marks: tuple[str, ...] = ()
    """What was done to the text: `cut`, `surrogates`."""


class Standing(NamedTuple):
    """The deal on the table."""

    deal: Deal
    by: int


class Revealed(msgspec.Struct, frozen=True):
    """One seat's true scores for one issue, published at its own wish."""

    seat: str
    issue: str
    scores: tuple[float, ...]
    """One per option, in option order."""


class Due(NamedTuple):
    """What the episode waits for."""

    what: Literal["utterance", "agreement", "score"]
    seat: int = -1
    """Who speaks, for an utterance."""


class State(msgspec.Struct, frozen=True):
    """An episode so far."""

    scenario: Scenario
    settings: Settings
    header: Header
    phase: Phase = "dialogue"
    seat: int = 0
    """Who speaks next."""
    round: int = 1
    utterances: tuple[Utterance, ...] = ()
    standing: Standing | None = None
    accepted: tuple[bool, ...] = ()
    walked: tuple[bool, ...] = ()
    revealed: tuple[Revealed, ...] = ()
    asked: tuple[tuple[int, str], ...] = ()
    """(seat, issue id) of every question."""
    verdicts: tuple[Verdict, ...] = ()
    awaiting: Literal["utterance", "agreement", "score"] | None = "utterance"
    outcome: StopReason | None = None
    """Set when the dialogue is over; `stop` follows once the score is in."""
    completion: str | None = None
    stop: StopReason | None = None
    rewards: tuple[float, ...] | None = None
    """One per seat when scored; None while it runs and after an infrastructure failure."""
    error: str | None = None
    """What failed, in one line."""

    def __deepcopy__(self, memo: object) -> State:
        return self  # frozen


def start(scenario: Scenario, settings: Settings, header: Header) -> State:
    """A fresh episode, waiting for seat_0."""
    return State(scenario, settings, header, accepted=(False,) * scenario.n, walked=(False,) * scenario.n)


def pending(state: State) -> Due | None:
    """What the episode waits for; None when it is over."""
    if state.awaiting is None:
        return None
    return Due(state.awaiting, state.seat) if state.awaiting == "utterance" else Due(state.awaiting)


def finalizer(state: State) -> int:
    """Who writes the completion: the protocol's finalizer, or the first seat still at the table if that one has left."""
    chosen = state.scenario.protocol.finalizer
    return chosen if not state.walked[chosen] else state.walked.index(False)


def can_walk(state: State) -> bool:
    """Every seat has spoken, so leaving counts."""
    return len(state.utterances) >= len(state.accepted)


def can_accept(state: State, seat: int) -> bool:
    """There is a deal on the table that this seat has not accepted."""
    return state.standing is not None and not state.accepted[seat]


def utter(state: State, said: str | Move) -> State:
    """The state after the seat whose turn it is has spoken. Raises `MoveError` when no utterance is due, for a wrong
    type, or for a `Move` whose act the scenario cannot express; whatever a *text* says, it is at least talk."""
    if state.awaiting != "utterance":
        raise MoveError(f"no utterance is due: the episode waits for {state.awaiting or 'nothing, it is over'}")
    if state.phase == "completion":
        return _completed(state, said)
    act: Act | None
    fault: str | None
    if isinstance(said, str):
        text, marks = clean(said, state.settings.max_chars)
        act, fault = parse(text, state.scenario)
    elif isinstance(said, Move):
        move = spoken(said, state.scenario)
        text, marks = clean_move(move, state.settings.max_chars)
        act, fault = move.act, None
        if act is None or marks:  # words alone, or a tag that is longer than the limit
            act, fault = parse(text, state.scenario)
    else:
        raise MoveError(f"an utterance is a str or a Move, not {type(said).__name__}")
    if marks and act is None and "cut" in marks:
        fault = f"your message was cut at {state.settings.max_chars} characters"
    if act is not None:
        fault = _illegal(state, act)
    return _spoke(state, text, None if fault else act, fault, marks)


def _illegal(state: State, act: Act) -> str | None:
    """Why an act does not count now, or None."""
    if act.kind == "accept" and not can_accept(state, state.seat):
        return "there is no deal on the table to accept" if state.standing is None else "you have accepted it already"
    if act.kind == "walk" and not can_walk(state):
        return "nobody can walk away before everyone has spoken once"
    return None


def _spoke(state: State, text: str, act: Act | None, fault: str | None, marks: tuple[str, ...]) -> State:
    seat, scenario = state.seat, state.scenario
    line = Utterance(scenario.seat_ids[seat], state.round, "dialogue", text, act, fault, marks)
    utterances = (*state.utterances, line)
    standing, accepted, walked = state.standing, state.accepted, state.walked
    revealed, asked = state.revealed, state.asked
    if act is not None:
        match act.kind:
            case "propose":
                deal = scenario.deal(act.deal)
                if standing is None or standing.deal != deal:
                    standing = Standing(deal, seat)
                    accepted = (False,) * len(accepted)
                accepted = _with(accepted, seat, True)
            case "accept":
                accepted = _with(accepted, seat, True)
            case "walk":
                walked = _with(walked, seat, True)
                accepted = _with(accepted, seat, False)
            case "reveal":
                shown = _published(scenario, seat, act.issue)
                if shown not in revealed:
                    revealed = (*revealed, shown)
            case "ask":
                if (seat, act.issue) not in asked:
                    asked = (*asked, (seat, act.issue))
    # One constructor call, not `replace`: this is the hot path of every face.
    turn = _turn(state, len(utterances), standing, accepted, walked)
    next_seat, next_round = turn or (seat, state.round)
    spoke = State(
        scenario, state.settings, state.header, "dialogue", next_seat, next_round, utterances, standing, accepted, walked,
        revealed, asked, state.verdicts,
    )  # fmt: skip
    return spoke if turn else _decided(spoke)


def _turn(
    state: State, spoken: int, standing: Standing | None, accepted: tuple[bool, ...], walked: tuple[bool, ...]
) -> tuple[int, int] | None:
    """Who speaks next and in which round, where the dialogue just goes on; None where something is decided or judged."""
    scenario, n = state.scenario, len(walked)
    structured = bool(scenario.issues)
    if structured and spoken >= n:
        if standing is not None and passes(scenario, accepted):
            return None
        if True in walked and not passes(scenario, [not w for w in walked]):
            return None
    for i in range(state.seat + 1, n):
        if not walked[i]:
            return i, state.round
    if structured and state.round < state.settings.max_rounds:
        return walked.index(False), state.round + 1
    return None


def _published(scenario: Scenario, seat: int, issue: str) -> Revealed:
    stakes = scenario.seats[seat].stakes
    assert stakes is not None  # only structured dilemmas parse a reveal
    return Revealed(scenario.seat_ids[seat], issue, stakes.scores[scenario.issue_index[issue.upper()]])


def _with(flags: tuple[bool, ...], i: int, value: bool) -> tuple[bool, ...]:
    changed = list(flags)
    changed[i] = value
    return tuple(changed)


def _decided(state: State) -> State:
    """What follows an utterance of the dialogue after which nobody simply speaks next (`_turn`)."""
    scenario = state.scenario
    if not scenario.issues:
        return replace(state, awaiting="agreement")
    if len(state.utterances) >= scenario.n:
        if state.standing is not None and passes(scenario, state.accepted):
            return _agreed(state)
        if not passes(scenario, [not w for w in state.walked]):
            return _ended(state, StopReason.WALK_AWAY)
    return _capped(state)


def _next_round(state: State) -> State:
    if state.round >= state.settings.max_rounds:
        return _capped(state)
    return replace(state, seat=state.walked.index(False), round=state.round + 1, awaiting="utterance")


def _capped(state: State) -> State:
    if state.settings.complete == "always" and _writes(state):
        return replace(state, phase="completion", outcome=StopReason.CAP, seat=finalizer(state), awaiting="utterance")
    return _ended(state, StopReason.CAP)


def _writes(state: State) -> bool:
    """The completion is an utterance of the finalizer, not a rendering of the deal."""
    return state.settings.completion == "write" and state.settings.codecs[finalizer(state)] == "text"


def _agreed(state: State) -> State:
    agreed = replace(state, phase="completion", outcome=StopReason.AGREEMENT, seat=finalizer(state))
    if _writes(agreed):
        return replace(agreed, awaiting="utterance")
    assert state.standing is not None  # open dilemmas are always written (`check_settings`)
    text = completion_words(state.standing.deal, state.scenario)
    return replace(agreed, completion=text, awaiting="score")


def _completed(state: State, said: str | Move) -> State:
    if isinstance(said, Move):
        said = said.text
    if not isinstance(said, str):
        raise MoveError(f"a completion is a str or a Move, not {type(said).__name__}")
    text, marks = clean(said, state.settings.max_chars)
    line = Utterance(state.scenario.seat_ids[state.seat], state.round, "completion", text, None, None, marks)
    return replace(state, utterances=(*state.utterances, line), completion=text, awaiting="score")


def _ended(state: State, reason: StopReason) -> State:
    return replace(state, phase="over", awaiting=None, outcome=reason, stop=reason, rewards=(0.0,) * state.scenario.n)


def case(state: State) -> Case:
    """What the judge is asked now. Raises `MoveError` when no verdict is due."""
    if state.awaiting not in ("agreement", "score"):
        raise MoveError(f"no verdict is due: the episode waits for {state.awaiting or 'nothing, it is over'}")
    # Only a completion, the last of all, is anything else.
    dialogue = state.utterances[:-1] if state.utterances[-1].phase == "completion" else state.utterances
    agreed = state.outcome is StopReason.AGREEMENT and state.standing is not None
    return Case(
        kind=state.awaiting,
        scenario=state.scenario,
        lines=tuple([(u.seat, u.text) for u in dialogue]),
        consents=(False,) * state.scenario.n if state.scenario.issues else _consents(state, dialogue),
        completion=state.completion or "",
        deal=state.scenario.ids(state.standing.deal) if agreed and state.standing else (),
    )


def _consents(state: State, dialogue: tuple[Utterance, ...]) -> tuple[bool, ...]:
    """Per seat: it ended this round with `[Agree]`."""
    consenting = {u.seat for u in dialogue if u.round == state.round and u.act is not None and u.act.kind == "agree"}
    return tuple([seat in consenting for seat in state.scenario.seat_ids])


def judged(state: State, verdict: Verdict) -> State:
    """The state after the verdict that was due. Raises `MoveError` when it is of another kind or out of range."""
    if verdict.kind != state.awaiting:
        raise MoveError(f"a verdict of kind {verdict.kind!r} is not due: the episode waits for {state.awaiting!r}")
    top = 1.0 if verdict.kind == "agreement" else CA_MAX
    if not 0.0 <= verdict.value <= top:
        raise MoveError(f"judge {verdict.judge!r} returned {verdict.value!r}; {verdict.kind} lies in [0, {top:g}]")
    verdict = replace(
        verdict,
        value=canonical(verdict.value),
        reason=without_surrogates(verdict.reason),
        raw=without_surrogates(verdict.raw),
    )
    judged = replace(state, verdicts=(*state.verdicts, verdict))
    if verdict.kind == "agreement":
        return _agreed(judged) if verdict.value >= 0.5 else _next_round(judged)
    return _scored(judged, verdict)


def _scored(state: State, verdict: Verdict) -> State:
    assert state.outcome is not None  # a score is asked for after the dialogue's outcome is known
    if state.outcome is not StopReason.AGREEMENT:
        return _ended(state, state.outcome)
    return replace(
        state,
        phase="over",
        awaiting=None,
        stop=StopReason.AGREEMENT,
        rewards=_rewards(state, verdict),
    )


def _rewards(state: State, verdict: Verdict) -> tuple[float, ...]:
    """r_i = (1 - s) CA + s * 5 * gain_i; both terms speak of the deal the completion states, which must be the agreed one.
    The verdict's value is canonical."""
    s, scenario = state.settings.selfishness, state.scenario
    if s == 0.0 or not scenario.issues:
        return (verdict.value,) * scenario.n
    stated, _ = agreed_deal(state.completion or "", scenario)
    if not state.standing or stated != state.standing.deal:
        return (canonical((1 - s) * verdict.value),) * scenario.n
    stakes = [seat.stakes for seat in scenario.seats]
    return tuple(
        canonical((1 - s) * verdict.value + s * CA_MAX * gain(x, state.standing.deal)) for x in stakes if x is not None
    )


def fail(state: State, reason: StopReason, error: str) -> State:
    """The episode cut short by something outside the game: no reward, and `error` says in one line what happened."""
    if state.stop is not None:
        raise MoveError(f"the episode is over ({state.stop.value}): it cannot fail any more")
    if reason.scored:
        raise MoveError(f"{reason.value!r} is an outcome of the game, not an infrastructure failure")
    told = without_surrogates(" ".join(error.split())[:500])
    return replace(state, phase="over", awaiting=None, stop=reason, rewards=None, error=told)
