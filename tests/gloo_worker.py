"""One process of distributed steps: `python gloo_worker.py FOLDER`, under the variables that torchrun sets."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from nego_trainers.batch import TokenNorm, WeightedRow
from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config
from tests.gradient_support import batch, weighed
from tests.tiny_models import shared_tokenizer, tiny_model

IDLE: tuple[tuple[int, ...], ...] = ((), (), (1,), (0, 1), ())
"""By step, the groups whose rows have no advantage."""


def optimizer(model: Any) -> torch.optim.Optimizer:
    """One that would go on by itself where there is nothing to learn."""
    return torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.5, weight_decay=0.01)


def idle(rows: list[WeightedRow]) -> list[WeightedRow]:
    """The rows without an advantage."""
    return [replace(r, advantage=0.0) for r in rows]


def steps(folder: Path, token_norm: TokenNorm) -> None:
    """Steps on this process's group, the weights after which it writes."""
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    rows = weighed(batch()[rank::world], token_norm)
    model = tiny_model()
    trainer = SelfPlayGRPOTrainer(
        model,
        lambda step, policy: idle(rows) if rank in IDLE[step] else rows,
        selfplay_config(folder / f"run-{rank}", rows=32, micro_rows=8, max_steps=len(IDLE), max_grad_norm=0.0),
        tokenizer=shared_tokenizer(),
        token_norm=token_norm,
        optimizers=(optimizer(model), None),
    )
    trainer.train()
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    save_file(weights, folder / f"{token_norm}-{rank}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    steps(Path(sys.argv[1]), "group")
    steps(Path(sys.argv[1]), "batch")
    gc.collect()
    torch.distributed.destroy_process_group()
