"""Every example runs without arguments, from any folder, and says something."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("[0-9]*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


def test_there_is_an_example_for_each_promise() -> None:
    assert [e.stem for e in EXAMPLES] == [
        "01_hello",
        "02_your_own_agent",
        "03_mixed_seats",
        "04_pettingzoo_loop",
        "05_imported_game",
        "06_own_scenario",
        "07_transcripts_to_table",
    ]


@pytest.mark.parametrize("stem", ["01_hello", "02_your_own_agent", "05_imported_game", "06_own_scenario"])
def test_what_a_newcomer_runs_first_settles_something(stem: str) -> None:
    example = next(e for e in EXAMPLES if e.stem == stem)
    said = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=120, check=True)
    assert "stop: agreement, CA " in said.stdout
