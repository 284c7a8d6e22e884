"""A scenario: a dilemma, the seats that face it, and the protocol they talk under.

1. An *open* dilemma has a task and a persona per seat; a judge scores what the seats write.
2. A *structured* dilemma also has issues with options and, privately for each seat, a score per option and a
   walk-away value; what the seats agree on can then be scored exactly (`nego_env.accounting`).
3. Everything is frozen data that round-trips through JSON (and TOML for hand-written ones), and its
   `content_hash` names it: two scenarios with one hash play alike.

Personas and dilemmas follow *Learning to Negotiate* (arXiv 2603.10476, sec. 3.1): one imperative sentence each seat
keeps to itself, and a task that ends in a question.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
from msgspec.structs import force_setattr

from nego_env.errors import ScenarioError

if TYPE_CHECKING:
    from nego_env.accounting import DealTable
    from nego_env.moves import Parsed

Deal = tuple[int, ...]
"""One option index per issue, in issue order."""

MAX_DEALS = 1_000_000
"""More deals than this are refused: exact accounting enumerates them."""

MAX_SCORE = 1e9
"""Scores are at most this far from 0: stored numbers have 6 decimals, and a double holds 15 digits."""

KEPT = 64
"""Entries a `Kept` holds."""

KEPT_CHARS = 1000
"""Longer texts are read anew rather than kept."""

_OPTION_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}")


K = TypeVar("K")
V = TypeVar("V")


class Kept(dict[K, V]):
    """What was worked out lately: a dict that is emptied when it holds `KEPT` entries. For values that never change."""

    def keep(self, key: K, value: V) -> V:
        """`value`, which is found under `key` for a while."""
        if len(self) >= KEPT:
            self.clear()
        self[key] = value
        return value


class Option(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One way to settle an issue."""

    id: str
    """Short and unique in the scenario, such as `A2`; what tags use. A letter, then letters, digits or `_`."""
    label: str
    """A few words, such as `a six-month lease`."""
    text: str = ""
    """A sentence of explanation, or nothing."""


class Issue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to settle, with the options it can be settled by."""

    id: str
    """Short and unique, such as `A`."""
    name: str
    """A few words, such as `length of the lease`."""
    options: tuple[Option, ...]
    text: str = ""
    """A sentence of explanation, or nothing."""


class Stakes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """What a deal is worth to one seat. Private: only that seat's view holds it."""

    scores: tuple[tuple[float, ...], ...]
    """One row per issue, one number per option, at most `MAX_SCORE` from 0; a deal is worth the sum of its options."""
    walk_away: float
    """What the seat has without a deal; a deal worth less is a loss."""

    def __post_init__(self) -> None:
        # Numbers given as ints are read back as floats: made floats here, a scenario has the same bytes and hash both times.
        if not all(type(v) is float for row in (*self.scores, (self.walk_away,)) for v in row):
            force_setattr(self, "scores", tuple(tuple(float(v) for v in row) for row in self.scores))
            force_setattr(self, "walk_away", float(self.walk_away))

    @cached_property
    def best(self) -> float:
        """What the seat's favourite deal is worth to it."""
        return math.fsum(max(row) for row in self.scores)


class Seat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A place at the table."""

    name: str
    """How the others address it: `the harbour master`."""
    persona: str
    """The private objective, one imperative sentence (arXiv 2603.10476, sec. 3.1). Never shown to another seat."""
    stakes: Stakes | None = None
    """Present on every seat of a structured dilemma, absent on an open one."""


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When the standing deal is agreed."""

    at_least: int | None = None
    """How many seats must accept; None means all of them."""
    vetoes: tuple[int, ...] = ()
    """Seats that must be among those who accept."""


_UNANIMOUS = Acceptance()


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long the seats may talk, and what counts as agreement."""

    max_rounds: int = 7
    """A round is one utterance by every seat; 7 as in arXiv 2603.10476, sec. 4.1."""
    acceptance: Acceptance = _UNANIMOUS
    finalizer: int = 0
    """The seat that writes the completion (the paper's Agent 1)."""
    bonus: dict[str, float] = {}
    """Extra points by seat id when every seat reaches its walk-away value (scorable games give the proposer 10).
    Reported beside the score; gains and CA leave it out."""

    def __post_init__(self) -> None:
        if not all(type(points) is float for points in self.bonus.values()):  # as in `Stakes`
            force_setattr(self, "bonus", {name: float(points) for name, points in self.bonus.items()})
        if self.acceptance == _UNANIMOUS:  # a default is left out of the JSON only when it is this very object
            force_setattr(self, "acceptance", _UNANIMOUS)


_DEFAULT_PROTOCOL = Protocol()


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """A dilemma with its seats. Raises `ScenarioError` on construction when it does not hold together."""

    id: str
    """Unique in its pack: letters, digits, `.`, `_`, `-`, at most 120."""
    task: str
    """The dilemma in a short paragraph that ends in a question. Everybody reads it."""
    seats: tuple[Seat, ...]
    issues: tuple[Issue, ...] = ()
    """Empty for an open dilemma."""
    protocol: Protocol = _DEFAULT_PROTOCOL
    tags: tuple[str, ...] = ()
    """Free labels, for listings. What they say of the stakes (`no_zopa`) the accounting derives anew."""
    meta: dict[str, str] = {}
    """Where it comes from: theme, stakes, source, licence. Never shown to a seat."""
    seen_by: int | None = None
    """Set by `for_seat`: the others' personas and stakes are blanked out. Not part of a scenario file."""

    def __post_init__(self) -> None:
        _check(self)
        if (
            self.protocol == _DEFAULT_PROTOCOL
        ):  # equal scenarios must have equal bytes, or their episodes have other ids
            force_setattr(self, "protocol", _DEFAULT_PROTOCOL)

    def __reduce__(self) -> Any:
        return decode_redacted, (msgspec.json.encode(self),)  # through the constructor, so that defaults are one object

    def __deepcopy__(self, memo: object) -> Scenario:
        return self  # frozen: copies of a running match share it

    @property
    def kind(self) -> Literal["structured", "open"]:
        """`structured` when there are issues to settle, else `open`."""
        return "structured" if self.issues else "open"

    @cached_property
    def n(self) -> int:
        """Number of seats."""
        return len(self.seats)

    @cached_property
    def seat_ids(self) -> tuple[str, ...]:
        """`("seat_0", ..., "seat_{n-1}")`."""
        return tuple(f"seat_{i}" for i in range(len(self.seats)))

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Options per issue."""
        return tuple(len(issue.options) for issue in self.issues)

    @property
    def n_deals(self) -> int:
        """How many deals there are (0 for an open dilemma)."""
        return math.prod(self.counts) if self.issues else 0

    @cached_property
    def option_index(self) -> dict[str, tuple[int, int]]:
        """Upper-cased option id -> (issue index, option index)."""
        return {o.id.upper(): (i, j) for i, issue in enumerate(self.issues) for j, o in enumerate(issue.options)}

    @cached_property
    def issue_index(self) -> dict[str, int]:
        """Upper-cased issue id -> issue index."""
        return {issue.id.upper(): i for i, issue in enumerate(self.issues)}

    @cached_property
    def table(self) -> DealTable:
        """Exact accounting over every deal, computed once. Raises `ScenarioError` on an open dilemma."""
        from nego_env.accounting import DealTable  # the table type needs Scenario, Scenario only its name

        return DealTable(self)

    @property
    def no_zopa(self) -> bool:
        """True when no deal leaves every seat at or above its walk-away value (no zone of possible agreement)."""
        return bool(self.issues) and self.best_g == 0.0

    @cached_property
    def best_g(self) -> float:
        """G* of `nego_env.accounting`: the best geometric mean over all deals; 0.0 without a zone of possible agreement.

        Kept apart from `table`, which is large and only some uses need: a suite in memory holds one number a scenario.
        """
        from nego_env.accounting import DealTable

        return DealTable(self).best_g

    @cached_property
    def scale(self) -> float:
        """A public yardstick for scores: the smallest power of ten that no seat's best total exceeds, at least 10."""
        top = max(
            (sum(max(abs(v) for v in row) for row in s.stakes.scores) for s in self.seats if s.stakes), default=0.0
        )
        return float(10 ** max(1, math.ceil(math.log10(top)))) if top > 0 else 10.0

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON: what an episode id is made from."""
        try:
            return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()
        except UnicodeEncodeError as e:
            raise ScenarioError(f"scenario {self.id!r}: holds a lone surrogate, which no file can hold: {e}") from None

    def ids(self, deal: Deal) -> tuple[str, ...]:
        """Option ids of a deal, in issue order: `(1, 0)` -> `("A2", "B1")`."""
        deal = tuple(deal)  # a list of indices is one too
        found = self._kept_ids.get(deal)
        return self._kept_ids.keep(deal, self._read_ids(deal)) if found is None else found

    def _read_ids(self, deal: Deal) -> tuple[str, ...]:
        return tuple([issue.options[j].id for issue, j in zip(self.issues, deal, strict=True)])

    @cached_property
    def _kept_ids(self) -> Kept[Deal, tuple[str, ...]]:
        return Kept()

    def labels(self, deal: Deal) -> tuple[str, ...]:
        """Option labels of a deal, in issue order."""
        return tuple(issue.options[j].label for issue, j in zip(self.issues, deal, strict=True))

    # Kept by what reads tags, writes completions and scores deals: each is asked for the same few again and again.
    @cached_property
    def kept_tags(self) -> Kept[str, Parsed]:
        """Final tags read lately, by all that is written from their `[` on (`moves.parse`)."""
        return Kept()

    @cached_property
    def kept_completions(self) -> Kept[Deal, str]:
        """Completions rendered lately (`moves.completion_words`)."""
        return Kept()

    @cached_property
    def kept_agreed(self) -> Kept[str, tuple[Deal | None, str | None]]:
        """What completions read lately state (`moves.agreed_deal`)."""
        return Kept()

    @cached_property
    def kept_agency(self) -> Kept[Deal, float]:
        """Collective Agency of deals scored lately (`accounting.collective_agency`)."""
        return Kept()

    def deal(self, option_ids: tuple[str, ...] | list[str]) -> Deal:
        """The deal named by option ids, in any order and case. Raises `ScenarioError` unless each issue is named once."""
        if not isinstance(option_ids, tuple):
            return self._read_deal(option_ids)
        found = self._kept_deals.get(option_ids)
        return self._kept_deals.keep(option_ids, self._read_deal(option_ids)) if found is None else found

    @cached_property
    def _kept_deals(self) -> Kept[tuple[str, ...], Deal]:
        return Kept()

    def _read_deal(self, option_ids: tuple[str, ...] | list[str]) -> Deal:
        chosen: dict[int, int] = {}
        for option_id in option_ids:
            where = self.option_index.get(option_id.upper())
            if where is None:
                raise ScenarioError(
                    f"{self.id}: no option {option_id!r}; options: {', '.join(o.id for i in self.issues for o in i.options)}"
                )
            if where[0] in chosen:
                raise ScenarioError(f"{self.id}: two options for issue {self.issues[where[0]].id!r}")
            chosen[where[0]] = where[1]
        missing = [issue.id for i, issue in enumerate(self.issues) if i not in chosen]
        if missing:
            raise ScenarioError(f"{self.id}: no option for issue {', '.join(missing)}")
        return tuple([chosen[i] for i in range(len(self.issues))])

    def for_seat(self, seat: int) -> Scenario:
        """The scenario as one seat may know it: every other persona is empty, every other seat's stakes and all tags and
        meta are gone. The same object each time."""
        return self._redacted[seat]

    @cached_property
    def _redacted(self) -> tuple[Scenario, ...]:
        return tuple(
            msgspec.structs.replace(
                self,
                seats=tuple(s if i == me else Seat(s.name, "") for i, s in enumerate(self.seats)),
                tags=(),
                meta={},
                seen_by=me,
            )
            for me in range(self.n)
        )


def _check(s: Scenario) -> None:
    where = f"scenario {s.id!r}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", s.id):
        raise ScenarioError(f"{where}: an id is 1 to 120 letters, digits, '.', '_' or '-'")
    if not s.task.strip():
        raise ScenarioError(f"{where}: the task is empty")
    if len(s.seats) < 2:
        raise ScenarioError(f"{where}: a negotiation needs at least 2 seats, this one has {len(s.seats)}")
    names = [seat.name for seat in s.seats]
    for i, seat in enumerate(s.seats):
        if not seat.name.strip():
            raise ScenarioError(f"{where}: seat_{i} has no name")
        if names.index(seat.name) != i:
            raise ScenarioError(f"{where}: seat_{i} and seat_{names.index(seat.name)} are both called {seat.name!r}")
        if not seat.persona.strip() and s.seen_by is None:
            raise ScenarioError(f"{where}: seat_{i} has no persona")
        _check_stakes(s, where, i)
    _check_issues(s, where)
    _check_protocol(s, where)


def _check_issues(s: Scenario, where: str) -> None:
    taken: dict[str, str] = {}
    for issue in s.issues:
        for kind, name in (("issue", issue.id), *(("option", o.id) for o in issue.options)):
            if not _OPTION_ID.fullmatch(name):
                raise ScenarioError(f"{where}: {kind} id {name!r}: a letter, then at most 15 letters, digits or '_'")
            if name.upper() in taken:
                raise ScenarioError(f"{where}: id {name!r} is used by an {taken[name.upper()]} already")
            taken[name.upper()] = kind
        if not issue.options:
            raise ScenarioError(f"{where}: issue {issue.id!r} has no options")
    if s.issues and s.n_deals > MAX_DEALS:
        raise ScenarioError(f"{where}: {s.n_deals} deals; exact accounting enumerates at most {MAX_DEALS}")


def _check_stakes(s: Scenario, where: str, i: int) -> None:
    stakes = s.seats[i].stakes
    if stakes is None:
        if s.issues and s.seen_by is None:
            raise ScenarioError(f"{where}: seat_{i} has no stakes, but there are issues to score")
        return
    if not s.issues:
        raise ScenarioError(f"{where}: seat_{i} has stakes, but there are no issues")
    if len(stakes.scores) != len(s.issues):
        raise ScenarioError(f"{where}: seat_{i} scores {len(stakes.scores)} issues, the scenario has {len(s.issues)}")
    for row, issue in zip(stakes.scores, s.issues, strict=True):
        if len(row) != len(issue.options):
            raise ScenarioError(
                f"{where}: seat_{i} scores {len(row)} options of issue {issue.id!r}, which has {len(issue.options)}"
            )
    if not all(abs(v) <= MAX_SCORE for row in (*stakes.scores, (stakes.walk_away,)) for v in row):
        raise ScenarioError(f"{where}: seat_{i} has a score that is no number within {MAX_SCORE:g} of 0")
    best = math.fsum(max(row) for row in stakes.scores if row)
    if best < stakes.walk_away - 1e-9:  # 0.7 + 0.1 reaches 0.8: `nego_env.accounting.TOLERANCE`
        raise ScenarioError(
            f"{where}: seat_{i} would walk away from every deal (best {best:g}, walk-away {stakes.walk_away:g})"
        )


def _check_protocol(s: Scenario, where: str) -> None:
    p = s.protocol
    if p.max_rounds < 1:
        raise ScenarioError(f"{where}: max_rounds is {p.max_rounds}, it must be at least 1")
    if not 0 <= p.finalizer < s.n:
        raise ScenarioError(f"{where}: finalizer {p.finalizer} is no seat (0 to {s.n - 1})")
    k = p.acceptance.at_least
    if k is not None and not 1 <= k <= s.n:
        raise ScenarioError(f"{where}: acceptance by at least {k} of {s.n} seats cannot be (1 to {s.n})")
    for v in p.acceptance.vetoes:
        if not 0 <= v < s.n:
            raise ScenarioError(f"{where}: veto seat {v} is no seat (0 to {s.n - 1})")
    for name, points in p.bonus.items():
        if name not in s.seat_ids:
            raise ScenarioError(f"{where}: a bonus for {name!r}, which is no seat (seat_0 to seat_{s.n - 1})")
        if not abs(points) <= MAX_SCORE:
            raise ScenarioError(f"{where}: the bonus for {name} is {points}, no number within {MAX_SCORE:g} of 0")
    if not s.issues and (k is not None or p.acceptance.vetoes or p.bonus):
        raise ScenarioError(f"{where}: an open dilemma is agreed by its judge; acceptance and bonus need issues")


def read_toml(path: Path) -> Scenario:
    """A hand-written scenario. Raises `ScenarioError` naming file and field."""
    import tomllib

    try:
        data: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ScenarioError(f"{path}: not valid TOML: {e}") from None
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None
    data.setdefault("id", path.stem)
    return scenario_from(data, str(path))


def scenario_from(data: Any, where: str) -> Scenario:
    """A scenario from plain data (dicts and lists), strictly typed. `where` opens the message of a `ScenarioError`."""
    try:
        return _whole(msgspec.convert(data, Scenario), where)
    except msgspec.ValidationError as e:
        raise ScenarioError(f"{where}: {e}") from None


def decode_scenario(line: bytes | str, where: str) -> Scenario:
    """A scenario from one JSON document. `where` opens the message of a `ScenarioError`."""
    try:
        return _whole(msgspec.json.decode(line, type=Scenario), where)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ScenarioError(f"{where}: {e}") from None


def _whole(scenario: Scenario, where: str) -> Scenario:
    if scenario.seen_by is not None:
        raise ScenarioError(f"{where}: seen_by is not part of a scenario file: leave it out")
    return scenario


def decode_redacted(line: bytes) -> Scenario:
    """A scenario back from a pickle; unlike `decode_scenario` it may be one seat's (`for_seat`)."""
    return msgspec.json.decode(line, type=Scenario)


def encode_scenario(scenario: Scenario) -> bytes:
    """Canonical JSON, one line, no newline."""
    return msgspec.json.encode(scenario, order="deterministic")
