"""`nego scenarios import`: what it prints, what it writes, and what becomes of a mistake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from importer_support import SAMPLES

from nego_env.cli import main
from nego_env.packs import Pack, open_path
from nego_env.registry import entry_points
from nego_env.store import TranscriptFile
from nego_scenarios.importers.casino import CaSiNo

Said = pytest.CaptureFixture[str]

KINDS = {
    "casino": "nego_scenarios.importers.casino:CaSiNo",
    "genius": "nego_scenarios.importers.genius:Genius",
    "moralchoice": "nego_scenarios.importers.moralchoice:MoralChoice",
    "open-spiel": "nego_scenarios.importers.open_spiel:OpenSpielBargaining",
}
GAME = Path(__file__).parent / "data" / "scorable" / "night-market"


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test runs in an empty folder, with the importers installed whatever this checkout was installed with, and one
    that somebody else wrote, which has no `read`."""
    about = tmp_path / "site" / "importers-1.0.dist-info"
    about.mkdir(parents=True)
    lines = [f"{name} = {target}" for name, target in KINDS.items()]
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: importers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("\n".join(["[nego_env.importers]", *lines, ""]))
    monkeypatch.syspath_prepend(str(about.parent))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    entry_points.cache_clear()
    yield tmp_path
    entry_points.cache_clear()


def run(said: Said, *args: str, code: int = 0) -> tuple[str, str]:
    """What `nego scenarios import ...` prints: stdout and stderr."""
    assert main(["scenarios", "import", *args]) == code
    out, err = said.readouterr()
    return out, err


@pytest.mark.parametrize(
    ("kind", "path", "scenarios", "transcripts", "notes"),
    [
        ("casino", SAMPLES / "casino.json", 3, 3, 1),
        ("moralchoice", SAMPLES / "moralchoice.csv", 3, 0, 2),
        ("open-spiel", SAMPLES / "bargaining.txt", 3, 0, 0),
        ("genius", SAMPLES / "genius", 1, 0, 0),
        ("llm-deliberation", GAME, 1, 0, 0),
    ],
)
def test_every_kind_is_read_and_written(
    capsys: Said, kind: str, path: Path, scenarios: int, transcripts: int, notes: int
) -> None:
    out, err = run(capsys, kind, str(path), "--out", "pack", "--json")
    facts = json.loads(out)
    assert (facts["kind"], facts["scenarios"], facts["transcripts"]) == (kind, scenarios, transcripts)
    assert len(facts["notes"]) == notes == len(err.splitlines())
    pack = open_path("pack")
    assert isinstance(pack, Pack)
    assert (len(pack), pack.info.sha256) == (scenarios, facts["sha256"])
    pack.verify()
    assert list(pack) == sorted(open_path(path), key=lambda s: s.id)  # what the path itself stands for
    assert main(["scenarios", "validate", "pack"]) == 0
    assert Path("pack/transcripts.jsonl").exists() == bool(transcripts)
    assert str(path.parent) not in Path("pack/pack.json").read_text()


def test_dialogues_are_beside_the_pack(capsys: Said) -> None:
    out, _ = run(capsys, "casino", str(SAMPLES / "casino.json"), "--out", "camping")
    assert "3 recorded dialogues, each run through the rules again" in out
    assert "nego replay camping/transcripts.jsonl" in out
    kept = list(TranscriptFile("camping/transcripts.jsonl"))
    assert tuple(kept) == CaSiNo().read(SAMPLES / "casino.json").transcripts
    assert [t.scenario for t in kept] == [open_path("camping").get(t.scenario.id) for t in kept]
    assert main(["replay", "camping/transcripts.jsonl", "--plain"]) == 0
    assert main(["play", "--scenario", "camping", "--agents", "boulware", "conceder", "--out", "run.jsonl"]) == 0


def test_without_out_nothing_is_written(capsys: Said) -> None:
    out, err = run(capsys, "open-spiel", str(SAMPLES / "bargaining.txt"))
    assert out.splitlines() == [
        f"{SAMPLES}/bargaining.txt: 3 scenarios, at most 2 seats and 5 x 3 x 4 options",
        "first: open-spiel-0000, open-spiel-0001, open-spiel-0002",
        "nothing was written: --out DIR keeps them",
    ]
    assert err == ""
    assert list(Path().iterdir()) == []


def test_the_same_file_gives_the_same_pack(capsys: Said) -> None:
    run(capsys, "casino", str(SAMPLES / "casino.json"), "--out", "a")
    shutil.copy(SAMPLES / "casino.json", "elsewhere.json")
    run(capsys, "casino", "elsewhere.json", "--out", "b")
    for name in ("scenarios.jsonl", "index.jsonl", "transcripts.jsonl"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_mistakes(capsys: Said) -> None:
    file = str(SAMPLES / "casino.json")
    assert "unknown importer 'cassino'; did you mean 'casino'?" in run(capsys, "cassino", file, code=2)[1]
    assert run(capsys, "casino", "absent.json", code=2)[1] == "nego: error: no file or folder absent.json\n"
    assert "$: expected a list" in wrong(capsys, "casino", "{}")
    assert "column 'scenario_id' is missing" in wrong(capsys, "moralchoice", "a,b\n1,2\n")
    Path("full").mkdir()
    Path("full", "x").touch()
    assert "is not empty" in run(capsys, "casino", file, "--out", "full", code=2)[1]
    assert "is a file" in run(capsys, "casino", file, "--out", "full/x", code=2)[1]


def wrong(said: Said, kind: str, content: str) -> str:
    """The one line that a damaged file gets; nothing is written."""
    Path("damaged").write_text(content)
    out, err = run(said, kind, "damaged", "--out", "new", code=2)
    assert out == ""
    assert not Path("new").exists()
    assert len(err.splitlines()) == 1
    return err


def test_an_importer_needs_no_more_than_load(capsys: Said, registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (registered / "site" / "strange_importer.py").write_text(
        "from nego_env.conformance import sample_scenarios\n"
        "class Strange:\n    name = 'strange'\n    sniff = lambda self, path: False\n"
        "    load = lambda self, path: sample_scenarios('open')\n"
    )
    names = registered / "site" / "importers-1.0.dist-info" / "entry_points.txt"
    names.write_text(names.read_text() + "strange = strange_importer:Strange\n")
    entry_points.cache_clear()
    out, _ = run(capsys, "strange", str(GAME), "--json")
    assert json.loads(out)["scenarios"] > 0


def test_help_names_it(capsys: Said) -> None:
    assert main(["scenarios"]) == 0
    assert "import" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["scenarios", "import", "--help"])
    assert "nego scenarios import casino casino.json --out camping" in capsys.readouterr().out
