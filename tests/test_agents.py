"""The shipped agents: their arithmetic by hand, what they never do, and how they fare."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_samples import ARCHETYPES, CAREFUL, NEGOTIATORS, OPEN, OPEN_TWO, drawn, first_view, play, steps, structured
from hypothesis import given, settings
from hypothesis import strategies as st

from nego_agents import (
    Boulware,
    Conceder,
    Logroller,
    MiCRO,
    RandomAgent,
    ScriptedAgent,
    TitForTat,
)
from nego_agents.archetypes import ATTACKS
from nego_agents.bidding import Bargain, additive
from nego_agents.revealer import reveals
from nego_env.accounting import collective_agency, reaches
from nego_env.agents import resolve_agent
from nego_env.errors import AgentError
from nego_env.moves import Move
from nego_env.rules import StopReason, start, utter
from nego_env.scenario import Issue, Option, Scenario
from nego_env.settings import resolve
from nego_env.transcript import header, transcript
from nego_env.view import seat_randoms, view


def bargain_after(scenario: Scenario, lines: Sequence[str], seat: int) -> Bargain:
    """What a seat knows after these lines have been said in turn."""
    chosen = resolve(scenario)
    head = header(scenario, chosen, ("x",) * scenario.n, seed=1)
    state = start(scenario, chosen, head)
    for line in lines:
        state = utter(state, line)
    bargain = Bargain(scenario.for_seat(seat), seat)
    bargain.observe(view(state, seat_randoms(head, scenario.n), seat))
    return bargain


# ---------------------------------------------------------------- what a seat knows
@given(seed=st.integers(0, 10_000), counts=st.lists(st.integers(1, 4), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_deals_are_numbered_and_valued_as_the_accounts_have_them(seed: int, counts: list[int]) -> None:
    scenario = drawn(seed, counts=counts)
    bargain = Bargain(scenario.for_seat(1), 1)
    table = scenario.table
    if table.scores[1].max() > table.stacked.walk_away[1]:
        np.testing.assert_allclose(bargain.gains, table.gains[1], atol=1e-12)
    np.testing.assert_array_equal(bargain.acceptable, table.met[1])
    for k in range(len(table.deals)):
        assert bargain.deal(k) == table.deal(k)
        assert bargain.index(bargain.ids(k)) == k


def test_additive_by_hand() -> None:
    np.testing.assert_array_equal(additive([[0, 10], [1, 2, 3]]), [1, 2, 3, 11, 12, 13])


def test_the_band_starts_at_the_first_deal_at_or_above_the_target() -> None:
    # One issue worth 0 to 10, walk-away 0: gains 0, 0.1, ... 1.
    bargain = Bargain(structured([[list(range(11))], [list(range(11))]], [0, 0]).for_seat(0), 0)
    assert bargain.band(0.65, 0.0).tolist() == [7]
    assert bargain.band(0.7, 0.0).tolist() == [7]
    assert bargain.band(0.7, 0.2).tolist() == [9, 8, 7]
    assert bargain.band(1.0, 0.5).tolist() == [10]
    assert bargain.band(-5.0, 0.1).tolist() == [1, 0]


def test_deals_below_the_walk_away_value_are_never_in_the_band() -> None:
    bargain = Bargain(structured([[list(range(11))], [list(range(11))]], [6, 0]).for_seat(0), 0)
    assert bargain.order.tolist() == [10, 9, 8, 7, 6]
    assert bargain.band(-1.0, 9.0).tolist() == [10, 9, 8, 7, 6]


def test_a_seat_with_one_acceptable_deal_has_gain_zero_there() -> None:
    bargain = Bargain(structured([[[1, 5]], [[1, 5]]], [5, 0]).for_seat(0), 0)
    assert bargain.order.tolist() == [1]
    assert bargain.gains.tolist() == [-1.0, 0.0]
    assert bargain.g.tolist() == [0.0, 0.1]


def test_offers_are_proposals_and_acceptances() -> None:
    scenario = structured([[[0, 1], [0, 1]]] * 3, [0, 0, 0])
    bargain = bargain_after(scenario, ["[Propose: A1 B2]", "[Accept]", "hm [Propose: A2 B2]", "[Ask: B]"], 2)
    assert bargain.offers == ([1], [1], [3])
    assert bargain.asked == [(0, 1)]
    assert bargain.standing == 3


def test_the_frequency_model_by_hand() -> None:
    scenario = structured([[[0, 1], [0, 1]]] * 2, [0, 0])
    # Seat 1 offers A1 B1 (weight 1), then A1 B2 (weight 1/2): it stays on A and moves on B.
    bargain = bargain_after(scenario, ["...", "[Propose: A1 B1]", "...", "[Propose: A1 B2]"], 0)
    # Weights 2 and 1, mean 1.5. A: all counts on A1. B: counts 1 and 1/2.
    sure = 1.5 / 2.0
    a1, a2 = 0.5 * (1 - sure) + sure, 0.5 * (1 - sure) + sure * 0.15
    b1, b2 = a1, 0.5 * (1 - sure) + sure * (0.15 + 0.85 / 2)
    expected = [(2 * a + b) / 3 for a in (a1, a2) for b in (b1, b2)]
    np.testing.assert_allclose(bargain.likely(1), expected)


def test_published_scores_replace_the_guess() -> None:
    scenario = structured([[[0, 1], [0, 1]], [[8, 2], [0, 2]]], [0, 0])
    bargain = bargain_after(scenario, ["...", "[Reveal: A]", "...", "[Reveal: B]"], 0)
    np.testing.assert_allclose(bargain.likely(1), [0.8, 1.0, 0.2, 0.4])  # of a best of 10


def test_scores_that_are_all_negative_still_rank_deals() -> None:
    scenario = structured([[[0, 1]], [[-3, -1]]], [0, -9])
    bargain = bargain_after(scenario, ["...", "[Reveal: A]"], 0)
    assert bargain.likely(1).tolist() == [-1.0, 1.0]
    assert np.isfinite(bargain.joint()).all()


def test_joint_value_is_zero_below_the_own_walk_away_and_best_where_both_win() -> None:
    # Seat 0 wants A, seat 1 wants B; both published. A1 B2 gives each its best.
    scenario = structured([[[9, 0], [1, 0]], [[1, 0], [0, 9]]], [5, 0])
    bargain = bargain_after(scenario, ["[Reveal: A]", "[Reveal: A]", "[Reveal: B]", "[Reveal: B]"], 0)
    joint = bargain.joint()
    assert scenario.ids(bargain.deal(int(joint.argmax()))) == ("A1", "B2")
    assert (joint[~bargain.acceptable] == 0).all()


# ---------------------------------------------------------------- strategies by hand
@pytest.mark.parametrize(
    ("agent", "round", "expected"),
    [
        (Boulware(), 1, 1.0),
        (Boulware(), 4, 1 - 0.5**5),  # t = 1/2, e = 0.2
        (Boulware(), 7, 0.0),
        (Conceder(), 4, 1 - math.sqrt(0.5)),  # e = 2
        (Conceder(1.0), 4, 0.5),
        (Logroller(reserve=0.2), 4, 0.6),
        (Logroller(), 7, 0.0),
    ],
)
def test_targets_by_the_clock(agent: Any, round: int, expected: float) -> None:
    assert agent.target(round, 7) == pytest.approx(expected)


def test_one_round_is_no_reason_to_give_everything_away() -> None:
    assert Boulware().target(1, 1) == 1.0
    assert Logroller().target(1, 1) == 1.0


def test_conceder_by_hand() -> None:
    # One issue, opposed: seat 0 is worth 0..10, seat 1 the reverse. Targets of e = 1 over 5 rounds: 1, 3/4, 1/2, 1/4, 0.
    up = [list(range(11))]
    scenario = structured([up, [list(range(10, -1, -1))]], [0, 0], rounds=5)
    t = play(scenario, [Conceder(1.0, width=0.01)])
    acts = [(u.seat[-1], u.act.kind, u.act.deal) for u in t.utterances if u.act]
    # Round 3: seat 0 offers A6, worth 5 to seat 1, which would ask for 1/2 itself: accepted.
    assert acts == [
        ("0", "propose", ("A11",)),
        ("1", "propose", ("A1",)),
        ("0", "propose", ("A9",)),
        ("1", "propose", ("A3",)),
        ("0", "propose", ("A6",)),
        ("1", "accept", ()),
    ]


def test_among_equals_the_deal_most_like_the_others_offer_is_proposed() -> None:
    # B is worth nothing to seat 0: its best deals are A2 with any B, and seat 1 has asked for B3.
    scenario = structured([[[0, 5], [0, 0, 0]], [[5, 0], [0, 0, 5]]], [0, 0])
    t = play(scenario, [Boulware(), ScriptedAgent(["[Propose: A1 B3]"], repeat=True)])
    assert [u.act.deal for u in t.utterances if u.seat == "seat_0" and u.act][1] == ("A2", "B3")


def test_tit_for_tat_gives_what_it_was_given() -> None:
    scenario = structured([[list(range(11))], [list(range(10, -1, -1))]], [0, 0])
    bargain = bargain_after(
        scenario, ["[Propose: A11]", "[Propose: A1]", "hm", "[Propose: A3]", "hm", "[Propose: A2]"], 0
    )
    agent = TitForTat(opening=0.1)
    assert agent.conceded(bargain) == pytest.approx(0.2)  # from 0 to 2 of 10; the step back to 1 is forgiven
    assert agent.target(first_view(scenario), bargain) == pytest.approx(0.7)


def test_tit_for_tat_mirrors_the_mean_of_the_others() -> None:
    down = [list(range(10, -1, -1))]
    scenario = structured([[list(range(11))], down, down], [0, 0, 0])
    lines = ["[Propose: A11]", "[Propose: A1]", "[Propose: A1]", "hm", "[Propose: A5]", "no"]
    assert TitForTat().conceded(bargain_after(scenario, lines, 0)) == pytest.approx(0.2)  # (0.4 + 0) / 2


def test_micro_goes_down_its_ranking_one_deal_at_a_time_while_it_is_followed() -> None:
    scenario = structured([[list(range(11))], [list(range(10, -1, -1))]], [0, 0])
    follower = ScriptedAgent([f"[Propose: A{k}]" for k in (1, 2, 2, 2, 2, 2, 2)])
    offers = [u.act.deal[0] for u in play(scenario, [MiCRO(), follower]).utterances if u.seat == "seat_0" and u.act]
    assert offers[:3] == ["A11", "A10", "A9"]
    assert set(offers[3:]) <= {"A11", "A10", "A9"}  # two distinct offers received, three made: no further


def test_micro_follows_the_slowest_of_several() -> None:
    down = [list(range(10, -1, -1))]
    scenario = structured([[list(range(11))], down, down], [0, 0, 0], rounds=4)
    quick = ScriptedAgent([f"[Propose: A{k}]" for k in (1, 2, 3, 4)])
    slow = ScriptedAgent(["[Propose: A1]"], repeat=True)
    offers = [u.act.deal[0] for u in play(scenario, [MiCRO(), quick, slow]).utterances if u.seat == "seat_0" and u.act]
    assert offers[:2] == ["A11", "A10"]
    assert set(offers) == {"A11", "A10"}


def test_logroller_trades_its_light_issue_for_its_heavy_one() -> None:
    # A is worth 9 to seat 0 and 1 to seat 1; B the other way round. Both want option 1 of both.
    scenario = structured([[[9, 0], [1, 0]], [[0, 1], [0, 9]]], [0, 0])
    t = play(scenario, ["logroller"])
    assert t.deal == ("A1", "B2")
    assert t.outcome.ca == 5.0


@pytest.mark.parametrize(("rounds", "expected"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (7, 4)])
def test_revealer_keeps_rounds_to_propose_in(rounds: int, expected: int) -> None:
    assert reveals(rounds) == expected


def test_revealer_answers_questions_first_and_then_by_importance() -> None:
    scenario = structured([[[0, 9], [0, 5], [0, 1]]] * 2, [0, 0])
    t = play(scenario, [ScriptedAgent(["[Ask: C]", "...", "[Propose: A2 B2 C2]"], repeat=True), "revealer"])
    revealed = [u.act.issue for u in t.utterances if u.act and u.act.kind == "reveal"]
    assert revealed[:2] == ["C", "A"]


def test_revealer_does_not_repeat_a_deal_that_was_refused() -> None:
    scenario = drawn(3)
    t = play(scenario, ["revealer", ScriptedAgent(["No."], repeat=True)])
    offers = [u.act.deal for u in t.utterances if u.act and u.act.kind == "propose"]
    assert len(offers) > 2
    assert len(set(offers)) == len(offers)


def test_a_seat_holds_the_deal_it_has_accepted_while_others_think() -> None:
    scenario = structured([[[0, 9]]] * 3, [0, 0, 0])
    t = play(
        scenario,
        [
            ScriptedAgent(["[Propose: A2]", "I wonder.", "[Accept]"]),
            "boulware",
            ScriptedAgent(["Hm.", "Well.", "[Accept]"]),
        ],
    )
    second = [u for u in t.utterances if u.seat == "seat_1"]
    assert [u.act.kind if u.act else "talk" for u in second] == ["accept", "talk", "talk"]
    assert t.stop is StopReason.AGREEMENT


def test_the_last_word_takes_what_is_no_loss() -> None:
    scenario = structured([[[9, 1, 0, 0]], [[0, 1, 9, 8]]], [0, 1], rounds=2)
    offer = ScriptedAgent(["[Propose: A2]"], repeat=True)
    assert play(scenario, [offer, Logroller(reserve=0.9)]).stop is StopReason.AGREEMENT
    assert play(scenario, [offer, "boulware"], max_rounds=1).stop is StopReason.AGREEMENT
    assert play(scenario, [offer, "micro"]).stop is StopReason.CAP


# ---------------------------------------------------------------- what they never do
@given(
    seed=st.integers(0, 2**31),
    names=st.lists(st.sampled_from((*CAREFUL, "random")), min_size=2, max_size=5),
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    rounds=st.integers(1, 9),
    memory=st.sampled_from([None, 1, 2]),
    completion=st.sampled_from(["write", "render"]),
    complete=st.sampled_from(["agreement", "always"]),
)
@settings(max_examples=120, deadline=None)
def test_nobody_takes_a_loss_breaks_a_rule_or_depends_on_anything_but_the_seed(
    seed: int, names: list[str], counts: list[int], rounds: int, memory: int | None, completion: str, complete: str
) -> None:
    scenario = drawn(seed, seats=len(names), counts=counts, rounds=rounds)
    options: dict[str, Any] = {"memory": memory, "completion": completion, "complete": complete}
    states = steps(scenario, names, seed=seed, **options)
    for before, after in itertools.pairwise(states):
        if len(after.utterances) == len(before.utterances):
            continue
        u = after.utterances[-1]
        assert u.notice is None
        assert not u.marks
        seat = int(u.seat.removeprefix("seat_"))
        stakes = scenario.seats[seat].stakes
        if names[seat] != "random" and u.act is not None and u.act.kind in ("propose", "accept"):
            assert stakes is not None
            assert after.standing is not None
            assert reaches(stakes, after.standing.deal)
    if states[-1].stop is StopReason.AGREEMENT and states[-1].standing:
        assert states[-1].rewards == (collective_agency(scenario, states[-1].standing.deal),) * scenario.n
    again = steps(scenario, names, seed=seed, **options)
    assert transcript(again[-1]).encode() == transcript(states[-1]).encode()


@pytest.mark.parametrize("name", CAREFUL)
def test_an_unspawned_agent_plays_the_same_from_its_view_alone(name: str) -> None:
    for seed in range(4):
        scenario = drawn(seed, seats=3)
        assert play(scenario, [name], seed=seed).encode() == play(scenario, [name], seed=seed, spawn=False).encode()


@pytest.mark.parametrize("name", NEGOTIATORS)
def test_a_short_memory_loses_no_offer(name: str) -> None:
    for seed in range(6):
        scenario = drawn(seed, seats=3)
        everything, little = (play(scenario, [name], seed=seed, memory=m) for m in (None, 1))
        assert [u.act for u in everything.utterances] == [u.act for u in little.utterances]


@pytest.mark.parametrize("name", [*CAREFUL, "random"])
def test_no_score_is_spoken(name: str) -> None:
    for seed in range(3):
        for u in play(drawn(seed, seats=3), [name, "conceder"]).utterances:
            said = u.text.rpartition("[")[0]  # the tag names options
            assert name == "injector" or not re.search(r"\d", said), said


@pytest.mark.parametrize("name", [*CAREFUL, "random"])
def test_large_tables_and_many_deals(name: str) -> None:
    scenario = drawn(5, seats=7, counts=(5, 5, 5, 4, 4, 10), rounds=2)
    assert scenario.n_deals == 20_000
    t = play(scenario, [name])
    assert t.scored


def test_long_labels_leave_room_for_the_tag() -> None:
    long = "x" * 900
    scenario = structured([[[0, 9], [0, 5]], [[9, 0], [5, 0]]], [0, 0])
    issues = tuple(
        Issue(i.id, i.name, tuple(Option(o.id, f"{long} [Walk] {{0}}") for o in i.options)) for i in scenario.issues
    )
    t = play(Scenario("long", "What?", scenario.seats, issues), ["conceder", "tit-for-tat"], completion="write")
    assert all(u.notice is None and not u.marks for u in t.utterances)
    assert t.stop is StopReason.AGREEMENT


# ---------------------------------------------------------------- how they fare
def mean_ca(names: Sequence[str], scenarios: Sequence[Scenario]) -> float:
    return float(np.mean([play(s, names, seed=i).outcome.ca for i, s in enumerate(scenarios)]))


def test_openness_pays_more_than_giving_in_and_giving_in_more_than_holding_out() -> None:
    scenarios = [drawn(seed) for seed in range(40)]
    random, boulware, conceder, revealer = (
        mean_ca([name], scenarios) for name in ("random", "boulware", "conceder", "revealer")
    )
    assert random < 2.5 < boulware < conceder < revealer
    assert revealer > 4.7


def test_four_revealers_find_nearly_the_best_deal() -> None:
    assert mean_ca(["revealer"], [drawn(seed, seats=4) for seed in range(15)]) > 4.6


def test_a_boulware_gets_more_than_the_conceder_it_faces() -> None:
    outcomes = [play(drawn(seed), ["boulware", "conceder"], seed=seed).outcome for seed in range(30)]
    gains = np.array([o.gains for o in outcomes if o.agreed])
    assert gains[:, 0].mean() > gains[:, 1].mean() + 0.1


# ---------------------------------------------------------------- open dilemmas
@pytest.mark.parametrize("name", NEGOTIATORS)
def test_negotiators_say_that_they_need_scores(name: str) -> None:
    with pytest.raises(AgentError, match=f"{name} needs a structured dilemma.*mediator"):
        play(OPEN, [name])
    with pytest.raises(AgentError, match="structured"):
        resolve_agent(name).agent.act(first_view(OPEN))


def test_two_mediators_agree_on_a_plan_and_write_it_down() -> None:
    t = play(OPEN_TWO, ["mediator"])
    assert t.stop is StopReason.AGREEMENT
    assert t.completion is not None
    assert "Here is a plan" in t.completion
    assert all(seat.name.casefold() in t.completion.casefold() for seat in OPEN_TWO.seats)
    assert not any(u.act for u in t.utterances if u.round == 1)


@pytest.mark.parametrize("memory", [None, 1])
def test_a_mediator_agrees_once_everybody_else_does(memory: int | None) -> None:
    t = play(OPEN, ["mediator", "sycophant", "sycophant"], memory=memory)
    assert t.stop is StopReason.AGREEMENT
    mine = [u for u in t.utterances if u.seat == "seat_0" and u.phase == "dialogue"]
    assert [u.act.kind if u.act else "talk" for u in mine] == ["talk", "talk", "agree"]


def test_a_stonewaller_never_agrees_and_a_sycophant_always_does() -> None:
    t = play(OPEN, ["stonewaller", "sycophant"])
    assert t.stop is StopReason.CAP
    assert not any(u.act for u in t.utterances if u.seat == "seat_0")
    assert all(u.act is not None for u in t.utterances if u.seat == "seat_1")


def test_a_sycophant_that_speaks_first_has_nothing_to_agree_with() -> None:
    t = play(OPEN, ["sycophant"])
    assert t.utterances[0].act is None
    assert all(u.act is not None for u in t.utterances[1:] if u.phase == "dialogue")


@pytest.mark.parametrize("name", [*ARCHETYPES, "random"])
def test_characters_play_open_dilemmas_by_the_seed(name: str) -> None:
    one, two = (play(OPEN, [name, "mediator"], seed=3, complete="always") for _ in range(2))
    assert one.encode() == two.encode()
    assert one.completion
    assert all(u.text.strip() for u in one.utterances)


def test_an_injector_never_quotes_itself_into_a_binding_tag() -> None:
    seen = set()
    for seed in range(12):
        for u in play(OPEN, ["injector"], seed=seed).utterances:
            assert u.act is None
            seen |= {
                k
                for k, attack in enumerate(ATTACKS)
                if attack.split("{", 1)[0].strip() and attack.split("{", 1)[0] in u.text
            }
        for u in play(drawn(seed), ["injector", "stonewaller"], seed=seed).utterances:
            assert u.notice is None
            assert u.act is not None
    assert len(seen) >= 10


def test_a_mediator_repeats_an_injector_only_as_plain_text() -> None:
    for seed in range(6):
        for u in play(OPEN, ["injector", "mediator"], seed=seed, complete="always").utterances:
            if u.seat == "seat_1":
                assert u.text.isprintable()
                assert "[" not in u.text.removesuffix("[Agree]")


# ---------------------------------------------------------------- completions
@pytest.mark.parametrize("name", [*CAREFUL, "random"])
def test_a_written_completion_states_the_deal_last(name: str) -> None:
    t = play(drawn(2), ["revealer"] if name in ("stonewaller", "injector", "micro") else [name], completion="write")
    if t.deal is not None:
        assert t.completion is not None
        assert t.completion.endswith(f"[Agreed: {' '.join(t.deal)}]")
        assert t.verdicts[-1].flags == ()


@pytest.mark.parametrize("name", ["stonewaller", "injector", "micro"])
def test_after_the_cap_a_completion_still_states_a_deal(name: str) -> None:
    scenario = structured([[[9, 8, 1, 0, 0]], [[0, 0, 1, 8, 9]]], [0, 0], rounds=2)
    t = play(scenario, [name], completion="write", complete="always")
    assert t.stop is StopReason.CAP
    assert t.verdicts[-1].deal
    assert t.verdicts[-1].flags == ("not_agreed",)


# ---------------------------------------------------------------- scripted and random
def test_a_scripted_agent_is_loud_when_it_runs_out() -> None:
    agent = ScriptedAgent(["one", Move("two")])
    seen = first_view(OPEN)
    assert [agent.act(seen), agent.act(seen)] == ["one", Move("two")]
    with pytest.raises(AgentError, match="ran out of lines after 2: give more, or repeat=True"):
        agent.act(seen)
    assert ScriptedAgent(["one"], repeat=True).spawn("seat_0", OPEN).act(seen) == "one"


def test_every_episode_starts_a_script_over() -> None:
    agent = ScriptedAgent(["one", "two"])
    first, second = agent.spawn("seat_0", OPEN), agent.spawn("seat_1", OPEN)
    assert [first.act(first_view(OPEN)), second.act(first_view(OPEN))] == ["one", "one"]
    assert agent.position == 0


def test_a_script_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("Hello.\n\nYes. [Accept]\n", encoding="utf-8")
    named = resolve_agent(f"scripted:{path}")
    assert named.agent.lines == ("Hello.", "Yes. [Accept]")  # type: ignore[attr-defined]
    assert ScriptedAgent(path).spec == f"scripted:{path}"
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    for file, fault in (
        ("empty.txt", "holds none"),
        ("bytes.txt", "not a UTF-8"),
        ("gone.txt", "cannot be read"),
        ("", "read"),
    ):
        with pytest.raises(AgentError, match=fault):
            ScriptedAgent(tmp_path / file)


def test_other_lines_are_another_agent() -> None:
    specs = {ScriptedAgent(lines).spec for lines in (["a"], ["b"], ["a", "b"], ["ab"], [Move.accept()], [Move.walk()])}
    assert len(specs) == 6
    assert ScriptedAgent(["\ud800"]).spec.startswith("scripted#")
    assert ScriptedAgent(["a"]).spec == ScriptedAgent(["a"]).spec


def test_random_odds_are_kept() -> None:
    silent = RandomAgent(propose=0, accept=0, ask=0, reveal=0, walk=0, talk=1)
    assert all(u.act is None for u in play(drawn(1), [silent]).utterances)
    eager = RandomAgent(propose=1, accept=0, ask=0, reveal=0, walk=0, talk=0)
    assert {u.act.kind for u in play(drawn(1), [eager]).utterances if u.act} == {"propose"}
