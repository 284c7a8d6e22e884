"""Every Python block in the docs runs, and every `nego` line in a shell block does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from nego_env.cli import main

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"(<!-- not run: [^>]+-->\s*)?^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(page: Path, language: str) -> list[str]:
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [body for skipped, kind, body in found if kind == language and not skipped]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def at_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scratch folder in which the paths that docs mention exist."""
    monkeypatch.chdir(tmp_path)
    for folder in ("examples", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "python")], ids=_name)
def test_python_blocks_run(page: Path, at_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "docs"}
    for block in _blocks(page, "python"):
        exec(compile(block, _name(page), "exec"), names)


@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "sh")], ids=_name)
def test_nego_lines_run(
    page: Path, at_root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in _blocks(page, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["nego"]:
                assert main(words[1:]) == 0, f"{line}\n{capsys.readouterr().err}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{_name(page)} links to {target}"
