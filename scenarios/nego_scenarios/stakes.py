"""The private stakes of all seats: scores by issue and option, walk-away values, and whether any deal suits everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nego_scenarios.casting import Cast, Kind, Level, is_contested
from nego_scenarios.draws import Draws
from nego_scenarios.themes import Role, ThemeIssue

BEST = (40, 100)
"""Range of a seat's best total."""
WALK_AWAY = (25, 50)
"""Range of its walk-away value, in per cent of the best total."""

ATTEMPTS = 60
"""Draws of stakes before walk-away values are lowered to what one deal reaches."""
TENSE_ATTEMPTS = 8
"""The first so many draws must also make the biggest sum a worse deal than the fairest."""

Rows = list[list[int]]
Ints = npt.NDArray[np.int64]


class Numbers(NamedTuple):
    """The private stakes of all seats."""

    scores: list[Rows]
    """Per seat, per issue, per option."""
    weights: Rows
    """Per seat, the best score on each issue; they add up to its best total."""
    walk_away: list[int]
    zopa: bool
    """Some deal reaches every walk-away value."""


def draw_numbers(d: Draws, cast: Cast, level: Level, no_zopa: bool) -> Numbers:
    """Stakes that leave room for a deal, or with `no_zopa` none; drawn anew up to `ATTEMPTS` times, then made to fit."""
    if no_zopa:
        for _ in range(ATTEMPTS):
            found = _raised(d, _draw_once(d, cast, level))
            if not found.zopa:
                return found
    for attempt in range(ATTEMPTS):
        drawn = _draw_once(d, cast, level)
        totals = deal_totals(drawn.scores)
        if drawn.zopa and (attempt >= TENSE_ATTEMPTS or _sum_is_unfair(totals, drawn)):
            return drawn
    return lowered(_draw_once(d, cast, level))


def _draw_once(d: Draws, cast: Cast, level: Level) -> Numbers:
    totals = [d.between(*BEST) for _ in cast.roles]
    while len(set(totals)) == 1:  # with equal best totals the biggest sum would be fair by construction
        totals[-1] = d.between(*BEST)
    weights = [apportion(t, w) for t, w in zip(totals, _priorities(d, cast, level), strict=True)]
    curves = [_issue_curves(d, issue, kind, cast.roles) for issue, kind in zip(cast.issues, cast.kinds, strict=True)]
    scores = [
        [[(w * v + 50) // 100 for v in curves[k][s]] for k, w in enumerate(weights[s])] for s in range(len(cast.roles))
    ]
    walk_away = [(t * d.between(*WALK_AWAY) + 50) // 100 for t in totals]
    return Numbers(scores, weights, walk_away, _has_zopa(scores, walk_away))


def _priorities(d: Draws, cast: Cast, level: Level) -> Rows:
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


def _heaviest(d: Draws, cast: Cast, level: Level) -> list[int]:
    """The issue that weighs most with each seat: the same for all when stakes are sharp, else a different one for each as
    far as there are issues. A role mostly cares about an issue on which it leans, which is why it came."""
    every = range(len(cast.issues))
    if level == "sharp":
        contested = [k for k in every if is_contested(cast.issues[k], cast.roles)]
        return [d.pick(contested or every)] * len(cast.roles)
    tops: list[int] = []
    for role in cast.roles:
        left = [k for k in every if k not in tops] or list(every)
        leaning = [k for k in left if cast.issues[k].lean(role.name)]
        tops.append(d.pick(leaning if leaning and d.percent(75) else left))
    return tops


def apportion(total: int, weights: list[int]) -> list[int]:
    """Integers in proportion to the weights that add up to the total (largest remainders first)."""
    whole = sum(weights)
    shares = [total * w // whole for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda k: (-(total * weights[k] % whole), k))
    for k in by_remainder[: total - sum(shares)]:
        shares[k] += 1
    return shares


def _issue_curves(d: Draws, issue: ThemeIssue, kind: Kind, roles: Sequence[Role]) -> Rows:
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


def _directions(d: Draws, issue: ThemeIssue, kind: Kind, roles: Sequence[Role]) -> list[int]:
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


def _rising(d: Draws, count: int) -> list[int]:
    """Strictly rising values, evenly spaced give or take, from 0..15 up to 100."""
    low, step = d.between(0, 15), 100 // (count - 1)
    return [low, *(r * step + d.between(-step * 2 // 5, step * 2 // 5) for r in range(1, count - 1)), 100]


def _peaked(d: Draws, count: int) -> list[int]:
    """100 somewhere, falling to both sides (single-peaked)."""
    peak = d.between(0, count - 1)
    return [100 - (100 * abs(j - peak) // count) - (d.between(0, 15) if j != peak else 0) for j in range(count)]


def deal_totals(scores: list[Rows]) -> Ints:
    """(seats, deals): what every deal is worth to every seat, the last issue varying fastest."""
    totals = []
    for rows in scores:
        total = np.zeros(1, dtype=np.int64)
        for row in rows:
            total = np.add.outer(total, np.array(row, dtype=np.int64)).reshape(-1)
        totals.append(total)
    return np.stack(totals)


def _has_zopa(scores: list[Rows], walk_away: list[int]) -> bool:
    """Some deal reaches every walk-away value."""
    reached = deal_totals(scores) >= np.array(walk_away)[:, None]
    return bool(reached.all(axis=0).any())


def _sum_is_unfair(totals: Ints, numbers: Numbers) -> bool:
    """The deal with the biggest sum has a CA below 5 (`nego_env.accounting`, here in exact integers)."""
    room = np.array([sum(w) for w in numbers.weights])[:, None] - np.array(numbers.walk_away)[:, None]
    surplus = totals - np.array(numbers.walk_away)[:, None]
    product = np.where((surplus >= 0).all(axis=0), np.prod(room + 9 * surplus, axis=0), 0)
    return bool(product[np.argmax(totals.sum(axis=0))] < product.max())


def _raised(d: Draws, numbers: Numbers) -> Numbers:
    """The same scores with walk-away values raised, from 55 % of the best upwards, until no deal reaches them all."""
    best = [sum(w) for w in numbers.weights]
    for percent in range(d.between(55, 65), 91, 5):
        walk_away = [(b * percent + 50) // 100 for b in best]
        if not _has_zopa(numbers.scores, walk_away):
            return numbers._replace(walk_away=walk_away, zopa=False)
    return numbers


def lowered(numbers: Numbers) -> Numbers:
    """The same scores with walk-away values lowered to what the deal gives that is relatively best for the worst-off."""
    totals = deal_totals(numbers.scores)
    best = np.array([sum(w) for w in numbers.weights])
    fairest = int(np.argmax((totals * 10_000 // best[:, None]).min(axis=0)))
    walk_away = [min(w, int(t)) for w, t in zip(numbers.walk_away, totals[:, fairest], strict=True)]
    return numbers._replace(walk_away=walk_away, zopa=True)
