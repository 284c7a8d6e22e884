"""An episode as the steps a replay shows, computed once so that the player, the plain rendering and exports agree.

1. A step (`Frame`) is the moment before the first word, the moment after each utterance, or the end.
2. What was on the table comes from running the rules over the transcript again (`Transcript.states`).
3. Every figure is exact (`nego_env.accounting`) or a judge's, and a judge's carries the label its judge gave it.

Nothing here knows about screens. Strings are as agents and authors wrote them: whoever shows them makes them safe
(`nego_env.safe_text`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from nego_env.accounting import CA_MAX, canonical, collective_agency, gain, reaches, score
from nego_env.errors import NotFoundError
from nego_env.rules import Revealed, State, StopReason, Utterance
from nego_env.scenario import Deal, Scenario
from nego_env.transcript import Transcript
from nego_env.verdict import Verdict
from nego_env.wording import number


class Worth(msgspec.Struct, frozen=True):
    """What one deal is worth to everybody; canonical numbers."""

    deal: tuple[str, ...]
    """Option ids, in issue order."""
    labels: tuple[str, ...]
    """The same options in words."""
    scores: tuple[float, ...]
    """Per seat."""
    gains: tuple[float, ...]
    """Per seat, 1 at its best deal, below 0 at a loss; not clipped."""
    reached: tuple[bool, ...]
    """Per seat: the deal is worth at least its walk-away value."""
    ca: float | None
    """Exact Collective Agency in [0, 5]; None where the scenario has no zone of possible agreement."""

    @property
    def below_best(self) -> float | None:
        """Distance to the best deal: 5 - CA."""
        return None if self.ca is None else canonical(CA_MAX - self.ca)


class Frame(msgspec.Struct, frozen=True):
    """One step of an episode: what has just been said, and how things stand after it."""

    number: int
    """0 at the start, then the number of the utterance; the end is one more than the last utterance."""
    kind: Literal["start", "utterance", "end"]
    round: int
    """1, 2, ...: the round of the utterance."""
    phase: Literal["dialogue", "completion", "over"]
    """`dialogue` or `completion`, as the utterance; `over` at the end."""
    utterance: Utterance | None
    did: str
    """What the utterance did, in words (`accepts the deal on the table`); empty for talk."""
    fresh: bool
    """The utterance put another deal on the table."""
    table: Worth | None
    """The deal on the table."""
    by: str | None
    """The seat that proposed it."""
    accepted: tuple[bool, ...]
    """Per seat."""
    walked: tuple[bool, ...]
    """Per seat: it has left the table."""
    revealed: tuple[Revealed, ...]
    """Every score published so far."""
    verdicts: tuple[Verdict, ...]
    """What judges returned at this step."""


class Figure(NamedTuple):
    """A figure of the end, under the name it goes by."""

    name: str
    value: str
    note: str = ""
    """Who says so, or why it is what it is."""


class Ending(msgspec.Struct, frozen=True):
    """How an episode ended."""

    stop: StopReason
    words: str
    """The stop reason as a sentence."""
    good: bool | None
    """True for an agreement, False for none, None for an episode that could not be scored."""
    error: str | None
    completion: str | None
    figures: tuple[Figure, ...]
    agreed: Worth | None
    best: Worth | None
    """A deal with the highest CA, for comparison; None on open dilemmas and without a zone of possible agreement."""


class Option(NamedTuple):
    """An option as one seat values it."""

    id: str
    label: str
    score: float
    best: bool
    """No option of the issue is worth more to the seat."""


class Private(msgspec.Struct, frozen=True):
    """What one seat knew and the others did not."""

    seat: str
    name: str
    agent: str
    persona: str
    walk_away: float | None
    """None on an open dilemma."""
    issues: tuple[tuple[str, tuple[Option, ...]], ...]
    """(issue id, its options)."""
    memory: str
    """How much of the talk it saw, in words."""


class Episode(msgspec.Struct, frozen=True):
    """A transcript with its steps."""

    transcript: Transcript
    frames: tuple[Frame, ...]
    """The start, one per utterance, the end."""
    ending: Ending

    @property
    def scenario(self) -> Scenario:
        """The dilemma."""
        return self.transcript.scenario

    def name(self, seat: str) -> str:
        """How the others address a seat (`seat_1`)."""
        return self.scenario.seats[seat_number(self.scenario, seat)].name


def episode(t: Transcript) -> Episode:
    """The steps of an episode. Raises `TranscriptError` when the record contradicts the rules."""
    return Episode(t, tuple(_frames(t)), ending(t))


def seat_number(scenario: Scenario, seat: str) -> int:
    """0 for `seat_0`, ...; a plain number is taken too. Raises `NotFoundError` with the seats there are."""
    name = f"seat_{seat}" if seat.isdigit() else seat
    if name not in scenario.seat_ids:
        raise NotFoundError(f"{scenario.id} has no seat {seat!r}; seats: {', '.join(scenario.seat_ids)}")
    return scenario.seat_ids.index(name)


def worth(scenario: Scenario, deal: Deal) -> Worth:
    """The exact account of one deal."""
    stakes = [seat.stakes for seat in scenario.seats if seat.stakes is not None]
    return Worth(
        deal=scenario.ids(deal),
        labels=scenario.labels(deal),
        scores=tuple(canonical(score(s, deal)) for s in stakes),
        gains=tuple(canonical(gain(s, deal)) for s in stakes),
        reached=tuple(reaches(s, deal) for s in stakes),
        ca=None if scenario.no_zopa else collective_agency(scenario, deal),
    )


def private(t: Transcript, seat: int) -> Private:
    """What a seat knew and the others did not."""
    s = t.scenario
    me = s.seats[seat]
    rows = me.stakes.scores if me.stakes else ()
    return Private(
        seat=s.seat_ids[seat],
        name=me.name,
        agent=t.agents[seat],
        persona=me.persona,
        walk_away=me.stakes.walk_away if me.stakes else None,
        issues=tuple(
            (
                issue.id,
                tuple(Option(o.id, o.label, x, x == max(row)) for o, x in zip(issue.options, row, strict=True)),
            )
            for issue, row in zip(s.issues, rows, strict=True)
        ),
        memory=_memory(t),
    )


def _memory(t: Transcript) -> str:
    if t.settings.memory is None:
        return "saw the whole dialogue"
    return f"saw the last {t.settings.memory * t.scenario.n} utterances at a time"


def _frames(t: Transcript) -> Iterator[Frame]:
    states = t.states()
    before = next(states)
    yield _frame(before, before, None, 0)
    for i, u in enumerate(t.utterances):
        after = next(states)
        yield _frame(before, after, u, i + 1)
        before = after
    last = _frame(before, before, None, len(t.utterances) + 1)
    yield msgspec.structs.replace(last, kind="end", phase="over")


def _frame(before: State, after: State, u: Utterance | None, number: int) -> Frame:
    s, table = after.scenario, after.standing
    return Frame(
        number=number,
        kind="start" if u is None else "utterance",
        round=after.round if u is None else u.round,
        phase="dialogue" if u is None else u.phase,
        utterance=u,
        did="" if u is None else _did(before, u),
        fresh=table is not None and (before.standing is None or before.standing.deal != table.deal),
        table=None if table is None else worth(s, table.deal),
        by=None if table is None else s.seat_ids[table.by],
        accepted=after.accepted,
        walked=after.walked,
        revealed=after.revealed,
        verdicts=after.verdicts[len(before.verdicts) :],
    )


def _did(before: State, u: Utterance) -> str:
    s, act = before.scenario, u.act
    if u.phase == "completion":
        return "writes the final plan"
    if act is None:
        return ""
    match act.kind:
        case "propose":
            if before.standing is not None and s.ids(before.standing.deal) == act.deal:
                return "repeats the deal on the table, which accepts it"
            return f"proposes {' '.join(act.deal)}"
        case "accept":
            return "accepts the deal on the table"
        case "walk":
            return "walks away"
        case "ask":
            return f"asks what {_issue(s, act.issue)} is worth to the others"
        case "reveal":
            return f"publishes its scores for {_issue(s, act.issue)}: {_published(s, u.seat, act.issue)}"
        case "agree":
            return "consents to the plan"


def _issue(s: Scenario, issue: str) -> str:
    return f"{issue} ({s.issues[s.issue_index[issue.upper()]].name})"


def _published(s: Scenario, seat: str, issue: str) -> str:
    at = s.issue_index[issue.upper()]
    stakes = s.seats[seat_number(s, seat)].stakes
    row = stakes.scores[at] if stakes else ()
    return scores_text(s, Revealed(seat, issue, row))


def scores_text(s: Scenario, r: Revealed) -> str:
    """Published scores as `B1 7, B2 0`."""
    options = s.issues[s.issue_index[r.issue.upper()]].options
    return ", ".join(f"{o.id} {number(x)}" for o, x in zip(options, r.scores, strict=True))


# ---------------------------------------------------------------- the end
def ending(t: Transcript) -> Ending:
    """How an episode ended, in words and figures."""
    s = t.scenario
    return Ending(
        stop=t.stop,
        words=_stop_words(t),
        good=None if not t.scored else t.stop is StopReason.AGREEMENT,
        error=t.error,
        completion=t.completion,
        figures=tuple(_figures(t)),
        agreed=None if t.deal is None else worth(s, s.deal(t.deal)),
        best=worth(s, s.table.best_deal) if s.issues and not s.no_zopa else None,
    )


def _stop_words(t: Transcript) -> str:
    rounds = _many(t.outcome.rounds, "round")
    match t.stop:
        case StopReason.AGREEMENT:
            return f"Agreement after {rounds}"
        case StopReason.CAP:
            return f"No agreement: {_many(t.settings.max_rounds, 'round')} ran out"
        case StopReason.WALK_AWAY:
            return f"No agreement: {_last_to_leave(t)} walked away after {rounds}"
        case StopReason.AGENT_ERROR:
            return "Not scored: an agent failed"
        case StopReason.AGENT_TIMEOUT:
            return "Not scored: an agent did not answer in time"
        case StopReason.JUDGE_ERROR:
            return "Not scored: the judge failed"
        case StopReason.BUDGET:
            return "Not scored: the budget of the run was spent"
        case StopReason.INTERRUPTED:
            return "Not scored: the episode was interrupted"


def _last_to_leave(t: Transcript) -> str:
    left = [u.seat for u in t.utterances if u.act is not None and u.act.kind == "walk"]
    return t.scenario.seats[seat_number(t.scenario, left[-1])].name if left else "somebody"


def _many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def figure_text(x: float) -> str:
    """A figure with two decimals, and no negative zero."""
    return f"{round(x, 2) + 0.0:.2f}"


def _of_five(x: float) -> str:
    return f"{figure_text(x)} of {CA_MAX:g}"


def _figures(t: Transcript) -> Iterator[Figure]:
    o = t.outcome
    final = next((v for v in reversed(t.verdicts) if v.kind == "score"), None)
    agreed = t.stop is StopReason.AGREEMENT
    pointless = t.scored and t.scenario.no_zopa
    exact = agreed and final is not None and final.judge == "exact"
    if final is not None and not (exact and pointless):
        name = final.label if agreed else f"{final.label} of the plan"
        note = f"judge {final.judge}{f': {final.reason}' if final.reason else ''}"
        yield Figure(name, _of_five(final.value), note if agreed else f"{note}; not agreed, so it earns nothing")
    if pointless:
        yield Figure("CA", "none", "no deal leaves every seat at or above its walk-away value")
    elif o.ca is not None and o.regret is not None:
        if not exact:
            yield Figure("CA", _of_five(o.ca), "exact" if agreed else "no deal")
        yield Figure("regret", figure_text(o.regret), "below the best deal")
    if t.rewards is not None:
        alike = len(set(t.rewards)) == 1
        each = f"{figure_text(t.rewards[0])} each" if alike else " / ".join(figure_text(r) for r in t.rewards)
        yield Figure("reward", each, "" if final is None or final.label == "CA" else f"from {final.label}")
    if o.passed is not None and t.scenario.protocol.acceptance.at_least is not None:
        yield Figure("passed", "yes" if o.passed else "no", "whether enough seats reach their walk-away value")
    for seat, points in o.bonus_scores.items():
        yield Figure(f"{seat} score", number(points), "with the bonus, where it is due")


def as_json(ep: Episode) -> str:
    """An episode's steps for programs, in one line of ASCII: nothing in it can reach a terminal as a control character."""
    t = ep.transcript
    facts = {
        "id": t.id,
        "index": t.index,
        "attempt": t.attempt,
        "scenario": t.scenario.id,
        "seats": [
            {"seat": i, "name": s.name, "agent": a}
            for i, s, a in zip(t.scenario.seat_ids, t.scenario.seats, t.agents, strict=True)
        ],
        "frames": ep.frames,
        "ending": ep.ending,
    }
    return json.dumps(msgspec.to_builtins(facts))
