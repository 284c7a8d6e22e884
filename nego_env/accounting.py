"""Exact accounting of structured dilemmas: scores, gains, Collective Agency and regret of every deal.

For seat i and a deal worth `score_i` to it:

    g_i = 0                                                          if score_i < walk_away_i
    g_i = 0.1 + 0.9 (score_i - walk_away_i) / (best_i - walk_away_i) otherwise (0.1 where best equals walk-away)
    G   = (g_1 ... g_n)^(1/n)          CA = 5 G / G*          regret = 5 - CA

with best over all deals and `G*` the best G over all deals. So 5 means that no synthesis was better for all, and 0 that
somebody was sacrificed: a deal nobody loses by is worth something, one that passes over anybody is worth nothing.

This is *our* operationalisation of the Collective Agency rubric (0 to 5) of *Learning to Negotiate* (arXiv 2603.10476,
App. B.2), which asks for "synthesis (where everyone wins more)" and forbids buying one side's agency with another's;
the paper itself scores with a language model. An exact CA and a judge's CA are different figures and never share a column.
Where `G* = 0` (no zone of possible agreement) every deal has CA 0 and the scenario is left out of CA averages.

Two paths, one definition: `account` is vectorised over deals; the scalar functions are the canonical numbers, rounded to
6 decimals where they are stored, because vectorised sums differ from them in the last bit.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nego_env.errors import ScenarioError
from nego_env.scenario import Deal, Scenario, Stakes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CA_MAX = 5.0
FLOOR = 0.1
"""g of a deal worth exactly the walk-away value."""
TOLERANCE = 1e-9
"""A score this close to the walk-away value equals it: decimal scores such as 0.1 + 0.2 are not exact in binary."""


def canonical(x: float) -> float:
    """A number as it is stored: 6 decimals, no negative zero."""
    return round(x, 6) + 0.0


# ---------------------------------------------------------------- scalar path
def score(stakes: Stakes, deal: Deal) -> float:
    """What a deal is worth to a seat: the sum of its options' scores."""
    return math.fsum(row[j] for row, j in zip(stakes.scores, deal, strict=True))


def best_score(stakes: Stakes) -> float:
    """What the seat's favourite deal is worth to it."""
    return stakes.best


def gain(stakes: Stakes, deal: Deal) -> float:
    """(score - walk-away) / (best - walk-away): 1 at the seat's best deal, negative below its walk-away value, 0 where
    best equals walk-away. Not clipped."""
    room = stakes.best - stakes.walk_away
    return 0.0 if room <= TOLERANCE else (score(stakes, deal) - stakes.walk_away) / room


def g_value(stakes: Stakes, deal: Deal) -> float:
    """g_i in {0} or [0.1, 1] (module docstring)."""
    if not reaches(stakes, deal):
        return 0.0
    return FLOOR + (1 - FLOOR) * max(0.0, gain(stakes, deal))


def reaches(stakes: Stakes, deal: Deal) -> bool:
    """The deal is worth at least the walk-away value (within `TOLERANCE`)."""
    return score(stakes, deal) >= stakes.walk_away - TOLERANCE


def collective(scenario: Scenario, deal: Deal) -> float:
    """G in [0, 1]: the geometric mean of g_i over all seats."""
    product = math.prod(g_value(_stakes(scenario, i), deal) for i in range(scenario.n))
    return float(product ** (1.0 / scenario.n))


def collective_agency(scenario: Scenario, deal: Deal) -> float:
    """CA in [0, 5] of a deal, canonical (6 decimals)."""
    found = scenario.kept_agency.get(deal)
    return scenario.kept_agency.keep(deal, _collective_agency(scenario, deal)) if found is None else found


def _collective_agency(scenario: Scenario, deal: Deal) -> float:
    best = scenario.best_g
    return 0.0 if best == 0.0 else canonical(min(CA_MAX, CA_MAX * collective(scenario, deal) / best))


class DealReport(NamedTuple):
    """Everything exact about one deal; canonical numbers."""

    deal: tuple[str, ...]
    """Option ids."""
    scores: tuple[float, ...]
    """Per seat, without any bonus."""
    gains: tuple[float, ...]
    """Per seat, not clipped."""
    ca: float
    regret: float
    """5 - CA; 0 where the scenario has no zone of possible agreement (nothing better was to be had)."""
    thresholds_met: tuple[bool, ...]
    """Per seat: the deal is worth at least its walk-away value."""
    passed: bool
    """The seats whose threshold is met satisfy the acceptance rule."""
    pareto: bool
    """No other deal is better for somebody and worse for nobody."""
    bonus_scores: dict[str, float]
    """For seats with a bonus: score plus the bonus when every threshold is met."""


def report(scenario: Scenario, deal: Deal) -> DealReport:
    """The exact account of one deal."""
    stakes = [_stakes(scenario, i) for i in range(scenario.n)]
    raw = [score(s, deal) for s in stakes]
    met = tuple(reaches(s, deal) for s in stakes)
    ca = collective_agency(scenario, deal)
    bonus = {
        name: canonical(raw[int(name.removeprefix("seat_"))] + (extra if all(met) else 0.0))
        for name, extra in sorted(scenario.protocol.bonus.items())
    }
    return DealReport(
        deal=scenario.ids(deal),
        scores=tuple(canonical(x) for x in raw),
        gains=tuple(canonical(gain(s, deal)) for s in stakes),
        ca=ca,
        regret=0.0 if scenario.no_zopa else canonical(CA_MAX - ca),
        thresholds_met=met,
        passed=passes(scenario, met),
        pareto=bool(scenario.table.pareto[scenario.table.index(deal)]),
        bonus_scores=bonus,
    )


def passes(scenario: Scenario, accepted: tuple[bool, ...] | list[bool]) -> bool:
    """Whether these acceptances, one per seat, satisfy the scenario's acceptance rule."""
    rule = scenario.protocol.acceptance
    if rule.at_least is None:
        return False not in accepted
    return sum(accepted) >= rule.at_least and all(accepted[v] for v in rule.vetoes)


def _stakes(scenario: Scenario, seat: int) -> Stakes:
    stakes = scenario.seats[seat].stakes
    if stakes is None:
        raise ScenarioError(
            f"scenario {scenario.id!r}: seat_{seat} has no stakes, so nothing here can be scored exactly"
        )
    return stakes


# ---------------------------------------------------------------- vectorised path
class Stacked(NamedTuple):
    """All seats' stakes as arrays, for `account`."""

    scores: Floats
    """(n, I, O): score of option o of issue i to seat n; unused options are 0."""
    walk_away: Floats
    """(n,)"""
    best: Floats
    """(n,)"""
    best_g: float
    """G*; 1.0 while it is not known yet."""


class Account(NamedTuple):
    """Scores, gains and CA of D deals."""

    scores: Floats
    """(n, D)"""
    gains: Floats
    """(n, D), not clipped"""
    ca: Floats
    """(D,) in [0, 5]"""


def stack(scenario: Scenario) -> Stacked:
    """The stakes of every seat as arrays (`best_g` still 1.0: `DealTable.stacked` has it filled in)."""
    width = max(scenario.counts, default=0)
    scores = np.zeros((scenario.n, len(scenario.issues), width))
    for i in range(scenario.n):
        for k, row in enumerate(_stakes(scenario, i).scores):
            scores[i, k, : len(row)] = row
    return Stacked(
        scores,
        np.array([_stakes(scenario, i).walk_away for i in range(scenario.n)]),
        np.array([best_score(_stakes(scenario, i)) for i in range(scenario.n)]),
        1.0,
    )


def account(stacked: Stacked, deals: Ints) -> Account:
    """Scores (n, D), gains (n, D) and CA (D,) of `deals` (D, I), all at once."""
    scores = stacked.scores[:, 0].take(deals[:, 0], axis=1)
    for k in range(1, deals.shape[1]):
        scores += stacked.scores[:, k].take(deals[:, k], axis=1)
    surplus = scores - stacked.walk_away[:, None]
    room = stacked.best - stacked.walk_away
    # Where best equals walk-away an infinite divisor gives the defined gain of 0.
    gains = surplus / np.where(room > TOLERANCE, room, np.inf)[:, None]
    g = np.where(surplus >= -TOLERANCE, FLOOR + (1 - FLOOR) * np.maximum(gains, 0.0), 0.0)
    product = g[0].copy()
    for row in g[1:]:
        product *= row
    ca = product ** (1.0 / len(g))
    ca *= CA_MAX / stacked.best_g if stacked.best_g > 0 else 0.0
    return Account(scores, gains, np.minimum(ca, CA_MAX, out=ca))  # the best deals, off by the last bit


class DealTable:
    """Every deal of a structured scenario, scored. Built once per scenario (`Scenario.table`)."""

    def __init__(self, scenario: Scenario) -> None:
        if not scenario.issues:
            raise ScenarioError(f"scenario {scenario.id!r} is an open dilemma: it has no deals to score")
        self.scenario = scenario
        self.counts = scenario.counts
        self._strides = tuple(math.prod(self.counts[k + 1 :]) for k in range(len(self.counts)))
        self.deals: Ints = np.indices(self.counts).reshape(len(self.counts), -1).T.copy()
        """(D, I) option indices, the last issue varying fastest."""
        base = stack(scenario)
        first = account(base, self.deals)
        self.scores: Floats = first.scores
        """(n, D)"""
        self.gains: Floats = first.gains
        """(n, D)"""
        self.g_mean: Floats = first.ca / CA_MAX
        """(D,) G of every deal, in [0, 1]"""
        self.best_index = int(np.argmax(np.round(self.g_mean, 9)))
        """The deal with the highest G; the first of equals."""
        self.best_g = collective(scenario, tuple(self.deals[self.best_index].tolist()))
        """G*, by the scalar path."""
        self.stacked = base._replace(best_g=self.best_g)
        self.ca: Floats = (
            np.minimum(CA_MAX, CA_MAX * self.g_mean / self.best_g) if self.best_g > 0 else np.zeros(len(self.deals))
        )
        """(D,) in [0, 5]"""
        self.met: Bools = self.scores >= base.walk_away[:, None] - TOLERANCE
        """(n, D): the deal is worth at least the seat's walk-away value"""

    def index(self, deal: Deal) -> int:
        """Row of a deal in `deals`."""
        return sum(j * s for j, s in zip(deal, self._strides, strict=True))

    def deal(self, index: int) -> Deal:
        """The deal of a row."""
        return tuple(int(j) for j in self.deals[index])

    @property
    def best_deal(self) -> Deal:
        """A deal with CA 5 (where the scenario has a zone of possible agreement)."""
        return self.deal(self.best_index)

    @cached_property
    def passes(self) -> Bools:
        """(D,): the seats whose threshold is met satisfy the acceptance rule."""
        rule = self.scenario.protocol.acceptance
        need = self.scenario.n if rule.at_least is None else rule.at_least
        ok: Bools = self.met.sum(axis=0) >= need
        for v in rule.vetoes:
            ok = ok & self.met[v]
        return ok

    @cached_property
    def pareto(self) -> Bools:
        """(D,): no other deal is better for somebody and worse for nobody. Equal score vectors keep each other."""
        return _pareto(np.round(self.scores.T, 9))  # 0.1 + 0.2 does not dominate 0.3

    @cached_property
    def nash_index(self) -> int | None:
        """The Nash bargaining solution (Nash 1950): the deal with the highest product of surpluses over walk-away values
        among those that leave nobody below; None where there is no such deal. The first of equals."""
        surplus = self.scores - self.stacked.walk_away[:, None]
        feasible = self.met.all(axis=0)
        if not feasible.any():
            return None
        product = np.where(feasible, np.prod(np.maximum(surplus, 0.0), axis=0), -1.0)
        return int(np.argmax(np.round(product, 9)))


def _pareto(points: Floats) -> Bools:
    """Mask of the rows (D, n) that no row dominates.

    Sorted by total, a row can only be dominated by an earlier one, and if any row dominates it then one on the front
    does; so each row is compared with the front found so far.
    """
    unique, back = np.unique(points, axis=0, return_inverse=True)
    order = np.argsort(-unique.sum(axis=1), kind="stable")
    front = np.empty_like(unique)
    size = 0
    keep = np.zeros(len(unique), dtype=bool)
    for row in order:
        p = unique[row]
        if size and bool((front[:size] >= p).all(axis=1).any()):
            continue
        front[size] = p
        size += 1
        keep[row] = True
    mask: Bools = keep[back.reshape(-1)]
    return mask
