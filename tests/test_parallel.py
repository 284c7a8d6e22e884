"""The parallel face: PettingZoo's own tests, NOOPs, absent seats, and the same episodes as the AEC face."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from face_support import Match, any_action, codecs_of, conformance, env, matches, parallel_env, suite, warned
from gymnasium import spaces
from support import bargain, council, dilemma

from nego_env.errors import MoveError, SettingsError
from nego_env.moves import Move
from nego_env.rules import StopReason


def settings_of(match: Match) -> dict[str, Any]:
    """The settings as this face takes them: its codecs default to `act`."""
    return {"codecs": "text", **match.settings}


@pytest.mark.parametrize("match", matches())
def test_api_and_seeds_without_a_warning(match: Match) -> None:
    def make() -> Any:
        return parallel_env(match.scenario, **settings_of(match))

    assert warned(lambda: conformance.parallel_api_test(make(), num_cycles=100)) == set()
    assert warned(lambda: conformance.parallel_seed_test(make, 60)) == set()


@pytest.mark.parametrize("match", [m for m in matches() if codecs_of(m.values[0]) == {"act"}])
def test_flat_observations_pass_too(match: Match) -> None:
    def make() -> Any:
        return parallel_env(match.scenario, flat=True, **match.settings)

    assert warned(lambda: conformance.parallel_api_test(make(), num_cycles=100)) == set()
    assert warned(lambda: conformance.parallel_seed_test(make, 60)) == set()
    assert all(isinstance(make().observation_space(a), spaces.Box) for a in make().possible_agents)


@pytest.mark.parametrize("match", [m for m in matches() if m.id.startswith(("structured", "suite-act"))])
def test_states_of_both_faces(match: Match) -> None:
    aec, parallel = env(match.scenario, **match.settings), parallel_env(match.scenario, **match.settings)
    assert warned(lambda: conformance.state_test(aec, parallel)) == set()


@pytest.mark.parametrize("match", matches())
def test_every_seat_observes_inside_its_space_and_plays_the_same_episode_as_in_turn(match: Match) -> None:
    rng = np.random.default_rng(11)
    settings = settings_of(match)
    for seed, flat in ((0, False), (1, False), (2, codecs_of(match) == {"act"})):
        aec, parallel = env(match.scenario, **settings), parallel_env(match.scenario, flat=flat, **settings)
        aec.reset(seed=seed)
        observations, infos = parallel.reset(seed=seed)
        earned = dict.fromkeys(parallel.possible_agents, 0.0)
        while parallel.agents:
            mover = aec.agent_selection
            assert list(observations) == list(infos) == parallel.possible_agents
            for agent, seen in observations.items():
                assert parallel.observation_space(agent).contains(seen)
            action = any_action(aec, mover, rng)
            aec.step(action)
            observations, rewards, terminations, truncations, infos = parallel.step(
                {a: parallel.action_space(a).sample() for a in parallel.agents} | {mover: action}
            )
            earned = {a: earned[a] + r for a, r in rewards.items()}
            assert set(terminations.values()) == {parallel.agents == []}
            assert set(truncations.values()) == {False}
        assert parallel.transcript.encode() == aec.unwrapped.transcript.encode()
        paid = dict(zip(aec.possible_agents, parallel.transcript.rewards, strict=False))
        assert earned == dict.fromkeys(parallel.possible_agents, 0.0) | paid


def test_only_the_seat_whose_turn_it_is_is_heard() -> None:
    p = parallel_env(bargain())
    p.reset(seed=0)
    accept, noop = 9, 15
    assert p.action_space("seat_0").n == 16
    p.step({"seat_0": 4, "seat_1": accept})
    observations, *_ = p.step({"seat_0": accept, "seat_1": noop})
    said = p.session.playing.utterances
    assert [(u.seat, u.text) for u in said] == [
        ("seat_0", "I propose always and yours. [Propose: A2 B2]"),
        ("seat_1", ""),
    ], "a NOOP on one's own turn is silence"
    assert observations["seat_0"]["action_mask"][noop] == 0
    assert observations["seat_1"]["action_mask"].tolist() == [0] * 15 + [1]


def test_a_wrong_call_is_a_move_error() -> None:
    p = parallel_env(bargain())
    with pytest.raises(MoveError, match=r"reset\(\) the environment"):
        p.step({"seat_0": 0})
    p.reset(seed=0)
    for actions, message in [
        ({}, "it is seat_0's turn, but actions hold only nothing"),
        ({"seat_1": 0}, "hold only seat_1"),
        ({"seat_0": None}, "a str, an int or a Move"),
        ({"seat_0": 3.5}, "not float"),
        ({"seat_0": True}, "not bool"),
        ({"seat_0": -1}, "outside Discrete"),
        ({"seat_0": 16}, "outside Discrete"),
    ]:
        with pytest.raises(MoveError, match=message):
            p.step(actions)
    p.step({"seat_0": "[Propose: A2 B2]"})
    p.step({"seat_1": Move.accept()})
    assert p.agents == []
    with pytest.raises(MoveError, match="the match is over"):
        p.step({"seat_0": 0})
    for wrong in ({"flat": True, "codecs": "text"}, {"flat": True, "codecs": ("act", "text")}):
        with pytest.raises(SettingsError, match="use act seats"):
            parallel_env(bargain(), **wrong)
    with pytest.raises(SettingsError, match="use text seats"):
        parallel_env(dilemma())


def test_seats_the_scenario_lacks_are_there_with_nothing_but_the_noop() -> None:
    p = parallel_env(suite())
    seen, infos = p.reset(seed=0, options={"scenario": "allotment"})
    assert list(seen) == list(infos) == p.agents == ["seat_0", "seat_1", "seat_2", "seat_3"]
    for agent in ("seat_2", "seat_3"):
        assert not seen[agent]["observation"].any()
        assert seen[agent]["action_mask"].tolist() == [0] * 15 + [1]
    p.step(dict.fromkeys(p.agents, 4))
    _, rewards, terminations, _, _ = p.step(dict.fromkeys(p.agents, 9))
    assert rewards == {"seat_0": 5.0, "seat_1": 5.0, "seat_2": 0.0, "seat_3": 0.0}
    assert terminations == dict.fromkeys(p.possible_agents, True)


def test_the_finalizer_writes_while_the_others_wait() -> None:
    p = parallel_env(council(finalizer=2), codecs="text", completion="write")
    p.reset(seed=0)
    for words in ("[Propose: X2]", "[Accept]", "[Accept]"):
        seen, _, _, _, infos = p.step(dict.fromkeys(p.agents, words))
    assert [infos[a]["your_turn"] for a in p.agents] == [0, 0, 1]
    assert seen["seat_2"]["personas"] != seen["seat_0"]["personas"] == ""
    _, rewards, *_ = p.step(dict.fromkeys(p.agents, "Then the east road it is. [Agreed: X2]"))
    assert set(rewards.values()) == {5.0}
    assert p.transcript.completion == "Then the east road it is. [Agreed: X2]"
    assert p.transcript.stop is StopReason.AGREEMENT


def test_rendering_is_safe_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    p = parallel_env(bargain(), codecs="text", render_mode="human")
    p.reset(seed=0)
    p.step({"seat_0": "one \x1b[2J"})
    p.step({"seat_1": "two"})
    p.render()
    assert capsys.readouterr().out == "the tenant (seat_0): one \\x1b[2J\nthe owner (seat_1): two\n"
    a = parallel_env(bargain(), render_mode="ansi")
    a.reset(seed=0)
    a.step({"seat_0": 9 + 1})
    assert a.render() == "the tenant (seat_0): We are too far apart, so I am walking away. [Walk]"
    assert parallel_env(bargain()).render() is None


def test_views_and_states_are_those_of_the_aec_face() -> None:
    p, e = parallel_env(suite()), env(suite(), codecs="act")
    p.reset(seed=0, options={"scenario": "council"})
    e.reset(seed=0, options={"scenario": "council"})
    p.step({"seat_0": 0})
    e.step(0)
    assert np.array_equal(p.state(), e.state())
    mine, theirs = p.view("seat_1"), e.unwrapped.view("seat_1")
    assert (mine.utterances, mine.table, mine.legal) == (theirs.utterances, theirs.table, theirs.legal)
