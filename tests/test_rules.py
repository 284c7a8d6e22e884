"""The rules of an episode, a test per line. The bargain's figures are worked in `support.bargain` and `test_accounting`:
A2 B2 is the best deal (CA 5, gains .5 and .5), A2 B3 has CA 2.530802 (gains .75 and 0), A3 B3 CA 2.954545 (.25 and .25).
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support import (
    FixedJudge,
    bargain,
    begin,
    council,
    dilemma,
    play,
    play_out,
    quorum,
    say,
    settle,
    single_line,
)

from nego_env.errors import MoveError, SettingsError
from nego_env.moves import Act, Move
from nego_env.rules import Due, Revealed, Standing, State, StopReason, case, fail, finalizer, judged, pending, utter
from nego_env.scenario import Scenario
from nego_env.settings import resolve
from nego_env.transcript import decode, transcript
from nego_env.verdict import Verdict

BEST = "[Propose: A2 B2]"


def stop_of(state: State) -> tuple[StopReason | None, tuple[float, ...] | None]:
    """How it ended."""
    return state.stop, state.rewards


# ---------------------------------------------------------------- what is pending
def test_a_state_waits_for_an_utterance_a_verdict_or_nothing() -> None:
    state = begin(bargain())
    assert pending(state) == Due("utterance", 0)
    assert pending(say(state, "hello")) == Due("utterance", 1)
    agreed = say(state, BEST, "[Accept]")
    assert pending(agreed) == Due("score")
    assert pending(settle(agreed)) is None
    talked = say(begin(dilemma()), "a", "b")
    assert pending(talked) == Due("agreement")


def test_nothing_may_be_said_while_a_verdict_is_due_or_after_the_end() -> None:
    agreed = say(begin(bargain()), BEST, "[Accept]")
    with pytest.raises(MoveError, match="no utterance is due: the episode waits for score"):
        utter(agreed, "more")
    with pytest.raises(MoveError, match="the episode waits for nothing, it is over"):
        utter(settle(agreed), "more")


def test_no_verdict_may_come_before_it_is_due_nor_one_of_another_kind() -> None:
    with pytest.raises(MoveError, match="no verdict is due: the episode waits for utterance"):
        case(begin(bargain()))
    with pytest.raises(MoveError, match="nothing, it is over"):
        case(fail(begin(bargain()), StopReason.BUDGET, ""))
    with pytest.raises(MoveError, match="of kind 'score' is not due"):
        judged(begin(bargain()), Verdict("score", "x", 3.0))
    with pytest.raises(MoveError, match="of kind 'score' is not due: the episode waits for 'agreement'"):
        judged(say(begin(dilemma()), "a", "b"), Verdict("score", "x", 3.0))


@pytest.mark.parametrize("said", [None, 5, b"hello", ["hello"], object()])
def test_an_utterance_is_a_str_or_a_move(said: Any) -> None:
    with pytest.raises(MoveError, match=f"an utterance is a str or a Move, not {type(said).__name__}"):
        utter(begin(bargain()), said)
    writing = say(begin(bargain(), completion="write"), BEST, "[Accept]")
    with pytest.raises(MoveError, match=f"a completion is a str or a Move, not {type(said).__name__}"):
        utter(writing, said)


# ---------------------------------------------------------------- order and rounds
@pytest.mark.parametrize("scenario", [bargain(), council(), quorum(), dilemma(3)], ids=lambda s: s.id)
def test_a_round_is_one_utterance_by_every_seat_in_order(scenario: Scenario) -> None:
    states = play_out(begin(scenario, max_rounds=3), [])
    said = [(u.seat, u.round) for u in states[-1].utterances]
    assert said == [(f"seat_{i}", r) for r in (1, 2, 3) for i in range(scenario.n)]


def test_the_cap_is_seven_rounds_by_default_and_ends_the_episode_with_reward_0() -> None:
    t = play(bargain())
    assert len(t.utterances) == 14
    assert (t.stop, t.rewards, t.outcome.rounds) == (StopReason.CAP, (0.0, 0.0), 7)
    assert t.scored  # a rule of the game, not a truncation


def test_the_cap_may_come_from_the_scenario_or_the_call() -> None:
    assert len(play(bargain(max_rounds=2)).utterances) == 4
    assert len(play(bargain(max_rounds=2), max_rounds=1).utterances) == 2


def test_a_deal_on_the_table_at_the_cap_is_no_agreement() -> None:
    t = play(bargain(), "", BEST, max_rounds=1)
    assert (t.stop, t.rewards, t.deal) == (StopReason.CAP, (0.0, 0.0), None)


# ---------------------------------------------------------------- structured: proposing and accepting
def test_proposing_is_accepting() -> None:
    state = say(begin(bargain()), "hm", BEST)
    assert (state.standing, state.accepted) == (Standing((1, 1), 1), (False, True))


def test_a_new_proposal_clears_the_other_acceptances() -> None:
    state = say(begin(council()), "[Propose: X1]", "[Accept]", "[Propose: X2]")
    assert (state.standing, state.accepted) == (Standing((1,), 2), (False, False, True))


def test_repeating_the_standing_deal_accepts_it_and_clears_nothing() -> None:
    state = say(begin(council()), "[Propose: X1]", "[Propose: X1]")
    assert (state.standing, state.accepted) == (Standing((0,), 0), (True, True, False))
    assert say(state, "[Propose: X1]").outcome is StopReason.AGREEMENT


def test_accepting_takes_the_deal_on_the_table() -> None:
    t = play(bargain(), BEST, "[Accept]")
    assert (t.stop, t.deal, t.rewards) == (StopReason.AGREEMENT, ("A2", "B2"), (5.0, 5.0))


def test_agreement_is_tested_after_every_utterance_not_only_after_a_round() -> None:
    state = say(begin(bargain()), "hm", BEST, "[Accept]")  # seat_0 closes in the middle of round 2
    assert (state.outcome, state.round) == (StopReason.AGREEMENT, 2)


def test_agreement_is_not_tested_before_every_seat_has_spoken() -> None:
    one = quorum(at_least=1, vetoes=())
    state = say(begin(one), "[Propose: Y1]", "no", "no")
    assert state.awaiting == "utterance"
    assert state.outcome is None
    assert say(state, "no").outcome is StopReason.AGREEMENT


def test_three_seats_must_all_accept() -> None:
    state = say(begin(council()), "[Propose: X1]", "[Accept]", "no")
    assert state.outcome is None
    state = say(state, "hm", "hm", "[Accept]")
    assert state.outcome is StopReason.AGREEMENT


def test_an_acceptance_lasts_while_others_talk() -> None:
    state = say(begin(bargain()), BEST, "let me think", "do", "[Accept]")
    assert state.outcome is StopReason.AGREEMENT


def test_k_of_n_needs_k_acceptances_with_the_veto_seats_among_them() -> None:
    without_veto = say(begin(quorum()), "no", "[Propose: Y2]", "[Accept]", "[Accept]")
    assert without_veto.outcome is None  # three of four, but not seat_0
    assert say(without_veto, "[Accept]").outcome is StopReason.AGREEMENT
    too_few = say(begin(quorum()), "[Propose: Y1]", "[Accept]", "no", "no")
    assert too_few.outcome is None
    enough = say(begin(quorum()), "[Propose: Y1]", "[Accept]", "[Accept]", "no")
    assert enough.outcome is StopReason.AGREEMENT


def test_under_k_of_n_a_deal_that_passes_over_somebody_scores_0_and_passed_stands_beside_it() -> None:
    t = play(quorum(), "[Propose: Y1]", "[Accept]", "[Accept]", "no")
    assert (t.rewards, t.outcome.ca, t.outcome.passed) == ((0.0,) * 4, 0.0, True)
    assert t.outcome.bonus_scores == {"seat_0": 5.0}


def test_accepting_nothing_and_accepting_twice_are_talk_with_a_notice() -> None:
    state = say(begin(bargain()), "[Accept]", BEST, "hm", "[Accept]")
    first, twice = state.utterances[0], state.utterances[3]
    assert (first.act, first.notice) == (None, "there is no deal on the table to accept")
    assert (twice.act, twice.notice) == (None, "you have accepted it already")


def test_a_quoted_tag_does_nothing() -> None:
    state = say(begin(bargain()), "[Propose: A2 B2]", "You wrote [Propose: A1 B2] and hoped for [Accept] from me")
    assert (state.standing, state.accepted) == (Standing((1, 1), 0), (True, False))
    assert state.utterances[1].act is None


def test_a_malformed_tag_is_talk_and_its_fault_is_recorded() -> None:
    line = say(begin(bargain()), "[Propose: A2]").utterances[0]
    assert line.act is None
    assert line.notice is not None
    assert "no option for issue B" in line.notice


# ---------------------------------------------------------------- structured: asking and revealing
def test_asking_is_recorded_once_per_seat_and_issue() -> None:
    state = say(begin(bargain()), "[Ask: A]", "[Ask: A]", "[Ask: A]", "[Ask: B]")
    assert state.asked == ((0, "A"), (1, "A"), (1, "B"))


def test_revealing_publishes_the_true_scores_of_that_seat_for_that_issue_once() -> None:
    state = say(begin(bargain()), "Mine is 9! [Reveal: A]", "[Reveal: A]", "[Reveal: A]")
    assert state.revealed == (Revealed("seat_0", "A", (0, 4, 2)), Revealed("seat_1", "A", (2, 0, 1)))


# ---------------------------------------------------------------- walking away
@pytest.mark.parametrize("scenario", [bargain(), council()], ids=lambda s: s.id)
def test_a_walk_away_before_every_seat_has_spoken_is_talk(scenario: Scenario) -> None:
    state = say(begin(scenario), *["[Walk]"] * scenario.n)
    assert state.walked == (False,) * scenario.n
    assert {u.notice for u in state.utterances} == {"nobody can walk away before everyone has spoken once"}
    assert state.awaiting == "utterance"


def test_a_walk_away_ends_the_episode_where_agreement_has_become_unreachable() -> None:
    state = say(begin(bargain()), BEST, "no", "[Walk]")
    assert stop_of(state) == (StopReason.WALK_AWAY, (0.0, 0.0))
    assert pending(state) is None


def test_a_veto_seat_that_walks_away_ends_the_episode() -> None:
    state = say(begin(quorum()), "a", "b", "c", "d", "[Walk]")
    assert stop_of(state) == (StopReason.WALK_AWAY, (0.0,) * 4)


def test_a_seat_that_walks_away_passes_for_the_rest_where_agreement_is_still_reachable() -> None:
    state = say(begin(quorum()), "a", "b", "c", "d", "e", "[Walk]")
    assert state.walked == (False, True, False, False)
    assert state.stop is None
    state = say(state, "g", "h", "i")
    assert [u.seat for u in state.utterances[5:]] == ["seat_1", "seat_2", "seat_3", "seat_0"]
    assert pending(state) == Due("utterance", 2)
    assert state.round == 3
    # and a second one leaves too few
    assert say(state, "[Walk]").stop is StopReason.WALK_AWAY


def test_the_others_may_still_agree_after_a_walk_away() -> None:
    state = say(begin(quorum()), "a", "b", "c", "d", "[Propose: Y3]", "[Walk]", "[Accept]", "[Accept]")
    assert state.outcome is StopReason.AGREEMENT


def test_walking_away_takes_the_acceptance_back() -> None:
    state = say(begin(quorum()), "a", "[Propose: Y3]", "[Accept]", "d", "e", "[Walk]")
    assert state.accepted == (False, False, True, False)


def test_when_the_first_seat_has_left_the_round_begins_with_the_next() -> None:
    state = say(begin(quorum(vetoes=())), "a", "b", "c", "d", "[Walk]", "f", "g", "h")
    assert (pending(state), state.round) == (Due("utterance", 1), 3)


def test_when_the_last_seat_of_a_round_has_left_the_round_still_ends() -> None:
    state = say(begin(quorum()), "a", "b", "c", "d", "e", "f", "g", "[Walk]")
    assert (pending(state), state.round) == (Due("utterance", 0), 3)
    state = say(state, "h", "i", "j")
    assert (pending(state), state.round) == (Due("utterance", 0), 4)


# ---------------------------------------------------------------- open dilemmas
@pytest.mark.parametrize("n", [2, 3])
def test_on_an_open_dilemma_a_judge_is_asked_after_each_complete_round(n: int) -> None:
    judge = FixedJudge(agreed=False)
    t = play(dilemma(n), judge=judge, max_rounds=3, completion="write")
    assert [len(c.lines) for c in judge.cases] == [n, 2 * n, 3 * n]
    assert {c.kind for c in judge.cases} == {"agreement"}
    assert (t.stop, t.rewards) == (StopReason.CAP, (0.0,) * n)


def test_on_an_open_dilemma_the_judge_decides_and_the_finalizer_writes() -> None:
    judge = FixedJudge(4.5)
    t = play(dilemma(), "We share.", "Yes.", "Both sail, one tonight.", judge=judge)
    assert (t.stop, t.rewards, t.completion) == (StopReason.AGREEMENT, (4.5, 4.5), "Both sail, one tonight.")
    assert [(u.seat, u.phase) for u in t.utterances] == [
        ("seat_0", "dialogue"),
        ("seat_1", "dialogue"),
        ("seat_0", "completion"),
    ]
    assert judge.cases[1].completion == "Both sail, one tonight."
    assert judge.cases[1].lines == (("seat_0", "We share."), ("seat_1", "Yes."))


@pytest.mark.parametrize(("value", "agreed"), [(0.0, False), (0.49, False), (0.5, True), (1.0, True)])
def test_an_agreement_verdict_is_yes_from_a_half(value: float, agreed: bool) -> None:
    state = judged(say(begin(dilemma()), "a", "b"), Verdict("agreement", "x", value))
    assert (state.outcome is StopReason.AGREEMENT) == agreed


def test_on_an_open_dilemma_nobody_can_walk_away_or_propose() -> None:
    t = play(dilemma(), "a", "b", "[Walk]", "[Propose: A1 B1]", max_rounds=2)
    assert [u.act for u in t.utterances] == [None] * 4
    assert t.stop is StopReason.CAP


def test_consent_counts_in_the_round_that_is_judged() -> None:
    state = say(begin(dilemma()), "Share. [Agree]", "no")
    assert case(state).consents == (True, False)
    state = say(settle(state), "hm", "[Agree]")
    assert case(state).consents == (False, True)  # the agreement of seat_0 was a round ago
    state = say(settle(state), "[Agree]", "[Agree]")
    assert case(state).consents == (True, True)


# ---------------------------------------------------------------- completion
def test_on_a_structured_dilemma_the_completion_is_rendered_with_no_extra_step() -> None:
    t = play(bargain(), BEST, "[Accept]")
    assert len(t.utterances) == 2
    assert t.completion == "The parties agree on this plan. the tap: always; the shed: yours. [Agreed: A2 B2]"
    assert resolve(bargain()).completion == "render"
    assert resolve(dilemma()).completion == "write"


def test_a_written_completion_is_the_finalizers_next_utterance() -> None:
    state = say(begin(bargain(), completion="write"), "hm", BEST, "[Accept]")
    assert (state.phase, pending(state)) == ("completion", Due("utterance", 0))
    state = settle(say(state, "We share both. [Agreed: A2 B2]"))
    assert stop_of(state) == (StopReason.AGREEMENT, (5.0, 5.0))
    assert state.utterances[-1].phase == "completion"
    assert state.utterances[-1].act is None


def test_the_finalizer_is_seat_0_unless_the_scenario_names_another() -> None:
    assert finalizer(begin(bargain())) == 0
    state = say(begin(bargain(finalizer=1), completion="write"), BEST, "[Accept]")
    assert pending(state) == Due("utterance", 1)


def test_where_the_finalizer_has_left_the_first_seat_still_at_the_table_writes() -> None:
    state = begin(quorum(vetoes=(), finalizer=1), completion="write")
    state = say(state, "a", "b", "c", "[Propose: Y3]", "e", "[Walk]", "[Accept]", "h", "[Accept]")
    assert state.outcome is StopReason.AGREEMENT
    assert pending(state) == Due("utterance", 0)
    state = begin(quorum(vetoes=()), completion="write")
    state = say(state, "a", "b", "c", "[Propose: Y3]", "[Walk]", "[Accept]", "[Accept]")
    assert pending(state) == Due("utterance", 1)


def test_an_act_finalizer_has_its_completion_rendered() -> None:
    mixed = say(begin(bargain(), completion="write", codecs=("act", "text")), BEST, "[Accept]")
    assert pending(mixed) == Due("score")
    assert mixed.completion is not None
    text = say(begin(bargain(), completion="write", codecs=("text", "act")), BEST, "[Accept]")
    assert pending(text) == Due("utterance", 0)


@pytest.mark.parametrize("said", ["We share, that is all.", "[Agreed: A2]", "", "[Agreed: A2 B2"])
def test_a_completion_without_the_tag_scores_0(said: str) -> None:
    t = play(bargain(), BEST, "[Accept]", said, completion="write")
    assert (t.stop, t.rewards) == (StopReason.AGREEMENT, (0.0, 0.0))
    assert t.verdicts[-1].flags == ("no_tag",)
    assert t.outcome.ca == 0.0


def test_a_completion_that_states_another_deal_scores_0_and_is_flagged() -> None:
    t = play(bargain(), "[Propose: A3 B3]", "[Accept]", "[Agreed: A2 B2]", completion="write")
    assert t.rewards == (0.0, 0.0)
    assert t.verdicts[-1].flags == ("other_deal",)
    assert t.deal == ("A3", "B3")
    assert t.outcome.ca == 0.0


def test_a_completion_may_be_said_as_a_move() -> None:
    t = play(bargain(), BEST, "[Accept]", Move("So be it. [Agreed: A2 B2]", Act("accept")), completion="write")
    assert (t.completion, t.rewards) == ("So be it. [Agreed: A2 B2]", (5.0, 5.0))


def test_complete_always_also_asks_for_one_after_the_cap_as_a_metric() -> None:
    t = play(bargain(), "a", "b", "[Agreed: A2 B2]", max_rounds=1, completion="write", complete="always")
    assert (t.stop, t.rewards, t.deal) == (StopReason.CAP, (0.0, 0.0), None)
    assert (t.outcome.score, t.outcome.agreed, t.outcome.ca) == (5.0, False, 0.0)
    assert t.verdicts[-1].flags == ("not_agreed",)
    written = play(dilemma(), "a", "b", "plan", max_rounds=1, complete="always", judge=FixedJudge(4.0, agreed=False))
    assert (written.stop, written.rewards, written.outcome.score) == (StopReason.CAP, (0.0, 0.0), 4.0)


def test_complete_always_asks_nothing_after_a_walk_away_or_where_there_is_no_deal_to_render() -> None:
    walked = play(bargain(), "a", "b", "[Walk]", completion="write", complete="always")
    assert (walked.stop, len(walked.utterances), walked.verdicts) == (StopReason.WALK_AWAY, 3, ())
    capped = play(bargain(), BEST, "no", max_rounds=1, complete="always")
    assert (capped.stop, len(capped.utterances), capped.completion) == (StopReason.CAP, 2, None)


# ---------------------------------------------------------------- rewards
def test_the_reward_is_none_until_the_end_and_then_the_score_shared_by_all_seats() -> None:
    states = play_out(begin(council()), ["[Propose: X1]", "[Accept]", "[Accept]"], FixedJudge(3.25))
    assert [s.rewards for s in states] == [None, None, None, (3.25,) * 3]


def selfish(s: float, deal: str, **settings: Any) -> tuple[float, ...] | None:
    """The rewards of a deal struck at once."""
    return play(bargain(), f"[Propose: {deal}]", "[Accept]", selfishness=s, **settings).rewards


@pytest.mark.parametrize(
    ("s", "deal", "rewards"),
    [
        (0.0, "A2 B3", (2.530802, 2.530802)),
        (1.0, "A2 B3", (3.75, 0.0)),  # 5 x .75, 5 x 0
        (0.5, "A2 B2", (3.75, 3.75)),  # .5 x 5 + .5 x 5 x .5
        (0.2, "A3 B3", (2.613636, 2.613636)),  # .8 x 2.954545 + .2 x 5 x .25
        (0.5, "A1 B2", (-1.25, 2.5)),  # CA 0; 5 x -.5 and 5 x 1, halved: not clipped below
    ],
)
def test_selfishness_mixes_in_what_the_deal_is_worth_to_each(s: float, deal: str, rewards: tuple[float, ...]) -> None:
    assert selfish(s, deal) == rewards


def test_no_deal_is_0_for_everyone_however_selfish() -> None:
    assert play(bargain(), BEST, "no", max_rounds=1, selfishness=1.0).rewards == (0.0, 0.0)
    assert play(bargain(), "a", "b", "[Walk]", selfishness=1.0).rewards == (0.0, 0.0)


def test_both_terms_speak_of_the_deal_the_completion_states() -> None:
    told_otherwise = ("[Propose: A2 B2]", "[Accept]", "[Agreed: A2 B1]")
    assert play(bargain(), *told_otherwise, completion="write", selfishness=1.0).rewards == (0.0, 0.0)
    assert play(bargain(), *told_otherwise, completion="write", selfishness=0.5).rewards == (0.0, 0.0)


def test_selfishness_is_0_for_a_seat_whose_best_equals_its_walk_away_value() -> None:
    # X3 of the council is worth 3, 1, 2; with walk-away 3 the last seat cannot gain, and X1 (1, 2, 3) is its best.
    s = council()
    assert s.seats[2].stakes is not None
    s = replace(s, seats=(*s.seats[:2], replace(s.seats[2], stakes=replace(s.seats[2].stakes, walk_away=3))))
    t = play(s, "[Propose: X1]", "[Accept]", "[Accept]", selfishness=1.0)
    assert t.rewards == (0.0, 2.5, 0.0)  # gains 0, .5 and (defined) 0
    assert t.outcome.ca == 5.0


def test_selfishness_on_an_open_dilemma_is_an_error() -> None:
    with pytest.raises(SettingsError, match="'last-ferry' is an open dilemma: nobody has private scores"):
        resolve(dilemma(), selfishness=0.1)


def test_numbers_are_stored_with_six_decimals() -> None:
    t = play(dilemma(), "a", "b", "c", judge=FixedJudge(10 / 3))
    assert t.rewards == (3.333333, 3.333333)
    assert t.verdicts[-1].value == 3.333333


@pytest.mark.parametrize("value", [-0.1, 5.1, float("nan"), float("inf")])
def test_a_score_lies_in_0_to_5(value: float) -> None:
    with pytest.raises(MoveError, match=r"judge 'x' returned .*; score lies in \[0, 5\]"):
        judged(say(begin(bargain()), BEST, "[Accept]"), Verdict("score", "x", value))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_an_agreement_verdict_lies_in_0_to_1(value: float) -> None:
    with pytest.raises(MoveError, match=r"agreement lies in \[0, 1\]"):
        judged(say(begin(dilemma()), "a", "b"), Verdict("agreement", "x", value))


# ---------------------------------------------------------------- infrastructure failures
def test_stop_reason_lists_the_outcomes_and_every_failure() -> None:
    assert {r.value: r.scored for r in StopReason} == {
        "agreement": True,
        "cap": True,
        "walk_away": True,
        "agent_error": False,
        "agent_timeout": False,
        "judge_error": False,
        "budget": False,
        "interrupted": False,
    }


@pytest.mark.parametrize("reason", [r for r in StopReason if not r.scored])
def test_an_infrastructure_failure_has_no_reward(reason: StopReason) -> None:
    state = fail(say(begin(bargain()), BEST), reason, "it\nbroke  down")
    assert stop_of(state) == (reason, None)
    assert (state.error, pending(state)) == ("it broke down", None)
    t = transcript(state)
    assert (t.scored, t.outcome.ca, t.outcome.regret, t.deal) == (False, None, None, None)


def test_a_failure_while_the_completion_is_judged_has_no_reward_either() -> None:
    t = transcript(fail(say(begin(bargain()), BEST, "[Accept]"), StopReason.JUDGE_ERROR, "no"))
    assert (t.rewards, t.outcome.scored, t.outcome.ca, t.outcome.gains) == (None, False, None, None)
    assert t.deal == ("A2", "B2")


@pytest.mark.parametrize("reason", [r for r in StopReason if r.scored])
def test_an_outcome_of_the_game_is_no_failure(reason: StopReason) -> None:
    with pytest.raises(MoveError, match="is an outcome of the game"):
        fail(begin(bargain()), reason, "")


def test_what_failed_can_be_stored_whatever_it_says() -> None:
    state = fail(begin(bargain()), StopReason.AGENT_ERROR, "\ud800 " + "x" * 1000)
    assert state.error is not None
    assert single_line(state.error)
    assert len(state.error) == 500
    assert decode(transcript(state).encode(), "here").error == state.error


def test_what_a_judge_wrote_can_be_stored_whatever_it_says() -> None:
    verdict = Verdict("score", "x", 1.0, reason="\ud800", raw="\udfff{")
    t = transcript(judged(say(begin(bargain()), BEST, "[Accept]"), verdict))
    assert (t.verdicts[0].reason, t.verdicts[0].raw) == ("\ufffd", "\ufffd{")
    assert decode(t.encode(), "here") == t
