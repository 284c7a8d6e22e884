"""One process of a distributed step: `python gloo_worker.py FOLDER`, under the variables that torchrun sets."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from nego_trainers.batch import TokenNorm
from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config
from tests.gradient_support import batch, weighed
from tests.tiny_models import shared_tokenizer, tiny_model

LR = 0.5


def step(folder: Path, token_norm: TokenNorm) -> None:
    """Two steps on this process's groups; the first process writes the weights after them."""
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    rows = weighed(batch()[rank::world], token_norm)
    model = tiny_model()
    trainer = SelfPlayGRPOTrainer(
        model,
        lambda step, policy: rows,
        selfplay_config(folder / "run", rows=32, micro_rows=8, learning_rate=LR, max_steps=2, max_grad_norm=0.0),
        tokenizer=shared_tokenizer(),
        token_norm=token_norm,
        optimizers=(torch.optim.SGD(model.parameters(), lr=LR), None),
    )
    trainer.train()
    if rank == 0:
        save_file(
            {name: p.detach().clone() for name, p in model.named_parameters()}, folder / f"{token_norm}.safetensors"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    step(Path(sys.argv[1]), "group")
    step(Path(sys.argv[1]), "batch")
    gc.collect()
    torch.distributed.destroy_process_group()
