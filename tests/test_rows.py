"""Rows say what a seat read and sampled: which tokens, in which order, under which mask."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from nego_env.errors import SettingsError, TranscriptError
from nego_env.store import TranscriptWriter
from nego_env.tokens import EpisodeTokens, TurnTokens
from nego_env.transcript import Transcript
from nego_trainers.rows import Row, grouped, read_rows, rows_of
from tests.support import bargain, council
from tests.token_samples import episode, tokens_for

DEAL = ["hm", "well", "[Propose: A2 B2]", "[Accept]"]


def turn(i: int, seat: int, read: list[int], said: list[int], *, continues: bool = False) -> TurnTokens:
    return TurnTokens(i, f"seat_{seat}", tuple(read), tuple(said), tuple(-float(x) for x in said), continues, "stop")


def tokens(t: Transcript, *turns: TurnTokens) -> EpisodeTokens:
    return EpisodeTokens("nego-tokens/1", t.id, t.attempt, turns)


@pytest.fixture
def t() -> Transcript:
    return episode(bargain(), DEAL)


def grown(t: Transcript) -> EpisodeTokens:
    """Two utterances a seat, contexts that grow."""
    return tokens(
        t,
        turn(0, 0, [1, 2], [11, 12]),
        turn(1, 1, [5, 6, 7], [21]),
        turn(2, 0, [3], [13], continues=True),
        turn(3, 1, [8, 9], [22, 23], continues=True),
    )


def test_a_context_that_grows_is_one_row(t: Transcript) -> None:
    found = rows_of(t, grown(t))
    assert found == [
        Row((1, 2), (11, 12, 3, 13), (1, 1, 0, 1), (-11, -12, 0, -13), t.id, 0, t.scenario.content_hash, "seat_0", 5.0),
        Row(
            (5, 6, 7),
            (21, 8, 9, 22, 23),
            (1, 0, 0, 1, 1),
            (-21, 0, 0, -22, -23),
            t.id,
            0,
            found[0].group,
            "seat_1",
            5.0,
        ),
    ]
    assert [row.tokens for row in found] == [3, 3]


def test_a_context_made_anew_begins_a_row(t: Transcript) -> None:
    found = rows_of(
        t,
        tokens(
            t,
            turn(0, 0, [1], [11]),
            turn(1, 1, [5], [21]),
            turn(2, 0, [1, 3, 11, 4], [13]),
            turn(3, 1, [8], [22], continues=True),
        ),
    )
    assert [(r.seat, r.prompt_ids, r.completion_ids) for r in found] == [
        ("seat_0", (1,), (11,)),
        ("seat_0", (1, 3, 11, 4), (13,)),
        ("seat_1", (5,), (21, 8, 22)),
    ]


def written() -> Transcript:
    return episode(bargain(), [*DEAL, "The tap and the shed. [Agreed: A2 B2]"], completion="write")


def test_the_completion_is_no_dialogue() -> None:
    t = written()
    assert t.utterances[-1].phase == "completion"
    for continues in (True, False):
        both = tokens(t, *grown(t).turns, turn(4, 0, [70, 71], [81, 82], continues=continues))
        first = rows_of(t, both)[0]
        assert first == rows_of(t, grown(t))[0]
        trained = rows_of(t, both, completion_tokens=True)
        assert sum(row.tokens for row in trained) == 8
        assert [row.seat for row in trained] == (["seat_0", "seat_1"] if continues else ["seat_0", "seat_0", "seat_1"])
    assert trained[1].completion_ids == (81, 82)


def test_silence_and_seats_without_tokens(t: Transcript) -> None:
    found = rows_of(t, tokens(t, turn(0, 0, [1], []), turn(2, 0, [3], [], continues=True)))
    assert found == []  # nothing was sampled
    found = rows_of(t, tokens(t, turn(0, 0, [1], []), turn(2, 0, [3], [13], continues=True)))
    assert (found[0].prompt_ids, found[0].completion_ids, found[0].mask) == ((1,), (3, 13), (0, 1))


def test_seats_and_group(t: Transcript) -> None:
    assert [r.seat for r in rows_of(t, grown(t), seats=["seat_1"])] == ["seat_1"]
    assert rows_of(t, grown(t), seats=[]) == []
    assert {r.group for r in rows_of(t, grown(t), group="12.3")} == {"12.3"}
    with pytest.raises(SettingsError, match=r"no seat 'seat_2'.*seat_0, seat_1"):
        rows_of(t, grown(t), seats=["seat_2"])


def test_an_unscored_episode_has_rows_without_reward() -> None:
    t = episode(council(), ["hm"] * 4, fails=True)
    assert {r.reward for r in rows_of(t, tokens_for(t))} == {None}


def test_rewards_are_the_transcripts(t: Transcript) -> None:
    judged_again = replace(t, rewards=(1.0, 2.0))
    assert [r.reward for r in rows_of(judged_again, grown(t))] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("turns", "fault"),
    [
        ([turn(1, 0, [1], [2])], "by seat_0, but utterances.1. is by seat_1"),
        ([turn(4, 0, [1], [2])], "utterance 4.*of 4: out of order"),
        ([turn(2, 0, [1], [2]), turn(0, 0, [1], [2])], "utterance 0, after 2.*out of order"),
        ([turn(0, 0, [1], [2], continues=True)], "continues a context that seat_0 does not have"),
        ([turn(0, 0, [], [2])], "a context of no tokens"),
        ([replace(turn(0, 0, [1], [2, 3]), logprobs=(-1.0,))], "1 log-probs for 2 tokens"),
    ],
)
def test_tokens_that_do_not_fit(t: Transcript, turns: list[TurnTokens], fault: str) -> None:
    with pytest.raises(TranscriptError, match=fault):
        rows_of(t, tokens(t, *turns))


def test_tokens_of_another_episode(t: Transcript) -> None:
    with pytest.raises(TranscriptError, match="the tokens are of episode"):
        rows_of(t, replace(grown(t), attempt=1))


def test_a_saved_run_gives_the_same_rows(tmp_path: Path) -> None:
    """Of each episode the scored attempt; groups by scenario."""
    played = [episode(council(), ["hm"] * 3, seed=s) for s in (0, 1)] + [episode(bargain(), DEAL, seed=2)]
    failed = episode(bargain(), DEAL[:2], seed=2, fails=True)
    path = tmp_path / "run.jsonl"
    with TranscriptWriter(path, tokens=True) as writer:
        for t in (played[0], played[1], replace(failed, index=2), replace(played[2], index=2, attempt=1, id=failed.id)):
            writer.write(t, tokens=tokens_for(t))
    rows = list(read_rows(path))
    assert [r.attempt for r in rows if r.seat == "seat_0"] == [0, 0, 1]
    groups = grouped(rows)
    assert [[len(episode) for episode in group] for group in groups] == [[3, 3], [2]]
    assert {len(r.completion_ids) - len(r.mask) for r in rows} == {0}
    assert all(r.mask[-1] == 1 and len(r.logprobs) == len(r.mask) for r in rows)


def test_a_run_without_its_tokens(tmp_path: Path, t: Transcript) -> None:
    path = tmp_path / "run.jsonl"
    with TranscriptWriter(path) as writer:
        writer.write(t)
    with pytest.raises(TranscriptError, match=r"run\.jsonl\.tokens\.jsonl: no such file"):
        list(read_rows(path))
    (tmp_path / "run.jsonl.tokens.jsonl").write_bytes(b"")
    with pytest.raises(TranscriptError, match="the token file does not have it"):
        list(read_rows(path))
