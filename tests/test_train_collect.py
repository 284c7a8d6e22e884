"""A step's episodes: groups, what is on disk, what is played again; and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import bargain, dilemma

from nego_env.agents import NamedAgent, Reply
from nego_env.errors import AgentError, TranscriptError
from nego_env.store import read
from nego_env.view import View
from nego_trainers.collect import Episode, Group, StepRun, play_groups
from nego_trainers.metrics import MetricsFile, describe_groups, moving, read_metrics

G = 3


class Haggler:
    """Proposes at random and accepts now and then; says so in tokens."""

    spec = "haggler"

    def __init__(self, *, fails: int = 0) -> None:
        self.fails, self.calls = fails, 0

    def act_batch(self, views: list[View]) -> list[Reply]:
        """A reply each, from the seat's own generator."""
        self.calls += 1
        if self.fails:
            self.fails -= 1
            raise RuntimeError("no memory left")
        return [self._reply(v) for v in views]

    def _reply(self, view: View) -> Reply:
        accept = view.table is not None and view.rng.random() < 0.5
        a, b = view.rng.integers(1, 4, 2)
        text = "[Accept]" if accept else f"[Propose: A{a} B{b}]"
        return Reply(text, prompt_ids=(1, 2), token_ids=(3, 4), logprobs=(-0.5, -0.25), finish_reason="stop")


def run_of(agent: Any, groups: int = 2, seed: int = 5, **settings: Any) -> StepRun:
    named = NamedAgent(agent.spec, agent)
    return StepRun(
        lambda g: bargain(), lambda g, s: (named,) * s.n, [agent], groups=groups, group_size=G, seed=seed, **settings
    )


def collected(agent: Any, out: Path, groups: int = 2, redraws: int = 0, **more: Any) -> list[tuple[Episode, ...]]:
    return play_groups(run_of(agent, groups), groups, G, out, in_flight=6, redraws=redraws, **more)


def lines(found: list[tuple[Episode, ...]]) -> list[bytes]:
    return [e.transcript.encode() for group in found for e in group]


def test_groups_come_in_order_with_their_tokens(tmp_path: Path) -> None:
    told: list[int] = []
    found = collected(Haggler(), tmp_path / "a.jsonl", played=lambda t: told.append(t.index))
    assert [[e.transcript.index for e in group] for group in found] == [[0, 1, 2], [3, 4, 5]]
    assert sorted(told) == list(range(6))
    assert all(
        e.tokens.id == e.transcript.id and len(e.tokens.turns) == len(e.transcript.utterances) for g in found for e in g
    )
    assert len(set(lines(found))) == 6  # one scenario, six episodes


def test_a_step_that_is_on_disk_is_not_played_again(tmp_path: Path) -> None:
    first = collected(Haggler(), tmp_path / "a.jsonl")
    silent = Haggler(fails=10**6)
    again = collected(silent, tmp_path / "a.jsonl")
    assert silent.calls == 0
    assert lines(again) == lines(first)
    assert [e.tokens for g in again for e in g] == [e.tokens for g in first for e in g]


def test_a_step_that_was_cut_short_plays_what_is_missing(tmp_path: Path) -> None:
    whole = collected(Haggler(), tmp_path / "whole.jsonl")
    part = tmp_path / "part.jsonl"
    collected(Haggler(), part)
    kept = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(kept[:2]) + kept[2][:40])  # killed in the middle of the third line
    again = collected(Haggler(), part)
    assert lines(again) == lines(whole)
    assert [e.tokens for g in again for e in g] == [e.tokens for g in whole for e in g]


def test_more_groups_are_drawn_onto_the_same_file(tmp_path: Path) -> None:
    two = collected(Haggler(), tmp_path / "a.jsonl")
    four = collected(Haggler(), tmp_path / "a.jsonl", groups=4)
    assert lines(four)[:6] == lines(two)
    assert len(list(read(tmp_path / "a.jsonl"))) == 12


def test_another_run_on_the_file_is_refused(tmp_path: Path) -> None:
    collected(Haggler(), tmp_path / "a.jsonl")
    with pytest.raises(TranscriptError, match="another run"):
        play_groups(run_of(Haggler(), seed=6), 2, G, tmp_path / "a.jsonl", in_flight=6, redraws=0)


def test_failed_episodes_are_drawn_again_within_the_budget(tmp_path: Path) -> None:
    # The batch fails, then the first view alone does: one episode of six needs another attempt.
    found = collected(Haggler(fails=2), tmp_path / "a.jsonl", redraws=1)
    assert [e.transcript.attempt for g in found for e in g] == [1, 0, 0, 0, 0, 0]
    assert all(e.transcript.scored for g in found for e in g)


def test_an_episode_that_stays_unscored_has_no_reward_and_is_settled(tmp_path: Path) -> None:
    found = collected(Haggler(fails=2), tmp_path / "a.jsonl", redraws=0)
    group = Group("1.0", (0, 1), found[0])
    assert np.isnan(group.rewards(0)).tolist() == [True, False, False]
    assert describe_groups([group])["unscored"] == 1
    silent = Haggler(fails=10**6)
    assert lines(collected(silent, tmp_path / "a.jsonl", redraws=0)) == lines(found)
    assert silent.calls == 0  # the same step gives the same update when it is taken again


def test_an_agent_of_the_wrong_kind_is_told_before_anything_is_played() -> None:
    class Structured(Haggler):
        kinds = ("structured",)

    agent = Structured()
    named = NamedAgent("structured", agent)
    with pytest.raises(AgentError, match="structured dilemmas only"):
        StepRun(lambda g: dilemma(), lambda g, s: (named,) * s.n, [agent], groups=1, group_size=2, seed=0)


# ---------------------------------------------------------------- figures
def test_figures_of_a_step(tmp_path: Path) -> None:
    groups = [Group(f"1.{g}", (0, 1), e) for g, e in enumerate(collected(Haggler(), tmp_path / "a.jsonl"))]
    found = describe_groups(groups)
    everyone = [e.transcript for g in groups for e in g.episodes]
    rewards = np.array([t.rewards[0] for t in everyone if t.rewards]).reshape(2, G)
    assert found["reward"] == pytest.approx(rewards.mean())
    assert found["reward_min"] == pytest.approx(rewards.min(1).mean())
    assert found["reward_max"] == pytest.approx(rewards.max(1).mean())
    assert found["agreement"] == pytest.approx(np.mean([t.outcome.agreed for t in everyone]))
    assert found["ca"] + found["regret"] == pytest.approx(5)
    assert found["premature"] == found["uninformed"] == 1.0  # nobody says anything but offers
    assert found["zero_variance"] == np.mean([len(set(r)) == 1 for r in rewards])


def test_nothing_to_average_is_no_figure() -> None:
    found = describe_groups([])
    assert found["reward"] is None
    assert found["premature"] is None
    assert found["unscored"] == 0


def test_a_metrics_file_is_cut_where_a_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = MetricsFile(path, 0)
    for step in range(1, 6):
        first.write({"step": step, "reward": step / 3, "kl": float("nan")})
    first.close()
    path.write_bytes(path.read_bytes() + b'{"step": 6, "rew')
    second = MetricsFile(path, 3)
    assert [r["step"] for r in second.records] == [1, 2, 3]
    second.write({"step": 4})
    second.close()
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 3, 4]
    assert read_metrics(path)[0] == {"step": 1, "reward": 0.333333, "kl": None}
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_metrics_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text("[1, 2]\n{}\n")
    with pytest.raises(TranscriptError, match=r"m\.jsonl:1"):
        read_metrics(tmp_path / "m.jsonl")


def test_moving_averages() -> None:
    assert moving([1.0, None, 3.0, 5.0], 2) == [1.0, 1.0, 3.0, 4.0]
    assert np.isnan(moving([None], 3)).all()
