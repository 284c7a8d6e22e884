"""Promises about many episodes in a few figures.

1. Exact CA and a judge's figure never share a column; `no_zopa` scenarios are left out of CA and regret.
2. Unscored episodes are counted and enter no figure.
3. An interval holds its mean, and is the same every time.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support import FixedJudge, bargain, begin, council, dilemma, play, quorum, say

from nego_env.rules import StopReason, fail
from nego_env.scenario import Seat, Stakes
from nego_env.statistics import mean_interval
from nego_env.summary import Summary, print_summary, row
from nego_env.transcript import Transcript, transcript


def failed() -> Transcript:
    """An episode without a reward."""
    return transcript(fail(say(begin(bargain()), "[Propose: A2 B2]"), StopReason.AGENT_ERROR, "it broke"))


def summed(*episodes: Transcript) -> Summary:
    """The summary of these."""
    s = Summary()
    for t in episodes:
        s.add(t)
    return s


def means(*episodes: Transcript) -> dict[str, float]:
    """Heading -> mean."""
    return {name: round(i.mean, 6) for name, i in summed(*episodes).figures().items()}


BEST = ("[Propose: A2 B2]", "[Accept]")


def test_agreement_rounds_ca_and_regret_are_means_over_episodes() -> None:
    capped = play(bargain(), max_rounds=3)
    assert means(play(bargain(), *BEST), capped) == {"agreement": 0.5, "rounds": 2.0, "CA": 2.5, "regret": 2.5}


def test_unscored_episodes_are_counted_and_enter_nothing() -> None:
    s = summed(play(bargain(), *BEST), failed(), failed())
    assert (s.episodes, s.scored, s.stops) == (3, 1, {"agreement": 1, "agent_error": 2})
    assert {n: i.mean for n, i in s.figures().items()} == {"agreement": 1.0, "rounds": 1.0, "CA": 5.0, "regret": 0.0}
    assert {n: i.n for n, i in summed(failed()).figures().items()} == {"agreement": 0, "rounds": 0}


def test_scenarios_without_a_zone_of_possible_agreement_are_left_out_of_ca() -> None:
    s = council()
    s = replace(s, seats=(Seat("a", "p", Stakes(((9, 0, 0),), 5)), Seat("b", "p", Stakes(((0, 9, 0),), 5))))
    no_zopa = play(s, max_rounds=1)
    assert means(play(bargain(), *BEST), no_zopa) == {"agreement": 0.5, "rounds": 1.0, "CA": 5.0, "regret": 0.0}
    assert means(no_zopa) == {"agreement": 0.0, "rounds": 1.0}


def test_an_exact_ca_and_a_judges_ca_never_share_a_column() -> None:
    judged = play(dilemma(), "a", "b", "c", judge=FixedJudge(2.0))
    heuristic = play(dilemma(), "[Agree]", "[Agree]", "We will.")
    found = means(play(bargain(), *BEST), judged, heuristic)
    assert (found["CA"], found["CA (judged)"], found["heuristic (not CA)"]) == (5.0, 2.0, 1.0)


def test_without_agreement_a_judges_figure_is_0_even_where_a_completion_was_scored() -> None:
    t = play(dilemma(), "a", "b", "c", max_rounds=1, complete="always", judge=FixedJudge(4.0, agreed=False))
    assert means(t)["CA (judged)"] == 0.0
    walked = play(dilemma(), "a", "b", max_rounds=1)
    assert means(walked)["heuristic (not CA)"] == 0.0


def test_under_k_of_n_the_share_that_passed_and_the_bonus_stand_beside() -> None:
    passed = play(quorum(), "[Propose: Y3]", "[Accept]", "[Accept]", "no")
    capped = play(quorum(), max_rounds=1)
    found = means(passed, capped)
    assert (found["passed"], found["seat_0 with bonus"]) == (0.5, 13.0)
    assert "passed" not in means(play(bargain(), *BEST))


def test_a_row_is_one_line_of_json_with_the_facts_of_an_episode() -> None:
    line = row(play(bargain(), "[Propose: A2 B3]", "[Accept]"))
    facts = msgspec.json.decode(line)
    assert "\n" not in line
    assert (facts["ca"], facts["regret"], facts["deal"]) == (2.530802, 2.469198, ["A2", "B3"])
    assert (facts["stop"], facts["scored"], facts["agreed"], facts["rounds"]) == ("agreement", True, True, 1)
    unscored = msgspec.json.decode(row(failed()))
    assert (unscored["rewards"], unscored["ca"], unscored["error"]) == (None, None, "it broke")


def test_a_table_prints_every_figure_and_how_episodes_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(summed(play(bargain(), *BEST), failed()), title="a [b]run[/b]")
    told = capsys.readouterr().out
    assert "a [b]run[/b]" in told
    assert "regret" in told
    assert "2 episodes: 1 agent_error, 1 agreement" in told


def test_no_control_character_of_a_title_or_a_label_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    t = play(dilemma(), "[Agree]", "[Agree]", "We will.")
    verdicts = tuple(replace(v, label="\x1b[2Jbad") for v in t.verdicts)
    print_summary(summed(replace(t, verdicts=verdicts)), title="\x1b]0;title\x07")
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "\\x1b[2Jbad" in told


# ---------------------------------------------------------------- intervals
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_an_interval_lies_within_the_values_around_their_mean_and_is_the_same_every_time(values: list[float]) -> None:
    found = mean_interval(values)
    assert found == mean_interval(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_an_interval_is_the_percentile_bootstrap() -> None:
    # Mean of n fair coin flips: standard error .5 / sqrt(100) = .05, so the 95 % interval is about .5 +- .098.
    found = mean_interval([0.0, 1.0] * 50)
    assert found.mean == 0.5
    assert found.low == pytest.approx(0.402, abs=0.01)
    assert found.high == pytest.approx(0.598, abs=0.01)
    assert str(mean_interval([2.0, 2.0])) == "2.00 [2.00, 2.00]"


def test_no_values_have_no_interval() -> None:
    found = mean_interval([])
    assert found.n == 0
    assert all(math.isnan(x) for x in found[:3])
    assert str(found) == "-"


def test_figures_do_not_touch_the_global_generator() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    summed(play(bargain(), *BEST)).figures()
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]
