"""A training run and its process: the same seed on one thread gives the same transcripts and the same weights in another
process, whatever its hash seed; and killed at any moment, a run goes on to the same end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nego_env.store import read
from nego_trainers.metrics import Record, read_metrics
from nego_trainers.selfplay import rollout_path

CLOCKS = ("seconds", "elapsed", "tokens_per_second", "rollout_share", "drift")
"""What a clock measured, and rounding: an episode that is played again beside others differs in a log-prob's last bit."""

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from pathlib import Path
from train_support import JUDGE, OneDilemma, options, policy
from nego_trainers.grpo import train
s = options(steps=4, save_every=2, eval_every=2, eval_scenarios=2, suite="open")
train(s, Path(sys.argv[2]), policy=policy(s), source=OneDilemma(), judge=JUDGE)
"""


def start(out: Path, hash_seed: int) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(Path(__file__).parent), str(out)],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_kill_9_and_another_hash_seed_change_nothing(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    unbroken, process = start(whole, 1), start(broken, 2)
    third = rollout_path(broken, 3)
    wait_for(lambda: third.exists() and third.read_bytes().count(b"\n") >= 1, process)
    process.kill()
    process.communicate()
    assert not (broken / "final").exists()
    again = start(broken, 3)
    for p in (unbroken, again):
        _, err = p.communicate(timeout=120)
        assert p.returncode == 0, err
    assert [r["step"] for r in read_metrics(broken / "metrics.jsonl")] == [1, 2, 3, 4]
    assert [r["step"] for r in read_metrics(broken / "validation.jsonl")] == [0, 2, 4]
    names = sorted(p.name for p in (whole / "rollouts").glob("step-??????.jsonl"))
    for name in names:
        one, other = (sorted(t.encode() for t in read(f / "rollouts" / name) if t.scored) for f in (whole, broken))
        assert one == other
    ours, theirs = (load_file(f / "final" / "model.safetensors") for f in (whole, broken))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert timeless(whole) == timeless(broken)


def timeless(out: Path) -> list[Record]:
    """The records without `CLOCKS`."""
    return [{k: v for k, v in r.items() if k not in CLOCKS} for r in read_metrics(out / "metrics.jsonl")]
