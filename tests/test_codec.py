"""Codecs: numbers to acts and back over whole tables, masks against the rules, features, and what they must not tell."""

from __future__ import annotations

import math
import pickle
import string
from typing import Any

import numpy as np
import pytest
from face_support import env, suite, wide
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support import acts_of, bargain, begin, council, default_judge, dilemma, play_out, quorum, speech, structured

from nego_env.codec import MAX_FLAT_DEALS, ActTable, SeatCoder, UnicodeText, feature_layout, feature_size
from nego_env.errors import MoveError, SettingsError
from nego_env.moves import Move, parse
from nego_env.packs import LooseScenarios, Shape
from nego_env.rules import State, utter
from nego_env.scenario import Scenario, Stakes
from nego_env.session import Session
from nego_env.settings import CodecName
from nego_env.view import VIEW_FIELDS, legal


def shape_of(scenario: Scenario) -> Shape:
    """The shape without any padding."""
    return Shape(scenario.n, scenario.counts)


@st.composite
def padded(draw: st.DrawFn) -> tuple[Scenario, Shape]:
    """A structured scenario and a shape it fits in: more seats, more options, more issues."""
    scenario = draw(structured())
    extra = draw(st.lists(st.integers(1, 3), max_size=2))
    options = (*(n + draw(st.integers(0, 2)) for n in scenario.counts), *extra)
    return scenario, Shape(scenario.n + draw(st.integers(0, 2)), options)


@st.composite
def states(draw: st.DrawFn) -> tuple[Scenario, Shape, list[State]]:
    """Every state of an episode in which anything may be said, in a shape the scenario fits in."""
    scenario, shape = draw(padded())
    said = draw(st.lists(speech(scenario), max_size=12))
    first = begin(scenario, max_rounds=3, max_chars=200, completion=draw(st.sampled_from(("write", "render"))))
    return scenario, shape, play_out(first, said, default_judge(scenario))


# ---------------------------------------------------------------- the table of acts
@settings(max_examples=60)
@given(padded())
def test_every_number_is_an_act_and_every_act_a_number(case: tuple[Scenario, Shape]) -> None:
    scenario, shape = case
    acts = ActTable(shape)
    assert acts.size == math.prod(shape.options) + 2 + 2 * len(shape.options)
    numbers = {acts.encode(act, scenario): act for act in acts_of(scenario)}
    assert len(numbers) == len(acts_of(scenario))
    for action in range(acts.size):
        move = acts.decode(action, scenario)
        if action in numbers:
            assert isinstance(move, Move)
            assert move.act == numbers[action]
            assert parse(acts.words(action, scenario), scenario).act == numbers[action]
        else:
            assert isinstance(move, str), "what the scenario lacks is talk"
            assert acts.words(action, scenario) == move
            assert parse(move, scenario).act is None
            assert parse(move, scenario).fault is not None


def test_the_order_of_acts_is_deals_accept_walk_asks_reveals() -> None:
    # Options (3, 3) without padding: deal A2 B3 is 1 * 3 + 2 = 5. Padded to (4, 5): 1 * 5 + 2 = 7.
    scenario = bargain()
    for options, deal, after in (((3, 3), 5, 9), ((4, 5), 7, 20)):
        acts = ActTable(Shape(2, options))
        said = [acts.words(i, scenario) for i in (deal, *range(after, acts.size))]
        assert said == [
            "I propose always and half. [Propose: A2 B3]",
            "I accept the deal on the table. [Accept]",
            "We are too far apart, so I am walking away. [Walk]",
            "What does the tap mean to the rest of you? [Ask: A]",
            "What does the shed mean to the rest of you? [Ask: B]",
            "Let me be open about the tap. [Reveal: A]",
            "Let me be open about the shed. [Reveal: B]",
        ]
        assert acts.noop == acts.size == after + 6


@pytest.mark.parametrize("action", [-1, 15, 2**70])
def test_a_number_outside_the_table_is_an_error(action: int) -> None:
    with pytest.raises(MoveError, match=r"outside Discrete\(15\)"):
        ActTable(Shape(2, (3, 3))).decode(action, bargain())


def test_an_open_dilemma_has_no_acts() -> None:
    with pytest.raises(SettingsError, match="open dilemma"):
        ActTable(Shape(2, ()))
    with pytest.raises(MoveError, match="open dilemma"):
        ActTable(Shape(2, (3, 3))).decode(0, dilemma())
    with pytest.raises(MoveError, match="'agree' is no act of a structured dilemma"):
        ActTable(Shape(2, (3, 3))).encode(acts_of(dilemma())[0], bargain())


def test_up_to_4096_deals_are_a_flat_list_and_above_act_seats_are_refused() -> None:
    most = wide(4, 6)
    assert most.n_deals == MAX_FLAT_DEALS == 4096
    acts = ActTable(shape_of(most))
    acts.require_flat()
    for action in range(0, acts.size, 7):
        move = acts.decode(action, most)
        assert isinstance(move, Move)
        assert move.act is not None
        assert acts.encode(move.act, most) == action
    more = ActTable(shape_of(wide()))
    for call in (more.require_flat, lambda: more.encode(acts_of(bargain())[0], wide())):
        with pytest.raises(SettingsError, match="at most 4096; use text seats"):
            call()
    with pytest.raises(MoveError, match="7776 deals are too many to number"):
        more.decode(0, wide())


# ---------------------------------------------------------------- masks
@settings(max_examples=40)
@given(states())
def test_an_act_is_in_the_mask_iff_it_would_count(case: tuple[Scenario, Shape, list[State]]) -> None:
    scenario, shape, episode = case
    acts = ActTable(shape)
    coder = SeatCoder(scenario, shape, acts)
    for state in episode:
        for seat in range(scenario.n):
            mask = coder.mask(state, seat)
            assert mask.shape == (acts.size,)
            assert mask.dtype == np.int8
            if state.awaiting != "utterance" or state.phase != "dialogue" or seat != state.seat:
                assert not mask.any()
                continue
            assert mask.any()
            for action in range(acts.size):
                after = utter(state, acts.decode(action, scenario))
                counted = after.utterances[-1].notice is None
                new = (after.asked, after.revealed) != (state.asked, state.revealed)
                once = acts.ask <= action  # asking or revealing again counts, and adds nothing
                assert mask[action] == (counted and (new if once else True))


@settings(max_examples=40)
@given(states())
def test_the_mask_says_what_the_view_says(case: tuple[Scenario, Shape, list[State]]) -> None:
    scenario, shape, episode = case
    acts = ActTable(shape)
    coder = SeatCoder(scenario, shape, acts)
    for state in episode:
        for seat in range(scenario.n):
            mask, may = coder.mask(state, seat), legal(state, seat)
            assert mask[acts.accept] == may.accept
            assert mask[acts.walk] == may.walk
            assert mask[: acts.deals].any() == may.propose
            for kind, ids in ((acts.ask, may.ask), (acts.reveal, may.reveal)):
                assert {i.id for k, i in enumerate(scenario.issues) if mask[kind + k]} == set(ids)


# ---------------------------------------------------------------- features
@settings(max_examples=40)
@given(states())
def test_features_have_one_size_and_lie_in_minus_1_to_1(case: tuple[Scenario, Shape, list[State]]) -> None:
    scenario, shape, episode = case
    coder = SeatCoder(scenario, shape, ActTable(shape))
    for state in episode:
        for seat in range(scenario.n):
            found = coder.features(state, seat)
            assert found.shape == (feature_size(shape),)
            assert found.dtype == np.float32
            assert np.isfinite(found).all()
            assert np.abs(found).max() <= 1.0


def test_features_worked_out() -> None:
    # The owner reveals A, then asks about B; the tenant has put A2 B3 on the table: worth 2 = its walk-away to the owner.
    scenario, shape = bargain(), Shape(3, (3, 4))
    coder, at = SeatCoder(scenario, shape, ActTable(shape)), feature_layout(shape)
    state = begin(scenario)
    for words in ("[Propose: A2 B3]", "[Reveal: A]", "well", "[Ask: B]"):
        state = utter(state, words)

    def block(found: Any, name: str, size: int) -> list[float]:
        return [round(float(x), 6) for x in found[at[name] : at[name] + size]]

    tenant, owner = coder.features(state, 0), coder.features(state, 1)
    assert scenario.scale == 10.0
    # Cells: issue A in four columns (three used), issue B in four.
    assert block(tenant, "scores", 8) == [0, 0.4, 0.2, 0, 0.2, 0, 0.1, 0]
    assert block(owner, "scores", 8) == [0.2, 0, 0.1, 0, 0, 0.4, 0.2, 0]
    assert block(owner, "options", 8) == [1, 1, 1, 0, 1, 1, 1, 0]
    assert block(owner, "table", 8) == [0, 1, 0, 0, 0, 0, 1, 0]
    # Of the tenant, the first other seat is the owner; the third seat of the shape is empty.
    assert block(tenant, "revealed", 16) == [0.2, 0, 0.1, 0, *[0] * 12]
    assert block(owner, "revealed", 16) == [0] * 16
    # Two issues of each seat, own first.
    assert block(tenant, "told", 6) == [0, 0, 1, 0, 0, 0]
    assert block(owner, "told", 6) == [1, 0, 0, 0, 0, 0]
    assert block(tenant, "asked", 4) == [0, 0, 0, 1]
    assert block(owner, "asked", 4) == [0, 1, 0, 0]
    assert block(tenant, "accepted", 3) == [1, 0, 0]
    assert block(owner, "accepted", 3) == [0, 1, 0]
    assert block(owner, "present", 3) == [1, 1, 0]
    assert block(owner, "seat", 3) == [0, 1, 0]
    # Round 3 of 7, may walk, completing, may accept, stands, own, worth / 10, gain, walk-away / 10, best / 10.
    assert block(tenant, "scalars", 10) == [round(3 / 7, 6), 1, 0, 0, 1, 1, 0.5, 0.75, 0.2, 0.6]
    assert block(owner, "scalars", 10) == [round(3 / 7, 6), 1, 0, 1, 1, 0, 0.2, 0, 0.2, 0.6]
    assert feature_size(shape) == len(tenant) == at["scalars"] + 10


def test_the_same_position_looks_the_same_from_every_seat() -> None:
    # In the council the stakes go round the table, so seat i after a cyclic shift sees what seat 0 saw, but for its place.
    scenario = council()
    shape = shape_of(scenario)
    coder, at = SeatCoder(scenario, shape, ActTable(shape)), feature_layout(shape)
    state = begin(scenario)
    for words in ("[Propose: X1]", "[Accept]", "hm"):
        state = utter(state, words)
    seen = [coder.features(state, i)[at["accepted"] : at["accepted"] + 3].tolist() for i in range(3)]
    assert seen == [[1, 1, 0], [1, 0, 1], [0, 1, 1]]
    state = utter(state, "[Walk]")
    seen = [coder.features(state, i)[at["walked"] : at["walked"] + 3].tolist() for i in range(3)]
    assert seen == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_a_ruinous_deal_stays_within_the_space() -> None:
    # Best 6, walk-away 5, and A1 B2 is worth 0 to the tenant: a gain of -5.
    plain = bargain()
    first, second = plain.seats
    assert first.stakes is not None
    scenario = replace(plain, seats=(replace(first, stakes=replace(first.stakes, walk_away=5.0)), second))
    shape = shape_of(scenario)
    coder = SeatCoder(scenario, shape, ActTable(shape))
    state = utter(begin(scenario), "[Propose: A1 B2]")
    assert coder.features(state, 0).min() == -1.0
    assert np.abs(coder.features(state, 0)).max() <= 1.0


# ---------------------------------------------------------------- what a seat must not learn
def altered(scenario: Scenario, seat: int) -> Scenario:
    """Another persona and other private scores for one seat; the public yardstick `scale` stays."""
    stakes = scenario.seats[seat].stakes
    changed = replace(scenario.seats[seat], persona="Something else entirely.")
    if stakes is not None:
        rows = tuple(tuple(-x for x in row) for row in stakes.scores)
        changed = replace(changed, stakes=Stakes(rows, sum(min(row) for row in rows)))
    return replace(scenario, seats=(*scenario.seats[:seat], changed, *scenario.seats[seat + 1 :]))


def told(session: Session, seat: int) -> dict[str, Any]:
    """Everything a seat is given: view, observation, infos. An episode id names the content, and the finalizer is shown
    every persona: both by design, both left out."""
    seen = session.view(seat)
    known = {f: getattr(seen, f) for f in VIEW_FIELDS if f not in ("episode", "random", "personas")}
    observation = {k: v for k, v in session.observation(seat).items() if k != "personas"}
    arrays = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in observation.items()}
    return {**known, **arrays, "info": session.info(seat), "rules": seen.rules, "draw": seen.random._key}


@settings(max_examples=40)
@given(structured(), st.data())
def test_nothing_a_seat_is_given_depends_on_anothers_secrets(scenario: Scenario, data: st.DataObject) -> None:
    other = data.draw(st.integers(0, scenario.n - 1))
    mixed: tuple[CodecName, ...] = ("act", *("text",) * (scenario.n - 1))
    codecs: CodecName | tuple[CodecName, ...] = data.draw(st.sampled_from(("text", "act", mixed)))
    pair = [
        Session(s, codecs=codecs, completion="write", max_chars=200, max_rounds=3)
        for s in (scenario, altered(scenario, other))
    ]
    for session in pair:
        session.reset(1, None)
    assert scenario.scale == pair[1].scenario.scale
    while pair[0].playing.stop is None:  # a score would tell, and is meant to
        for seat in set(range(scenario.n)) - {other}:
            assert told(pair[0], seat) == told(pair[1], seat)
        said = data.draw(speech(scenario))
        if pair[0].playing.seat == other and "reveal" in repr(said).lower():
            said = "not that"  # a reveal publishes the truth, and is meant to
        for session in pair:
            session.play(said)


def test_a_secret_of_an_open_dilemma_is_shown_to_its_own_seat_and_the_finalizer_alone() -> None:
    e = env(dilemma(3))
    e.reset(seed=0)
    secret = e.unwrapped.session.scenario.seats[1].persona
    for _ in range(3):
        assert [secret in repr(e.observe(a)) for a in e.agents] == [False, True, False]
        assert [secret in repr(e.unwrapped.view(a)) for a in e.agents] == [False, True, False]
        e.step("Agreed then. [Agree]")
    assert [secret in repr(e.observe(a)) for a in e.agents] == [True, True, False]
    assert [secret in repr(e.unwrapped.view(a)) for a in e.agents] == [True, True, False]


def test_what_was_computed_of_everybody_does_not_travel_with_what_one_seat_may_know() -> None:
    scenario = bargain()
    assert scenario.table.best_g > 0
    assert scenario.scale == 10.0
    assert not {"table", "best_g", "scale", "_redacted"} & set(vars(scenario.for_seat(0)))


# ---------------------------------------------------------------- suites
def test_scenarios_of_a_suite_share_one_shape() -> None:
    shape = suite().shape
    assert shape == Shape(4, (3, 3))
    sizes = {SeatCoder(s, shape, ActTable(shape)).features(begin(s), 0).shape for s in suite()}
    assert sizes == {(feature_size(shape),)}
    for s in suite():
        mask = SeatCoder(s, shape, ActTable(shape)).mask(begin(s), 0)
        assert mask[:9].sum() == s.n_deals
        assert mask[11:].sum() == 2 * len(s.issues)


def test_an_open_dilemma_among_structured_ones_has_no_acts_in_its_mask() -> None:
    both = LooseScenarios("both", [quorum(), dilemma()])
    coder = SeatCoder(dilemma(), both.shape, ActTable(both.shape))
    state = begin(dilemma())
    assert not coder.mask(state, 0).any()
    assert not coder.mask(utter(state, "a"), 1).any()
    assert not coder.features(state, 0)[: feature_layout(both.shape)["present"]].any()


# ---------------------------------------------------------------- the space of words
def test_words_in_any_language_are_in_the_space_up_to_its_length() -> None:
    space = UnicodeText(5, min_length=1)
    for text in ("a", "你好 🙂", "\x1b[2J", "\ud800", "     "):
        assert space.contains(text)
    for other in ("", "sixsix", None, 3, b"abc", ["a"]):
        assert not space.contains(other)
    assert UnicodeText(4).contains("")


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 10))
def test_samples_are_in_the_space_and_repeat_by_seed(low: int, more: int, seed: int) -> None:
    longest = max(1, low + more)
    space, again = (UnicodeText(longest, min_length=min(low, longest), seed=seed) for _ in range(2))
    drawn = [space.sample() for _ in range(5)]
    assert all(space.contains(text) for text in drawn)
    assert all(set(text) <= set(string.ascii_lowercase + " .,?!") for text in drawn)
    assert drawn == [again.sample() for _ in range(5)]


def test_a_space_of_words_prints_compares_copies_and_batches() -> None:
    space = UnicodeText(80, min_length=2, seed=1)
    assert repr(space) == "UnicodeText(2, 80)"
    assert space == UnicodeText(80, min_length=2)
    assert space != UnicodeText(81, min_length=2)
    assert space != UnicodeText(80)
    assert space != spaces.Discrete(2)
    copied = pickle.loads(pickle.dumps(space))
    assert copied == space
    assert copied.sample() == space.sample()
    batch = batch_space(space, 3)
    assert batch.contains(("ab", "cd", "ü" * 80))
    assert not batch.contains(("ab", "cd", "ü" * 81))
    assert space.from_jsonable(space.to_jsonable(["ab", "🙂🙂"])) == ["ab", "🙂🙂"]


def test_a_mask_of_lengths_and_characters_works_as_for_gymnasiums_text() -> None:
    space = UnicodeText(10, seed=0)
    allowed = np.zeros(len(space.character_list), np.int8)
    allowed[space.character_list.index("q")] = 1
    assert space.sample(mask=(3, allowed)) == "qqq"
    assert len(space.sample(mask=(4, None))) == 4
    assert space.sample(probability=(2, allowed.astype(np.float64))) == "qq"


def test_a_mask_of_acts_says_nothing_about_words() -> None:
    masked, free = UnicodeText(10, seed=3), UnicodeText(10, seed=3)
    masks = [np.zeros(15, np.int8), np.ones(16, np.int8), np.zeros(len(free.character_list), np.int8)]
    assert [masked.sample(mask) for mask in masks] == [free.sample() for _ in masks]


def test_any_other_mask_is_refused_as_by_gymnasiums_text() -> None:
    space = UnicodeText(10)
    wrong: list[Any] = [[1, 0], "ab", (3,), (11, None), (3, np.ones(2, np.int8))]
    for mask in wrong:
        with pytest.raises(AssertionError):
            space.sample(mask)
    with pytest.raises(ValueError, match="Only one of"):
        space.sample(mask=np.ones(15, np.int8), probability=(3, None))
