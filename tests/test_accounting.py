"""Promises about exact accounting, worked by hand on the bargain (walk-away 2, best 6, so room 4 for both seats):

deal     scores   gains        g              G               CA = 5 G / 0.55
A1 B1    2, 2     0, 0         .1, .1         .1              0.909091
A1 B2    0, 6     -.5, 1       0, 1           0               0
A2 B2    4, 4     .5, .5       .55, .55       .55 = G*        5
A2 B3    5, 2     .75, 0       .775, .1       sqrt .0775      2.530802
A3 B1    4, 1     .5, -.25     .55, 0         0               0
A3 B3    3, 3     .25, .25     .325, .325     .325            2.954545
"""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from support import bargain, council, deals_of, dilemma, issue, quorum, structured

from nego_env.accounting import (
    CA_MAX,
    FLOOR,
    DealTable,
    account,
    canonical,
    collective,
    collective_agency,
    g_value,
    gain,
    passes,
    reaches,
    report,
    score,
)
from nego_env.errors import ScenarioError
from nego_env.scenario import Acceptance, Scenario, Seat, Stakes

WORKED = [
    (("A1", "B1"), (2, 2), (0, 0), (0.1, 0.1), 0.1, 0.909091),
    (("A1", "B2"), (0, 6), (-0.5, 1), (0, 1), 0, 0),
    (("A2", "B2"), (4, 4), (0.5, 0.5), (0.55, 0.55), 0.55, 5),
    (("A2", "B3"), (5, 2), (0.75, 0), (0.775, 0.1), math.sqrt(0.0775), 2.530802),
    (("A3", "B1"), (4, 1), (0.5, -0.25), (0.55, 0), 0, 0),
    (("A3", "B3"), (3, 3), (0.25, 0.25), (0.325, 0.325), 0.325, 2.954545),
]


def stakes_of(s: Scenario) -> list[Stakes]:
    """Every seat's stakes."""
    return [seat.stakes for seat in s.seats if seat.stakes is not None]


def one_issue(*seats: tuple[tuple[float, ...], float]) -> Scenario:
    """One issue, and per seat its scores and walk-away value."""
    return Scenario(
        "one",
        "What?",
        tuple(Seat(f"s{i}", "p", Stakes((row,), away)) for i, (row, away) in enumerate(seats)),
        (issue("A", "a", *("x" * (j + 1) for j in range(len(seats[0][0])))),),
    )


# ---------------------------------------------------------------- worked
@pytest.mark.parametrize(("ids", "scores", "gains", "g", "mean", "ca"), WORKED)
def test_scores_gains_g_and_ca_are_the_worked_ones(
    ids: tuple[str, ...],
    scores: tuple[float, ...],
    gains: tuple[float, ...],
    g: tuple[float, ...],
    mean: float,
    ca: float,
) -> None:
    s = bargain()
    deal = s.deal(ids)
    assert tuple(score(x, deal) for x in stakes_of(s)) == scores
    assert tuple(gain(x, deal) for x in stakes_of(s)) == pytest.approx(gains)
    assert tuple(g_value(x, deal) for x in stakes_of(s)) == pytest.approx(g)
    assert collective(s, deal) == pytest.approx(mean)
    assert collective_agency(s, deal) == ca


def test_a_report_says_everything_exact_about_a_deal() -> None:
    found = report(bargain(), (1, 2))
    assert found.deal == ("A2", "B3")
    assert found.scores == (5.0, 2.0)
    assert found.gains == (0.75, 0.0)
    assert (found.ca, found.regret) == (2.530802, 2.469198)
    assert found.thresholds_met == (True, True)
    assert found.passed
    assert found.pareto
    assert found.bonus_scores == {}
    assert not report(bargain(), (2, 2)).pareto  # 3, 3 where 4, 4 is to be had


def test_the_best_deal_has_ca_5_and_is_the_nash_point_here() -> None:
    table = bargain().table
    assert table.best_index == 4  # A2 B2: (1, 1) of 3 x 3
    assert table.nash_index == 4  # surpluses 2 x 2; A3 B3 has 1 x 1, A2 B3 has 3 x 0
    assert table.best_g == pytest.approx(0.55)


def test_the_nash_point_maximises_the_product_of_surpluses_where_that_is_not_the_best_ca() -> None:
    # Surpluses: x (1, 8) -> 8, xx (3, 3) -> 9; g: x (.19, .82) -> G^2 = .1558, xx (.37, .37) -> .1369; room is 10 for both.
    s = one_issue(((1, 3, 10, 0), 0), ((8, 3, 0, 10), 0))
    assert (s.table.nash_index, s.table.best_index) == (1, 0)


def test_below_the_walk_away_value_g_is_0_and_at_it_a_tenth() -> None:
    stakes = Stakes(((0, 2, 6),), 2)
    assert [g_value(stakes, (j,)) for j in range(3)] == [0.0, FLOOR, 1.0]
    assert [reaches(stakes, (j,)) for j in range(3)] == [False, True, True]


def test_where_best_equals_walk_away_gain_is_0_and_g_a_tenth_for_deals_that_reach_it() -> None:
    s = one_issue(((4, 4, 1), 4), ((1, 3, 5), 0))
    first = stakes_of(s)[0]
    assert [gain(first, (j,)) for j in range(3)] == [0.0, 0.0, 0.0]
    assert [g_value(first, (j,)) for j in range(3)] == [FLOOR, FLOOR, 0.0]
    # G of x is sqrt(.1 x .28), of xx sqrt(.1 x .64) = G*: CA of x is 5 sqrt(.28 / .64)
    assert [collective_agency(s, (j,)) for j in range(3)] == [canonical(5 * math.sqrt(0.28 / 0.64)), 5.0, 0.0]
    assert s.table.gains[0].tolist() == [0.0, 0.0, 0.0]


def test_decimal_scores_equal_the_walk_away_value_they_add_up_to() -> None:
    # 0.1 + 0.2 is 5.6e-17 above 0.3: with that as room, one tenth below would be a gain of -1.8e15.
    stakes = Stakes(((0.1, 0.0), (0.2, 0.0)), 0.3)
    assert [gain(stakes, deal) for deal in ((0, 0), (0, 1))] == [0.0, 0.0]
    assert g_value(stakes, (0, 0)) == FLOOR
    assert g_value(stakes, (0, 1)) == 0.0
    short = Stakes(((0.7, 0.0), (0.1, 0.0)), 0.8)  # and 0.7 + 0.1 is as much below 0.8
    assert g_value(short, (0, 0)) == FLOOR
    assert canonical(gain(short, (0, 0))) == 0.0


def test_without_a_zone_of_possible_agreement_every_deal_has_ca_0_and_no_regret() -> None:
    s = one_issue(((9, 0), 5), ((0, 9), 5))
    assert s.no_zopa
    assert s.best_g == 0.0
    assert [collective_agency(s, (j,)) for j in (0, 1)] == [0.0, 0.0]
    assert s.table.ca.tolist() == [0.0, 0.0]
    assert report(s, (0,)).regret == 0.0
    assert s.table.nash_index is None
    assert not bargain().no_zopa
    assert not dilemma().no_zopa


def test_g_is_the_geometric_mean_over_all_seats() -> None:
    # X1 is worth 1, 2, 3 with walk-away 1 and best 3: gains 0, .5, 1 and g .1, .55, 1
    s = council()
    assert collective(s, (0,)) == pytest.approx((0.1 * 0.55 * 1.0) ** (1 / 3))
    assert collective_agency(s, (0,)) == 5.0  # the three options are worth the same, seat for seat


def test_ca_speaks_of_all_seats_even_where_three_of_four_may_decide() -> None:
    s = quorum()
    assert [collective_agency(s, (j,)) for j in range(3)] == [0.0, 0.0, 5.0]  # Y1 passes over seat_3, Y2 over seat_0
    assert [report(s, (j,)).passed for j in range(3)] == [True, False, True]
    assert s.table.passes.tolist() == [True, False, True]
    assert report(s, (0,)).thresholds_met == (True, True, True, False)


def test_the_bonus_is_paid_when_every_walk_away_value_is_reached_and_stays_out_of_gains() -> None:
    s = quorum()
    assert report(s, (0,)).bonus_scores == {"seat_0": 5.0}
    assert report(s, (2,)).bonus_scores == {"seat_0": 13.0}
    assert report(s, (2,)).scores[0] == 3.0
    assert report(s, (2,)).gains[0] == 0.5


def test_acceptance_needs_k_seats_and_every_veto() -> None:
    unanimous, three = bargain(), quorum()
    assert [passes(unanimous, flags) for flags in ([True, True], [True, False])] == [True, False]
    assert passes(three, [True, True, True, False])
    assert not passes(three, [False, True, True, True])  # the veto seat is missing
    assert not passes(three, [True, True, False, False])
    assert passes(quorum(vetoes=()), [False, True, True, True])
    two_vetoes = quorum(at_least=2, vetoes=(0, 3))
    assert [passes(two_vetoes, [True, x, False, y]) for x, y in product((True, False), repeat=2)] == [
        True,
        False,
        True,
        False,
    ]


def test_canonical_numbers_have_six_decimals_and_no_negative_zero() -> None:
    assert canonical(1 / 3) == 0.333333
    assert str(canonical(-1e-9)) == "0.0"


def test_there_is_nothing_to_score_on_an_open_dilemma() -> None:
    with pytest.raises(ScenarioError, match="'last-ferry' is an open dilemma: it has no deals to score"):
        DealTable(dilemma())
    with pytest.raises(ScenarioError, match="seat_0 has no stakes"):
        report(dilemma(), ())


# ---------------------------------------------------------------- every deal at once
def test_deals_stand_in_order_with_the_last_issue_varying_fastest() -> None:
    table = bargain().table
    assert table.deals.tolist() == [[i, j] for i in range(3) for j in range(3)]
    assert [table.index((i, j)) for i in range(3) for j in range(3)] == list(range(9))


@settings(max_examples=60)
@given(structured())
def test_the_vectorised_path_equals_the_scalar_one_and_ca_lies_in_0_to_5(s: Scenario) -> None:
    table, stakes = s.table, stakes_of(s)
    fast = account(table.stacked, table.deals)
    assert fast.ca.min() >= 0.0
    assert fast.ca.max() <= CA_MAX
    for k, deal in enumerate(deals_of(s)):
        ca = collective_agency(s, deal)
        assert 0.0 <= ca <= CA_MAX
        assert fast.ca[k] == pytest.approx(ca, abs=1e-6)
        assert table.ca[k] == pytest.approx(ca, abs=1e-6)
        for i, x in enumerate(stakes):
            assert fast.scores[i, k] == pytest.approx(score(x, deal), abs=1e-9)
            assert fast.gains[i, k] == pytest.approx(gain(x, deal), abs=1e-6)
            assert gain(x, deal) <= 1.0 + 1e-9
            assert bool(table.met[i, k]) == reaches(x, deal)
        assert bool(table.passes[k]) == passes(s, [reaches(x, deal) for x in stakes])


@settings(max_examples=60)
@given(structured())
def test_the_best_deal_has_ca_5_unless_nobody_can_agree(s: Scenario) -> None:
    top = max(collective_agency(s, deal) for deal in deals_of(s))
    everybody = [deal for deal in deals_of(s) if all(reaches(x, deal) for x in stakes_of(s))]
    assert top == (CA_MAX if everybody else 0.0)
    assert s.no_zopa == (not everybody)
    for deal in set(deals_of(s)) - set(everybody):
        assert collective_agency(s, deal) == 0.0
    if everybody:
        assert collective_agency(s, deals_of(s)[s.table.best_index]) == CA_MAX


@settings(max_examples=60)
@given(structured())
def test_the_pareto_set_and_the_nash_point_are_those_of_a_brute_force(s: Scenario) -> None:
    stakes = stakes_of(s)
    worth = [tuple(canonical(score(x, deal)) for x in stakes) for deal in deals_of(s)]

    def dominated(p: tuple[float, ...]) -> bool:
        return any(q != p and all(a >= b for a, b in zip(q, p, strict=True)) for q in worth)

    assert s.table.pareto.tolist() == [not dominated(p) for p in worth]
    surplus = [
        math.prod(max(0.0, p - x.walk_away) for p, x in zip(ps, stakes, strict=True))
        if all(reaches(x, deal) for x in stakes)
        else -1.0
        for ps, deal in zip(worth, deals_of(s), strict=True)
    ]
    if max(surplus) < 0:
        assert s.table.nash_index is None
    else:
        assert s.table.nash_index is not None
        assert surplus[s.table.nash_index] == pytest.approx(max(surplus), rel=1e-6, abs=1e-6)


def test_the_last_bit_of_a_sum_does_not_dominate() -> None:
    # A1 B1 is worth .1 + .2 = .30000000000000004 and A2 B2 0 + .3 to the first seat, and both .05 to the second.
    first, second = Stakes(((0.1, 0), (0.2, 0.3)), 0), Stakes(((0, 0.05), (0.05, 0)), 0)
    issues = (issue("A", "a", "x", "y"), issue("B", "b", "x", "y"))
    s = Scenario("bits", "What?", (Seat("s0", "p", first), Seat("s1", "p", second)), issues)
    assert s.table.pareto.tolist() == [True, True, True, True]


def test_a_deal_that_is_better_by_less_than_can_be_told_does_not_exceed_5() -> None:
    # 5 and 5.000000001 are the same to nine decimals of G, so the first of them is the best deal.
    s = one_issue(((5, 5 + 1e-9, 10), 0), ((5, 5, 0), 0))
    assert s.table.best_index == 0
    assert account(s.table.stacked, s.table.deals).ca.tolist()[:2] == [CA_MAX, CA_MAX]
    assert s.table.ca.tolist()[:2] == [CA_MAX, CA_MAX]
    assert collective_agency(s, (1,)) == CA_MAX


def test_equal_deals_keep_each_other_in_the_pareto_set() -> None:
    s = one_issue(((1, 1, 0.5), 0), ((2, 2, 1), 0))
    assert s.table.pareto.tolist() == [True, True, False]
    thirds = one_issue(((0.3, 0.3, 0.0), 0), ((1, 1, 1), 0))
    assert thirds.table.pareto.tolist() == [True, True, False]


def test_acceptance_by_everybody_is_the_same_as_no_rule() -> None:
    everybody = replace(quorum(), protocol=replace(quorum().protocol, acceptance=Acceptance(4)))
    nobody_named = replace(quorum(), protocol=replace(quorum().protocol, acceptance=Acceptance()))
    assert everybody.table.passes.tolist() == nobody_named.table.passes.tolist() == [False, False, True]
