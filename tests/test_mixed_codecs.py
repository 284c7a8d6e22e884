"""Where seats have different codecs, every seat observes both forms, each with what it holds where all seats have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from face_support import Match, any_action, codecs_of, env, matches, parallel_env
from gymnasium import spaces
from support import bargain

from nego_env.seat_writer import TEXT_KEYS

FORMS = {"text": {"observation", "legal_acts", *TEXT_KEYS}, "act": {"observation", "action_mask"}}
MIXED = [m for m in matches() if codecs_of(m.values[0]) == {"act", "text"}]
FACES = pytest.mark.parametrize("face", [env, parallel_env])


class Table:
    """A match in either face, played by one action at a time."""

    def __init__(self, face: Any, match: Match, codecs: Any, seed: int) -> None:
        self.env = face(match.scenario, **match.settings | {"codecs": codecs})
        self.env.reset(seed=seed)
        self.session = self.env.unwrapped.session

    @property
    def over(self) -> bool:
        """Whether nobody may speak any more."""
        return self.session.playing.stop is not None

    @property
    def point(self) -> tuple[int, str]:
        """How far it has come."""
        return len(self.session.playing.utterances), self.session.playing.phase

    def say(self, action: Any) -> None:
        """The seat whose turn it is acts."""
        parallel = not hasattr(self.env, "agent_iter")
        self.env.step(dict.fromkeys(self.env.agents, action) if parallel else action)

    def seen(self, seat: int) -> dict[str, Any]:
        """What a seat observes, absent ones too."""
        if hasattr(self.env, "agent_iter"):
            return self.env.observe(f"seat_{seat}")  # type: ignore[no-any-return]
        return self.session.observation(seat, noop=True)  # type: ignore[no-any-return]


@pytest.mark.parametrize("match", MIXED)
@pytest.mark.parametrize("swapped", [False, True])
@FACES
def test_each_form_is_that_of_an_environment_with_one_codec_in_the_same_state(
    face: Any, swapped: bool, match: Match
) -> None:
    codecs = match.settings["codecs"]
    if swapped:  # another finalizer, who writes where the other one's words are rendered
        codecs = tuple({"act": "text", "text": "act"}[c] for c in codecs)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mixed = Table(face, match, codecs, seed)
        others = {form: Table(face, match, form, seed) for form in FORMS}
        while True:
            alike = {form: other for form, other in others.items() if other.point == mixed.point}
            assert len(alike) == 2 or (alike and mixed.point[1] != "dialogue")
            for form, other in alike.items():
                for seat in range(len(codecs)):
                    mine, theirs = mixed.seen(seat), other.seen(seat)
                    assert set(mine) == FORMS["text"] | FORMS["act"]
                    assert set(theirs) == FORMS[form]
                    np.testing.assert_equal({key: mine[key] for key in theirs}, theirs)
                    assert mine["action_mask"].tolist() == mine["legal_acts"].tolist()
            if mixed.over:
                break
            action = any_action(mixed.env, f"seat_{mixed.session.playing.seat}", rng)
            for table in (mixed, *others.values()):
                if not table.over:
                    table.say(action)


@FACES
def test_both_forms_have_content_at_both_seats(face: Any) -> None:
    table = Table(face, Match(bargain(), {}), ("act", "text"), 0)
    table.say("Good morning. [Propose: A2 B2]")
    for seat, persona in enumerate(("Keep the tap for the seedlings.", "Keep the shed for the tools.")):
        seen = table.seen(seat)
        assert seen["persona"] == persona
        assert seen["dialogue"] == "the tenant (seat_0): Good morning. [Propose: A2 B2]"
        assert seen["table"].startswith("On the table")
        assert seen["observation"].any()
    waits, speaks = ([0] * 15, table.seen(1)["action_mask"].tolist())
    if face is parallel_env:  # the NOOP comes last, whatever the codec of the seat that waits
        waits.append(1)
    assert table.seen(0)["action_mask"].tolist() == waits
    assert len(speaks) == len(waits)
    assert speaks[9] == 1, "there is a deal to accept"


@FACES
def test_the_two_masks_of_a_seat_are_copies(face: Any) -> None:
    table = Table(face, Match(bargain(), {}), ("text", "act"), 0)
    seen = table.seen(0)
    before = seen["action_mask"].copy()
    seen["legal_acts"][:] = 0
    assert seen["action_mask"].tolist() == before.tolist()
    seen["action_mask"][:] = 0
    assert table.seen(0)["action_mask"].tolist() == before.tolist()
    assert before.any()


@pytest.mark.parametrize("match", MIXED)
@FACES
def test_a_loop_that_samples_with_the_mask_plays_any_seat(face: Any, match: Match) -> None:
    said = set()
    for seed in range(3):
        table = Table(face, match, match.settings["codecs"], seed)
        e = table.env
        while not table.over:
            seat = table.session.playing.seat
            space = e.action_space(f"seat_{seat}")
            action = space.sample(table.seen(seat)["action_mask"])
            assert space.contains(action)
            said.add((isinstance(space, spaces.Discrete), type(action)))
            table.say(action)
    assert said == {(True, np.int64), (False, str)}
