"""Two processes over gloo, a group each, move the weights where one process with both groups moves them, also where one or
both have nothing to learn from."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from nego_trainers.batch import TokenNorm  # noqa: E402
from nego_trainers.step import StepOptions, grpo_step  # noqa: E402
from tests.gloo_worker import IDLE, idle, optimizer  # noqa: E402
from tests.gradient_support import batch, weighed  # noqa: E402
from tests.tiny_models import tiny_model  # noqa: E402

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="needs gloo"
)
def test_two_processes_step_like_one(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "ACCELERATE_USE_CPU": "true",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    workers = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "gloo_worker.py"), str(tmp_path)],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(2)
    ]
    try:
        printed = [w.communicate(timeout=240)[0].decode(errors="replace")[-3000:] for w in workers]
    finally:
        for w in workers:
            w.kill()
    assert [w.returncode for w in workers] == [0, 0], "\n".join(printed)

    for token_norm in get_args(TokenNorm):
        model = tiny_model()
        mover, rows = optimizer(model), weighed(batch(), token_norm)
        for without in IDLE:
            given = [x for r in rows for x in (idle([r]) if int(r.row.group) in without else [r])]
            report = grpo_step(model, given, mover, StepOptions(max_grad_norm=None))
            assert report.updated == (len(without) < 2)
        start = dict(tiny_model().named_parameters())
        for rank in range(2):
            found = load_file(tmp_path / f"{token_norm}-{rank}.safetensors")
            with torch.no_grad():
                moved = torch.cat([(p - start[name]).flatten() for name, p in model.named_parameters()])
                apart = torch.cat([(p - found[name]).flatten() for name, p in model.named_parameters()])
            assert float(moved.norm()) > 0.01
            assert float(apart.norm() / moved.norm()) < 1e-4
