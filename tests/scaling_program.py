"""What each of the processes of tests/test_scaling.py runs: `torchrun scaling_program.py OUT FSDP`.

1. The adapter on one group per process, gradient recorded.
2. Self-play with a whole model in each process: two runs.
3. Self-play on sharded weights, with the environment FSDP (JSON) that `accelerate launch` sets. accelerate shards on
   accelerators only: here it is told that the CPU is one.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

RUNS: dict[str, dict[str, Any]] = {
    "plain": {"groups": 4, "steps": 2, "beta": 0.0, "schedule": "constant", "lr": 1e-3, "max_rounds": 3},
    "all": {
        "groups": 2, "steps": 1, "beta": 0.05, "entropy": 0.01, "updates": 2, "clip_high": 0.3, "token_norm": "batch",
        "memory": 1, "max_rounds": 3, "schedule": "constant", "lr": 1e-3, "temperature": 0.8,
    },
    "sharded": {
        "groups": 4, "steps": 2, "beta": 0.05, "schedule": "constant", "lr": 1e-3, "max_rounds": 3, "save_every": 1,
    },
}  # fmt: skip


def settings(name: str, out: Path) -> Any:
    from train_support import options

    return options(**{"suite": "open", "device": "cpu", "threads": 1, "model": str(out / "start"), **RUNS[name]})


def main(out: Path, fsdp: dict[str, str]) -> None:
    from train_support import JUDGE, OneDilemma

    from nego_trainers import distributed

    def run(name: str) -> None:
        distributed.train_distributed(settings(name, out), out / name, source=OneDilemma(), judge=JUDGE)

    adapter(out)
    run("plain")
    run("all")
    os.environ.update(fsdp)
    pretend_accelerator()
    distributed.whole_weights = uneven(distributed.whole_weights)  # type: ignore[assignment]
    run("sharded")
    distributed.leave()


def adapter(out: Path) -> None:
    """One group of the uneven batch in each process; the first one keeps loss and gradient as TRL leaves them."""
    import torch
    from accelerate import PartialState
    from safetensors.torch import save_file

    from nego_trainers.objective import Objective
    from tests.gradient_support import batch, by_trl, weighed
    from tests.tiny_models import tiny_model

    rank = PartialState(cpu=True).process_index
    model = tiny_model("qwen2", hidden=32, heads=4)
    objective = Objective(clip_low=0.2, clip_high=0.3, entropy=0.01)
    for norm in ("group", "batch"):
        own = weighed(batch()[rank : rank + 1], norm)  # type: ignore[arg-type]
        found = by_trl(model, own, objective, norm, out / "trl", pads=40 - len(own))  # type: ignore[arg-type]
        loss = torch.tensor([found.loss])
        torch.distributed.all_reduce(loss)
        if rank == 0:
            save_file({"gradient": found.gradient, "loss": loss}, out / f"adapter-{norm}.safetensors")


def uneven(whole_weights: Any) -> Any:
    """While weights are whole the first process makes a forward that no other one makes."""
    from contextlib import contextmanager

    import torch
    from accelerate import PartialState
    from torch.distributed.fsdp import FSDPModule

    @contextmanager
    def wrapped(model: Any) -> Any:
        assert isinstance(model, FSDPModule)
        with whole_weights(model):
            if PartialState().is_main_process:
                with torch.no_grad():
                    model(input_ids=torch.zeros((1, 4), dtype=torch.long))
            yield

    return wrapped


def pretend_accelerator() -> None:
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    plain = PartialState.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        if PartialState._shared_state.get("distributed_type") == DistributedType.MULTI_CPU:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU

    PartialState.__init__ = init


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
