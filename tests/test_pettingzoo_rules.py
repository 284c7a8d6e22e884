"""Ten rules for a negotiation in PettingZoo. Each was found by somebody's failure; breaking one is a decision."""

from __future__ import annotations

import copy
import itertools
import pickle
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from face_support import (
    Match,
    any_action,
    codecs_of,
    env,
    match_through,
    matches,
    parallel_env,
    raw_env,
    seat_env,
    suite,
)
from gymnasium import spaces
from support import bargain, council, dilemma, quorum

from nego_env.codec import UnicodeText
from nego_env.moves import MAX_CHARS
from nego_env.rules import StopReason
from nego_env.scenario import Acceptance
from nego_env.session import INFO_KEYS

ACT_MATCHES = [m for m in matches() if "act" in m.values[0].settings["codecs"]]


def parallel_steps(e: Any, rng: np.random.Generator, seed: int) -> Iterator[tuple[Any, Any, bool]]:
    """(observations, infos, last one) of a random match, from reset to the end."""
    observations, infos = e.reset(seed=seed)
    yield observations, infos, False
    while e.agents:
        mover = f"seat_{e.unwrapped.session.playing.seat}"
        actions = dict.fromkeys(e.agents, 0) | {mover: any_action(e, mover, rng)}
        observations, _, _, _, infos = e.step(actions)
        yield observations, infos, not e.agents


def test_1_the_cap_is_a_termination() -> None:
    """Learners bootstrap from a truncated state: with the cap as truncation they learn to stall."""
    e = env(bargain(), max_rounds=2)
    e.reset(seed=0)
    for _ in range(4):
        assert not any(e.terminations.values())
        e.step("hm")
    assert (set(e.terminations.values()), set(e.truncations.values())) == ({True}, {False})
    assert e.unwrapped.transcript.stop is StopReason.CAP

    p = parallel_env(bargain(), max_rounds=1)
    p.reset(seed=0)
    ends: Any = [p.step({"seat_0": 11, "seat_1": 11})[2:4] for _ in range(2)]
    assert ends[0] == ({"seat_0": False, "seat_1": False},) * 2
    assert ends[1] == ({"seat_0": True, "seat_1": True}, {"seat_0": False, "seat_1": False})

    s = seat_env(bargain(), opponents=lambda view: "no", max_rounds=1)
    s.reset(seed=0)
    assert s.step(11)[2:4] == (True, False)


def test_2_no_seat_ends_a_match_before_every_seat_has_moved() -> None:
    """A finished episode out of `reset`, or an episode without a transition, breaks learners of the seats that waited."""
    for scenario in (bargain(acceptance=Acceptance(1)), council(acceptance=Acceptance(1)), quorum(1, ())):
        e = raw_env(scenario, codecs="act")
        for opening in itertools.product(range(e.action_space("seat_0").n), repeat=min(2, scenario.n - 1)):
            e.reset(seed=0)
            for action in (*opening, *(opening[-1:] * (scenario.n - 1 - len(opening)))):
                e.step(action)
                assert not any(e.terminations.values())
    for words in ("[Propose: X1]", "[Accept]", "[Walk]"):
        s = seat_env(council(acceptance=Acceptance(1)), seat=2, opponents=lambda view, said=words: said)
        s.reset(seed=0)
        assert s.session.playing.stop is None


@pytest.mark.parametrize("options", [{"options": 1}, {"scenario": None}, {"seed": "x", 3: 4}, {}, None])
def test_3_reset_ignores_options_it_does_not_know(options: Any) -> None:
    """`api_test` itself sends `{"options": 1}`."""
    for e in (env(suite()), parallel_env(suite())):
        e.reset(seed=0, options=options)
        assert e.unwrapped.session.index == 0
    seat_env(bargain(), opponents=lambda view: "no").reset(seed=0, options=options)


@pytest.mark.parametrize("match", matches())
def test_4_what_is_called_observation_is_an_array_or_absent(match: Match) -> None:
    """`api_test` reads `.dtype` of everything under that key: text belongs beside it."""
    e, p = env(match.scenario, **match.settings), parallel_env(match.scenario, **match.settings)
    e.reset(seed=0)
    seen = [e.observe(a) for a in e.agents] + list(p.reset(seed=0)[0].values())
    for observation in seen:
        assert isinstance(observation.get("observation", np.zeros(1)), np.ndarray)


@pytest.mark.parametrize("match", matches())
def test_5_what_is_called_action_mask_is_something_the_action_space_takes(match: Match) -> None:
    """PettingZoo's tests and many loops hand a thing of that name to `action_space.sample`, and a stock `Text` asserts: no
    such name where all seats speak, and a space of words that leaves it aside where some do."""
    e = env(match.scenario, **match.settings)
    masked = "act" in codecs_of(match)
    rng = np.random.default_rng(0)
    for _ in match_through(e, rng, seed=0):
        for agent in e.agents:
            observation, space = e.observe(agent), e.action_space(agent)
            assert ("action_mask" in observation) == masked
            assert "action_mask" not in e.infos[agent]
            if masked:
                assert space.contains(space.sample(observation["action_mask"]))
    p = parallel_env(match.scenario, **match.settings)
    for observations, infos, _ in parallel_steps(p, rng, 0):
        for agent, observation in observations.items():
            assert ("action_mask" in observation) == masked
            assert "action_mask" not in infos[agent]
            if masked:
                assert p.action_space(agent).contains(p.action_space(agent).sample(mask=observation["action_mask"]))


@pytest.mark.parametrize("match", ACT_MATCHES)
@pytest.mark.parametrize("flat", [False, True])
def test_6_the_mask_stands_in_exactly_one_place(match: Match, flat: bool) -> None:
    """Two of them break TorchRL; a mask that is no int8 array breaks the rest."""
    settings = match.settings | ({"codecs": "act"} if flat else {})
    p = parallel_env(match.scenario, flat=flat, **settings)
    for observations, infos, _ in parallel_steps(p, np.random.default_rng(0), 0):
        for agent, info in infos.items():
            observation = observations[agent]
            places = [info] if flat else [observation, info]
            masks = [place["action_mask"] for place in places if "action_mask" in place]
            assert isinstance(observation, np.ndarray) == flat
            assert len(masks) == 1
            assert all(isinstance(m, np.ndarray) and m.dtype == np.int8 for m in masks)
            assert all(m.shape == (p.session.acts.size + 1,) for m in masks)
            assert p.action_space(agent) in (spaces.Discrete(len(masks[0])), UnicodeText(MAX_CHARS))
    for made in (True, False):
        s = seat_env(bargain(), opponents=lambda view: "no", flat=made)
        observation, info = s.reset(seed=0)
        assert ("action_mask" in info) == made == isinstance(observation, np.ndarray)


@pytest.mark.parametrize("match", matches())
def test_7_infos_have_the_same_numeric_keys_from_reset_to_the_end(match: Match) -> None:
    """TorchRL builds its specs from the first infos: a key that comes later is an error, and so is a string."""
    rng = np.random.default_rng(2)
    e = env(match.scenario, **match.settings)
    for _ in match_through(e, rng, seed=1):
        for info in e.infos.values():
            assert tuple(info) == INFO_KEYS
            assert all(type(v) in (int, float) for v in info.values())
    p = parallel_env(match.scenario, **match.settings)
    for _, infos, _ in parallel_steps(p, rng, 1):
        assert set(infos) == set(p.possible_agents)
        for info in infos.values():
            assert tuple(info) == INFO_KEYS
            assert all(type(v) in (int, float) for v in info.values())


@pytest.mark.parametrize("match", ACT_MATCHES)
def test_8_a_seat_that_waits_has_a_noop_and_nothing_else(match: Match) -> None:
    """A mask of zeros alone is a division by zero in every masked policy."""
    p = parallel_env(match.scenario, **match.settings)
    for observations, _, over in parallel_steps(p, np.random.default_rng(3), 4):
        state = p.unwrapped.session.playing
        for agent, observation in observations.items():
            mask = observation.get("action_mask", observation.get("legal_acts"))
            if not over and agent == f"seat_{state.seat}" and state.phase == "dialogue":
                assert mask[-1] == 0
                assert mask[:-1].any()
            else:
                assert mask.tolist() == [0] * (len(mask) - 1) + [1]


@pytest.mark.parametrize("match", matches())
def test_9_a_copy_of_a_running_match_plays_on_alone(match: Match) -> None:
    """`EzPickle`, PettingZoo's habit, copies the constructor's arguments: group rollouts and search would start over."""
    copies: list[Any] = [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
    for made, duplicate in itertools.product((env, raw_env), copies):
        original = made(match.scenario, **match.settings)
        original.reset(seed=6)
        for words in ("One thing first.", "Go on.", "It is late."):
            original.step(words)
        original.unwrapped.view("seat_0").rng.random()
        before = original.unwrapped.session.playing
        drawn = original.unwrapped.view("seat_0").rng.bit_generator.state
        twin, other = duplicate(original), duplicate(original)

        assert finish(twin, 1) != finish(other, 2)
        assert original.unwrapped.session.playing is before
        assert twin.unwrapped.view("seat_0").rng.random() == other.unwrapped.view("seat_0").rng.random()
        assert original.unwrapped.view("seat_0").rng.bit_generator.state == drawn
        assert finish(original, 1) == twin.unwrapped.transcript


def finish(e: Any, seed: int) -> Any:
    """The record of a running match, played on at random."""
    rng = np.random.default_rng(seed)
    while e.agents:
        done = e.terminations[e.agent_selection] or e.truncations[e.agent_selection]
        e.step(None if done else any_action(e, e.agent_selection, rng))
    return e.unwrapped.transcript


@pytest.mark.parametrize("match", matches())
def test_10_seats_share_their_spaces_and_are_numbered(match: Match) -> None:
    """SuperSuit, Tianshou and TorchRL assert one shape; BenchMARL groups agents by the part of the name before the number.
    What a seat observes is the same whatever its codec; actions are the same among seats of one."""
    for e in (env(match.scenario, **match.settings), parallel_env(match.scenario, **match.settings)):
        assert e.possible_agents == [f"seat_{i}" for i in range(len(e.possible_agents))]
        assert all(re.fullmatch(r"[a-z]+_[0-9]+", a) for a in e.possible_agents)
        act_seats = [a for a in e.possible_agents if isinstance(e.action_space(a), spaces.Discrete)]
        for agent in act_seats:
            assert e.action_space(agent) == e.action_space(act_seats[0])
        for agent in e.possible_agents:
            assert e.observation_space(agent) == e.observation_space("seat_0")
            assert e.observation_space(agent) is e.observation_space(agent)
            assert e.action_space(agent) is e.action_space(agent)


def test_stock_conversions_are_refused() -> None:
    """`aec_to_parallel` would pass PettingZoo's tests while the second seat answers a stale observation."""
    from pettingzoo.utils.conversions import aec_to_parallel_wrapper

    assert env(dilemma()).metadata["is_parallelizable"] is False
    convert: Any = aec_to_parallel_wrapper
    with pytest.raises(AssertionError, match="is_parallelizable"):
        convert(env(bargain()))
