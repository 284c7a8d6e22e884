"""The TRL engine: the run's rows through TRL's `GRPOTrainer`, with the same records, checkpoints and clock as the plain one.

TRL owns the loop, so the run's steps happen in its callbacks: episodes are played when it asks for rows, and a step is
counted when it logs one. Checkpoints are ours (safetensors and JSON): a resumed run is a new `GRPOTrainer` over the model
and optimizer of the last checkpoint, for the steps that are left.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from nego_env.errors import MissingExtraError
from nego_trainers.interrupts import Interrupts
from nego_trainers.metrics import Record
from nego_trainers.policy import renames_unsaid

try:
    from transformers import PrinterCallback, TrainerCallback
except ModuleNotFoundError as e:  # pragma: no cover
    raise MissingExtraError(f"training needs {e.name}: pip install 'nego-env[train]'") from None

from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

    from nego_trainers.batch import WeightedRow
    from nego_trainers.settings import GRPOSettings
    from nego_trainers.sources import Source
    from nego_trainers.training import Training

log = logging.getLogger("nego_trainers")

NO_END = 1_000_000
"""Steps of a run that only the clock ends."""
MICRO_ROWS = 64
"""Rows that TRL differentiates at once on a CPU; 8 on a GPU, where models are larger."""


def run(training: Training) -> None:
    """Trains until the run is over."""
    if training.more():
        with renames_unsaid():
            _run(training)


def _run(training: Training) -> None:
    import torch
    from torch.optim.lr_scheduler import LambdaLR

    s = training.settings
    cuda = training.policy.model.device.type == "cuda"
    start = training.progress.step
    rows, micro = rows_of_step(s, training.selfplay.source, 8 if cuda else MICRO_ROWS)
    objective = training.objective()
    left = NO_END if s.total_steps is None else s.total_steps - start
    config = selfplay_config(
        training.out / "trl",
        rows=rows,
        micro_rows=micro,
        objective=objective,
        learning_rate=training.peak,
        max_steps=left * s.updates,
        max_grad_norm=s.max_grad_norm,
        num_iterations=s.updates,
        use_cpu=not cuda,
        bf16=cuda,
        seed=s.seed,
        disable_tqdm=True,
    )
    for group in training.optimizer.param_groups:  # where a checkpoint was: the schedule starts from the peak again
        group["lr"] = group["initial_lr"] = training.peak
    schedule = LambdaLR(training.optimizer, lambda k: training.rate(start + k // s.updates) / training.peak)
    if s.beta > 0 and not s.lora_rank:
        training.policy.model.config._name_or_path = reference_folder(training)
    book = Book(training)
    threads = torch.get_num_threads()
    trainer = SelfPlayGRPOTrainer(
        training.policy.model,
        book.play,
        config,
        tokenizer=training.policy.local.tokenizer,
        objective=objective,
        token_norm=s.token_norm,
        micro_tokens=s.micro_tokens,
        callbacks=[book],
        optimizers=(training.optimizer, schedule),
    )
    book.trainer = trainer
    trainer.remove_callback(PrinterCallback)
    torch.set_num_threads(threads)
    try:
        trainer.train()
    finally:
        book.close()


class Book(TrainerCallback):
    """Plays when TRL asks for rows; counts, records and saves when TRL has made a step."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.trainer: SelfPlayGRPOTrainer | None = None
        self._held = Interrupts()
        self._made = 0
        self._rate = 0.0
        self._board = _board(training.out / "tensorboard")

    def play(self, step: int, model: PreTrainedModel) -> list[WeightedRow]:
        """The rows of the next step; from here until it is counted, Ctrl-C waits."""
        rows = self.training.rows()
        self._rate = self.training.optimizer.param_groups[0]["lr"]
        self._held.hold()
        return rows

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> Any:
        """An update is made."""
        if logs is None or "loss" not in logs or self.trainer is None or self.trainer.report is None:
            return control
        self._made += 1
        if self._made % self.training.settings.updates:
            return control
        self.training.done(self.trainer.report, self._rate)
        self._write(logs)
        self._held.let_go()
        self.training.after()
        control.should_training_stop = not self.training.more()
        return control

    def _write(self, logs: dict[str, float]) -> None:
        if self._board is None:
            return
        record: Record = self.training.metrics.records[-1]
        step = record["step"]
        for prefix, figures in (("nego", record), ("trl", logs)):
            for name, value in figures.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._board.add_scalar(f"{prefix}/{name}", value, step)

    def close(self) -> None:
        """Lets go of Ctrl-C and of the board."""
        if self._board is not None:
            self._board.close()
        self._held.let_go()


def rows_of_step(s: GRPOSettings, source: Source, most: int) -> tuple[int, int]:
    """(rows, rows differentiated at once): a bound on the rows a step may have, rounded up to whole parts of at most
    `most`. With a memory window a seat has a row for each of its utterances; the plan is one more where it is trained."""
    seats, rounds = source.bounds()
    speaking = seats if s.seats == "both" else 1
    each = speaking * ((s.max_rounds or rounds) if s.memory is not None else 1) + (s.train_tokens == "all")
    rows = max(2, s.groups * s.group_size * each)
    parts = -(-rows // most)
    micro = -(-rows // parts)
    return micro * parts, micro


def reference_folder(training: Training) -> str:
    """The model at the start of the run, where TRL can load it as its reference."""
    kept = training.out / "start"
    if not kept.exists():
        from nego_agents.local.model import LocalModel
        from nego_trainers.checkpoint import whole_folder

        assert training.reference is not None  # made where beta is above 0 and whole weights are trained
        local = training.policy.local
        with whole_folder(kept) as folder:
            LocalModel(training.reference, local.tokenizer, name=local.name, style=local.style).save(folder)
    return str(kept)


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("no TensorBoard here: its files are not written (pip install 'nego-env[train]')")
        return None
    return SummaryWriter(str(folder))
