"""The search for keys finds them: it runs over everything a test run leaves (`conftest`), where there should be none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from key_search import Search

OTHER = "nk-not-the-one-of-the-run"


def test_files_are_searched_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "run.bin").write_bytes(b"\x00\xff" * 5000 + OTHER.encode() + b"\xff")
    (tmp_path / f"{OTHER}.txt").touch()
    (tmp_path / "clean.jsonl").write_text(OTHER[:-1])
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    search = Search(OTHER)
    search.files(tmp_path)
    assert sorted(search.found) == [
        str(tmp_path / "deep" / "er" / "run.bin"), f"the name of {tmp_path / (OTHER + '.txt')}",
    ]  # fmt: skip


def test_output_is_searched(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    search = Search(OTHER)
    search.listen(monkeypatch)
    sys.stdout.write("nothing here\n")
    assert capsys.readouterr().out == "nothing here\n"
    subprocess.run([sys.executable, "-c", "print('nor here')"], capture_output=True, check=True)
    assert search.found == []
    sys.stdout.write(f"sent {OTHER}\n")
    assert OTHER in capsys.readouterr().out
    subprocess.run([sys.executable, "-c", f"import sys; sys.stderr.write({OTHER!r})"], capture_output=True, check=True)
    assert [where.split(" (")[0] for where in search.found] == ["readouterr", "a process"]
