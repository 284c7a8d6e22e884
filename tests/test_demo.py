"""`nego demo` with scripted negotiators alone: what there is without PyTorch, or with --scripted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nego_env.accounting import CA_MAX
from nego_env.cli import main
from nego_env.packs import open_pack
from nego_env.rollout import play
from nego_env.statistics import mean_interval
from nego_env.store import read_final
from nego_trainers.demo_scripted import CONTENDERS, DILEMMA, PAIR, QUICK

Said = pytest.CaptureFixture[str]
FILES = {"dilemma.jsonl", *(f"{name}-{QUICK}.jsonl" for name in CONTENDERS)}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test plays in an empty folder, before a narrow screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def demo(said: Said, *args: str) -> str:
    assert main(["demo", "--scripted", "--quick", *args]) == 0
    out, err = said.readouterr()
    assert err == ""
    return out


def _saved(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if not p.name.endswith(".meta.jsonl")}


def test_it_shows_a_dilemma_a_dialogue_a_deal_a_table_and_what_to_do_next(capsys: Said) -> None:
    out = demo(capsys)
    flat = " ".join(out.replace("▌", " ").split())
    s = open_pack("heldout").get(DILEMMA)
    (t,) = read_final("runs/demo/dilemma.jsonl")
    assert s.task in flat
    for seat in s.seats:
        assert seat.persona in flat
    for u in t.utterances:
        assert u.text in flat
    assert "Agreement after" in flat
    assert f"CA {t.outcome.ca:.2f} of 5" in flat
    assert f"regret {t.outcome.regret:.2f}" in flat
    for name in (*CONTENDERS, "exact optimum"):
        assert re.search(rf"^\s*{name} +.*\d", out, re.MULTILINE), name
    assert f"replay {Path('runs/demo/dilemma.jsonl')}" in out


def test_the_dilemma_is_worth_watching() -> None:
    """The pair agrees after a real exchange, on a deal that leaves nobody below, and the best one was on the table."""
    t = play(open_pack("heldout").get(DILEMMA), list(PAIR), seed=0)
    assert t.outcome.agreed
    assert len(t.utterances) >= 6
    assert {"propose", "reveal", "accept"} <= {u.act.kind for u in t.utterances if u.act is not None}
    assert t.outcome.gains is not None
    assert min(t.outcome.gains) > 0


def test_lines_fit_a_narrow_screen_but_for_commands(capsys: Said) -> None:
    out = demo(capsys)
    assert all(len(line) <= 80 for line in out.splitlines() if "nego " not in line)
    assert "\x1b" not in out


def test_the_table_says_what_is_in_the_files(capsys: Said) -> None:
    rows = {r["entry"]: r for r in json.loads(demo(capsys, "--json"))["rows"]}
    assert tuple(rows) == CONTENDERS
    for name, r in rows.items():
        played = read_final(r["file"])
        assert r["episodes"] == r["scored"] == len(played) == QUICK
        assert {t.agents for t in played} == {(name,) * t.scenario.n for t in played}
        ca = [t.outcome.ca for t in played if t.outcome.ca is not None]
        assert (r["ca"]["mean"], r["ca"]["low"], r["ca"]["high"]) == mean_interval(ca)[:3]
        assert r["ca"]["mean"] + r["regret"]["mean"] == pytest.approx(CA_MAX)
        assert r["agreement"]["mean"] == sum(t.outcome.agreed for t in played) / QUICK
    assert rows["random"]["ca"]["mean"] < rows["revealer"]["ca"]["mean"], "strategy beats chance, or the table is wrong"


def test_the_suite_has_every_theme() -> None:
    from nego_trainers.demo_scripted import _suite

    themes = {s.meta["theme"] for s in open_pack("heldout")}
    assert {s.meta["theme"] for s in _suite(QUICK)} == themes


def test_the_same_demo_again_plays_nothing_and_says_the_same(capsys: Said) -> None:
    first = demo(capsys)
    folder = Path("runs/demo")
    assert _saved(folder) == FILES
    before = {name: (folder / name).read_bytes() for name in FILES}
    assert demo(capsys) == first
    assert {name: (folder / name).read_bytes() for name in FILES} == before


def test_an_unfinished_demo_is_taken_up_again(capsys: Said) -> None:
    first = demo(capsys)
    path = Path(f"runs/demo/revealer-{QUICK}.jsonl")
    whole = sorted(path.read_bytes().splitlines())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    Path(f"runs/demo/micro-{QUICK}.jsonl").unlink()
    assert demo(capsys) == first
    assert sorted(path.read_bytes().splitlines()) == whole


def test_another_run_gets_another_folder_and_touches_nothing(capsys: Said) -> None:
    demo(capsys)
    before = {p: p.read_bytes() for p in Path("runs/demo").iterdir()}
    assert "runs/demo-2/dilemma.jsonl" in demo(capsys, "--seed", "1")
    assert {p: p.read_bytes() for p in Path("runs/demo").iterdir()} == before
    assert _saved(Path("runs/demo-2")) == FILES
    Path("runs/demo-3").mkdir()
    Path("runs/demo-3/dilemma.jsonl").write_text("not a transcript\n")
    assert "runs/demo-4/dilemma.jsonl" in demo(capsys, "--seed", "2")
    assert Path("runs/demo-3/dilemma.jsonl").read_text() == "not a transcript\n"


def test_a_chosen_folder(capsys: Said) -> None:
    assert "elsewhere/dilemma.jsonl" in demo(capsys, "--out", "elsewhere")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--pause", "-1"], "--pause is -1, it must be a number of seconds, at least 0"),
        (["--pause", "nan"], "--pause is nan"),
        (["--seed", "-1"], "seed is -1"),
        (["--out", "a_file"], "cannot be written"),
    ],
)
def test_mistakes_are_one_line(flags: list[str], told: str, capsys: Said) -> None:
    Path("a_file").write_text("")
    assert main(["demo", "--scripted", "--quick", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert told in err


def test_without_pytorch_it_shows_what_it_can_and_names_the_command(
    capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nego_trainers.demo.find_spec", lambda name: None if name == "torch" else object())
    assert main(["demo", "--quick"]) == 0
    out = capsys.readouterr().out
    told = "Without torch no language model can be trained: scripted negotiators alone."
    assert out.count(told) == 2
    assert "pip install 'nego-env[train]'" in out
    assert "exact optimum" in out
    assert main(["demo", "--quick", "--json"]) == 0
    assert told in json.loads(capsys.readouterr().out)["note"]


def test_the_scripted_demo_needs_no_pytorch() -> None:
    code = (
        "import sys; from nego_env.cli import main; main(['demo', '--scripted', '--quick', '--json'])\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'transformers', 'trl'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
