"""Who sits down and over what: the shape a seed draws, the roles and issues of a theme, and which issues are opposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from nego_scenarios.draws import Draws
from nego_scenarios.themes import Role, Split, Theme, ThemeIssue, theme_names

Level = Literal["cooperative", "mixed", "opposed", "sharp"]
LEVELS: tuple[Level, ...] = ("cooperative", "mixed", "opposed", "sharp")

SEATS = (2, 4)
ISSUES = (2, 5)
OPTIONS = (2, 5)
"""Least and most, per scenario and (options) per issue."""

NO_ZOPA_PERCENT = 8
"""Of the opposed and sharp scenarios, which are half of all: about 4 % overall."""
MAJORITY_PERCENT = 10
"""Of the scenarios with 3 or 4 seats: one seat without a veto may be outvoted."""

Kind = Literal["opposed", "alike", "apart"]


class Shape(NamedTuple):
    """What the seed alone decides."""

    theme: str
    seats: int
    issues: int
    counts: tuple[int, ...]
    level: Level
    no_zopa: bool
    majority: bool


def draw_shape(d: Draws, split: Split) -> Shape:
    """A theme of the split, and how much of everything."""
    return Shape(
        theme=d.pick(theme_names(split)),
        seats=d.between(*SEATS),
        issues=d.between(*ISSUES),
        counts=tuple(d.between(*OPTIONS) for _ in range(ISSUES[1])),
        level=d.pick(LEVELS),
        no_zopa=d.percent(NO_ZOPA_PERCENT),
        majority=d.percent(MAJORITY_PERCENT),
    )


class Cast(NamedTuple):
    """Who sits down, and over what."""

    theme: Theme
    roles: tuple[Role, ...]
    issues: tuple[ThemeIssue, ...]
    """With the drawn options only, in the order shown."""
    kinds: tuple[Kind, ...]
    """Per issue."""


def draw_cast(d: Draws, theme: Theme, seats: int, counts: Sequence[int], level: Level) -> Cast:
    """Roles and issues of a theme, with `counts[i]` options on issue i, and which issues are opposed."""
    roles = tuple(d.shuffled(theme.roles)[:seats])
    quota = _opposed_quota(level, len(counts))
    chosen = _pick_issues(d.shuffled(theme.issues), roles, len(counts), quota)
    forced = [is_contested(issue, roles) for issue in chosen]
    free = d.shuffled([i for i, f in enumerate(forced) if not f])
    opposed = set(free[: max(0, quota - sum(forced))])
    kinds = tuple(_kind(d, level, forced[i] or i in opposed) for i in range(len(chosen)))
    issues = tuple(_with_options(d, issue, count) for issue, count in zip(chosen, counts, strict=True))
    return Cast(theme, roles, issues, kinds)


def _opposed_quota(level: Level, issues: int) -> int:
    """How many issues are opposed. Never 0: there is always something to argue about."""
    return {"cooperative": 1, "mixed": issues // 2, "opposed": max(2, issues - 1), "sharp": issues}[level]


def is_contested(issue: ThemeIssue, roles: Sequence[Role]) -> bool:
    """Two of these roles lean to opposite ends, so the issue cannot but be opposed."""
    return {-1, 1} <= {issue.lean(r.name) for r in roles}


def _pick_issues(shuffled: list[ThemeIssue], roles: Sequence[Role], count: int, quota: int) -> list[ThemeIssue]:
    """The first `count` issues, passing over contested ones beyond the quota, and those on which every role leans the
    same way, unless the theme has too few others."""
    chosen: list[ThemeIssue] = []
    spare: list[ThemeIssue] = []
    for issue in shuffled:
        leans = {issue.lean(r.name) for r in roles}
        too_many = is_contested(issue, roles) and sum(is_contested(c, roles) for c in chosen) >= quota
        (spare if too_many or leans in ({-1}, {1}) else chosen).append(issue)
    return (chosen + spare)[:count]


def _kind(d: Draws, level: Level, opposed: bool) -> Kind:
    alike = d.percent({"cooperative": 80, "mixed": 50, "opposed": 0, "sharp": 0}[level])
    return "opposed" if opposed else "alike" if alike else "apart"


def _with_options(d: Draws, issue: ThemeIssue, count: int) -> ThemeIssue:
    """The issue with `count` of its options; an ordered one keeps its order."""
    kept = d.shuffled(range(len(issue.options)))[:count]
    kept = sorted(kept) if issue.ordered else kept
    return msgspec.structs.replace(issue, options=tuple(issue.options[j] for j in kept))
