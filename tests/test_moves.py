"""Promises about moves.

1. Words carry an act only through one final tag; a tag quoted earlier binds nobody.
2. A malformed or misplaced tag is talk, with a fault that says what was wrong.
3. act -> words -> act is exact, whatever labels and names look like.
4. A text is cut, lone surrogates are mapped, and nothing else is changed; cutting never makes or loses an act of a `Move`.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ANY_CHARACTER, acts_of, bargain, dilemma, quorum, speech, structured

from nego_env.errors import MoveError
from nego_env.moves import (
    Act,
    Move,
    agreed_deal,
    check_act,
    clean,
    clean_move,
    completion_words,
    parse,
    spoken,
    tag,
    without_surrogates,
    words,
)
from nego_env.scenario import Scenario

DEAL = Act("propose", deal=("A2", "B1"))

ACTS = [
    ("[Propose: A2 B1]", DEAL),
    ("I would like this. [Propose: A2 B1]", DEAL),
    ("I would like this.[propose:a2,b1].", DEAL),
    ("[PROPOSE A2; B1]  \n", DEAL),
    ("[ Propose : B1 A2 ]!!", DEAL),
    ("[Propose: A1 B1] no, wait: [Propose: A2 B1]", DEAL),
    ("[Accept]", Act("accept")),
    ("Fine by me [accept].", Act("accept")),
    ("[Accept: ]", Act("accept")),
    ("I said [Walk] and I mean it. [Accept]", Act("accept")),
    ("[[Accept]", Act("accept")),
    ("[Walk]", Act("walk")),
    ("[Ask: A]", Act("ask", issue="A")),
    ("[Ask: a2]", Act("ask", issue="A")),
    ("[Ask: the shed]", Act("ask", issue="B")),
    ("[Reveal: B]", Act("reveal", issue="B")),
    ("[reveal b]", Act("reveal", issue="B")),
]


@pytest.mark.parametrize(("text", "act"), ACTS)
def test_a_final_tag_is_an_act(text: str, act: Act) -> None:
    assert parse(text, bargain()) == (act, None)


TALK = [
    "",
    "hello",
    "[",
    "]",
    "[]",
    "[1]",
    "see [note 3].",
    "[Accepted]",
    "[Proposal: A1 B1]",
    "accept",
    "(Accept)",
    "]Accept[",
]


@pytest.mark.parametrize("text", TALK)
def test_words_without_a_tag_are_talk(text: str) -> None:
    assert parse(text, bargain()) == (None, None)


MISPLACED = "a tag counts only as the very last thing in a message"
FAULTS = [
    ("You said [Accept] but you did not mean it", MISPLACED),
    ('"[Propose: A2 B1]" is what you wrote', MISPLACED),
    ("[Accept]?", MISPLACED),
    ("[Accept]]", MISPLACED),
    ("[Accept] [1]", MISPLACED),
    ("[Accept", MISPLACED),
    ("[Propose: A2 B1] " + "x" * 5000, MISPLACED),
    ("[Accept: A1]", "[Accept] takes nothing after it, found 'A1'"),
    ("[Walk away]", "[Walk] takes nothing after it, found 'away'"),
    ("[Accept " + "y" * 50 + "]", "found '" + "y" * 37 + "...'"),
    ("[Propose]", "no option for issue A, B"),
    ("[Propose: A2]", "no option for issue B"),
    ("[Propose: A2 A3 B1]", "two options for issue 'A'"),
    ("[Propose: A2 B1 C1]", "no option 'C1'; options: A1, A2, A3, B1, B2, B3"),
    ("[Propose: always mine]", "no option 'always'"),
    ("[Ask]", "needs one issue id (A, B), found ''"),
    ("[Ask: C]", "needs one issue id (A, B), found 'C'"),
    ("[Reveal: A B]", "needs one issue id (A, B), found 'A B'"),
    ("[Agree]", "[Agree] is for open dilemmas; here a deal is accepted with [Accept]"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS)
def test_a_malformed_or_misplaced_tag_is_talk_with_a_fault(text: str, fault: str) -> None:
    act, found = parse(text, bargain())
    assert act is None
    assert found is not None
    assert fault in found


@given(
    st.sampled_from(acts_of(bargain())), st.text(ANY_CHARACTER, min_size=1).filter(lambda s: s.strip(" \t\r\n.!") != "")
)
def test_a_quoted_tag_binds_nobody(act: Act, after: str) -> None:
    quoted = f"You wrote {tag(act)} {after} and that is that"
    assert parse(quoted, bargain()).act is None


@pytest.mark.parametrize("text", ["[Agree]", "So be it. [agree].", "[Accept] [Agree]"])
def test_on_an_open_dilemma_agree_is_the_only_act(text: str) -> None:
    assert parse(text, dilemma()) == (Act("agree"), None)


@pytest.mark.parametrize("text", ["[Accept]", "[Propose: A1 B1]", "[Walk]", "[Agree: x]", "[Agree] or not", "[Agreed]"])
def test_on_an_open_dilemma_everything_else_is_talk(text: str) -> None:
    assert parse(text, dilemma()) == (None, None)


@given(st.text(ANY_CHARACTER))
def test_any_text_parses_to_an_act_or_a_fault_or_neither_but_not_both(text: str) -> None:
    for scenario in (bargain(), dilemma()):
        act, fault = parse(text, scenario)
        assert act is None or fault is None


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "[ " * 100_000, "[Accept" * 30_000, "]" * 200_000, "[Agreed:" + " " * 200_000]
)
def test_any_length_of_brackets_is_talk(text: str) -> None:
    assert parse(text, bargain()).act is None
    assert agreed_deal(text, bargain())[0] is None


# ---------------------------------------------------------------- act -> words -> act
@settings(max_examples=100)
@given(structured())
def test_act_to_words_to_act_is_exact_for_every_act_whatever_the_labels_are(s: Scenario) -> None:
    for act in acts_of(s):
        assert parse(tag(act), s) == (act, None)
        assert parse(words(act, s), s) == (act, None)
        assert check_act(act, s) == act
        assert spoken(Move("", act), s) == Move(words(act, s), act)


def test_an_act_on_an_open_dilemma_round_trips_too() -> None:
    assert parse(words(Act("agree"), dilemma()), dilemma()).act == Act("agree")


@settings(max_examples=100)
@given(structured(), st.data())
def test_a_rendered_completion_states_its_deal_whatever_the_labels_are(s: Scenario, data: st.DataObject) -> None:
    deal = s.deal(data.draw(st.sampled_from([a.deal for a in acts_of(s) if a.kind == "propose"])))
    assert agreed_deal(completion_words(deal, s), s) == (deal, None)


@settings(max_examples=100)
@given(st.text(ANY_CHARACTER, max_size=60), st.sampled_from(acts_of(bargain())))
def test_words_of_ones_own_keep_the_act_of_the_move(text: str, act: Act) -> None:
    said = spoken(Move(text, act), bargain())
    assert said.act == act
    assert parse(said.text, bargain()).act == act
    if text.strip():
        assert said.text.startswith(text.rstrip())


def test_the_tag_is_added_only_where_it_is_missing() -> None:
    s = bargain()
    assert spoken(Move.accept("Very well."), s).text == "Very well. [Accept]"
    assert spoken(Move.accept("Very well. [Accept]"), s).text == "Very well. [Accept]"
    assert spoken(Move.accept("Very well. [Walk]"), s).text == "Very well. [Walk] [Accept]"
    assert spoken(Move("just words"), s) == Move("just words")


def test_every_act_has_a_short_way_to_be_made() -> None:
    assert Move.propose("A2 B1").act == Move.propose(["A2", "B1"]).act == DEAL
    assert [m.act for m in (Move.accept(), Move.walk(), Move.agree())] == [Act("accept"), Act("walk"), Act("agree")]
    assert (Move.ask("A").act, Move.reveal("B", "here").act) == (Act("ask", issue="A"), Act("reveal", issue="B"))
    assert Move.reveal("B", "here").text == "here"


def test_ids_are_written_as_the_scenario_spells_them_and_nothing_else_rides_along() -> None:
    s = bargain()
    assert check_act(Act("propose", deal=("b1", "a2")), s) == DEAL
    assert check_act(Act("ask", issue="a3"), s) == Act("ask", issue="A")
    # `[Accept: A1]` would be no act when the words are read again
    assert check_act(Act("accept", deal=("A1",), issue="B"), s) == Act("accept")


BAD_MOVES: list[tuple[Any, str]] = [
    (Move.propose("A1"), "allotment: no option for issue B"),
    (Move.propose("A1 B9"), "allotment: no option 'B9'"),
    (Move("", Act("propose", deal=(1, 2))), "allotment: no option '1'"),  # type: ignore[arg-type]
    (Move.ask("Q"), "allotment: no issue 'Q'; issues: A, B"),
    (Move.agree(), "'agree' is no act of a structured dilemma"),
    (Move("", Act("dance")), "is no act; acts: propose, accept, walk, ask, reveal, agree"),  # type: ignore[arg-type]
    (Move("", "accept"), "'accept' is no act"),  # type: ignore[arg-type]
    (Move(5), "the words of a move are a str, not int"),  # type: ignore[arg-type]
    (Move(None, Act("accept")), "the words of a move are a str, not NoneType"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("move", "fault"), BAD_MOVES)
def test_a_move_the_scenario_cannot_express_is_a_move_error(move: Move, fault: str) -> None:
    with pytest.raises(MoveError) as e:
        spoken(move, bargain())
    assert fault in str(e.value)


@pytest.mark.parametrize("move", [Move.accept(), Move.propose("A1 B1"), Move.walk(), Move.ask("A"), Move.reveal("A")])
def test_on_an_open_dilemma_structured_acts_are_move_errors(move: Move) -> None:
    with pytest.raises(MoveError, match="is no act of an open dilemma"):
        spoken(move, dilemma())


# ---------------------------------------------------------------- completions
@pytest.mark.parametrize(
    ("text", "deal", "fault"),
    [
        ("We share. [Agreed: A2 B1]", (1, 0), None),
        ("[agreed:b1,a2] and that is all.", (1, 0), None),
        ("First [Agreed: A1 B1], in the end [Agreed: A2 B1].", (1, 0), None),
        ("[Agreed: A2 B1] then [Agreed: A2]", None, "no option for issue B"),
        ("[Agreed: A2 B9]", None, "no option 'B9'"),
        ("We share.", None, "no [Agreed: ...] tag"),
        ("[Accept]", None, "no [Agreed: ...] tag"),
        ("", None, "no [Agreed: ...] tag"),
    ],
)
def test_the_last_agreed_tag_states_the_deal(text: str, deal: tuple[int, ...] | None, fault: str | None) -> None:
    found, why = agreed_deal(text, bargain())
    assert found == deal
    assert (why is None) == (fault is None)
    assert fault is None or fault in str(why)


def test_a_tag_that_was_read_before_says_the_same_wherever_it_stands() -> None:
    scenario, other = bargain(), dilemma()
    for _ in range(2):
        assert parse("take it: [Propose: a2, b1]", scenario) == parse("[Propose: a2, b1]", scenario)
        assert parse("[Propose: a2, b1] or not?", scenario).act is None
        assert parse("[Propose: a2, b1]", other).act is None, "what one scenario reads is nothing to another"
        assert parse(f"[Accept]{' ' * 5000}", scenario).act is not None
        assert parse(f"[Accept{' ' * 1900}]", scenario).act is not None
        assert parse(f"[Accept{' ' * 2000}]", scenario).act is None, "too long for a tag"
        assert agreed_deal("So be it. [Agreed: A2 B1]", scenario) == ((1, 0), None)
        assert agreed_deal("So be it. [Agreed: A2]", scenario)[1] == "no option for issue B"


# ---------------------------------------------------------------- what enters the record
def test_a_long_text_is_cut_to_the_limit_and_marked() -> None:
    assert clean("x" * 80, 80) == ("x" * 80, ())
    assert clean("x" * 81, 80) == ("x" * 79 + "…", ("cut",))


def test_a_tag_quoted_where_the_cut_falls_does_not_become_the_final_one() -> None:
    text = "x" * 72 + "[Accept]" + " is what you hope I say"
    assert parse(text, bargain()).act is None
    cut, marks = clean(text, 80)
    assert (len(cut), marks) == (80, ("cut",))
    assert parse(cut, bargain()).act is None


def test_lone_surrogates_become_u_fffd_and_everything_else_stays() -> None:
    assert clean("a\ud800b\udfffc", 80) == ("a\ufffdb\ufffdc", ("surrogates",))
    assert clean("\x00\x1b[2J\u202e\ufffd😀", 80) == ("\x00\x1b[2J\u202e\ufffd😀", ())
    assert clean("\ud800" * 81, 80) == ("\ufffd" * 79 + "…", ("cut", "surrogates"))
    assert without_surrogates("\ud83d\ude00") == "\ufffd\ufffd"


@given(st.text(ANY_CHARACTER), st.integers(80, 90))
def test_whatever_enters_the_record_can_be_encoded_and_is_within_the_limit(text: str, limit: int) -> None:
    cleaned, marks = clean(text, limit)
    cleaned.encode("utf-8")
    assert len(cleaned) <= limit
    assert ("cut" in marks) == (len(text) > limit)
    assert clean(cleaned, limit) == (cleaned, ())


def test_the_words_of_a_long_move_give_way_to_its_tag() -> None:
    move = spoken(Move.propose("A2 B1", "x" * 100), bargain())
    text, marks = clean_move(move, 80)
    assert text == "x" * 62 + "… [Propose: A2 B1]"
    assert (len(text), marks) == (80, ("cut",))
    assert clean_move(Move.accept("Yes. [Accept]"), 80) == ("Yes. [Accept]", ())
    assert clean_move(Move("y" * 81), 80) == clean("y" * 81, 80)


@settings(max_examples=100)
@given(structured(), st.data())
def test_cutting_never_loses_the_act_of_a_move(s: Scenario, data: st.DataObject) -> None:
    act = data.draw(st.sampled_from(acts_of(s)))
    move = spoken(Move(data.draw(st.text(ANY_CHARACTER, max_size=200)), act), s)
    text, _ = clean_move(move, 80)
    assert len(text) <= 80
    assert parse(text, s).act == act


@given(speech(quorum()))
def test_everything_hypothesis_says_elsewhere_is_something_a_seat_can_say(said: str | Move) -> None:
    text = said if isinstance(said, str) else spoken(said, quorum()).text
    parse(text, quorum())


@pytest.mark.parametrize("text", ["**[Accept]**", "So be it: _[accept]_.", "`[Accept]`", "[Accept]!"])
def test_the_marks_that_close_a_sentence_or_its_emphasis_may_follow_a_tag(text: str) -> None:
    assert parse(text, bargain()) == (Act("accept"), None)
