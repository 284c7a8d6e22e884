"""The paper's pairwise protocol: both orders, only consistent wins count."""

from __future__ import annotations

import pytest

from nego_env.errors import JudgeError, SettingsError
from nego_env.scenario import Scenario
from nego_trainers.pairwise import Choice, ExactPairwise, both_orders, compare
from tests.support import bargain, dilemma, play

BEST, FAIR, BAD = (f"We do this. [Agreed: {d}]" for d in ("A2 B2", "A2 B3", "A2 B1"))


class Says:
    """Answers by a rule over the two completions."""

    name = "says"

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.asked: list[tuple[str, str]] = []

    def compare(self, scenario: Scenario, a: str, b: str) -> Choice:
        """`first`, `longer`, or any answer verbatim."""
        self.asked.append((a, b))
        if self.rule == "first":
            return "a"
        if self.rule == "longer":
            return "tie" if len(a) == len(b) else "a" if len(a) > len(b) else "b"
        return self.rule  # type: ignore[return-value]


def test_a_win_needs_both_orders() -> None:
    scenario = dilemma()
    assert both_orders(Says("longer"), scenario, "long words", "short") == "win"
    assert both_orders(Says("longer"), scenario, "short", "long words") == "loss"
    assert both_orders(Says("longer"), scenario, "abc", "def") == "tie"
    biased = Says("first")
    assert both_orders(biased, scenario, "one", "two") == "inconsistent"
    assert biased.asked == [("one", "two"), ("two", "one")]
    assert both_orders(Says("tie"), scenario, "one", "two") == "tie"


def test_a_failed_negotiation_loses_without_the_judge_being_asked() -> None:
    judge = Says("first")
    assert both_orders(judge, dilemma(), "a plan", None) == "win"
    assert both_orders(judge, dilemma(), None, "a plan") == "loss"
    assert both_orders(judge, dilemma(), None, None) == "tie"
    assert judge.asked == []


def test_rubbish_is_no_verdict() -> None:
    with pytest.raises(JudgeError, match="returned 'maybe', expected one of a, b, tie"):
        both_orders(Says("maybe"), dilemma(), "one", "two")


def test_the_exact_judge_compares_deals() -> None:
    judge, scenario = ExactPairwise(), bargain()
    assert judge.compare(scenario, BEST, FAIR) == "a"
    assert judge.compare(scenario, FAIR, BEST) == "b"
    assert judge.compare(scenario, BAD, "no tag at all") == "tie"
    with pytest.raises(JudgeError, match="open dilemma"):
        judge.compare(dilemma(), "a", "b")


def test_a_field_of_pairs() -> None:
    best = play(bargain(), "[Propose: A2 B2]", "[Accept]")
    fair = play(bargain(), "[Propose: A2 B3]", "[Accept]")
    failed = play(bargain(), max_rounds=1)
    for left, right, found in (
        (best, fair, (1, 0, 0, 0)),
        (fair, best, (0, 1, 0, 0)),
        (best, best, (0, 0, 1, 0)),
        (failed, best, (0, 1, 0, 0)),
    ):
        result = compare([left], [right], names=("l", "r"))
        assert (result.wins, result.losses, result.ties, result.inconsistent) == found
        assert result.compared == 1
    assert compare([best], [fair]).rate[:3] == (1.0, 1.0, 1.0)
    assert compare([best], [best]).rate.n == 0
    biased = compare([best], [fair], Says("first"))
    assert (biased.inconsistent, biased.rate.n) == (1, 0)


def test_only_the_same_scenario_and_seed_pair_up() -> None:
    one = play(bargain(), "[Propose: A2 B2]", "[Accept]")
    other = play(bargain(max_rounds=3), "[Propose: A2 B2]", "[Accept]")
    with pytest.raises(SettingsError, match="l and r have no episode"):
        compare([one], [other], names=("l", "r"))
