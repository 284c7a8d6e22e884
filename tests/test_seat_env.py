"""The Gymnasium face: one learner, opponents inside, every reward on a transition of the learner."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from face_support import haggler, seat_env, silent, suite, warned, wide
from gymnasium.utils.env_checker import check_env
from support import bargain, council, dilemma, quorum

from nego_env.agents import Reply
from nego_env.errors import AgentError, MoveError, SettingsError
from nego_env.moves import Move
from nego_env.scenario import Acceptance
from nego_env.session import INFO_KEYS
from nego_env.view import View

PROPOSE_BEST, ACCEPT, WALK = 4, 9, 10  # of the bargain: A2 B2, CA 5


def stubborn(view: View) -> str:
    """Puts A1 B3 (worth 1 and 4) on the table, and never accepts."""
    return "[Propose: A1 B3]"


def yielding(view: View) -> str:
    """Accepts whatever lies there."""
    return "[Accept]" if view.legal.accept else "What do you say?"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"flat": True},
        {"codec": "text"},
        {"seat": 1},
        {"seat": None},
        {"completion": "write", "codec": "text"},
        {"selfishness": 0.5, "max_rounds": 2, "memory": 1},
    ],
)
@pytest.mark.parametrize("scenario", [bargain(), council(), suite()], ids=["two", "three", "suite"])
def test_gymnasiums_own_check(scenario: Any, settings: dict[str, Any]) -> None:
    found = warned(lambda: check_env(seat_env(scenario, opponents=haggler, **settings)))
    assert len(found) <= 1
    assert all("alternative render modes" in message for message in found)


def test_open_dilemmas_are_for_text_learners() -> None:
    found = warned(lambda: check_env(seat_env(dilemma(), opponents=haggler, codec="text")))
    assert all("alternative render modes" in message for message in found)
    with pytest.raises(SettingsError, match="use text seats"):
        seat_env(dilemma(), opponents=haggler)


@pytest.mark.parametrize("seat", [0, 1])
def test_the_reward_lands_on_the_learners_last_transition(seat: int) -> None:
    # The opponent's own accept ends the match: the learner still gets its reward from the step it took.
    e = seat_env(bargain(), opponents=yielding, seat=seat)
    e.reset(seed=0)
    _, reward, terminated, truncated, info = e.step(PROPOSE_BEST)
    assert (reward, terminated, truncated) == (5.0, True, False)
    assert (info["agreed"], info["score"], info["seat"]) == (1, 5.0, seat)
    assert e.transcript.rewards == (5.0, 5.0)


def test_each_seat_earns_its_own_reward() -> None:
    # A1 B3 is worth 1 and 4: gains -1/4 and 1/2. At s = 1 the rewards are 5 x gain.
    for seat, expected in ((0, -1.25), (1, 2.5)):
        e = seat_env(bargain(), opponents=stubborn, seat=seat, selfishness=1.0)
        e.reset(seed=0)
        rewards = [e.step("[Propose: A1 B3]")[1]]
        if e.transcript is None:
            rewards.append(e.step("[Accept]")[1])
        assert sum(rewards) == expected


@pytest.mark.parametrize(("seat", "heard"), [(0, []), (1, ["seat_0"]), (2, ["seat_0", "seat_1"])])
def test_opponents_speak_before_and_between_the_learners_turns(seat: int, heard: list[str]) -> None:
    e = seat_env(council(), opponents=silent, seat=seat)
    e.reset(seed=0)
    assert [u.seat for u in e.session.playing.utterances] == heard
    e.step(3 + 1)
    said = [u.seat for u in e.session.playing.utterances]
    assert said == [f"seat_{i % 3}" for i in range(seat + 3)]


def test_a_learner_that_walks_sees_the_match_to_its_end_at_once() -> None:
    e = seat_env(quorum(3, ()), opponents=yielding, seat=0)
    e.reset(seed=0)
    e.step(0)
    assert e.transcript is not None, "three of four accepted the learner's deal"
    e = seat_env(quorum(3, ()), opponents=silent, seat=0)
    e.reset(seed=0)
    e.step(5)
    _, reward, terminated, _, _ = e.step(4)  # three are left, and they could still agree: they talk to the cap
    assert (reward, terminated, e.transcript.stop.value) == (0.0, True, "cap")


def test_a_seat_is_drawn_at_each_reset_by_its_seed() -> None:
    def drawn(seed: int) -> list[int]:
        e = seat_env(quorum(), opponents=silent, seat=None)
        seats = []
        for i in range(30):
            _, info = e.reset(seed=seed if i == 0 else None)
            assert info["seat"] == e.seat
            seats.append(e.seat)
        return seats

    assert set(drawn(3)) == {0, 1, 2, 3}
    assert drawn(3) == drawn(3) != drawn(4)


def test_in_a_suite_the_seat_is_one_the_scenario_has() -> None:
    e = seat_env(suite(), opponents=silent, seat=3)
    for scenario, seat in (("allotment", 1), ("council", 2), ("quorum", 3)):
        _, info = e.reset(seed=0, options={"scenario": scenario})
        assert info["seat"] == seat


def test_masks_are_where_single_agent_libraries_look() -> None:
    e = seat_env(bargain(), opponents=stubborn, seat=1)
    seen, info = e.reset(seed=0)
    assert tuple(info) == (*INFO_KEYS, "seat")
    masks = e.action_masks()
    assert (masks.dtype, masks.shape) == (np.dtype(bool), (15,))
    assert masks.tolist() == seen["action_mask"].astype(bool).tolist()
    assert masks[ACCEPT]
    assert not masks[WALK]
    flat, told = seat_env(bargain(), opponents=stubborn, flat=True).reset(seed=0)
    assert flat.dtype == np.float32
    assert tuple(told) == (*INFO_KEYS, "seat", "action_mask")


def test_the_same_seed_and_actions_give_the_same_episode() -> None:
    def line() -> bytes:
        e = seat_env(suite(), opponents=haggler, seat=None)
        rng = np.random.default_rng(2)
        lines = b""
        for i in range(5):
            e.reset(seed=8 if i == 0 else None)
            while e.transcript is None:
                e.step(int(rng.integers(e.action_space.n)))
            lines += e.transcript.encode()
        return lines

    assert line() == line()


# ---------------------------------------------------------------- opponents
def test_opponents_are_one_for_all_or_one_each() -> None:
    def named(name: str) -> Any:
        return lambda view: f"I am {name}"

    e = seat_env(council(), opponents=[named("a"), named("b")], seat=1)
    e.reset(seed=0)
    e.step(4)
    assert [u.text for u in e.session.playing.utterances if u.seat != "seat_1"] == ["I am a", "I am b", "I am a"]
    for wrong in ([named("a")] * 3, []):
        with pytest.raises(SettingsError, match="give one, or one each"):
            seat_env(council(), opponents=wrong)


def test_an_opponent_may_answer_in_any_form_an_agent_may() -> None:
    for said in ("[Accept]", Move.accept(), ACCEPT, np.int64(ACCEPT), Reply("[Accept]"), Reply(Move.accept())):
        e = seat_env(bargain(), opponents=lambda view, said=said: said)
        e.reset(seed=0)
        assert e.step(PROPOSE_BEST)[1] == 5.0


@pytest.mark.parametrize("rubbish", [None, 3.5, object(), b"[Accept]", True, 15, -1, Move.propose("A9 B9"), Reply(None)])  # type: ignore[arg-type]  # fmt: skip
def test_an_opponent_that_answers_with_rubbish_is_an_agent_error_that_names_its_seat(rubbish: Any) -> None:
    e = seat_env(bargain(), opponents=lambda view: rubbish)
    e.reset(seed=0)
    with pytest.raises(AgentError, match="agent at seat_1 gave a reply that is no move"):
        e.step(PROPOSE_BEST)


def test_what_an_opponent_raises_comes_out() -> None:
    def failing(view: View) -> str:
        raise ValueError("out of ideas")

    e = seat_env(bargain(), opponents=failing)
    e.reset(seed=0)
    with pytest.raises(ValueError, match="out of ideas"):
        e.step(PROPOSE_BEST)
    with pytest.raises(ValueError, match="out of ideas"):
        seat_env(bargain(), opponents=failing, seat=1).reset(seed=0)


def test_an_opponent_without_act_is_an_agent_error() -> None:
    class Awaited:
        async def aact(self, view: View) -> str:
            return "hm"

    e = seat_env(bargain(), opponents=Awaited())
    e.reset(seed=0)
    with pytest.raises(AgentError, match="needs a plain act"):
        e.step(PROPOSE_BEST)


class Counted:
    """Spawned for each match and seat; remembers who was made and who was closed."""

    made: ClassVar[list[str]] = []
    closed: ClassVar[list[str]] = []

    def __init__(self, name: str = "") -> None:
        self.name = name

    def act(self, view: View) -> str:
        assert self.name == f"{view.seat} of {view.scenario.id}"
        assert view.scenario.seats[(view.index + 1) % view.scenario.n].stakes is None
        return "hm"

    def spawn(self, seat: str, scenario: Any) -> Counted:
        self.made.append(seat)
        return Counted(f"{seat} of {scenario.id}")

    def close(self) -> None:
        self.closed.append(self.name)


def test_opponents_with_state_are_spawned_per_match_and_seat_and_closed_once() -> None:
    Counted.made.clear()
    Counted.closed.clear()
    e = seat_env(council(), opponents=Counted(), seat=1)
    for _ in range(2):
        e.reset(seed=0)
        e.step(4)
    assert Counted.made == ["seat_0", "seat_2"] * 2
    assert Counted.closed == ["seat_0 of council", "seat_2 of council"]
    e.close()
    e.close()
    assert Counted.closed == ["seat_0 of council", "seat_2 of council"] * 2


# ---------------------------------------------------------------- wrong calls
def test_wrong_calls_say_what_to_do() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"seat": 2}, "0 to 1, or be None"),
        ({"seat": -1}, "0 to 1, or be None"),
        ({"flat": True, "codec": "text"}, "codec='act'"),
        ({"render_mode": "rgb_array"}, "'ansi' or 'human'"),
    ]
    for settings, message in wrong:
        with pytest.raises(SettingsError, match=message):
            seat_env(bargain(), opponents=silent, **settings)
    with pytest.raises(SettingsError, match="use text seats"):
        seat_env(wide(), opponents=silent)
    fresh = seat_env(bargain(), opponents=silent)
    with pytest.raises(MoveError, match=r"reset\(\) the environment first"):
        fresh.step(0)
    fresh.reset(seed=0)
    for action in (None, 1.5, True, 99):
        with pytest.raises(MoveError):
            fresh.step(action)
    fresh.step("still my turn")
    over = seat_env(bargain(acceptance=Acceptance(1)), opponents=silent)
    over.reset(seed=0)
    over.step(PROPOSE_BEST)
    with pytest.raises(MoveError, match="it is over"):
        over.step(PROPOSE_BEST)


def test_rendering(capsys: pytest.CaptureFixture[str]) -> None:
    e = seat_env(bargain(), opponents=lambda view: "\x1b[2J", render_mode="ansi")
    e.reset(seed=0)
    e.step("[Ask: A]")
    assert e.render() == "the tenant (seat_0): [Ask: A]\nthe owner (seat_1): \\x1b[2J"
    h = seat_env(bargain(), opponents=silent, render_mode="human", seat=1)
    h.reset(seed=0)
    assert h.render() is None
    assert capsys.readouterr().out == "the tenant (seat_0): (silence)\n"
    quiet = seat_env(bargain(), opponents=silent)
    quiet.reset(seed=0)
    assert quiet.render() is None
