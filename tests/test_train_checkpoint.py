"""Checkpoints and a run's folder: whole or not at all, and never somebody else's."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nego_env.errors import SettingsError, TranscriptError
from nego_trainers.checkpoint import (
    Progress,
    checkpoint_path,
    checkpoints,
    load_optimizer,
    load_progress,
    prune,
    save,
    whole_folder,
)
from nego_trainers.interrupts import interrupts_held
from nego_trainers.run_folder import RunFolder, read_run
from nego_trainers.settings import GRPOSettings

pytestmark = pytest.mark.usefixtures("one_thread")


def model_and_optimizer(steps: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(3)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, betas=(0.9, 0.99), fused=True)
    for _ in range(steps):
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
    return model, optimizer


def save_weights(model: torch.nn.Module, folder: Path) -> None:
    from safetensors.torch import save_file

    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")


def test_an_optimizer_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model, optimizer = model_and_optimizer(3)
    progress = Progress(step=3, seconds=1.5, episodes=9, tokens=80, best_step=2, best=0.5)
    folder = save(tmp_path, progress, lambda p: save_weights(model, p), optimizer)
    assert load_progress(folder) == progress
    again, second = model_and_optimizer(0)
    again.load_state_dict(model.state_dict())
    load_optimizer(folder, second)
    for m, o in ((model, optimizer), (again, second)):
        o.zero_grad()
        m(torch.ones(1, 4)).sum().backward()
        o.step()
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_nothing_in_a_checkpoint_is_pickled(tmp_path: Path) -> None:
    model, optimizer = model_and_optimizer(1)
    folder = save(tmp_path, Progress(step=1), lambda p: save_weights(model, p), optimizer)
    assert {p.suffix for p in folder.rglob("*") if p.is_file()} == {".safetensors", ".json"}


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def cut_short() -> None:
        with whole_folder(target) as folder:
            (folder / "half").write_text("a part")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    assert not list(tmp_path.iterdir())
    with whole_folder(target) as folder:
        (folder / "one").write_text("1")
    with whole_folder(target, replace=True) as folder:
        (folder / "two").write_text("2")
    assert [p.name for p in target.iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_disk_that_takes_nothing_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TranscriptError, match="cannot be written"), whole_folder(tmp_path / "file" / "model"):
        pass


def test_old_checkpoints_go_and_the_best_stays(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        save(tmp_path, Progress(step=step), lambda p: p.mkdir(), None)
    left = checkpoint_path(tmp_path, 9).with_name(".step-000009.partial")  # of a process that was killed
    left.mkdir()
    prune(tmp_path, 2, besides={4})
    assert checkpoints(tmp_path) == [4, 6, 8]
    assert not left.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "nego-checkpoint/9"}'])
def test_a_checkpoint_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(TranscriptError, match=r"state\.json"):
        load_progress(tmp_path)
    with pytest.raises(TranscriptError, match="no checkpoint"):
        load_progress(tmp_path / "nowhere")


# ---------------------------------------------------------------- the folder
def test_a_folder_goes_on_with_the_same_run_only(tmp_path: Path) -> None:
    settings = GRPOSettings(seed=3)
    with RunFolder(tmp_path, settings) as first:
        assert not first.resumed
    with RunFolder(tmp_path, replace(settings, steps=7)) as second:
        assert second.resumed
    with pytest.raises(SettingsError, match=r"lr default there, 0\.001 here, seed 3 there, 4 here"):
        RunFolder(tmp_path, replace(settings, seed=4, lr=1e-3))
    assert read_run(tmp_path)["options"]["steps"] == 7


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    with RunFolder(tmp_path, GRPOSettings()), pytest.raises(TranscriptError, match="another process"):
        RunFolder(tmp_path, GRPOSettings())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SettingsError, match="holds no training run"):
        RunFolder(tmp_path, GRPOSettings())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(SettingsError, match="holds no training run"):
        RunFolder(tmp_path / "thesis.tex", GRPOSettings())


def test_a_run_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"format": "nego-train/9", "identity": {}}))
    with pytest.raises(SettingsError, match="another version"):
        RunFolder(tmp_path, GRPOSettings())


def test_ctrl_c_waits_for_the_end_of_an_update() -> None:
    done = []

    def update(*, fails: bool) -> None:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest of the update")
            if fails:
                raise ZeroDivisionError

    with pytest.raises(KeyboardInterrupt):
        update(fails=False)
    with pytest.raises(ZeroDivisionError):  # an error in the block goes first
        update(fails=True)
    assert len(done) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
