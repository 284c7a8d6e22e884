"""Promises about the token file.

1. It holds what a model read and sampled, by utterance, verbatim, and is there before the transcript it belongs to.
2. A torn last line is passed over and cut; any other fault names file and line.
3. Agents are told once when an episode ends.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support import bargain

from nego_env import Transcript, View
from nego_env.agents import Reply
from nego_env.errors import TranscriptError
from nego_env.rollout import rollout, run_blocking
from nego_env.run import Run
from nego_env.store import TranscriptWriter, read_final
from nego_env.tokens import EpisodeTokens, read_tokens, tokens_path


class Talker:
    """Samples made-up tokens: reads its round, says its seat."""

    spec = "talker"

    def __init__(self) -> None:
        self.over: list[str] = []

    def act_batch(self, views: list[View]) -> list[Reply]:
        return [
            Reply(
                "[Propose: A2 B2]" if v.index == 0 else "[Accept]",
                prompt_ids=(v.round, 7),
                continues=v.round > 1,
                token_ids=(v.index, 9),
                logprobs=(-0.5, -1.25),
                finish_reason="stop",
            )
            for v in views
        ]

    def ended(self, episode: str) -> None:
        self.over.append(episode)


def run(
    out: Path | None = None, agents: object = None, episodes: int = 3
) -> tuple[list[Transcript], list[EpisodeTokens]]:
    """So many episodes, and the tokens the engine handed on."""
    kept: list[EpisodeTokens] = []
    r = Run(bargain(), agents or Talker())  # type: ignore[arg-type]

    async def everything() -> list[Transcript]:
        limits = {"on_tokens": lambda t, tokens: kept.append(tokens)}
        if out is None:
            return [t async for t in rollout(r, episodes, **limits)]  # type: ignore[arg-type]
        with TranscriptWriter(out, r.id, tokens=True) as writer:
            return [t async for t in rollout(r, episodes, writer=writer, **limits)]  # type: ignore[arg-type]

    return run_blocking(everything()), kept


def test_tokens_are_handed_on_verbatim() -> None:
    played, kept = run(episodes=1)
    (tokens,) = kept
    assert tokens.id == played[0].id
    first, second = tokens.turns
    assert (first.utterance, first.seat, first.read, first.said, first.logprobs) == (
        0,
        "seat_0",
        (1, 7),
        (0, 9),
        (-0.5, -1.25),
    )
    assert (second.utterance, second.seat, second.continues, second.finish) == (1, "seat_1", False, "stop")


def test_a_run_keeps_its_tokens_beside_its_transcripts(tmp_path: Path) -> None:
    _, kept = run(tmp_path / "run.jsonl")
    assert read_tokens(tmp_path / "run.jsonl") == {(e.id, e.attempt): e for e in kept}
    assert {t.id for t in read_final(tmp_path / "run.jsonl")} == {e.id for e in kept}


def test_only_language_models_have_tokens(tmp_path: Path) -> None:
    _, kept = run(tmp_path / "run.jsonl", agents=[Talker(), "conceder"])
    assert {turn.seat for e in kept for turn in e.turns} == {"seat_0"}


def test_a_torn_last_line_is_passed_over_and_then_cut(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    run(out)
    path = tokens_path(out)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert len(read_tokens(out)) == 3
    run(out, episodes=4)
    assert len(read_tokens(out)) == 4


def test_a_bad_line_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    run(out)
    path = tokens_path(out)
    path.write_bytes(b'{"format":"nego-tokens/2"}\n' + path.read_bytes())
    with pytest.raises(TranscriptError, match=r"run\.jsonl\.tokens\.jsonl:1: Invalid enum value 'nego-tokens/2'"):
        read_tokens(out)


def test_a_missing_file_says_what_that_means(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match=r"no such file: the run it belongs to recorded no tokens"):
        read_tokens(tmp_path / "run.jsonl")


def test_agents_are_told_when_an_episode_is_over() -> None:
    talker = Talker()
    played, _ = run(agents=talker, episodes=4)
    assert sorted(talker.over) == sorted(t.id for t in played)


def test_a_reply_with_too_few_logprobs_costs_its_episode() -> None:
    def lame(view: View) -> Reply:
        return Reply("hm", token_ids=(1, 2), logprobs=(-0.1,))

    (t,), _ = run(agents=lame, episodes=1)
    assert t.stop == "agent_error"
    assert "1 logprobs for 2 tokens" in (t.error or "")
