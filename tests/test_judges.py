"""Promises about the judges of the core.

1. Exact: the score is the exact Collective Agency of the deal in the completion's last `[Agreed: ...]` tag; a missing tag
   or another deal than the agreed one scores 0 and is flagged.
2. Heuristic: agreement is `[Agree]` from every seat in one round; its figure is labelled as no CA.
3. What agents wrote is data: nothing in it makes a verdict but the tag.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ANY_CHARACTER, bargain, council, dilemma, play

from nego_env.accounting import collective_agency
from nego_env.errors import JudgeError
from nego_env.judges import ExactJudge, HeuristicJudge, Judge
from nego_env.verdict import Case


def exact(completion: str, agreed: tuple[str, ...] = ("A2", "B3")) -> Case:
    """A case for the exact judge on the bargain."""
    return Case("score", bargain(), (("seat_0", "words"),), completion=completion, deal=agreed)


@pytest.mark.parametrize("deal", [("A1", "B1"), ("A2", "B2"), ("A2", "B3"), ("A1", "B2")])
def test_the_exact_judge_scores_the_stated_deal(deal: tuple[str, ...]) -> None:
    s = bargain()
    verdict = ExactJudge().judge(exact(f"We share. [Agreed: {' '.join(deal)}]", deal))
    assert verdict.value == collective_agency(s, s.deal(deal))
    assert (verdict.deal, verdict.flags, verdict.label, verdict.judge) == (deal, (), "CA", "exact")


def test_a_missing_tag_scores_0_and_is_flagged() -> None:
    verdict = ExactJudge().judge(exact("We share A2 and B3."))
    assert (verdict.value, verdict.flags, verdict.deal) == (0.0, ("no_tag",), ())
    assert verdict.reason == "no [Agreed: ...] tag"


def test_a_broken_tag_scores_0_and_says_what_is_wrong() -> None:
    verdict = ExactJudge().judge(exact("[Agreed: A2]"))
    assert (verdict.value, verdict.flags) == (0.0, ("no_tag",))
    assert verdict.reason == "no option for issue B"


def test_another_deal_than_the_agreed_one_scores_0_however_good_it_is() -> None:
    verdict = ExactJudge().judge(exact("[Agreed: A2 B2]"))
    assert (verdict.value, verdict.flags, verdict.deal) == (0.0, ("other_deal",), ("A2", "B2"))
    assert verdict.reason == "the completion states A2 B2, agreed was A2 B3"


def test_with_no_deal_agreed_the_stated_one_is_a_metric() -> None:
    verdict = ExactJudge().judge(exact("[Agreed: A2 B2]", ()))
    assert (verdict.value, verdict.flags) == (5.0, ("not_agreed",))


def test_the_exact_judge_refuses_what_has_no_scores() -> None:
    with pytest.raises(JudgeError, match="cannot judge score of 'last-ferry'"):
        ExactJudge().judge(Case("score", dilemma(), ()))
    with pytest.raises(JudgeError, match="cannot judge agreement of 'allotment'"):
        ExactJudge().judge(Case("agreement", bargain(), ()))


@given(st.text(ANY_CHARACTER))
def test_no_other_words_move_the_exact_judge(text: str) -> None:
    verdict = ExactJudge().judge(exact(f"{text}\n[Agreed: A2 B3]"))
    assert (verdict.value, verdict.flags) == (2.530802, ())


@pytest.mark.parametrize(
    ("consents", "agreed"),
    [((True, True), 1.0), ((True, False), 0.0), ((False, False), 0.0), ((), 0.0), ((True, True, True), 1.0)],
)
def test_the_heuristic_judge_wants_agree_from_every_seat(consents: tuple[bool, ...], agreed: float) -> None:
    verdict = HeuristicJudge().judge(Case("agreement", dilemma(len(consents) or 2), (), consents=consents))
    assert (verdict.kind, verdict.value) == ("agreement", agreed)


@pytest.mark.parametrize(
    ("completion", "signs"),
    [
        ("", 0),
        ("We will see.", 1),  # a promise, and nothing else
        ("One two three four five six seven eight.", 1),
        ("Passenger 0 will sail at 8 tonight and passenger 1 sails tomorrow.", 4),  # all but the length
        ("Passenger 0 will sail at 8 tonight and passenger 1 sails tomorrow" + " word" * 14, 5),
    ],
)
def test_the_heuristic_judge_counts_surface_signs(completion: str, signs: int) -> None:
    verdict = HeuristicJudge().judge(Case("score", dilemma(), (), completion=completion))
    assert (verdict.kind, verdict.value) == ("score", float(signs))


def test_the_heuristic_figure_is_labelled_as_no_ca_wherever_it_is_recorded() -> None:
    t = play(dilemma(), "Share. [Agree]", "[Agree]", "We will share.")
    assert {v.label for v in t.verdicts} == {"heuristic (not CA)"}
    assert t.outcome.label == "heuristic (not CA)"
    assert (t.outcome.ca, t.outcome.regret) == (None, None)
    assert "heuristic (not CA)" in str(t)


def test_an_explicit_agree_from_every_seat_in_one_round_is_agreement() -> None:
    assert play(dilemma(3), "[Agree]", "[Agree]", "[Agree]", "plan").outcome.agreed
    late = play(dilemma(3), "[Agree]", "[Agree]", "hm", "hm", "hm", "[Agree]", max_rounds=2)
    assert not late.outcome.agreed
    quoted = play(dilemma(), "You wrote [Agree] too soon", "[Agree]", max_rounds=1)
    assert not quoted.outcome.agreed


def test_judges_have_a_name_and_a_method() -> None:
    assert isinstance(ExactJudge(), Judge)
    assert isinstance(HeuristicJudge(), Judge)
    assert (ExactJudge.name, HeuristicJudge.name) == ("exact", "heuristic")
    assert play(council(), "[Propose: X1]", "[Accept]", "[Accept]").verdicts[0].judge == "exact"
