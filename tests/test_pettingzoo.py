"""The AEC face: PettingZoo's own tests over every kind of match, and what its words do not cover."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pettingzoo
import pytest
from face_support import (
    BROKEN_VERDICTS,
    BrokenJudge,
    Match,
    any_action,
    codecs_of,
    conformance,
    env,
    match_through,
    matches,
    parallel_env,
    raw_env,
    suite,
    warned,
    wide,
)
from gymnasium.spaces import Box
from support import bargain, council, dilemma

from nego_env.errors import MoveError, NegoError, NotFoundError, SettingsError
from nego_env.moves import Act, Move
from nego_env.packs import LooseScenarios
from nego_env.rules import StopReason
from nego_env.session import INFO_KEYS, TEXT_KEYS
from nego_env.wording import dialogue_text

NOT_A_BOX = "space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete"
DICT_OBSERVATION = {f"Observation {NOT_A_BOX}", "Observation is not a NumPy array"}
EXPECTED = {
    frozenset({"act"}): DICT_OBSERVATION,
    frozenset({"text"}): DICT_OBSERVATION | {f"Action {NOT_A_BOX}"},
    frozenset({"act", "text"}): DICT_OBSERVATION | {f"Action {NOT_A_BOX}"},
}
"""What `api_test` says of any Dict observation and any text action; nothing else may join it."""


# ---------------------------------------------------------------- PettingZoo's own tests
@pytest.mark.parametrize("match", matches())
def test_api_with_no_warning_but_those_of_any_dict_and_text_space(match: Match) -> None:
    found = warned(lambda: conformance.api_test(env(match.scenario, **match.settings), num_cycles=150))
    assert found == EXPECTED[frozenset(codecs_of(match))]


@pytest.mark.parametrize("match", matches())
def test_seeds_and_rendering_without_a_warning(match: Match) -> None:
    def make(render_mode: str | None = None) -> Any:
        return env(match.scenario, render_mode=render_mode, **match.settings)

    assert warned(lambda: conformance.seed_test(make, 60)) == set()
    assert warned(lambda: conformance.render_test(make)) == set()


# ---------------------------------------------------------------- observations and infos
@pytest.mark.parametrize("match", matches())
def test_every_seat_observes_inside_its_space_in_every_phase(match: Match) -> None:
    rng, e = np.random.default_rng(1), env(match.scenario, **match.settings)
    phases = set()
    for episode in range(6):
        for _ in match_through(e, rng, seed=episode):
            for seat in e.possible_agents:
                seen, space = e.observe(seat), e.observation_space(seat)
                assert space.contains(seen)
                assert set(seen) == set(space.spaces)
                for key, part in space.spaces.items():
                    if isinstance(part, Box):
                        assert (seen[key].dtype, seen[key].shape) == (part.dtype, part.shape)
            phases |= {i["phase"] for i in e.infos.values()}
    assert {0, 2} <= phases


def test_observation_keys() -> None:
    keys: list[tuple[Any, Any, list[str]]] = [
        (bargain(), "act", ["observation", "action_mask"]),
        (bargain(), "text", ["observation", "legal_acts", *TEXT_KEYS]),
        (bargain(), ("act", "text"), ["observation", "legal_acts", "action_mask", *TEXT_KEYS]),
        (bargain(), {"seat_0": "act", "seat_1": "act"}, ["observation", "action_mask"]),
        (dilemma(), "text", [*TEXT_KEYS]),
    ]
    for scenario, codecs, expected in keys:
        e = env(scenario, codecs=codecs)
        e.reset(seed=0)
        for agent in e.possible_agents:
            assert set(e.observation_space(agent).spaces) == set(expected)
            assert list(e.observe(agent)) == expected
    assert TEXT_KEYS == (
        "task", "issues", "persona", "stakes", "rules", "dialogue", "table", "published", "notice", "personas",
    )  # fmt: skip


def test_infos_tell_the_course_of_a_match() -> None:
    e = env(bargain(), completion="write")
    e.reset(seed=0)
    told = [dict(e.infos["seat_1"])]
    for words in ("[Propose: A2 B2]", "[Accept", "hm", "[Accept]", "All of it. [Agreed: A2 B2]"):
        e.step(words)
        told.append(dict(e.infos["seat_1"]))
    assert INFO_KEYS == ("round", "phase", "agreed", "score", "unscored", "malformed", "your_turn")
    assert [tuple(i.values()) for i in told] == [
        (1, 0, 0, -1.0, 0, 0, 0),
        (1, 0, 0, -1.0, 0, 0, 1),
        (2, 0, 0, -1.0, 0, 1, 0),
        (2, 0, 0, -1.0, 0, 1, 1),
        (2, 1, 1, -1.0, 0, 0, 0),
        (2, 2, 1, 5.0, 0, 0, 0),
    ]
    assert all(tuple(i) == INFO_KEYS for i in told)


def test_text_observation_has_what_the_seat_may_read_and_when() -> None:
    e = env(bargain(), completion="write", memory=1)
    e.reset(seed=0)
    first = e.observe("seat_0")
    assert first["persona"] == "Keep the tap for the seedlings."
    assert first["stakes"] == "A1 0 A2 4 A3 2 B1 2 B2 0 B3 1\nWithout a deal you have 2."
    assert (first["dialogue"], first["table"]) == ("", "Nothing is on the table yet.")
    for words in ("one [Propose: A2 B2]", "two [Reveal: A]", "three [Propose: A9]"):
        e.step(words)
    seen = e.observe("seat_0")
    assert seen["dialogue"] == "the owner (seat_1): two [Reveal: A]\nthe tenant (seat_0): three [Propose: A9]"
    assert seen["table"].endswith("Worth 4 to you (gain 0.50).")
    assert "A1 2 A2 0 A3 1" in seen["published"]
    assert "A9" in seen["notice"]
    assert e.observe("seat_1")["notice"] == ""
    e.step("[Accept]")
    finalizing = e.observe("seat_0")
    assert "one [Propose" in finalizing["dialogue"], "the finalizer reads everything"
    assert "Keep the shed for the tools." in finalizing["personas"]
    assert e.observe("seat_1")["personas"] == ""


# ---------------------------------------------------------------- one match, any kind of action
@pytest.mark.parametrize("codec", ["text", "act"])
def test_a_str_an_int_and_a_move_are_the_same_act_at_any_seat_of_any_codec(codec: str) -> None:
    # Deal A2 B2 is number 1 * 3 + 1 = 4 of 9; accept is number 9.
    lines = set()
    for propose in ("I propose always and yours. [Propose: A2 B2]", 4, np.int64(4), np.array(4), Move.propose("A2 B2")):
        for accept in ("I accept the deal on the table. [Accept]", 9, np.int32(9), Move.accept()):
            e = env(bargain(), codecs=codec)
            e.reset(seed=0)
            e.step(propose)
            e.step(accept)
            lines.add(e.unwrapped.transcript.encode())
    assert len(lines) == 1
    assert b'"rewards":[5.0,5.0]' in lines.pop()


def test_words_of_a_str_subclass_are_kept_as_plain_str() -> None:
    e = env(bargain())
    e.reset(seed=0)
    e.step(np.random.default_rng(0).choice(["good morning"]))
    e.step(Move(np.str_("good day")))
    texts = [u.text for u in e.unwrapped.session.playing.utterances]
    assert texts == ["good morning", "good day"]
    assert {type(t) for t in texts} == {str}


@pytest.mark.parametrize("codec", ["text", "act"])
@pytest.mark.parametrize(
    "action", [None, 3.0, True, np.bool_(True), b"[Accept]", ["[Accept]"], np.array([1]), object()]
)
@pytest.mark.parametrize("make", [env, raw_env])
def test_a_wrong_type_is_a_move_error_that_names_the_seat_and_costs_nothing(codec: str, action: Any, make: Any) -> None:
    e = make(bargain(), codecs=codec)
    e.reset(seed=0)
    e.step("good morning")
    with pytest.raises(MoveError, match=r"seat_1.*(an action is a str, an int or a Move|needs an action)"):
        e.step(action)
    assert e.agent_selection == "seat_1"
    e.step("good day")
    assert e.agent_selection == "seat_0"


@pytest.mark.parametrize("action", [-1, 15, 10**9])
@pytest.mark.parametrize("codec", ["text", "act"])
def test_a_number_outside_the_space_is_a_move_error(action: int, codec: str) -> None:
    e = env(bargain(), codecs=codec)
    e.reset(seed=0)
    with pytest.raises(MoveError, match=rf"action {action} is outside Discrete\(15\)"):
        e.step(action)


def test_numbers_mean_nothing_on_an_open_dilemma_nor_where_deals_cannot_be_numbered() -> None:
    both = LooseScenarios("both", [bargain(), dilemma()])
    for scenario, options, message in [
        (dilemma(), None, "open dilemma: an action is a str"),
        (both, {"scenario": "last-ferry"}, "open dilemma: an action is a str"),
        (wide(), None, "7776 deals are too many to number"),
    ]:
        e = env(scenario)
        e.reset(seed=0, options=options)
        with pytest.raises(MoveError, match=message):
            e.step(0)


@pytest.mark.parametrize("move", [Move.propose("A9 B1"), Move.propose("A1"), Move.ask("Z"), Move.agree(), Move("x", "accept")])  # type: ignore[arg-type]  # fmt: skip
def test_a_move_the_scenario_cannot_express_is_a_move_error(move: Move) -> None:
    e = env(bargain())
    e.reset(seed=0)
    with pytest.raises(MoveError):
        e.step(move)
    e.step("still my turn")
    assert e.unwrapped.session.playing.utterances[0].seat == "seat_0"


def test_a_masked_act_becomes_talk_and_its_seat_is_told() -> None:
    e = env(bargain(), codecs="act")
    e.reset(seed=0)
    accept, walk = 9, 10
    mask = e.observe("seat_0")["action_mask"]
    assert (mask[accept], mask[walk]) == (0, 0)
    e.step(accept)
    e.step(walk)
    said = e.unwrapped.session.playing.utterances
    assert [u.act for u in said] == [None, None]
    assert [u.notice for u in said] == [
        "there is no deal on the table to accept",
        "nobody can walk away before everyone has spoken once",
    ]
    assert [e.infos[a]["malformed"] for a in e.agents] == [1, 1]


@pytest.mark.parametrize("name", ["none", "None"])
def test_a_deal_the_scenario_lacks_is_talk_even_where_an_option_is_called_none(name: str) -> None:
    from support import issue

    from nego_env.scenario import Issue, Option, Scenario, Seat, Stakes

    seats = tuple(Seat(f"s{i}", "Win.", Stakes(((0.0, 1.0),), 0)) for i in range(2))
    only = Scenario(
        "only", "Which?", seats, (Issue("A", "a grant", (Option(name, "no grant"), Option("some", "one"))),)
    )
    taken = Scenario("taken", "Which?", seats, (issue("A", name, "a", "b"),))
    for scenario in (only, taken):
        e = env(LooseScenarios("padded", [scenario, bargain()]), codecs="act")
        e.reset(seed=0, options={"scenario": scenario.id})
        legal = np.flatnonzero(e.observe("seat_0")["action_mask"])
        for action in sorted(set(range(e.action_space("seat_0").n)) - set(legal.tolist())):
            e.reset(seed=0, options={"scenario": scenario.id})
            e.step(action)
            assert e.unwrapped.session.playing.utterances[0].act is None, action


# ---------------------------------------------------------------- ends
def test_the_score_is_everybodys_reward_once_and_at_the_end() -> None:
    # A2 B1 is worth 6 to the tenant and 0 to the owner, below its 2: CA 0. A2 B2 is the best for all: CA 5.
    for deal, reward in (("A2 B1", 0.0), ("A2 B2", 5.0)):
        e = env(bargain())
        e.reset(seed=0)
        paid = dict.fromkeys(e.possible_agents, 0.0)
        actions = iter([f"[Propose: {deal}]", "[Accept]"])
        for agent in e.agent_iter():
            _, earned, termination, truncation, _ = e.last()
            paid[agent] += earned
            e.step(None if termination or truncation else next(actions))
        assert paid == {"seat_0": reward, "seat_1": reward}


def test_selfish_rewards_differ_by_seat() -> None:
    # A2 B3 is worth 5 and 2: gains 3/4 and 0. At s = 1 the rewards are 5 x gain.
    e = env(bargain(), selfishness=1.0)
    e.reset(seed=0)
    e.step("[Propose: A2 B3]")
    e.step("[Accept]")
    assert e.rewards == {"seat_0": 3.75, "seat_1": 0.0}


@pytest.mark.parametrize(("how", "message"), BROKEN_VERDICTS)
def test_a_judge_that_fails_truncates_without_a_reward(how: Any, message: str) -> None:
    for make in (env, parallel_env):
        e: Any = make(bargain(), judge=BrokenJudge(how), **({"codecs": "text"} if make is parallel_env else {}))
        e.reset(seed=0)
        if make is env:
            e.step("[Propose: A2 B2]")
            e.step("[Accept]")
            assert set(e.truncations.values()) == {True}
            assert set(e.terminations.values()) == {False}
            assert set(e.rewards.values()) == {0.0}
            assert all(i["unscored"] == 1 for i in e.infos.values())
        else:
            e.step({"seat_0": "[Propose: A2 B2]", "seat_1": ""})
            _, rewards, terminations, truncations, infos = e.step({"seat_0": "", "seat_1": "[Accept]"})
            assert (set(rewards.values()), set(terminations.values()), set(truncations.values())) == (
                {0.0},
                {False},
                {True},
            )
            assert all(i["unscored"] == 1 for i in infos.values())
        record = e.unwrapped.transcript
        assert (record.stop, record.rewards) == (StopReason.JUDGE_ERROR, None)
        assert record.error.startswith("broken: ")
        assert message in record.error


def test_a_numpy_number_is_a_value_a_judge_may_return() -> None:
    from nego_env.verdict import Verdict

    for value in (np.float64(2.5), np.float32(2.5)):
        e = env(bargain(), judge=BrokenJudge(Verdict("score", "broken", value)))  # type: ignore[arg-type]
        e.reset(seed=0)
        e.step("[Propose: A2 B2]")
        e.step("[Accept]")
        assert b'"rewards":[2.5,2.5]' in e.unwrapped.transcript.encode()


def test_the_record_is_there_when_the_match_is_over_and_not_before() -> None:
    e = env(bargain(), agents=("mine", "yours"))
    e.reset(seed=3)
    e.step("[Propose: A2 B2]")
    early = e.unwrapped.transcript
    e.step("[Accept]")
    record = e.unwrapped.transcript
    assert early is None
    assert (record.agents, record.seed, record.index, record.rewards) == (("mine", "yours"), 3, 0, (5.0, 5.0))
    e.reset()
    assert e.unwrapped.transcript is None


# ---------------------------------------------------------------- suites and seeds
def test_a_suite_draws_a_scenario_at_each_reset_inside_one_shape() -> None:
    e = env(suite(), codecs="act")
    drawn = []
    spaces = {a: (e.observation_space(a), e.action_space(a)) for a in e.possible_agents}
    for i in range(40):
        e.reset(seed=5 if i == 0 else None)
        scenario = e.unwrapped.session.scenario
        drawn.append(scenario.id)
        assert e.agents == [f"seat_{k}" for k in range(scenario.n)]
    assert set(drawn) == {"allotment", "council", "quorum"}
    assert all((e.observation_space(a), e.action_space(a)) == both for a, both in spaces.items())
    assert e.action_space("seat_0").n == 9 + 2 + 4, "options (3, 3): nine deals, accept, walk, two asks, two reveals"

    again = env(suite(), codecs="act")
    redrawn = []
    for i in range(40):
        again.reset(seed=5 if i == 0 else None)
        redrawn.append(again.unwrapped.session.scenario.id)
    assert redrawn == drawn


@pytest.mark.parametrize("make", [env, parallel_env])
def test_options_pick_a_scenario_and_other_keys_are_ignored(make: Any) -> None:
    e = make(suite(), codecs="act")
    for wanted in ("council", "quorum", "allotment"):
        e.reset(seed=0, options={"scenario": wanted, "anything": object()})
        assert e.unwrapped.session.scenario.id == wanted
    with pytest.raises(NotFoundError, match="did you mean 'council'"):
        e.reset(options={"scenario": "counsil"})


def test_what_does_not_fit_is_said_when_the_environment_is_made() -> None:
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (bargain(), {"codecs": "speech"}, "'text' or 'act'"),
        (bargain(), {"codecs": ("text",)}, "each of 2 seats"),
        (bargain(), {"codecs": {"seat_2": "act"}}, "seat_2: seats are seat_0 to seat_1"),
        (bargain(), {"max_rounds": 3, "max_cycles": 4}, "name the same cap"),
        (bargain(), {"max_rounds": 0}, "at least 1"),
        (bargain(), {"memory": 0}, "at least 1 round"),
        (bargain(), {"agents": ("one",)}, "1 agent names for 2 seats"),
        (bargain(), {"render_mode": "rgb_array"}, "'ansi' or 'human'"),
        (bargain(), {"judge": "exect"}, "did you mean 'exact'"),
        (dilemma(), {"codecs": "act"}, "open dilemma"),
        (dilemma(), {"selfishness": 0.5}, "open dilemma"),
        (wide(), {"codecs": "act"}, "at most 4096"),
        (LooseScenarios("nothing", []), {}, "empty"),
        ("alotment", {}, "unknown scenario"),
    ]
    for scenario, settings, message in wrong:
        for make in (env, raw_env):
            with pytest.raises(NegoError, match=message):
                make(scenario, **settings)
    for seed in (-1, np.int64(-5)):
        with pytest.raises(SettingsError, match="seed"):
            env(bargain()).reset(seed=seed)


def test_more_deals_than_an_act_seat_can_choose_from_are_played_in_words() -> None:
    for make in (raw_env, parallel_env):
        with pytest.raises(SettingsError, match=r"7776 deals \(6 x 6 x 6 x 6 x 6 options\).*use text seats"):
            make(wide(), codecs=("text", "act"))
    e = env(wide())
    e.reset(seed=0)
    assert e.observe("seat_0")["legal_acts"].shape == (1 + 2 + 2 * 5,)
    e.step("[Propose: A6 B1 C6 D1 E6]")
    assert e.observation_space("seat_1").contains(e.observe("seat_1"))
    e.step("[Accept]")
    assert e.unwrapped.transcript.stop is StopReason.AGREEMENT


def test_successive_resets_are_the_episodes_of_one_seed() -> None:
    def played(e: Any, **reset: Any) -> bytes:
        rng = np.random.default_rng(9)
        for _ in match_through(e, rng, **reset):
            pass
        record = e.unwrapped.transcript
        assert record.index == played_index
        encoded: bytes = record.encode()
        return encoded

    a, b = env(suite()), env(suite())
    for played_index in range(3):
        seed = 4 if played_index == 0 else None
        assert played(a, seed=seed) == played(b, seed=seed)
    a.reset(seed=4)
    b.reset(seed=5)
    assert a.unwrapped.session.index == 0
    assert a.unwrapped.view("seat_0").rng.random() != b.unwrapped.view("seat_0").rng.random()


def test_without_any_seed_matches_differ() -> None:
    drawn = set()
    for _ in range(3):
        e = env(bargain())
        e.reset()
        drawn.add(e.unwrapped.session.seed)
    assert len(drawn) == 3


# ---------------------------------------------------------------- rendering and odds
def test_ansi_is_the_dialogue_with_nothing_a_terminal_would_obey() -> None:
    e = env(bargain(), render_mode="ansi")
    e.reset(seed=0)
    assert e.render() == ""
    e.step("red \x1b[31m text [bold]")
    e.step("")
    assert e.render() == "the tenant (seat_0): red \\x1b[31m text [bold]\nthe owner (seat_1): (silence)"


def test_human_prints_each_utterance_once(capsys: pytest.CaptureFixture[str]) -> None:
    e = env(bargain(), render_mode="human")
    for words in ("good morning", "good evening"):
        e.reset(seed=0)
        e.step(words)
        e.render()
        assert capsys.readouterr().out == f"the tenant (seat_0): {words}\n"


def test_before_reset_every_call_says_what_to_do() -> None:
    calls: list[Any] = [lambda e: e.observe("seat_0"), lambda e: e.state(), lambda e: e.view("seat_0")]
    for call in calls:
        with pytest.raises(MoveError, match="reset"):
            call(raw_env(bargain(), codecs="act"))
    assert raw_env(bargain()).transcript is None


def test_a_seat_the_scenario_lacks_observes_zeros_in_its_space() -> None:
    for codec in ("act", "text", ("act", "act", "act", "text")):
        e = env(suite(), codecs=codec)
        e.reset(seed=0, options={"scenario": "allotment"})
        seen = e.observe("seat_3")
        assert e.observation_space("seat_3").contains(seen)
        assert not any(np.any(v) if isinstance(v, np.ndarray) else v for v in seen.values())


def test_an_open_dilemma_of_a_mixed_suite_offers_no_acts() -> None:
    e = env(LooseScenarios("both", [bargain(), dilemma()]))
    e.reset(seed=0, options={"scenario": "last-ferry"})
    for _ in range(3):
        assert not e.observe(e.agent_selection)["legal_acts"].any()
        e.step("hm")


def test_the_central_state_is_every_seats_features() -> None:
    e = raw_env(suite(), codecs="act")
    e.reset(seed=0, options={"scenario": "council"})
    e.step(0)
    size = e.observation_space("seat_0")["observation"].shape[0]
    expected = np.concatenate([*(e.observe(f"seat_{i}")["observation"] for i in range(3)), np.zeros(size)])
    assert np.array_equal(e.state(), expected)
    assert e.state_space.contains(e.state())
    talk = raw_env(dilemma())
    talk.reset(seed=0)
    with pytest.raises(SettingsError, match="open dilemma"):
        talk.state()


@pytest.mark.parametrize("face", ["aec", "parallel"])
def test_it_is_made_by_name_through_pettingzoo(face: Any) -> None:
    make: Any = pettingzoo.make
    e = make(face, "negotiation/negotiation-v0", scenario=bargain(), max_cycles=3)
    e.reset(seed=0)
    assert e.unwrapped.session.settings.max_rounds == 3


def test_the_default_is_a_suite_that_plays() -> None:
    e = env(codecs="act")
    rng = np.random.default_rng(0)
    for _ in match_through(e, rng, seed=0):
        pass
    assert e.unwrapped.transcript.stop.scored


def test_views_of_the_face_are_those_an_agent_object_gets() -> None:
    e = env(council())
    e.reset(seed=0)
    e.step(Move("", Act("propose", deal=("X2",))))
    mine = e.unwrapped.view()
    assert (mine.seat, mine.table.deal, mine.table.worth) == ("seat_1", ("X2",), 3.0)
    assert any_action(e, "seat_1", np.random.default_rng(0)) is not None


@pytest.mark.parametrize("memory", [None, 1, 2])
def test_the_dialogue_is_every_line_of_the_memory_window_whole(memory: int | None) -> None:
    e = env(bargain(), memory=memory)
    e.reset(seed=0)
    said = ["first\nand more", "", "  ", "\nthen [Ask: A]", "五", "last"]
    for i, words in enumerate(said):
        window = e.unwrapped.session.view(0).utterances
        lines = e.unwrapped.session.dialogue_lines
        assert len(lines) == i
        assert (
            e.observe("seat_0")["dialogue"] == dialogue_text(bargain(), window) == "\n".join(lines[i - len(window) :])
        )
        e.step(words)


def test_what_was_observed_stays_as_it_was() -> None:
    e = env(bargain())
    e.reset(seed=0)
    seen, infos = e.observe("seat_0"), e.infos
    first, told = copy.deepcopy(seen), copy.deepcopy(infos)
    e.step("[Propose: A2 B2]")
    e.step("no [Accept] yet")
    assert infos == told
    np.testing.assert_equal(seen, first)
    e.observe("seat_0")["legal_acts"][:] = 0
    e.observe("seat_0")["observation"][:] = 9
    assert e.observe("seat_0")["legal_acts"].any(), "what a reader does to its copy touches nobody"
    assert e.observe("seat_0")["observation"].max() <= 1
    e.reset(seed=0)
    np.testing.assert_equal(e.observe("seat_0"), first)
