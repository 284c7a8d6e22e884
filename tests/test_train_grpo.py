"""GRPO self-play from end to end, on a random model of a few thousand weights and a scripted judge.

1. A run leaves transcripts, tokens, records and checkpoints, and goes on from them.
2. Ctrl-C ends it after the last whole step; the episodes of the step under way are kept.
3. Both engines make the same updates.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support import bargain
from train_support import JUDGE, OneDilemma, options, policy

from nego_env import cli
from nego_env.agents import Reply
from nego_env.errors import MissingExtraError, NegoError, SettingsError, TranscriptError
from nego_env.store import read
from nego_env.tokens import read_tokens
from nego_env.view import View
from nego_trainers.checkpoint import checkpoints
from nego_trainers.grpo import Outcome, summary, train
from nego_trainers.metrics import Record, read_metrics
from nego_trainers.panel import Quiet
from nego_trainers.policy import load_policy
from nego_trainers.selfplay import copy_path, rollout_path
from nego_trainers.settings import GRPOSettings
from nego_trainers.train_command import GRPO, Train

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),  # transformers, of its own names
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


def trained(settings: GRPOSettings, out: Path, **more: Any) -> Outcome:
    found = train(settings, out, policy=policy(settings), source=OneDilemma(), judge=JUDGE, **more)
    if settings.updates == 1:  # sampler and trainer saw the same model, tokens and temperature
        assert all(r["drift"] < 1e-5 for r in found.metrics)
    return found


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_equal(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor], tolerance: float = 0.0) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=tolerance)


CLOCKS = ("seconds", "elapsed", "tokens_per_second", "rollout_share")


def timeless(records: Sequence[Record]) -> list[Record]:
    return [{k: v for k, v in r.items() if k not in CLOCKS} for r in records]


# ---------------------------------------------------------------- one process
def test_a_run_leaves_what_it_promises(tmp_path: Path) -> None:
    settings = options(steps=2, eval_every=1, eval_scenarios=1, suite="open", save_every=1, keep=1)
    found = trained(settings, tmp_path)
    assert not found.interrupted
    assert [r["step"] for r in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]
    assert [r["step"] for r in read_metrics(tmp_path / "validation.jsonl")] == [0, 1, 2]
    assert checkpoints(tmp_path) == sorted({found.progress.best_step, 2})
    assert not list(tmp_path.rglob("*.pt")) + list(tmp_path.rglob("*.bin")) + list(tmp_path.rglob("*.partial"))
    assert weights(tmp_path / "best").keys() == weights(tmp_path / "final").keys()
    first = found.metrics[0]
    assert first["updated"]
    assert first["grad_norm"] > 0
    assert 0 < first["rollout_share"] < 1
    path = rollout_path(tmp_path, 1)
    episodes, tokens = list(read(path)), read_tokens(path)
    assert len(episodes) == 6
    assert {t.agents for t in episodes} == {("policy@0", "policy@0")}
    own = 0
    for t in episodes:
        turns = tokens[t.id, t.attempt].turns
        own += sum(len(x.said) for x in turns if t.utterances[x.utterance].phase == "dialogue")
    assert first["tokens"] == own  # both seats' dialogue, not the plan
    assert {t.agents[0] for t in read(rollout_path(tmp_path, 2))} == {"policy@1"}
    told = summary(found)
    assert told["step"] == 2
    assert told["last"]["reward"] == found.metrics[1]["reward"]


def test_a_finished_run_is_left_as_it_is_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    settings = options(steps=2)
    whole = trained(replace(settings, steps=3, schedule="constant"), tmp_path / "whole")
    trained(replace(settings, schedule="constant"), tmp_path / "part")
    before = (tmp_path / "part" / "metrics.jsonl").read_bytes()
    trained(replace(settings, schedule="constant"), tmp_path / "part")
    assert (tmp_path / "part" / "metrics.jsonl").read_bytes() == before
    longer = trained(replace(settings, steps=3, schedule="constant"), tmp_path / "part")
    assert timeless(longer.metrics)[:2] == timeless(read_metrics(tmp_path / "whole" / "metrics.jsonl"))[:2]
    assert longer.progress.tokens == whole.progress.tokens
    assert_equal(weights(tmp_path / "part" / "final"), weights(tmp_path / "whole" / "final"))


def test_another_run_is_refused(tmp_path: Path) -> None:
    trained(options(), tmp_path)
    with pytest.raises(SettingsError, match="seed 0 there, 1 here"):
        trained(options(seed=1), tmp_path)


class StopsAfter(Quiet):
    """Somebody who presses Ctrl-C while a step is being played."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.at = step

    def playing(self, step: int, done: int, episodes: int) -> None:
        """Ctrl-C once two episodes of the step are done."""
        if step == self.at and done == 2:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("engine", ["torch", "trl"])
def test_ctrl_c_in_a_step_abandons_it_and_keeps_its_episodes(tmp_path: Path, engine: str) -> None:
    settings = options(steps=3, engine=engine)
    whole = trained(settings, tmp_path / "whole")
    found = trained(settings, tmp_path / "part", watcher=StopsAfter(2))
    assert found.interrupted
    assert found.model is None
    assert found.progress.step == 1
    kept = sum(t.scored for t in read(rollout_path(tmp_path / "part", 2)))
    assert kept >= 2
    again = trained(settings, tmp_path / "part")
    assert not again.interrupted
    assert len([t for t in read(rollout_path(tmp_path / "part", 2)) if t.scored]) == 6
    assert timeless(again.metrics)[0] == timeless(read_metrics(tmp_path / "whole" / "metrics.jsonl"))[0]
    assert [r["step"] for r in again.metrics] == [1, 2, 3]
    assert again.progress.tokens == whole.progress.tokens
    assert_equal(weights(tmp_path / "part" / "final"), weights(tmp_path / "whole" / "final"), 1e-6)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"beta": 0.1, "entropy": 0.01, "normalise": "population", "memory": 1},
        {"updates": 2, "token_norm": "batch", "seats": "seat_1"},
        {"lora_rank": 2, "lr": 1e-2},
    ],
    ids=["plain", "kl, entropy, window", "two passes, one seat", "lora"],
)
def test_both_engines_make_the_same_updates(tmp_path: Path, changed: dict[str, Any]) -> None:
    plain = trained(options(steps=2, **changed), tmp_path / "torch")
    trl = trained(options(steps=2, engine="trl", **changed), tmp_path / "trl")
    assert_equal(weights(tmp_path / "torch" / "final"), weights(tmp_path / "trl" / "final"), 1e-6)
    assert plain.metrics[0]["updated"]
    for one, other in zip(plain.metrics, trl.metrics, strict=True):
        for name in ("reward", "tokens", "loss", "kl", "entropy", "grad_norm", "lr", "sampled_tokens"):
            assert one[name] == pytest.approx(other[name], rel=1e-3, abs=1e-6), name


def test_tensorboard_has_the_figures(tmp_path: Path) -> None:
    trained(options(engine="trl"), tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    tags = board.Tags()["scalars"]
    assert {"nego/reward", "nego/agreement", "trl/grad_norm"} <= set(tags)


def test_rates_rise_and_fall(tmp_path: Path) -> None:
    found = trained(options(steps=4, warmup=2, lr=1.0, beta=0.0, max_grad_norm=1e-9), tmp_path)
    assert [r["lr"] for r in found.metrics] == pytest.approx([0.5 * 1, 1 * 0.75, 0.5, 0.25])


def test_a_clock_ends_a_run_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    found = trained(options(steps=None, minutes=1.5 / 60), tmp_path)
    assert found.progress.step >= 1
    assert time.monotonic() - began < 5
    with pytest.raises(SettingsError, match="--minutes"):
        trained(options(steps=None, minutes=1e-9, seed=1), tmp_path / "none")


# ---------------------------------------------------------------- who plays
@pytest.mark.parametrize(
    ("opponent", "names"),
    [
        ("frozen:2", [{"policy@0"}, {"policy@0"}, {"policy@2"}]),
        ("pool:2:1", [{"policy@0"}, {"policy@0", "policy@1"}, {"policy@1", "policy@2"}]),
    ],
)
def test_copies_of_the_policy_as_opponents(tmp_path: Path, opponent: str, names: list[set[str]]) -> None:
    settings = options(steps=3, seats="alternate", opponent=opponent, groups=4, group_size=2)
    found = trained(settings, tmp_path)
    for step in range(3):
        seen = set()
        for t in read(rollout_path(tmp_path, step + 1)):
            learner = (step + t.index // 2) % 2
            assert t.agents[learner] == f"policy@{step}"
            seen.add(t.agents[1 - learner])
        assert seen <= names[step]
    assert found.metrics[0]["rows"] == 8  # one seat of each episode
    assert copy_path(tmp_path, 2).exists()
    assert not copy_path(tmp_path, 0).exists()  # nobody plays against it any more
    resumed = trained(replace(settings, steps=4), tmp_path)
    assert resumed.progress.step == 4


class Stubborn:
    """Says the same whatever happens."""

    spec = "stubborn"

    def act(self, view: View) -> Reply:
        """No."""
        return Reply("No.")


def test_any_agent_as_opponent(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def no(view):\n    return 'No.'\n")
    settings = options(seats="seat_0", opponent=f"{tmp_path}/mine.py:no")
    trained(settings, tmp_path / "run")
    path = rollout_path(tmp_path / "run", 1)
    for t in read(path):
        assert t.utterances[1].text == "No."
        assert t.agents[0] == "policy@0"
    assert {x.seat for e in read_tokens(path).values() for x in e.turns} == {"seat_0"}


def test_groups_without_variance_are_drawn_anew_within_the_budget(tmp_path: Path) -> None:
    """On this bargain a random model never agrees: every group is all zeros, and the budget is spent on it."""

    class Bargain(OneDilemma):
        def group(self, step: int, group: int) -> Any:
            return bargain()

    settings = options(judge=None, completion=None, dynamic_sampling=3)
    found = train(settings, tmp_path, policy=policy(settings), source=Bargain())
    assert found.metrics[0]["zero_variance"] == 1.0
    assert found.metrics[0]["drawn_anew"] == 3
    assert len(list(read(rollout_path(tmp_path, 1)))) == 15
    spread = trained(options(dynamic_sampling=3), tmp_path / "spread")
    assert spread.metrics[0]["drawn_anew"] == 0


def test_the_plan_is_trained_where_it_is_asked_for(tmp_path: Path) -> None:
    dialogue = trained(options(), tmp_path / "dialogue").metrics[0]
    everything = trained(options(train_tokens="all"), tmp_path / "all").metrics[0]
    assert everything["tokens"] > dialogue["tokens"]
    assert everything["reward"] == dialogue["reward"]


def test_only_the_rollouts_that_are_wanted_stay(tmp_path: Path) -> None:
    trained(options(steps=4, keep_rollouts=1, save_every=1), tmp_path)
    assert [p.name for p in sorted((tmp_path / "rollouts").glob("step-??????.jsonl"))] == ["step-000004.jsonl"]
    assert len(list((tmp_path / "rollouts").iterdir())) == 3


def test_a_step_without_one_score_stops_the_run(tmp_path: Path) -> None:
    class Broken:
        name = "broken"

        def judge(self, case: Any) -> Any:
            raise RuntimeError("no answer")

    settings = options(judge="broken", redraws=0)
    with pytest.raises(TranscriptError, match="not one of the 6 episodes of step 1 could be scored: broken"):
        train(settings, tmp_path, policy=policy(settings), source=OneDilemma(), judge=Broken())


def test_unscored_episodes_enter_nothing(tmp_path: Path) -> None:
    class Moody:
        """Fails on plans of odd length."""

        name = "moody"

        def judge(self, case: Any) -> Any:
            if case.kind == "score" and len(case.completion) % 2:
                raise RuntimeError("not today")
            return JUDGE.judge(case)

    settings = options(judge="moody", redraws=0, groups=3, group_size=4)
    found = train(settings, tmp_path, policy=policy(settings), source=OneDilemma(), judge=Moody())
    record = found.metrics[0]
    episodes = list(read(rollout_path(tmp_path, 1)))
    scored = [t for t in episodes if t.scored]
    assert 0 < len(scored) < 12
    assert record["unscored"] == 12 - len(scored)
    assert record["rows"] == 2 * len(scored)
    assert record["reward"] == pytest.approx(sum(t.rewards[0] for t in scored if t.rewards) / len(scored), rel=1e-5)


# ---------------------------------------------------------------- what is refused
def test_4_bit_weights_need_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="CUDA GPU"):
        load_policy(options(qlora=True, lora_rank=4))


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NegoError, match="nowhere"):
        train(options(model="./nowhere/at/all"), tmp_path, source=OneDilemma(), judge=JUDGE)


def test_without_the_extra_its_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers.utils", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nego-env\[train\]'"):
        trained(options(), tmp_path)


def test_modules_that_nothing_fits(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--lora-targets"):
        policy(options(lora_rank=2, lora_targets=("no_such_module",)))


# ---------------------------------------------------------------- the command
def test_the_paper_is_tried_dry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = cli._parsed(
        GRPO, "nego train grpo", ["--preset", "paper", "--dry-run", "--json", "--out", str(tmp_path / "p")]
    )
    assert command.run() == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["step"] == 3
    assert told["episodes"] == 48
    for words in ("Where the paper is silent", "GPU memory, estimated", "--judge", "A dry run"):
        assert words in err
    first = next(iter(read(rollout_path(tmp_path / "p", 1))))
    assert (first.settings.memory, first.settings.max_rounds, first.settings.completion) == (2, 7, "write")
    assert {v.label for t in read(rollout_path(tmp_path / "p", 1)) for v in t.verdicts} == {
        "scripted (dry run, not CA)"
    }
    assert (tmp_path / "p" / "curves.png").exists()


def test_a_mistake_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom nego_env.cli import _parsed\nfrom nego_env.errors import NegoError\n"
        "from nego_trainers.train_command import GRPO\n"
        "try:\n    _parsed(GRPO, 'nego train grpo', sys.argv[1:]).run()\nexcept NegoError as e:\n    print(e)\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--group-size", "1"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines() == ["--group-size is 1, it must be at least 2", "False"]


def test_the_command_is_a_group() -> None:
    assert Train.commands["grpo"] is GRPO
