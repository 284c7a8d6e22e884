"""The transcript: the single record of an episode. Reward, metrics, training rows and replay are all computed from it.

1. One canonical JSON line per episode, self-contained and versioned (`"format": "nego/1"`).
2. Same seed and same replies: the same bytes. Clocks, costs and hosts live in the sidecar (`nego_env.store`).
3. The rules can be run over it again (`states`): what was on the table after each utterance need not be stored.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from nego_env.accounting import CA_MAX, canonical, collective_agency, gain, passes, reaches, score
from nego_env.errors import MoveError, SettingsError, TranscriptError
from nego_env.moves import agreed_deal
from nego_env.rules import Header, State, StopReason, Utterance, fail, judged, pending, start, utter
from nego_env.safe_text import visible
from nego_env.scenario import Scenario
from nego_env.settings import Settings, check_settings
from nego_env.verdict import Verdict

FORMAT = "nego/1"


class Outcome(NamedTuple):
    """What an episode came to. Exact figures are None on open dilemmas and for unscored episodes."""

    scored: bool
    """False after an infrastructure failure: leave the episode out of every average."""
    agreed: bool
    rounds: int
    """Rounds talked, the last one counted even when it was cut short by agreement."""
    deal: tuple[str, ...] | None
    """Option ids agreed on."""
    score: float | None
    """The judge's figure for the completion; what it is called stands in `label`."""
    label: str | None
    ca: float | None
    """Exact Collective Agency, 0 without a deal; None where the scenario has no zone of possible agreement."""
    regret: float | None
    """5 - CA."""
    scores: tuple[float, ...] | None
    """What the deal is worth to each seat."""
    gains: tuple[float, ...] | None
    """Per seat: (score - walk-away) / (best - walk-away)."""
    passed: bool | None
    """The seats whose walk-away value is reached satisfy the acceptance rule."""
    bonus_scores: dict[str, float]
    """For seats with a bonus: the score, plus the bonus when every walk-away value is reached."""


class Transcript(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One episode."""

    format: str
    id: str
    """Hash of (scenario content, settings, agents, seed, index): the resume key."""
    scenario: Scenario
    settings: Settings
    seed: int
    index: int
    """Position in the run."""
    attempt: int
    """0, or how often the episode was drawn again after an infrastructure failure; enters its random generators."""
    agents: tuple[str, ...]
    """One name per seat."""
    utterances: tuple[Utterance, ...]
    verdicts: tuple[Verdict, ...]
    deal: tuple[str, ...] | None
    """What was agreed on (structured dilemmas), as option ids."""
    completion: str | None
    """The final plan, written by the finalizer or rendered from the deal."""
    rewards: tuple[float, ...] | None
    """One per seat; None after an infrastructure failure."""
    stop: StopReason
    error: str | None
    """What failed, in one line."""

    @property
    def scored(self) -> bool:
        """It has a reward."""
        return self.rewards is not None

    @cached_property
    def outcome(self) -> Outcome:
        """The figures of this episode."""
        return _outcome(self)

    def states(self) -> Iterator[State]:
        """The episode run through the rules again: the state before the first utterance, then after each one (verdicts
        applied). Raises `TranscriptError` when the record contradicts the rules."""
        return _states(self)

    def messages(self, seat: str | int) -> list[dict[str, str]]:
        """The episode as one seat heard it, whole whatever its memory window, as chat messages: a system message, then user
        and assistant in turn."""
        from nego_env.messages import chat  # the renderer needs views, which need the rules

        return chat(self, seat)

    def __str__(self) -> str:
        """The dialogue and what came of it, as plain text that is safe to print."""
        lines = [f"{u.seat}: {visible(u.text, newlines=False) or '(silence)'}" for u in self.utterances]
        end = f"stop: {self.stop.value}"
        if self.outcome.score is not None:
            end += f", {self.outcome.label} {self.outcome.score:g}"
        return "\n".join([*lines, end if self.error is None else f"{end}, {visible(self.error, newlines=False)}"])

    def encode(self) -> bytes:
        """The canonical line, without the newline."""
        return msgspec.json.encode(self, order="deterministic")


def episode_id(scenario: Scenario, settings: Settings, agents: tuple[str, ...], seed: int, index: int) -> str:
    """24 hex digits of SHA-256 over what names an episode. The attempt is not part of it."""
    key = msgspec.json.encode([scenario.content_hash, settings, agents, seed, index])
    return hashlib.sha256(key).hexdigest()[:24]


def header(
    scenario: Scenario, settings: Settings, agents: tuple[str, ...], *, seed: int, index: int = 0, attempt: int = 0
) -> Header:
    """What names an episode, with its id."""
    return Header(episode_id(scenario, settings, agents, seed, index), seed, index, attempt, agents)


def transcript(state: State) -> Transcript:
    """The record of a finished episode. Raises `TranscriptError` while it is still running."""
    if state.stop is None:
        raise TranscriptError("the episode is still running: a transcript is of a finished one")
    agreed = state.outcome is StopReason.AGREEMENT and state.standing is not None
    return Transcript(
        format=FORMAT,
        id=state.header.id,
        scenario=state.scenario,
        settings=state.settings,
        seed=state.header.seed,
        index=state.header.index,
        attempt=state.header.attempt,
        agents=state.header.agents,
        utterances=state.utterances,
        verdicts=state.verdicts,
        deal=state.scenario.ids(state.standing.deal) if agreed and state.standing else None,
        completion=state.completion,
        rewards=state.rewards,
        stop=state.stop,
        error=state.error,
    )


class _Version(msgspec.Struct):
    format: str


def decode(line: bytes | str, where: str) -> Transcript:
    """A transcript from its line. `where` (`FILE:LINE`) opens the message of the `TranscriptError` that a bad one gets."""
    if isinstance(line, str):
        line = line.encode("utf-8", "surrogatepass")
    try:
        version = msgspec.json.decode(line, type=_Version).format
    except msgspec.ValidationError as e:
        raise TranscriptError(f"{where}: not a transcript: {e}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise TranscriptError(f"{where}: not valid JSON: {e}") from None
    if version != FORMAT:
        raise TranscriptError(f"{where}: {_version_fault(version)}")
    try:
        t = msgspec.json.decode(line, type=Transcript)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise TranscriptError(f"{where}: {e}") from None
    _check(t, where)
    return t


def _version_fault(version: str) -> str:
    name, _, number = version.partition("/")
    newer = re.fullmatch(r"[0-9]{1,9}", number) and int(number) > int(FORMAT.partition("/")[2])
    if name == "nego" and newer:
        return f"written by a newer nego-env (format {version}; this one reads {FORMAT}): upgrade with pip install -U nego-env"
    return f"unknown format {version[:40]!r}; this reads {FORMAT}"


def _check(t: Transcript, where: str) -> None:
    """What the types cannot say. A record that passes can be shown and scored."""
    if t.scenario.seen_by is not None:
        raise TranscriptError(
            f"{where}: scenario.seen_by: a record holds the whole scenario, not what one seat knows of it"
        )
    try:
        check_settings(t.scenario, t.settings)
    except SettingsError as e:
        raise TranscriptError(f"{where}: settings: {e}") from None
    if not re.fullmatch(r"[0-9A-Za-z._-]{1,64}", t.id):
        raise TranscriptError(f"{where}: id is {t.id[:80]!r}, it must be 1 to 64 letters, digits, '.', '_' or '-'")
    n = t.scenario.n
    for field, value in (("index", t.index), ("attempt", t.attempt), ("seed", t.seed)):
        if value < 0:
            raise TranscriptError(f"{where}: {field} is {value}, it must be at least 0")
    if len(t.agents) != n:
        raise TranscriptError(f"{where}: agents has {len(t.agents)} entries for {n} seats")
    if t.stop.scored != (t.rewards is not None):
        expected = "rewards" if t.stop.scored else "null"
        raise TranscriptError(f"{where}: rewards: an episode that stopped by {t.stop.value!r} has {expected}")
    if t.rewards is not None and len(t.rewards) != n:
        raise TranscriptError(f"{where}: rewards has {len(t.rewards)} entries for {n} seats")
    if t.rewards is not None and not all(_earned(r, t.settings.selfishness) for r in t.rewards):
        raise TranscriptError(
            f"{where}: rewards are {list(t.rewards)}, they are at most 5, and at selfishness 0 at least 0"
        )
    for i, v in enumerate(t.verdicts):
        top = 1.0 if v.kind == "agreement" else CA_MAX
        if not 0.0 <= v.value <= top:
            raise TranscriptError(f"{where}: verdicts[{i}].value is {v.value}, {v.kind} lies in [0, {top:g}]")
    for i, u in enumerate(t.utterances):
        if u.round < 1:
            raise TranscriptError(f"{where}: utterances[{i}].round is {u.round}, it must be at least 1")
        if u.seat not in t.scenario.seat_ids:
            raise TranscriptError(f"{where}: utterances[{i}].seat: {u.seat!r} is no seat of {t.scenario.id!r}")
    if t.deal is not None:
        try:
            t.scenario.deal(t.deal)
        except ValueError as e:
            raise TranscriptError(f"{where}: deal: {e}") from None


def _earned(reward: float, selfishness: float) -> bool:
    return reward <= CA_MAX and (reward >= 0.0 or (selfishness > 0 and math.isfinite(reward)))


def _states(t: Transcript) -> Iterator[State]:
    state = start(t.scenario, t.settings, Header(t.id, t.seed, t.index, t.attempt, t.agents))
    verdicts = iter(t.verdicts)
    for i, u in enumerate(t.utterances):
        state, due = _apply_verdicts(state, verdicts, t)
        if due is None or t.scenario.seat_ids[due] != u.seat:
            raise TranscriptError(
                f"episode {t.id}: utterances[{i}] is by {u.seat}, but by the rules it is not its turn"
            )
        yield state
        state = _spoken_again(state, u, f"episode {t.id}: utterances[{i}]")
    state, _ = _apply_verdicts(state, verdicts, t)
    if not t.stop.scored and state.stop is None:
        state = fail(state, t.stop, t.error or "")
    _check_end(state, t, left_over=next(verdicts, None) is not None)
    yield state


def _spoken_again(state: State, u: Utterance, where: str) -> State:
    """The state after a recorded utterance. Marks and notice are the record's: a cut text no longer shows how long it was."""
    after = utter(state, u.text)
    again = after.utterances[-1]
    for field in ("round", "phase", "act"):
        if getattr(again, field) != getattr(u, field):
            raise TranscriptError(
                f"{where}.{field} is {getattr(u, field)!r}, by the rules it is {getattr(again, field)!r}"
            )
    return replace(after, utterances=(*state.utterances, u))


def _check_end(state: State, t: Transcript, *, left_over: bool) -> None:
    if left_over:
        raise TranscriptError(f"episode {t.id}: verdicts: more of them than the rules ask for")
    for field in ("stop", "rewards", "completion"):
        if getattr(state, field) != getattr(t, field):
            raise TranscriptError(
                f"episode {t.id}: {field} is {getattr(t, field)!r}, by the rules it is {getattr(state, field)!r}"
            )


def _apply_verdicts(state: State, verdicts: Iterator[Verdict], t: Transcript) -> tuple[State, int | None]:
    """Verdicts that were due applied; then who speaks, or None."""
    while (due := pending(state)) is not None and due.what != "utterance":
        verdict = next(verdicts, None)
        if verdict is None:
            return state, None
        try:
            state = judged(state, verdict)
        except MoveError as e:
            raise TranscriptError(f"episode {t.id}: verdicts: {e}") from None
    return state, None if due is None else due.seat


def _outcome(t: Transcript) -> Outcome:
    s = t.scenario
    final = next((v for v in reversed(t.verdicts) if v.kind == "score"), None)
    agreed = t.stop is StopReason.AGREEMENT
    ca = scores = gains = passed = None
    bonus: dict[str, float] = {}
    if t.scored and s.issues and not s.no_zopa:
        ca = 0.0
    if t.scored and agreed and t.deal is not None:
        deal = s.deal(t.deal)
        stakes = [seat.stakes for seat in s.seats if seat.stakes is not None]
        if agreed_deal(t.completion or "", s)[0] == deal and not s.no_zopa:
            ca = collective_agency(s, deal)
        raw = [score(x, deal) for x in stakes]
        met = [reaches(x, deal) for x in stakes]
        scores = tuple(canonical(x) for x in raw)
        gains = tuple(canonical(gain(x, deal)) for x in stakes)
        passed = passes(s, met)
        bonus = {
            name: canonical(raw[s.seat_ids.index(name)] + (extra if all(met) else 0.0))
            for name, extra in sorted(s.protocol.bonus.items())
        }
    return Outcome(
        scored=t.scored,
        agreed=agreed,
        rounds=max((u.round for u in t.utterances if u.phase == "dialogue"), default=0),
        deal=t.deal,
        score=None if final is None else final.value,
        label=None if final is None else final.label,
        ca=ca,
        regret=None if ca is None else canonical(CA_MAX - ca),
        scores=scores,
        gains=gains,
        passed=passed,
        bonus_scores=bonus,
    )
