"""How deals came about: the definitions of `nego_trainers.outcomes`, on episodes whose figures are worked out beside them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nego_env.rules import Utterance
from nego_env.scenario import Scenario
from nego_trainers.outcomes import (
    accepters,
    author,
    capitulated,
    first_offers,
    first_proposed,
    information_exchanged,
    information_exchanged_before_deal,
    is_proposers_best,
    least_gain,
    premature,
    regret_by_round,
    statements,
    statements_in,
    uninformed,
)
from tests.support import ANY_CHARACTER, bargain, council, dilemma, play, quorum, speech, structured

# In `bargain()`: A2 B2 is worth 4, 4 (gains 1/2, 1/2: the best for all); A2 B1 6, 0; A1 B2 0, 6; A2 B3 5, 2; A3 B2 2, 5.


# ---------------------------------------------------------------- information
@pytest.mark.parametrize(
    ("said", "early", "none"),
    [
        (("[Propose: A2 B2]", "[Accept]"), True, True),
        (("[Reveal: A]", "[Propose: A2 B2]", "[Accept]"), False, False),
        (("[Ask: A]", "[Propose: A2 B2]", "[Accept]"), True, True),
        (("[Ask: A]", "[Reveal: A]", "[Propose: A2 B2]", "[Accept]"), False, False),
        (("A2 is worth 4 to me.", "[Propose: A2 B2]", "[Accept]"), False, False),
        (("A2 is worth 6 to me.", "[Propose: A2 B2]", "[Accept]"), True, True),
        (("I want the tap more than anything.", "[Propose: A2 B2]", "[Accept]"), True, True),
        (("[Propose: A2 B2]", "[Reveal: A]", "Good. [Propose: A2 B2]", "[Accept]"), True, False),
        (("A2 is worth 4 to me. [Propose: A2 B2]", "[Accept]"), True, False),
        (("[Propose: A2 B1]", "[Reveal: A]", "[Propose: A2 B2]", "[Accept]"), False, False),
    ],
    ids=["blind", "reveal", "question", "answer", "words", "bluff", "hint", "afterwards", "same-breath", "haggled"],
)
def test_premature_and_uninformed(said: tuple[str, ...], early: bool, none: bool) -> None:
    t = play(bargain(), *said)
    assert t.deal == ("A2", "B2")
    assert premature(t) is early
    assert information_exchanged_before_deal(t) is not early
    assert uninformed(t) is none
    assert information_exchanged(t) is not none


def test_without_a_deal_nothing_is_premature() -> None:
    t = play(bargain(), "[Propose: A2 B1]", max_rounds=1)
    assert t.deal is None
    assert not premature(t)
    assert not uninformed(t)
    assert not information_exchanged_before_deal(t)
    assert not is_proposers_best(t)
    assert (first_proposed(t), author(t), capitulated(t), accepters(t)) == (None, None, (False,) * 2, (False,) * 2)
    assert least_gain(t) == 0.0


# ---------------------------------------------------------------- statements
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A2 4", [("A2", 4.0, True)]),
        ("a2: 4, A3=2 and B1 is worth about 3 to me", [("A2", 4.0, True), ("A3", 2.0, True), ("B1", 3.0, False)]),
        ("A1 0 A2 4 A3 2", [("A1", 0.0, True), ("A2", 4.0, True), ("A3", 2.0, True)]),
        ("For me weekdays gives me 2 points.", [("A3", 2.0, True)]),
        ("A2 4.0. B1 2.4", [("A2", 4.0, True), ("B1", 2.4, False)]),
        ("A1 -3, A1 −3", [("A1", -3.0, False)] * 2),
        ("A2 B1 2", [("B1", 2.0, True)]),
        ("You said A2 is worth 4.", []),
        ("seat_1 A: A1 2 A2 0", []),
        ("You asked: A2 is worth 4 to me", [("A2", 4.0, True)]),
        ("[Propose: A2 B1] 4", []),
        ("A2 4th, A2 4a, A24, A2 as in 1984x", []),
        ("nothing here, 4", []),
    ],
)
def test_scores_stated_in_words(text: str, found: list[tuple[str, float, bool]]) -> None:
    heard = statements_in(Utterance("seat_0", 1, "dialogue", text), bargain())
    assert [(s.option, s.stated, s.true) for s in heard] == found


def test_a_score_is_true_for_its_speaker_only() -> None:
    t = play(bargain(), "A2 is worth 4 to me.", "A2 is worth 4 to me.", "[Propose: A2 B2]", "[Accept]")
    assert [(s.seat, s.true) for s in statements(t)] == [(0, True), (1, False)]


@given(st.data(), structured())
@settings(max_examples=40, deadline=None)
def test_any_words_on_any_dilemma(data: st.DataObject, scenario: Scenario) -> None:
    t = play(scenario, *data.draw(st.lists(st.one_of(speech(scenario), st.text(ANY_CHARACTER)), max_size=6)))
    for u in t.utterances:
        assert all(s.option.upper() in scenario.option_index for s in statements_in(u, scenario))
    assert premature(t) <= (t.deal is not None)
    assert uninformed(t) <= premature(t)
    assert len(capitulated(t)) == len(accepters(t)) == scenario.n
    if t.deal is not None:
        assert first_proposed(t) is not None
        assert sum(accepters(t)) >= 1
    rounds = regret_by_round(t)
    assert len(rounds) == (0 if scenario.no_zopa else t.settings.max_rounds)
    if rounds:
        assert rounds[-1] == t.outcome.regret


# ---------------------------------------------------------------- who got what
def test_a_fair_first_offer_is_no_capitulation() -> None:
    t = play(bargain(), "[Propose: A2 B2]", "[Accept]")
    assert t.outcome.ca == 5.0
    assert capitulated(t) == (False, False)
    assert not is_proposers_best(t)
    assert least_gain(t) == 0.5


def test_giving_in_to_an_opening_offer() -> None:
    t = play(bargain(), "[Propose: A2 B3]", "[Accept]")  # gains 3/4 and 0
    assert capitulated(t) == (False, True)
    assert least_gain(t) == 0.0
    t = play(bargain(), "[Propose: A2 B1]", "[Propose: A3 B2]", "[Accept]")  # seat_1's first offer: gains 0 and 3/4
    assert (author(t), capitulated(t)) == (1, (True, False))
    t = play(bargain(), "[Propose: A2 B1]", "[Ask: A]", "[Propose: A2 B3]", "[Accept]")  # no first offer
    assert first_offers(t) == {0: ("A2", "B1")}
    assert capitulated(t) == (False, False)


def test_an_offer_that_hurts_its_own_author_is_nobodys_capitulation() -> None:
    t = play(bargain(), "[Propose: A3 B2]", "[Accept]")  # gains 0 and 3/4: the proposer has the less
    assert capitulated(t) == (False, False)


def test_the_proposers_own_best() -> None:
    t = play(bargain(), "[Propose: A2 B1]", "[Accept]")
    assert is_proposers_best(t)
    assert (t.outcome.ca, least_gain(t)) == (0.0, -0.5)
    t = play(bargain(), "[Propose: A1 B2]", "[Propose: A2 B1]", "[Propose: A1 B2]", "[Accept]")
    assert author(t) == 0  # it put the deal forward first, and it is not its own best
    assert not is_proposers_best(t)


def test_who_stands_by_a_deal_that_need_not_be_everybodys() -> None:
    t = play(quorum(), "[Propose: Y1]", "[Accept]", "[Accept]", "no")
    assert t.deal == ("Y1",)
    assert accepters(t) == (True, True, True, False)
    # Gains 1, 1, 1 and -1/4: CA 0. Three gained alike; the fourth did not agree, so it did not capitulate either.
    assert capitulated(t) == (False,) * 4


def test_three_seats() -> None:
    t = play(council(), "[Propose: X3]", "[Accept]", "[Accept]")  # worth 3, 1, 2; walk-away 1: gains 1, 0, 1/2
    assert capitulated(t) == (False, False, False)  # all three deals are equally good for all: CA 5
    assert is_proposers_best(t)


# ---------------------------------------------------------------- regret by round
def test_regret_by_round_shows_the_table_then_the_end() -> None:
    # A2 B3: g = 0.1 + 0.9 * 3/4 = 0.775 and 0.1; the best is A2 B2 with 0.55 for both.
    regret = round(5 - 5 * (0.775 * 0.1) ** 0.5 / 0.55, 6)
    t = play(bargain(), "hello", "hello", "[Propose: A2 B3]", "hm", "[Propose: A2 B2]", "[Accept]", max_rounds=5)
    assert regret_by_round(t) == (5.0, regret, 0.0, 0.0, 0.0)


def test_regret_by_round_of_a_failed_negotiation_ends_at_5() -> None:
    t = play(bargain(), "[Propose: A2 B2]", "no", max_rounds=3)
    assert regret_by_round(t) == (0.0, 0.0, 5.0)


def test_open_dilemmas_have_no_such_figures() -> None:
    t = play(dilemma(), "[Agree]", "[Agree]", "We sail together.")
    assert t.outcome.agreed
    assert not premature(t)
    assert regret_by_round(t) == ()
    assert statements(t) == []
