"""Settings and text at their bounds, and rules that hold whatever is said. The bargain's figures: see `test_rules`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import (
    bargain,
    begin,
    default_judge,
    dilemma,
    play,
    play_out,
    quorum,
    say,
    speech,
    structured,
)

from nego_env.errors import MoveError, SettingsError
from nego_env.judges import ExactJudge
from nego_env.moves import Act, Move
from nego_env.rules import Standing, StopReason, case, fail, judged
from nego_env.scenario import Scenario
from nego_env.settings import resolve
from nego_env.transcript import decode, transcript
from nego_env.verdict import Verdict

BEST = "[Propose: A2 B2]"


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("scenario", "options", "fault"),
    [
        (bargain(), {"max_rounds": 0}, "max_rounds is 0, it must be at least 1"),
        (bargain(), {"max_rounds": 2.5}, "max_rounds is 2.5, it must be an int"),
        (bargain(), {"max_rounds": "7"}, "max_rounds is '7', it must be an int"),
        (bargain(), {"memory": 0}, "memory is 0, it must be at least 1 round, or None"),
        (bargain(), {"memory": 1.5}, "memory is 1.5, it must be an int or None"),
        (bargain(), {"selfishness": 1.1}, "selfishness is 1.1, it must lie in [0, 1]"),
        (bargain(), {"selfishness": -0.1}, "selfishness is -0.1"),
        (bargain(), {"selfishness": float("nan")}, "selfishness is nan"),
        (bargain(), {"max_chars": 79}, "max_chars is 79, it must be at least 80"),
        (bargain(), {"completion": "sing"}, "completion is 'sing', it must be 'write' or 'render'"),
        (bargain(), {"complete": "never"}, "complete is 'never', it must be 'agreement' or 'always'"),
        (bargain(), {"codecs": "speech"}, "has 2 seats; codecs must be 'text', 'act'"),
        (bargain(), {"codecs": ("text",)}, "has 2 seats; codecs must be"),
        (bargain(), {"codecs": ("text", "act", "text")}, "has 2 seats; codecs must be"),
        (dilemma(), {"completion": "render"}, "there is no deal to render a completion from"),
        (dilemma(), {"codecs": ("text", "act")}, "it has no acts to choose from; use text seats"),
        (dilemma(), {"judge": "exact"}, "it has no scores for the exact judge"),
    ],
)
def test_a_setting_out_of_range_or_out_of_place_is_a_settings_error(
    scenario: Scenario, options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(SettingsError) as e:
        resolve(scenario, **options)
    assert fault in str(e.value)


def test_settings_are_resolved_from_the_scenario() -> None:
    s = resolve(bargain(max_rounds=3))
    assert (s.max_rounds, s.memory, s.selfishness, s.complete, s.max_chars) == (3, None, 0.0, "agreement", 4000)
    assert (s.codecs, s.judge) == (("text", "text"), "exact")
    assert resolve(dilemma(3)).judge == "heuristic"
    assert resolve(quorum(), codecs=["act", "text", "text", "act"]).codecs == ("act", "text", "text", "act")


# ---------------------------------------------------------------- the text boundary
def test_a_long_message_is_cut_and_its_speaker_told() -> None:
    line = say(begin(bargain(), max_chars=80), "x" * 100 + BEST).utterances[0]
    assert (len(line.text), line.act, line.marks) == (80, None, ("cut",))
    assert line.notice == "your message was cut at 80 characters"


def test_cutting_does_not_make_a_quoted_tag_binding() -> None:
    state = say(begin(bargain(), max_chars=80), BEST, "x" * 72 + "[Accept]" + " is what you would like to hear")
    assert state.accepted == (True, False)
    assert state.outcome is None


def test_a_moves_act_survives_its_long_words() -> None:
    state = say(begin(bargain(), max_chars=80), Move.propose("A2 B2", "because " * 50))
    line = state.utterances[0]
    assert (state.standing, line.act, line.marks) == (Standing((1, 1), 0), Act("propose", deal=("A2", "B2")), ("cut",))
    assert line.text.endswith(f"… {BEST}")
    assert len(line.text) == 80


@pytest.mark.parametrize("said", ["", " \n", Move("")])
def test_silence_is_an_utterance(said: str | Move) -> None:
    state = say(begin(bargain()), said)
    assert (len(state.utterances), state.utterances[0].act, state.utterances[0].notice) == (1, None, None)


def test_words_of_a_move_without_an_act_are_read_like_any_text() -> None:
    assert say(begin(bargain()), Move(BEST)).standing == Standing((1, 1), 0)


# ---------------------------------------------------------------- whatever is said
def check_episode(scenario: Scenario, said: list[str | Move], options: dict[str, Any]) -> None:
    """It ends by the rules, and its record is whole."""
    states = play_out(begin(scenario, **options), said, default_judge(scenario))
    last = states[-1]
    assert last.stop is not None
    assert last.stop.scored
    dialogue = [u for u in last.utterances if u.phase == "dialogue"]
    assert len(dialogue) <= last.settings.max_rounds * scenario.n
    assert len(last.utterances) - len(dialogue) <= 1
    for before, after in pairwise(states):
        assert after.utterances[-1].seat == scenario.seat_ids[before.seat]
        assert not before.walked[before.seat]
    assert last.rewards is not None
    assert len(last.rewards) == scenario.n
    assert options["selfishness"] or all(0.0 <= r <= 5.0 for r in last.rewards)
    assert all(len(u.text) <= last.settings.max_chars for u in last.utterances)
    t = transcript(last)
    line = t.encode()
    assert b"\n" not in line
    again = decode(line, "here")
    assert again == t
    assert again.encode() == line
    for lived, retold in zip(states, again.states(), strict=True):
        assert retold == lived


@settings(max_examples=150)
@given(structured(), st.data())
def test_whatever_seats_say_on_a_structured_dilemma_the_episode_ends_by_the_rules_and_its_record_tells_it_again(
    scenario: Scenario, data: st.DataObject
) -> None:
    options: dict[str, Any] = {
        "max_rounds": data.draw(st.integers(1, 5)),
        "max_chars": data.draw(st.sampled_from((80, 100, 4000))),
        "completion": data.draw(st.sampled_from(("write", "render"))),
        "complete": data.draw(st.sampled_from(("agreement", "always"))),
        "selfishness": data.draw(st.sampled_from((0.0, 0.0, 0.3, 1.0))),
        "memory": data.draw(st.sampled_from((None, 1, 2))),
        "codecs": tuple(data.draw(st.sampled_from(("text", "act"))) for _ in range(scenario.n)),
    }
    check_episode(scenario, data.draw(st.lists(speech(scenario), max_size=24)), options)


@settings(max_examples=75)
@given(st.integers(2, 4), st.data())
def test_whatever_seats_say_on_an_open_dilemma_the_episode_ends_by_the_rules_and_its_record_tells_it_again(
    n: int, data: st.DataObject
) -> None:
    scenario = dilemma(n)
    options: dict[str, Any] = {
        "max_rounds": data.draw(st.integers(1, 5)),
        "max_chars": data.draw(st.sampled_from((80, 4000))),
        "complete": data.draw(st.sampled_from(("agreement", "always"))),
        "selfishness": 0.0,
    }
    said = st.one_of(speech(scenario), st.sampled_from(("[Agree]", "Share it. [Agree]")))
    check_episode(scenario, data.draw(st.lists(said, max_size=24)), options)


def test_megabytes_are_cut_and_the_episode_goes_on() -> None:
    t = play(bargain(), "x" * 3_000_000, "[" * 3_000_000, BEST, "[Accept]")
    assert t.stop is StopReason.AGREEMENT
    assert len(t.encode()) < 20_000


def test_the_exact_judge_sees_the_deal_that_was_agreed() -> None:
    agreed = say(begin(bargain()), BEST, "[Accept]")
    asked = case(agreed)
    assert (asked.kind, asked.deal, asked.lines[0]) == ("score", ("A2", "B2"), ("seat_0", BEST))
    assert asked.scenario.seats[1].persona == "Keep the shed for the tools."
    assert ExactJudge().judge(asked).value == 5.0


def test_selfish_rewards_read_the_deal_from_the_completion_whoever_judges() -> None:
    """A2 B1 is worth 6 and 0: gains 1 and -0.5. With s = 0.5 and a score of 3: 1.5 + 2.5 gain."""
    state = say(begin(bargain(), selfishness=0.5), "[Propose: A2 B1]", "[Accept]")
    ended = judged(state, Verdict("score", "somebody", 3.0, label="somebody's"))
    assert ended.rewards == (4.0, 0.25)


def test_an_episode_that_is_over_cannot_fail_any_more() -> None:
    state = play_out(begin(bargain()), ["[Propose: A2 B2]", "[Accept]"])[-1]
    with pytest.raises(MoveError, match="over"):
        fail(state, StopReason.INTERRUPTED, "too late")
