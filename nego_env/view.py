"""What a seat may know when it is its turn: the `View` every agent gets.

A view holds the seat's own persona and stakes, never another's; the last `memory` rounds of talk, with the deal on the
table always beside them; and the moves that are legal now. Once the dialogue is over the finalizer's view, and only that
one, also holds every persona (arXiv 2603.10476, sec. 3.2.1).
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Literal

import msgspec
import numpy as np

from nego_env.accounting import canonical, gain, score
from nego_env.errors import MoveError
from nego_env.rules import Header, Revealed, State, Utterance, can_accept, can_walk
from nego_env.scenario import Scenario, Stakes


class Table(msgspec.Struct, frozen=True):
    """The deal on the table, as one seat sees it."""

    deal: tuple[str, ...]
    """Option ids, in issue order."""
    by: str
    """Who proposed it."""
    accepted: tuple[str, ...]
    """Who has accepted it, the proposer among them."""
    worth: float
    """What it is worth to this seat."""
    gain: float
    """(worth - walk-away) / (best - walk-away) of this seat."""


class Legal(msgspec.Struct, frozen=True):
    """Which acts count now. Talk is always legal."""

    propose: bool
    accept: bool
    walk: bool
    ask: tuple[str, ...]
    """Issue ids this seat has not asked about yet (asking again is allowed, and adds nothing)."""
    reveal: tuple[str, ...]
    """Issue ids whose scores this seat has not published yet."""


class SeatRandom:
    """The seat's own random generator, made when first asked for: most agents never do."""

    __slots__ = ("_generator", "_key")

    def __init__(self, key: tuple[int, ...]) -> None:
        self._key = key
        self._generator: np.random.Generator | None = None

    @property
    def generator(self) -> np.random.Generator:
        """The same generator all episode long."""
        if self._generator is None:
            self._generator = np.random.default_rng(list(self._key))
        return self._generator


def seat_randoms(header: Header, n: int) -> tuple[SeatRandom, ...]:
    """One independent generator per seat, from the episode's seed, index and attempt."""
    return tuple(SeatRandom((header.seed, header.index, header.attempt, seat + 1)) for seat in range(n))


class View(msgspec.Struct, frozen=True, dict=True):
    """What one seat may know now. The fields are public API."""

    episode: str
    """Episode id: the same for every view of one episode."""
    seat: str
    """`seat_0`, `seat_1`, ..."""
    scenario: Scenario
    """The dilemma as this seat may know it: names, issues and protocol; the others' personas and stakes are blank."""
    round: int
    """1, 2, ... up to `max_rounds`."""
    max_rounds: int
    phase: Literal["dialogue", "completion"]
    utterances: tuple[Utterance, ...]
    """The talk in this seat's memory window, oldest first; notices to other seats are removed."""
    omitted: int
    """How many earlier utterances the memory window leaves out."""
    table: Table | None
    """The deal on the table; after agreement, the deal agreed. Survives the memory window."""
    legal: Legal
    revealed: tuple[Revealed, ...]
    """Every score published so far, by anybody."""
    walked: tuple[str, ...]
    """Seats that have left the table."""
    notice: str | None
    """What was wrong with this seat's last tag, if anything."""
    personas: tuple[str, ...] | None
    """Every persona, in seat order, for the finalizer once the dialogue is over; else None."""
    random: SeatRandom

    @property
    def index(self) -> int:
        """The seat as a number."""
        return int(self.seat.removeprefix("seat_"))

    @property
    def name(self) -> str:
        """How the others address this seat."""
        return self.scenario.seats[self.index].name

    @property
    def task(self) -> str:
        """The dilemma."""
        return self.scenario.task

    @property
    def persona(self) -> str:
        """This seat's private objective."""
        return self.scenario.seats[self.index].persona

    @property
    def stakes(self) -> Stakes | None:
        """This seat's private scores; None on an open dilemma."""
        return self.scenario.seats[self.index].stakes

    @property
    def rng(self) -> np.random.Generator:
        """This seat's own generator: draw from it, and the same seed plays the same episode."""
        return self.random.generator

    @cached_property
    def rules(self) -> str:
        """The rules in words: how long, when a deal is agreed, the tags with one example."""
        return rules_text(self.scenario, self.index, self.max_rounds)

    def worth(self, deal: tuple[str, ...] | list[str]) -> float:
        """What a deal (option ids) is worth to this seat. Raises `ScenarioError` for a deal that is none."""
        return score(self._own_stakes(), self.scenario.deal(deal))

    def gain(self, deal: tuple[str, ...] | list[str]) -> float:
        """(worth - walk-away) / (best - walk-away) of a deal for this seat: 1 at its best deal, below 0 at a loss."""
        return gain(self._own_stakes(), self.scenario.deal(deal))

    def _own_stakes(self) -> Stakes:
        if self.stakes is None:
            raise MoveError(f"{self.scenario.id} is an open dilemma: no deal has a worth")
        return self.stakes


VIEW_FIELDS = (
    "episode", "seat", "scenario", "round", "max_rounds", "phase", "utterances", "omitted", "table", "legal",
    "revealed", "walked", "notice", "personas", "random",
)  # fmt: skip
"""The stored fields of a `View`; derived ones: index, name, task, persona, stakes, rng, rules."""


def view(state: State, randoms: tuple[SeatRandom, ...], seat: int | None = None) -> View:
    """The view of a seat (by default the one whose turn it is)."""
    me = state.seat if seat is None else seat
    scenario = state.scenario
    name = scenario.seat_ids[me]
    completing = state.phase == "completion" and me == state.seat
    shown = state.utterances if completing else window(state)
    return View(
        episode=state.header.id,
        seat=name,
        scenario=scenario.for_seat(me),
        round=state.round,
        max_rounds=state.settings.max_rounds,
        phase="completion" if completing else "dialogue",
        utterances=tuple(u if u.notice is None or u.seat == name else _public(u) for u in shown),
        omitted=len(state.utterances) - len(shown),
        table=_table(state, me),
        legal=legal(state, me),
        revealed=state.revealed,
        walked=tuple(s for s, gone in zip(scenario.seat_ids, state.walked, strict=True) if gone),
        notice=notice(state, me),
        personas=tuple(s.persona for s in scenario.seats) if completing else None,
        random=randoms[me],
    )


def window(state: State) -> tuple[Utterance, ...]:
    """The last `memory` x n utterances; all of them when memory is None."""
    memory = state.settings.memory
    return state.utterances if memory is None else state.utterances[-memory * state.scenario.n :]


def notice(state: State, seat: int) -> str | None:
    """What was wrong with the tag of the seat's last utterance, if anything."""
    name = state.scenario.seat_ids[seat]
    for u in reversed(state.utterances):
        if u.seat == name:
            return u.notice
    return None


def _public(u: Utterance) -> Utterance:
    return msgspec.structs.replace(u, notice=None)


def _table(state: State, me: int) -> Table | None:
    if state.standing is None:
        return None
    stakes = state.scenario.seats[me].stakes
    assert stakes is not None  # only structured dilemmas have a standing deal
    ids = state.scenario.seat_ids
    return Table(
        deal=state.scenario.ids(state.standing.deal),
        by=ids[state.standing.by],
        accepted=tuple(s for s, yes in zip(ids, state.accepted, strict=True) if yes),
        worth=canonical(score(stakes, state.standing.deal)),
        gain=canonical(gain(stakes, state.standing.deal)),
    )


_NOTHING = Legal(False, False, False, (), ())


def legal(state: State, seat: int) -> Legal:
    """The acts that count for a seat now; none when it is not its turn, on open dilemmas, and in the completion."""
    if state.awaiting != "utterance" or state.phase != "dialogue" or seat != state.seat or not state.scenario.issues:
        return _NOTHING
    asked = {issue for who, issue in state.asked if who == seat}
    name = state.scenario.seat_ids[seat]
    told = {r.issue for r in state.revealed if r.seat == name}
    issues = [i.id for i in state.scenario.issues]
    return Legal(
        propose=True,
        accept=can_accept(state, seat),
        walk=can_walk(state),
        ask=tuple(i for i in issues if i not in asked),
        reveal=tuple(i for i in issues if i not in told),
    )


@cache
def prompt(name: str) -> str:
    """A prompt file of this package, read once."""
    from importlib.resources import files

    return files("nego_env").joinpath("prompts", f"{name}.txt").read_text(encoding="utf-8").strip()


def rules_text(scenario: Scenario, seat: int, max_rounds: int) -> str:
    """The rules as a seat reads them."""
    facts = {
        "n": str(scenario.n),
        "names": ", ".join(s.name for s in scenario.seats),
        "me": scenario.seats[seat].name,
        "max_rounds": str(max_rounds),
    }
    if not scenario.issues:
        return _fill(prompt("rules_open"), facts)
    example = " ".join(i.options[0].id for i in scenario.issues)
    facts |= {"acceptance": acceptance_text(scenario), "example": example, "issue": scenario.issues[0].id}
    return _fill(prompt("rules_structured"), facts)


def _fill(template: str, facts: dict[str, str]) -> str:
    """Slots filled in one pass: a name that looks like a slot stays what it is."""
    pieces = template.split("{")
    return pieces[0] + "".join(
        facts[slot] + rest if slot in facts else "{" + piece
        for piece in pieces[1:]
        for slot, _, rest in [piece.partition("}")]
    )


def acceptance_text(scenario: Scenario) -> str:
    """The acceptance rule in one sentence."""
    rule = scenario.protocol.acceptance
    need = scenario.n if rule.at_least is None else rule.at_least
    if need >= scenario.n:
        return "It holds once all of you have accepted it."
    names = " and ".join(scenario.seats[v].name for v in rule.vetoes)
    among = f", {names} among them" if names else ""
    return f"It holds once at least {need} of you have accepted it{among}."
