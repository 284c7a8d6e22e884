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

`nego_scenarios.draws` says where randomness comes from, and holds the `VERSION` of what a seed gives.
"""

from __future__ import annotations

from collections.abc import Iterator

from nego_env.errors import SettingsError
from nego_env.scenario import Scenario
from nego_scenarios.casting import ISSUES, LEVELS, OPTIONS, SEATS, Level, draw_cast, draw_shape
from nego_scenarios.draws import Draws
from nego_scenarios.stakes import draw_numbers
from nego_scenarios.telling import write
from nego_scenarios.themes import Split, load_theme


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
    shape = draw_shape(Draws(split, seed, "shape"), split)
    theme = shape.theme if theme is None else theme
    counts = shape.counts if options is None else (options,) * ISSUES[1]
    level = stakes or shape.level
    cast = draw_cast(
        Draws(split, seed, "cast"),
        load_theme(split, theme),
        seats or shape.seats,
        counts[: issues or shape.issues],
        level,
    )
    no_zopa = shape.no_zopa and level in ("opposed", "sharp")
    numbers = draw_numbers(Draws(split, seed, "stakes"), cast, level, no_zopa)
    return write(Draws(split, seed, "words"), split, seed, theme, level, cast, numbers, shape.majority)


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
