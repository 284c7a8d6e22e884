"""A run that stops before there is anything to write leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from nego_env.commands.leftovers import nothing_empty, nothing_empty_in
from nego_env.store import TranscriptWriter, meta_path
from tests.support import bargain, play


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "deep" / "run.jsonl"
    with pytest.raises(ZeroDivisionError), nothing_empty(out), TranscriptWriter(out, tokens=True):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_stays(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "run.jsonl"
    with nothing_empty(out), TranscriptWriter(out) as writer:
        writer.write(play(bargain(), max_rounds=1))
    assert out.stat().st_size > 0
    assert meta_path(out).exists()


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    out.touch()
    with nothing_empty(out), TranscriptWriter(out):
        pass
    assert out.exists()
    (tmp_path / "mine.jsonl").touch()
    with nothing_empty_in(tmp_path), TranscriptWriter(tmp_path / "theirs.jsonl"):
        pass
    assert sorted(f.name for f in tmp_path.iterdir()) == ["mine.jsonl", "run.jsonl", "run.jsonl.meta.jsonl"]


def test_a_folder_keeps_the_runs_that_wrote_something(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    with nothing_empty_in(folder):
        with TranscriptWriter(folder / "a.jsonl") as writer:
            writer.write(play(bargain(), max_rounds=1))
        TranscriptWriter(folder / "b.jsonl").close()
    assert sorted(f.name for f in folder.iterdir()) == ["a.jsonl", "a.jsonl.meta.jsonl"]
    other = tmp_path / "other"
    with pytest.raises(ZeroDivisionError), nothing_empty_in(other), TranscriptWriter(other / "b.jsonl"):
        _ = 1 / 0
    assert not other.exists()
