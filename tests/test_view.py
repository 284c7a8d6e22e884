"""Promises about what a seat may know.

1. The task, its own persona and stakes, what the standing deal is worth to it, the rules; never another's persona or stakes.
2. The last `memory` x n utterances; the standing deal always.
3. The notice of a tag that did not count, for its speaker alone.
4. Once the dialogue is over, the finalizer also sees all personas and the whole dialogue.
5. A generator of its own.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support import bargain, begin, council, dilemma, play_out, quorum, say, settle, single_line, structured

from nego_env.errors import MoveError, ScenarioError
from nego_env.rules import State
from nego_env.scenario import Scenario, Stakes
from nego_env.view import VIEW_FIELDS, Legal, Table, View, rules_text, seat_randoms, view

NOTHING = Legal(propose=False, accept=False, walk=False, ask=(), reveal=())


def seen(state: State, seat: int | None = None) -> View:
    """The view of a seat."""
    return view(state, seat_randoms(state.header, state.scenario.n), seat)


def plain(v: View) -> dict[str, Any]:
    """A view as plain data, its generator left out."""
    return {f: msgspec.to_builtins(getattr(v, f)) for f in VIEW_FIELDS if f != "random"}


def test_a_seat_sees_the_task_its_own_persona_and_stakes_and_where_the_talk_stands() -> None:
    v = seen(say(begin(bargain(), seed=3), "hello"))
    s = bargain()
    assert (v.seat, v.index, v.name) == ("seat_1", 1, "the owner")
    assert (v.task, v.persona, v.stakes) == (s.task, "Keep the shed for the tools.", s.seats[1].stakes)
    assert (v.round, v.max_rounds, v.phase) == (1, 7, "dialogue")
    assert [u.text for u in v.utterances] == ["hello"]
    assert v.episode == begin(bargain(), seed=3).header.id


@pytest.mark.parametrize("seat", range(4))
def test_a_seat_never_sees_another_persona_or_another_score(seat: int) -> None:
    s = quorum()
    v = seen(say(begin(s), "[Propose: Y1]"), seat)
    assert v.personas is None
    for i, other in enumerate(v.scenario.seats):
        assert (other.persona, other.stakes) == ((s.seats[i].persona, s.seats[i].stakes) if i == seat else ("", None))
    told = str(plain(v)) + v.rules
    assert [x.persona for x in s.seats if x.persona in told] == [s.seats[seat].persona]


@settings(max_examples=40)
@given(structured(), structured(), st.data())
def test_a_view_is_the_same_whatever_the_others_want(s: Scenario, donor: Scenario, data: st.DataObject) -> None:
    me = data.draw(st.integers(0, s.n - 1))
    shift = data.draw(st.integers(1, 50))
    others = [
        replace(x, persona=donor.seats[0].persona + "!", stakes=_shifted(x.stakes, shift)) if i != me else x
        for i, x in enumerate(s.seats)
    ]
    said = ["[Ask: A]", "hm", "[Propose: A1]", "[Accept]", "[Walk]"]
    one, two = (
        [x for x in play_out(begin(z), said)[:-1] if x.seat == me and x.awaiting == "utterance"]
        for z in (s, replace(s, seats=tuple(others)))
    )
    for a, b in zip(one, two, strict=True):
        va, vb = plain(seen(a)), plain(seen(b))
        va.pop("episode")  # a hash of the whole scenario
        vb.pop("episode")
        assert va == vb


def _shifted(stakes: Stakes | None, by: int) -> Stakes:
    assert stakes is not None
    return Stakes(tuple(tuple(x + by for x in row) for row in stakes.scores), stakes.walk_away)


# ---------------------------------------------------------------- memory
@pytest.mark.parametrize(("memory", "texts"), [(None, "abcdefg"), (1, "efg"), (2, "bcdefg"), (3, "abcdefg")])
def test_the_memory_window_is_the_last_memory_times_n_utterances(memory: int | None, texts: str) -> None:
    v = seen(say(begin(council(), memory=memory), *"abcdefg"))
    assert [u.text for u in v.utterances] == list(texts)
    assert v.omitted == 7 - len(texts)


def test_the_standing_deal_survives_the_memory_window() -> None:
    v = seen(say(begin(bargain(), memory=1), "[Propose: A2 B3]", "b", "c", "d"))
    assert [u.text for u in v.utterances] == ["c", "d"]
    assert v.table == Table(deal=("A2", "B3"), by="seat_0", accepted=("seat_0",), worth=5.0, gain=0.75)


def test_what_was_published_survives_the_memory_window() -> None:
    v = seen(say(begin(bargain(), memory=1), "[Reveal: A]", "b", "c", "d"))
    assert [(r.seat, r.issue, r.scores) for r in v.revealed] == [("seat_0", "A", (0, 4, 2))]


def test_the_deal_on_the_table_is_worth_something_else_to_each_seat() -> None:
    state = say(begin(bargain()), "[Propose: A2 B3]")
    found = [(t.worth, t.gain) for t in (seen(state, 0).table, seen(state, 1).table) if t]
    assert found == [(5.0, 0.75), (2.0, 0.0)]
    assert seen(begin(bargain())).table is None


# ---------------------------------------------------------------- notices
def test_a_notice_is_for_the_speaker_alone() -> None:
    state = say(begin(bargain()), "[Propose: A2]")
    other, speaker = seen(state, 1), seen(state, 0)
    assert other.notice is None
    assert [u.notice for u in other.utterances] == [None]
    assert speaker.notice is not None
    assert "no option for issue B" in speaker.notice
    assert speaker.utterances[0].notice == speaker.notice


def test_a_notice_is_about_the_last_message_only() -> None:
    assert seen(say(begin(bargain()), "[Propose: A2]", "b", "c", "d"), 0).notice is None


def test_a_notice_survives_into_the_next_turn() -> None:
    assert seen(say(begin(bargain()), "[Accept]", "b")).notice == "there is no deal on the table to accept"


# ---------------------------------------------------------------- legal moves
def test_legal_moves_follow_the_rules() -> None:
    state = begin(bargain())
    assert seen(state).legal == Legal(propose=True, accept=False, walk=False, ask=("A", "B"), reveal=("A", "B"))
    assert seen(state, 1).legal == NOTHING  # not its turn
    state = say(state, "[Ask: A]", "[Propose: A2 B2]")
    assert seen(state).legal == Legal(propose=True, accept=True, walk=True, ask=("B",), reveal=("A", "B"))
    state = say(state, "[Reveal: B]")
    assert seen(state).legal == Legal(propose=True, accept=False, walk=True, ask=("A", "B"), reveal=("A", "B"))
    assert seen(say(state, "hm")).legal == Legal(propose=True, accept=True, walk=True, ask=("B",), reveal=("A",))


def test_there_are_no_acts_on_open_dilemmas_in_the_completion_and_after_the_end() -> None:
    assert seen(begin(dilemma())).legal == NOTHING
    writing = say(begin(bargain(), completion="write"), "[Propose: A2 B2]", "[Accept]")
    assert seen(writing).legal == NOTHING
    assert seen(settle(say(writing, "done")), 0).legal == NOTHING


def test_who_has_left_the_table_is_known() -> None:
    state = say(begin(quorum()), "a", "b", "c", "d", "e", "[Walk]")
    assert seen(state).walked == ("seat_1",)


# ---------------------------------------------------------------- completion
def test_the_finalizer_sees_all_personas_and_the_whole_dialogue_and_nobody_else_does() -> None:
    state = say(begin(council(), memory=1, completion="write"), "a", "b", "c", "[Propose: X1]", "[Accept]", "[Accept]")
    v = seen(state)
    assert (v.seat, v.phase) == ("seat_0", "completion")
    assert v.personas == tuple(s.persona for s in council().seats)
    assert (len(v.utterances), v.omitted) == (6, 0)
    assert v.table is not None
    assert v.table.deal == ("X1",)
    other = seen(state, 1)
    assert (other.personas, other.phase, len(other.utterances)) == (None, "dialogue", 3)


def test_the_finalizer_still_sees_its_own_scores_only() -> None:
    state = say(begin(bargain(), completion="write"), "[Propose: A2 B2]", "[Accept]")
    assert seen(state).scenario.seats[1].stakes is None


# ---------------------------------------------------------------- generators
def draws(seat: int, **changes: Any) -> list[int]:
    """The first numbers of a seat's generator in an episode."""
    header = replace(begin(council()).header, **changes)
    return [int(x) for x in seat_randoms(header, 3)[seat].generator.integers(0, 2**32, 4)]


def test_each_seat_has_a_generator_of_its_own_from_seed_index_and_attempt() -> None:
    assert draws(0) == draws(0)
    different = [draws(0), draws(1), draws(2), draws(0, seed=1), draws(0, index=1), draws(0, attempt=1)]
    assert len({tuple(d) for d in different}) == 6


def test_a_seat_draws_from_one_generator_all_episode_long() -> None:
    state = begin(bargain())
    randoms = seat_randoms(state.header, 2)
    first = view(state, randoms).rng
    assert view(say(state, "a", "b"), randoms).rng is first


# ---------------------------------------------------------------- worth and rules
def test_a_view_tells_what_a_deal_is_worth_to_its_seat() -> None:
    v = seen(begin(bargain()))
    assert (v.worth(["A2", "B3"]), v.gain(("A3", "B1"))) == (5.0, 0.5)
    with pytest.raises(ScenarioError, match="no option for issue B"):
        v.worth(["A2"])
    with pytest.raises(MoveError, match="last-ferry is an open dilemma: no deal has a worth"):
        seen(begin(dilemma())).gain(["A1"])


def test_the_rules_name_everyone_the_cap_the_acceptance_rule_and_every_tag() -> None:
    text = seen(begin(bargain(), max_rounds=4)).rules
    for part in (
        "You are the tenant",
        "the tenant, the owner",
        "after 4 rounds",
        "It holds once all of you have accepted it.",
        "[Propose: A1 B1]",
        "[Accept]",
        "[Ask: A]",
        "[Reveal: A]",
        "[Walk]",
    ):
        assert part in text
    assert "{" not in text
    assert "[Agree]" in seen(begin(dilemma())).rules


def test_the_acceptance_rule_is_told_as_it_is() -> None:
    assert "once at least 3 of you have accepted it, town 0 among them." in rules_text(quorum(), 1, 7)
    assert "once at least 2 of you have accepted it, town 1 and town 3 among them." in rules_text(
        quorum(2, (1, 3)), 1, 7
    )
    assert "once at least 2 of you have accepted it." in rules_text(quorum(2, ()), 1, 7)
    assert "once all of you have accepted it." in rules_text(quorum(4), 1, 7)


def test_a_name_that_looks_like_a_slot_stays_what_it_is() -> None:
    s = dilemma()
    s = replace(s, seats=(replace(s.seats[0], name="{max_rounds}"), s.seats[1]))
    assert "You are {max_rounds}." in rules_text(s, 0, 7)
    assert single_line(rules_text(s, 0, 7).splitlines()[0])
