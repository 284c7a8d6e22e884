"""Seeded structured dilemmas: the same arguments give the same scenario, in every process.

1. **Shape.** The seed draws a theme, seats, issues, options per issue and a level of stakes; an argument replaces what
   was drawn and disturbs nothing else.
2. **Stakes.** On an *opposed* issue the seats fall into two camps with reversed preference orders, on an *alike* one all
   want the same end, on an *apart* one each has a favourite of its own. The level says how many issues are which. Seats
   weigh the issues differently, so that trading a light issue for a heavy one pays (logrolling: Froman and Cohen 1970),
   and their best totals differ, so that the biggest sum is not the fairest deal.
3. **Walk-away values** are 25 to 50 % of a seat's best total. Stakes are redrawn, a bounded number of times, until some
   deal reaches all of them; about one scenario in 25 is *no_zopa* on purpose: there they are raised until none does.
4. **Words** come from the theme (`nego_scenarios.themes`). A persona is one imperative sentence (arXiv 2603.10476,
   sec. 3.1) that names the seat's heaviest issue, the option it wants there, and the issue it would trade away.

Randomness is raw 64-bit output of PCG64, whose stream NumPy guarantees across versions (NEP 19) where those of
`Generator` methods may change, and all arithmetic is on integers. A change to what a seed gives is a new `VERSION`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from nego_env.errors import SettingsError
from nego_env.scenario import Acceptance, Issue, Option, Protocol, Scenario, Seat, Stakes, encode_scenario
from nego_scenarios.themes import Role, Split, Story, Theme, ThemeIssue, fill, load_theme, theme_names

VERSION = "1"
"""Goes into every seed and into `meta["generator"]`."""

Level = Literal["cooperative", "mixed", "opposed", "sharp"]
LEVELS: tuple[Level, ...] = ("cooperative", "mixed", "opposed", "sharp")

SEATS = (2, 4)
ISSUES = (2, 5)
OPTIONS = (2, 5)
"""Least and most, per scenario and (options) per issue."""

BEST = (40, 100)
"""Range of a seat's best total."""
WALK_AWAY = (25, 50)
"""Range of its walk-away value, in per cent of the best total."""

NO_ZOPA_PERCENT = 8
"""Of the opposed and sharp scenarios, which are half of all: about 4 % overall."""
MAJORITY_PERCENT = 10
"""Of the scenarios with 3 or 4 seats: one seat without a veto may be outvoted."""

ATTEMPTS = 60
"""Draws of stakes before walk-away values are lowered to what one deal reaches."""
TENSE_ATTEMPTS = 8
"""The first so many draws must also make the biggest sum a worse deal than the fairest."""

Kind = Literal["opposed", "alike", "apart"]
Rows = list[list[int]]
Ints = npt.NDArray[np.int64]
T = TypeVar("T")

_WORDS = ("none", "one", "two", "three", "four", "five")


def generate(
    seed: int,
    *,
    split: Split = "train",
    theme: str | None = None,
    seats: int | None = None,
    issues: int | None = None,
    options: int | None = None,
    stakes: Level | None = None,
) -> Scenario:
    """The structured dilemma of a seed (an integer from 0). What is None is drawn from the seed.

    `seats` 2 to 4, `issues` 2 to 5, `options` 2 to 5 on every issue (drawn per issue when None), `stakes` one of
    `LEVELS`, `theme` one of `theme_names(split)`. Raises `SettingsError` for a value out of range and `NotFoundError`
    for an unknown theme.
    """
    _check_settings(seed, seats, issues, options, stakes)
    shape = _draw_shape(_Draws(split, seed, "shape"), split)
    theme = shape.theme if theme is None else theme
    counts = shape.counts if options is None else (options,) * ISSUES[1]
    level = stakes or shape.level
    cast = _draw_cast(
        _Draws(split, seed, "cast"),
        load_theme(split, theme),
        seats or shape.seats,
        counts[: issues or shape.issues],
        level,
    )
    no_zopa = shape.no_zopa and level in ("opposed", "sharp")
    numbers = _draw_numbers(_Draws(split, seed, "stakes"), cast, level, no_zopa)
    return _write(_Draws(split, seed, "words"), split, seed, theme, level, cast, numbers, shape.majority)


def generate_many(
    count: int,
    *,
    seed: int = 0,
    split: Split = "train",
    theme: str | None = None,
    seats: int | None = None,
    issues: int | None = None,
    options: int | None = None,
    stakes: Level | None = None,
) -> Iterator[Scenario]:
    """The scenarios of seeds `seed`, `seed + 1`, ...; the other arguments are those of `generate`."""
    for s in range(seed, seed + count):
        yield generate(s, split=split, theme=theme, seats=seats, issues=issues, options=options, stakes=stakes)


class _Draws:
    """A stream of integers, named by its key and independent of every other stream."""

    def __init__(self, *key: object) -> None:
        name = "\n".join((VERSION, *map(str, key))).encode()
        self._raw = np.random.PCG64(np.random.SeedSequence(int.from_bytes(hashlib.sha256(name).digest()))).random_raw

    def between(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + (int(self._raw()) * (high - low + 1) >> 64)

    def percent(self, chance: int) -> bool:
        """True with a chance of so many per cent."""
        return self.between(0, 99) < chance

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.between(0, len(items) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All of the items in random order (Fisher and Yates)."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.between(0, i)
            out[i], out[j] = out[j], out[i]
        return out


def _check_settings(seed: int, seats: int | None, issues: int | None, options: int | None, stakes: str | None) -> None:
    if seed < 0:
        raise SettingsError(f"seed is {seed}; it must be 0 or more")
    for name, value, (low, high) in (
        ("seats", seats, SEATS),
        ("issues", issues, ISSUES),
        ("options", options, OPTIONS),
    ):
        if value is not None and not low <= value <= high:
            raise SettingsError(f"{name} is {value}; a generated scenario has {low} to {high}")
    if stakes is not None and stakes not in LEVELS:
        raise SettingsError(f"unknown stakes {stakes!r}; stakes: {', '.join(LEVELS)}")


# ---------------------------------------------------------------- shape and cast
class _Shape(NamedTuple):
    """What the seed alone decides."""

    theme: str
    seats: int
    issues: int
    counts: tuple[int, ...]
    level: Level
    no_zopa: bool
    majority: bool


def _draw_shape(d: _Draws, split: Split) -> _Shape:
    return _Shape(
        theme=d.pick(theme_names(split)),
        seats=d.between(*SEATS),
        issues=d.between(*ISSUES),
        counts=tuple(d.between(*OPTIONS) for _ in range(ISSUES[1])),
        level=d.pick(LEVELS),
        no_zopa=d.percent(NO_ZOPA_PERCENT),
        majority=d.percent(MAJORITY_PERCENT),
    )


class _Cast(NamedTuple):
    """Who sits down, and over what."""

    theme: Theme
    roles: tuple[Role, ...]
    issues: tuple[ThemeIssue, ...]
    """With the drawn options only, in the order shown."""
    kinds: tuple[Kind, ...]
    """Per issue."""


def _draw_cast(d: _Draws, theme: Theme, seats: int, counts: Sequence[int], level: Level) -> _Cast:
    roles = tuple(d.shuffled(theme.roles)[:seats])
    quota = _opposed_quota(level, len(counts))
    chosen = _pick_issues(d.shuffled(theme.issues), roles, len(counts), quota)
    forced = [_contested(issue, roles) for issue in chosen]
    free = d.shuffled([i for i, f in enumerate(forced) if not f])
    opposed = set(free[: max(0, quota - sum(forced))])
    kinds = tuple(_kind(d, level, forced[i] or i in opposed) for i in range(len(chosen)))
    issues = tuple(_with_options(d, issue, count) for issue, count in zip(chosen, counts, strict=True))
    return _Cast(theme, roles, issues, kinds)


def _opposed_quota(level: Level, issues: int) -> int:
    """How many issues are opposed. Never 0: there is always something to argue about."""
    return {"cooperative": 1, "mixed": issues // 2, "opposed": max(2, issues - 1), "sharp": issues}[level]


def _contested(issue: ThemeIssue, roles: Sequence[Role]) -> bool:
    """Two of these roles lean to opposite ends, so the issue cannot but be opposed."""
    return {-1, 1} <= {issue.lean(r.name) for r in roles}


def _pick_issues(shuffled: list[ThemeIssue], roles: Sequence[Role], count: int, quota: int) -> list[ThemeIssue]:
    """The first `count` issues, passing over contested ones beyond the quota, and those on which every role leans the
    same way, unless the theme has too few others."""
    chosen: list[ThemeIssue] = []
    spare: list[ThemeIssue] = []
    for issue in shuffled:
        leans = {issue.lean(r.name) for r in roles}
        too_many = _contested(issue, roles) and sum(_contested(c, roles) for c in chosen) >= quota
        (spare if too_many or leans in ({-1}, {1}) else chosen).append(issue)
    return (chosen + spare)[:count]


def _kind(d: _Draws, level: Level, opposed: bool) -> Kind:
    alike = d.percent({"cooperative": 80, "mixed": 50, "opposed": 0, "sharp": 0}[level])
    return "opposed" if opposed else "alike" if alike else "apart"


def _with_options(d: _Draws, issue: ThemeIssue, count: int) -> ThemeIssue:
    """The issue with `count` of its options; an ordered one keeps its order."""
    kept = d.shuffled(range(len(issue.options)))[:count]
    kept = sorted(kept) if issue.ordered else kept
    return msgspec.structs.replace(issue, options=tuple(issue.options[j] for j in kept))


# ---------------------------------------------------------------- numbers
class _Numbers(NamedTuple):
    """The private stakes of all seats."""

    scores: list[Rows]
    """Per seat, per issue, per option."""
    weights: Rows
    """Per seat, the best score on each issue; they add up to its best total."""
    walk_away: list[int]
    zopa: bool
    """Some deal reaches every walk-away value."""


def _draw_numbers(d: _Draws, cast: _Cast, level: Level, no_zopa: bool) -> _Numbers:
    if no_zopa:
        for _ in range(ATTEMPTS):
            found = _raised(d, _draw_once(d, cast, level))
            if not found.zopa:
                return found
    for attempt in range(ATTEMPTS):
        drawn = _draw_once(d, cast, level)
        totals = _deal_totals(drawn.scores)
        if drawn.zopa and (attempt >= TENSE_ATTEMPTS or _sum_is_unfair(totals, drawn)):
            return drawn
    return _lowered(_draw_once(d, cast, level))


def _draw_once(d: _Draws, cast: _Cast, level: Level) -> _Numbers:
    totals = [d.between(*BEST) for _ in cast.roles]
    while len(set(totals)) == 1:  # with equal best totals the biggest sum would be fair by construction
        totals[-1] = d.between(*BEST)
    weights = [_apportion(t, w) for t, w in zip(totals, _priorities(d, cast, level), strict=True)]
    curves = [_issue_curves(d, issue, kind, cast.roles) for issue, kind in zip(cast.issues, cast.kinds, strict=True)]
    scores = [
        [[(w * v + 50) // 100 for v in curves[k][s]] for k, w in enumerate(weights[s])] for s in range(len(cast.roles))
    ]
    walk_away = [(t * d.between(*WALK_AWAY) + 50) // 100 for t in totals]
    return _Numbers(scores, weights, walk_away, _has_zopa(scores, walk_away))


def _priorities(d: _Draws, cast: _Cast, level: Level) -> Rows:
    """Unscaled issue weights per seat: each next issue in the seat's order weighs 45 to 80 % of the one before."""
    rows = []
    for top in _heaviest(d, cast, level):
        order = [top, *d.shuffled([k for k in range(len(cast.issues)) if k != top])]
        row, weight = [0] * len(order), 1000
        for k in order:
            row[k] = weight
            weight = weight * d.between(45, 80) // 100
        rows.append(row)
    return rows


def _heaviest(d: _Draws, cast: _Cast, level: Level) -> list[int]:
    """The issue that weighs most with each seat: the same for all when stakes are sharp, else a different one for each as
    far as there are issues. A role mostly cares about an issue on which it leans, which is why it came."""
    every = range(len(cast.issues))
    if level == "sharp":
        contested = [k for k in every if _contested(cast.issues[k], cast.roles)]
        return [d.pick(contested or every)] * len(cast.roles)
    tops: list[int] = []
    for role in cast.roles:
        left = [k for k in every if k not in tops] or list(every)
        leaning = [k for k in left if cast.issues[k].lean(role.name)]
        tops.append(d.pick(leaning if leaning and d.percent(75) else left))
    return tops


def _apportion(total: int, weights: list[int]) -> list[int]:
    """Integers in proportion to the weights that add up to the total (largest remainders first)."""
    whole = sum(weights)
    shares = [total * w // whole for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda k: (-(total * weights[k] % whole), k))
    for k in by_remainder[: total - sum(shares)]:
        shares[k] += 1
    return shares


def _issue_curves(d: _Draws, issue: ThemeIssue, kind: Kind, roles: Sequence[Role]) -> Rows:
    """What each option of an issue is worth to each seat, in per cent of the seat's best."""
    count = len(issue.options)
    scale = list(range(count)) if issue.ordered else d.shuffled(range(count))
    curves = []
    for direction in _directions(d, issue, kind, roles):
        if direction:
            curve = _rising(d, count)[::direction]
        elif issue.ordered:
            curve = _peaked(d, count)
        else:
            curve = d.shuffled(_rising(d, count))
        curves.append([curve[scale[j]] for j in range(count)])
    return curves


def _directions(d: _Draws, issue: ThemeIssue, kind: Kind, roles: Sequence[Role]) -> list[int]:
    """Per seat, which end of the scale it wants: 1 the last, -1 the first, 0 something of its own."""
    leans = [issue.lean(r.name) for r in roles]
    if kind == "apart":
        return leans
    if kind == "alike":
        common = next((lean for lean in leans if lean), d.pick((-1, 1)))
        return [common] * len(roles)
    camps = [lean or d.pick((-1, 1)) for lean in leans]
    if len(set(camps)) == 1:
        free = [i for i, lean in enumerate(leans) if not lean]
        camps[d.pick(free or range(len(camps)))] *= -1  # an opposed issue has two sides, whoever has to give up a lean
    return camps


def _rising(d: _Draws, count: int) -> list[int]:
    """Strictly rising values, evenly spaced give or take, from 0..15 up to 100."""
    low, step = d.between(0, 15), 100 // (count - 1)
    return [low, *(r * step + d.between(-step * 2 // 5, step * 2 // 5) for r in range(1, count - 1)), 100]


def _peaked(d: _Draws, count: int) -> list[int]:
    """100 somewhere, falling to both sides (single-peaked)."""
    peak = d.between(0, count - 1)
    return [100 - (100 * abs(j - peak) // count) - (d.between(0, 15) if j != peak else 0) for j in range(count)]


def _deal_totals(scores: list[Rows]) -> Ints:
    """(seats, deals): what every deal is worth to every seat, the last issue varying fastest."""
    totals = []
    for rows in scores:
        total = np.zeros(1, dtype=np.int64)
        for row in rows:
            total = np.add.outer(total, np.array(row, dtype=np.int64)).reshape(-1)
        totals.append(total)
    return np.stack(totals)


def _has_zopa(scores: list[Rows], walk_away: list[int]) -> bool:
    reached = _deal_totals(scores) >= np.array(walk_away)[:, None]
    return bool(reached.all(axis=0).any())


def _sum_is_unfair(totals: Ints, numbers: _Numbers) -> bool:
    """The deal with the biggest sum has a CA below 5 (`nego_env.accounting`, here in exact integers)."""
    room = np.array([sum(w) for w in numbers.weights])[:, None] - np.array(numbers.walk_away)[:, None]
    surplus = totals - np.array(numbers.walk_away)[:, None]
    product = np.where((surplus >= 0).all(axis=0), np.prod(room + 9 * surplus, axis=0), 0)
    return bool(product[np.argmax(totals.sum(axis=0))] < product.max())


def _raised(d: _Draws, numbers: _Numbers) -> _Numbers:
    """The same scores with walk-away values raised, from 55 % of the best upwards, until no deal reaches them all."""
    best = [sum(w) for w in numbers.weights]
    for percent in range(d.between(55, 65), 91, 5):
        walk_away = [(b * percent + 50) // 100 for b in best]
        if not _has_zopa(numbers.scores, walk_away):
            return numbers._replace(walk_away=walk_away, zopa=False)
    return numbers


def _lowered(numbers: _Numbers) -> _Numbers:
    """The same scores with walk-away values lowered to what the deal gives that is relatively best for the worst-off."""
    totals = _deal_totals(numbers.scores)
    best = np.array([sum(w) for w in numbers.weights])
    fairest = int(np.argmax((totals * 10_000 // best[:, None]).min(axis=0)))
    walk_away = [min(w, int(t)) for w, t in zip(numbers.walk_away, totals[:, fairest], strict=True)]
    return numbers._replace(walk_away=walk_away, zopa=True)


# ---------------------------------------------------------------- words
def _write(
    d: _Draws, split: Split, seed: int, theme: str, level: Level, cast: _Cast, numbers: _Numbers, majority: bool
) -> Scenario:
    issues = tuple(_issue(k, issue) for k, issue in enumerate(cast.issues))
    focus = [_focus(numbers, s) for s in range(len(cast.roles))]
    protocol = _protocol(len(cast.roles), majority)
    task = _task(d, cast, protocol)
    personas: list[str] = []
    for s in range(len(cast.roles)):
        personas.append(_persona(d, issues, numbers, s, focus[s], personas))
    scenario = Scenario(
        id="draft",
        task=task,
        seats=tuple(Seat(role.name, personas[s], _stakes(numbers, s)) for s, role in enumerate(cast.roles)),
        issues=issues,
        protocol=protocol,
        tags=("generated", split, theme, level, *(() if numbers.zopa else ("no_zopa",))),
        meta={
            "theme": theme,
            "split": split,
            "stakes": level,
            "seed": str(seed),
            "generator": f"nego_scenarios.generator/{VERSION}",
            "focus": " ".join(issues[f.issue].options[f.option].id for f in focus),
            "spare": " ".join(issues[f.spare].id for f in focus),
        },
    )
    digest = hashlib.sha256(encode_scenario(scenario)).hexdigest()
    return msgspec.structs.replace(scenario, id=f"{theme}-{digest[:12]}")


def _issue(k: int, issue: ThemeIssue) -> Issue:
    letter = "ABCDE"[k]
    options = tuple(Option(f"{letter}{j}", label) for j, label in enumerate(issue.options, 1))
    return Issue(letter, issue.name, options, issue.text)


def _stakes(numbers: _Numbers, seat: int) -> Stakes:
    return Stakes(tuple(tuple(map(float, row)) for row in numbers.scores[seat]), float(numbers.walk_away[seat]))


def _protocol(seats: int, majority: bool) -> Protocol:
    if majority and seats > 2:
        return Protocol(acceptance=Acceptance(at_least=seats - 1, vetoes=(0,)))
    return Protocol()


class _Focus(NamedTuple):
    """What a persona speaks of."""

    issue: int
    """The seat's heaviest."""
    option: int
    """Its best option there."""
    spare: int
    """The seat's lightest issue."""


def _focus(numbers: _Numbers, seat: int) -> _Focus:
    weights = numbers.weights[seat]
    top = weights.index(max(weights))
    row = numbers.scores[seat][top]
    return _Focus(top, row.index(max(row)), weights.index(min(weights)))


# No verb agrees with an issue's name below: names may be singular or plural.
_LIGHT = (
    "On the {top}, hold out for {best} above everything else, and care far less about the {spare}",
    "Put the {top} before all else and get {best} if you possibly can; treat the {spare} as small change",
    "Fight for {best} on the {top}, and let the others have their way over the {spare} if it buys you that",
    "Make the {top} your first concern and press for {best}, but be generous about the {spare}",
    "Come away with {best} on the {top} even if you have to give up whatever you wanted on the {spare}",
    "Spend all your goodwill on the {top}, where you want {best}, and next to none on the {spare}",
)
_LESS_LIGHT = (
    "Press hardest for {best} on the {top}, and use the {spare} to bargain with",
    "Put the {top} first and argue for {best}; give way on the {spare} only in exchange",
    "Go after {best} on the {top} before anything else, and keep the {spare} in hand to trade",
    "On the {top}, aim for {best}, and make your concessions on the {spare}",
    "Win {best} on the {top} if you can, and count the {spare} as the smaller matter",
)
_STRONG_FALLBACK = "Knowing that you can do well enough without a deal, "
_WEAK_FALLBACK = "With little to fall back on if this fails, "


def _persona(
    d: _Draws, issues: Sequence[Issue], numbers: _Numbers, seat: int, focus: _Focus, taken: Sequence[str]
) -> str:
    """One imperative sentence: heaviest issue, best option there, lightest issue; sometimes how good the fallback is.

    Seats that want the same say so in different words: no sentence of `taken` is used again.
    """
    weights = numbers.weights[seat]
    light = weights[focus.spare] * 5 <= weights[focus.issue] * 2
    slots = {
        "top": issues[focus.issue].name,
        "best": issues[focus.issue].options[focus.option].label,
        "spare": issues[focus.spare].name,
    }
    patterns = [fill(pattern, slots) for pattern in (_LIGHT if light else _LESS_LIGHT)]
    sentence = d.pick(patterns)
    while any(sentence.casefold() in persona.casefold() for persona in taken):  # at most three others: one is left
        patterns.remove(sentence)
        sentence = d.pick(patterns)
    share = 100 * numbers.walk_away[seat] // sum(weights)
    fallback = _STRONG_FALLBACK if share >= 45 else _WEAK_FALLBACK if share <= 30 else ""
    if fallback and d.percent(50):
        sentence = f"{fallback}{sentence[0].lower()}{sentence[1:]}"
    return f"{sentence}."


def _task(d: _Draws, cast: _Cast, protocol: Protocol) -> str:
    """The paragraph everybody reads: a story of the theme, who decides where that is not everyone, and the question."""
    story: Story = d.pick(cast.theme.stories)
    fillers = {name: d.pick(choices) for name, choices in cast.theme.slots.items()}
    fillers["parties"] = _listed([role.name for role in cast.roles], ", ")
    fillers["matters"] = _listed([issue.ask for issue in cast.issues], ", ")
    fillers["concerns"] = _joined([d.pick(role.concern) for role in cast.roles])
    parts = [fill(story.body, fillers)]
    if protocol.acceptance.vetoes:
        others = _WORDS[len(cast.roles) - 2]
        parts.append(f"A settlement needs the consent of {cast.roles[0].name} and of at least {others} of the others.")
    return " ".join([*parts, fill(story.question, fillers)])


def _listed(items: list[str], comma: str) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([comma.join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]


def _joined(clauses: list[str]) -> str:
    """Main clauses as one sentence without its full stop."""
    if len(clauses) == 2:
        return f"{clauses[0]}; {clauses[1]}"
    return "; ".join([*clauses[:-1], f"and {clauses[-1]}"])
