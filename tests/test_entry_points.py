"""Everything is found by name through entry points, a stranger's packages no differently from ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nego_env.cli import main
from nego_env.conformance import check_agent, check_judge
from nego_env.errors import MissingExtraError, NotFoundError
from nego_env.registry import GROUPS, entry_points, load_entry_point, load_named
from nego_env.rollout import play

OURS = {
    "nego_env.agents": {
        "boulware", "chat", "conceder", "hf", "human", "injector", "logroller", "mediator", "micro", "openai",
        "premature", "random",
        "revealer", "scripted", "stonewaller", "sycophant", "tit-for-tat",
    },
    "nego_env.judges": {"exact", "heuristic", "prompted"},
    "nego_env.backends": {"chat", "hf", "openai"},
    "nego_env.packs": {"duels", "duels-validation", "heldout", "open", "train"},
    "nego_env.importers": {"casino", "genius", "llm-deliberation", "moralchoice", "open-spiel"},
    "nego_env.commands": {"agents", "demo", "evaluate", "play", "pretrain", "rejudge", "replay", "scenarios", "train"},
}  # fmt: skip

STRANGER = '''
"""A package that somebody else wrote."""

from dataclasses import dataclass
from typing import ClassVar

from nego_env.conformance import sample_scenarios
from nego_env.packs import LooseScenarios
from nego_env.scenario import Scenario
from nego_env.verdict import Verdict


def echo(view):
    """Says again what was said last."""
    return view.utterances[-1].text.replace("[", "(").replace("]", ")") if view.utterances else "Is anybody there?"


class Strict:
    name = "strict"

    def judge(self, case):
        return Verdict(case.kind, self.name, 0.0, reason="never good enough")


def pack():
    return LooseScenarios("duets", sample_scenarios("open"))


class TextFiles:
    name = "text-files"

    def sniff(self, path):
        return path.suffix == ".dilemma"

    def load(self, path):
        from nego_env.scenario import Seat

        task, *personas = path.read_text().splitlines()
        return [Scenario(path.stem, task, tuple(Seat(f"speaker {i}", p) for i, p in enumerate(personas, 1)))]


@dataclass(frozen=True)
class Hello:
    """Greet somebody."""

    name: str
    """Who."""
    examples: ClassVar[str] = "nego hello world"

    def run(self) -> int:
        print(f"hello {self.name}")
        return 0
'''


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package installed beside ours: a module and the metadata that pip would have written."""
    site = tmp_path / "site"
    about = site / "stranger-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "nego_stranger.py").write_text(STRANGER)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[nego_env.agents]\necho = nego_stranger:echo\n"
        "gone = nego_stranger:gone\nneedy = nego_nowhere_to_be_found:Needy [llm]\n"
        "[nego_env.judges]\nstrict = nego_stranger:Strict\n"
        "[nego_env.packs]\nduets = nego_stranger:pack\n"
        "[nego_env.importers]\ntext-files = nego_stranger:TextFiles\n"
        "[nego_env.commands]\nhello = nego_stranger:Hello\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    entry_points.cache_clear()
    yield
    entry_points.cache_clear()
    sys.modules.pop("nego_stranger", None)


def test_what_ships_is_registered() -> None:
    assert set(GROUPS) == set(OURS)
    for group, names in OURS.items():
        assert set(entry_points(group)) >= names


@pytest.mark.parametrize(("group", "name"), [(g, n) for g, names in OURS.items() for n in sorted(names)])
def test_what_is_registered_is_there_and_says_what_it_is(group: str, name: str) -> None:
    found = load_entry_point(entry_points(group)[name])
    assert callable(found)
    assert (found.__doc__ or "").strip()


def test_looking_for_names_imports_nothing() -> None:
    before = set(sys.modules)
    entry_points.cache_clear()
    for group in GROUPS:
        entry_points(group)
    assert not {m for m in set(sys.modules) - before if m.startswith("nego_")}


@pytest.mark.usefixtures("stranger")
def test_a_strangers_agent_and_judge_play_by_name_and_are_checked() -> None:
    t = play("thesis-deadline", ["echo", "mediator"], judge="strict")
    assert t.agents == ("echo", "mediator")
    assert t.settings.judge == "strict"
    assert t.stop.value == "cap"
    check_agent("echo")
    check_judge("strict", kind="open")


@pytest.mark.usefixtures("stranger")
def test_a_strangers_pack_importer_and_command_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "list", "duets", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["pack"], r["seats"]) for r in rows] == [("duets", 2), ("duets", 3)]
    Path("choir.dilemma").write_text("Should they sing?\nSay yes.\nSay no.\n")
    assert main(["scenarios", "show", "choir.dilemma"]) == 0
    assert "Should they sing?" in capsys.readouterr().out
    assert main(["agents"]) == 0
    assert "echo" in capsys.readouterr().out
    assert main(["hello", "there"]) == 0
    assert capsys.readouterr().out == "hello there\n"
    assert main([]) == 0
    assert "hello      Greet somebody." in capsys.readouterr().out


@pytest.mark.usefixtures("stranger")
def test_a_name_that_leads_nowhere_says_so() -> None:
    with pytest.raises(NotFoundError, match=r"'gone': nego_stranger:gone: .*no attribute 'gone'"):
        load_named("nego_env.agents", "agent", "gone")
    with pytest.raises(MissingExtraError, match=r"'needy' needs nego_nowhere_to_be_found: pip install .*\[llm\]"):
        load_named("nego_env.agents", "agent", "needy")


def test_a_missing_extra_is_an_import_error_too() -> None:
    assert issubclass(MissingExtraError, ImportError)
