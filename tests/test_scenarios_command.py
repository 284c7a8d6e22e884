"""`nego scenarios`: list, show, generate, validate."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nego_env.cli import main
from nego_env.packs import Pack, open_pack, open_path, pack_names
from nego_env.registry import entry_points
from nego_env.rollout import play
from nego_env.scenario import encode_scenario

ROOT = Path(__file__).parent.parent
ALLOTMENT = str(ROOT / "examples" / "allotment.toml")

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def scenarios(said: Said, *args: str, code: int = 0) -> tuple[str, str]:
    """What `nego scenarios ...` prints: stdout and stderr."""
    assert main(["scenarios", *args]) == code
    out, err = said.readouterr()
    return out, err


def rows(said: Said, *args: str) -> list[dict[str, object]]:
    """The objects of `nego scenarios list ... --json`."""
    return [json.loads(line) for line in scenarios(said, "list", *args, "--json")[0].splitlines()]


# ---------------------------------------------------------------- list
def test_json_is_one_object_a_line_with_these_keys(capsys: Said) -> None:
    found = rows(capsys)
    assert {tuple(r) for r in found} == {("id", "pack", "kind", "seats", "issues", "tags")}
    assert {r["pack"] for r in found} == set(pack_names())
    assert len({(r["pack"], r["id"]) for r in found}) == len(found) == sum(len(open_pack(n)) for n in pack_names())
    assert {r["kind"] for r in found} == {"structured", "open"}


def test_entries_say_what_the_scenarios_are(capsys: Said) -> None:
    pack = open_pack("heldout")
    for r in rows(capsys, "heldout")[::50]:
        s = pack.get(str(r["id"]))
        assert (r["kind"], r["seats"], r["issues"], r["tags"]) == (s.kind, s.n, list(s.counts), list(s.tags))


def test_filters(capsys: Said) -> None:
    everything = rows(capsys)
    assert rows(capsys, "--kind", "open") == [r for r in everything if r["kind"] == "open"]
    assert rows(capsys, "--seats", "4") == [r for r in everything if r["seats"] == 4]
    assert rows(capsys, "train", "--tag", "harbour") == [
        r for r in everything if r["pack"] == "train" and "harbour" in str(r["tags"])
    ]


def test_nothing_found_is_exit_code_1(capsys: Said) -> None:
    out, err = scenarios(capsys, "list", "open", "--seats", "9", "--json", code=1)
    assert (out, err) == ("", "nego: no scenario like that\n")


def test_an_indexed_pack_is_listed_without_loading_a_scenario(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a scenario was decoded")

    monkeypatch.setattr("nego_env.packs.decode_scenario", never)
    assert len(rows(capsys, "heldout")) == 500


def test_the_table_for_people(capsys: Said) -> None:
    out, err = scenarios(capsys, "list", "open", "heldout")
    assert err == ""
    assert "open (13)\n" in out
    assert "heldout (500): " in out
    assert any(line.split()[:4] == ["thesis-deadline", "2", "seats", "open"] for line in out.splitlines())


def test_without_an_argument_people_get_a_line_for_each_pack(capsys: Said) -> None:
    out, err = scenarios(capsys, "list")
    assert err == ""
    heading, *lines, blank, how = out.splitlines()
    assert heading.split() == ["pack", "kind", "scenarios", "what", "it", "is"]
    assert [line.split()[:3] for line in lines] == [
        ["duels", "structured", "500"],
        ["duels-validation", "structured", "200"],
        ["heldout", "structured", "500"],
        ["open", "open", "13"],
        ["train", "structured", "500"],
    ]
    assert lines[2].endswith("Held-out dilemmas")
    assert (blank, how) == ("", "List the scenarios of one: nego scenarios list duels")


def test_a_filter_lists_the_scenarios_of_every_pack(capsys: Said) -> None:
    out, _ = scenarios(capsys, "list", "--kind", "open")
    assert "\n  thesis-deadline " in out


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two packs installed beside ours: one that raises, and one that calls itself by another name."""
    site = tmp_path / "site"
    about = site / "stranger-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "nego_strange_packs.py").write_text(
        "from nego_env.conformance import sample_scenarios\n"
        "from nego_env.packs import LooseScenarios\n"
        "def bad():\n    raise ValueError('the data is gone')\n"
        "def good():\n    'Two and three.'\n    return LooseScenarios('other', sample_scenarios('open'))\n"
    )
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[nego_env.packs]\nbad-pack = nego_strange_packs:bad\nduets = nego_strange_packs:good\n"
    )
    monkeypatch.syspath_prepend(str(site))
    entry_points.cache_clear()
    yield
    entry_points.cache_clear()
    sys.modules.pop("nego_strange_packs", None)


FAULT = "pack 'bad-pack' (nego_strange_packs:bad) cannot be loaded: ValueError: the data is gone"


@pytest.mark.usefixtures("strangers")
def test_a_pack_that_cannot_be_loaded_costs_a_note(capsys: Said) -> None:
    out, err = scenarios(capsys, "list")
    assert err == f"nego: note: {FAULT}\n"
    assert [line.split()[0] for line in out.splitlines()[1:7]] == [
        "duels", "duels-validation", "duets", "heldout", "open", "train",
    ]  # fmt: skip
    assert "Two and three." in out
    out, err = scenarios(capsys, "list", "--json")
    assert err == f"nego: note: {FAULT}\n"
    assert {json.loads(line)["pack"] for line in out.splitlines()} == {
        "duels", "duels-validation", "duets", "heldout", "open", "train",
    }  # fmt: skip
    assert main(["play", "--scenario", "thesis-deadline", "--json"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("strangers")
def test_a_pack_that_cannot_be_loaded_is_a_mistake_where_it_is_asked_for(capsys: Said) -> None:
    for args in (["scenarios", "list", "bad-pack"], ["play", "--scenario", "bad-pack"]):
        assert main(args) == 2
        assert capsys.readouterr() == ("", f"nego: error: {FAULT}\n")
    assert main(["play", "--scenario", "zzzz"]) == 2
    assert f"; passed over: {FAULT}\n" in capsys.readouterr().err


@pytest.mark.usefixtures("strangers")
def test_a_pack_goes_by_the_name_it_is_registered_under(capsys: Said) -> None:
    assert scenarios(capsys, "list", "duets")[0].startswith("duets (2)\n")
    assert {r["pack"] for r in rows(capsys, "duets")} == {"duets"}


def test_paths_are_listed_too(capsys: Said) -> None:
    assert [(r["id"], r["pack"]) for r in rows(capsys, ALLOTMENT)] == [("allotment", "allotment")]
    assert [r["seats"] for r in rows(capsys, str(ROOT / "examples" / "river_crossing"))] != []


# ---------------------------------------------------------------- show
def test_without_a_seat_nothing_private_is_shown(capsys: Said) -> None:
    s = open_path(ALLOTMENT).get("allotment")
    out, _ = scenarios(capsys, "show", ALLOTMENT)
    flat = " ".join(out.split())
    assert "beds for the school" in flat
    assert "At most 7 rounds." in flat
    for seat in s.seats:
        assert seat.name in flat
        assert seat.persona[:30] not in flat
    assert "seat_1 " in out
    assert "Without a deal" not in flat


def test_with_a_seat_its_side_alone_is_shown(capsys: Said) -> None:
    s = open_path(ALLOTMENT).get("allotment")
    out, _ = scenarios(capsys, "show", ALLOTMENT, "--seat", "seat_1")
    flat = " ".join(out.split())
    assert s.seats[1].persona in flat
    assert s.seats[0].persona not in flat
    assert "Without a deal it has 25; its favourite deal is worth 90." in flat
    (row,) = (line.split() for line in out.splitlines() if "left where they stand" in line)
    assert row[-1] == "40"


def test_all_shows_both_sides_and_the_exact_account(capsys: Said) -> None:
    out, _ = scenarios(capsys, "show", ALLOTMENT, "--all")
    flat = " ".join(out.split())
    s = open_path(ALLOTMENT).get("allotment")
    assert all(seat.persona in flat for seat in s.seats)
    assert "27 deals" in flat
    assert f"{int(s.table.pareto.sum())} are Pareto-optimal" in flat
    assert f"Best: {' '.join(s.ids(s.table.best_deal))} (" in flat


def test_a_dilemma_without_a_zone_of_agreement_says_so(capsys: Said) -> None:
    hopeless = next(e.id for e in open_pack("heldout").entries() if "no_zopa" in e.tags)
    out, _ = scenarios(capsys, "show", hopeless, "--all")
    assert "No zone of possible agreement" in out
    facts = json.loads(scenarios(capsys, "show", hopeless, "--all", "--json")[0])
    assert facts["exact"]["no_zopa"] is True
    assert facts["exact"]["best"] is facts["exact"]["nash"] is None
    assert facts["exact"]["reach_every_walk_away"] == 0


def test_json_holds_what_was_asked_for_and_no_more(capsys: Said) -> None:
    public = json.loads(scenarios(capsys, "show", ALLOTMENT, "--json")[0])
    one = json.loads(scenarios(capsys, "show", ALLOTMENT, "--seat", "seat_1", "--json")[0])
    everything = json.loads(scenarios(capsys, "show", ALLOTMENT, "--all", "--json")[0])
    assert public["kind"] == "structured"
    assert [sorted(seat) for seat in public["seats"]] == [["name"], ["name"]]
    assert [sorted(seat) for seat in one["seats"]] == [["name"], ["name", "persona", "stakes"]]
    assert [sorted(seat) for seat in everything["seats"]] == [["name", "persona", "stakes"]] * 2
    assert everything["exact"]["deals"] == 27
    assert everything["exact"]["best"]["ca"] == 5.0


def test_an_open_dilemma_is_shown(capsys: Said) -> None:
    out, _ = scenarios(capsys, "show", "open/thesis-deadline", "--all")
    assert out.startswith("thesis-deadline  (open, 2 seats)")
    assert "A judge says after each round whether one plan was agreed." in " ".join(out.split())
    assert "To settle" not in out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["show", ALLOTMENT, "--seat", "seat_7"], "allotment has no seat 'seat_7'; seats: seat_0, seat_1"),
        (["show", ALLOTMENT, "--seat", "seat_1", "--all"], "leave out --seat"),
        (["show", "heldout"], "heldout holds 500 scenarios ("),
        (["show"], "Missing from nego scenarios show"),
        (["generate"], "--out DIR"),
        (["generate", "--out", "g", "--count", "0"], "--count is 0, it must be at least 1"),
        (["generate", "--out", "g", "--seats", "9"], "seats is 9"),
        (["generate", "--out", "g", "--theme", "harbor"], "unknown train theme 'harbor'; did you mean 'harbour'"),
        (["generate", "--out", "g", "--stakes", "dull"], "invalid choice 'dull'"),
        (["generate", "--out", "a_file"], "--out a_file: is a file; a pack is a folder"),
        (["generate", "--out", "a_file/pack", "--count", "1"], "--out a_file/pack: cannot be written"),
        (["validate"], "validate PATH"),
        (["validate", "no/such/pack"], "no/such/pack"),
    ],
)
def test_mistakes_are_one_line(args: list[str], told: str, capsys: Said) -> None:
    Path("a_file").write_text("")
    out, err = scenarios(capsys, *args, code=2)
    assert out == ""
    assert err.count("\n") == 1
    assert told in err


# ---------------------------------------------------------------- generate
def test_a_generated_pack_is_valid_and_the_same_each_time(capsys: Said) -> None:
    flags = ["--count", "12", "--seed", "3", "--seats", "2", "--stakes", "mixed"]
    out, _ = scenarios(capsys, "generate", "--out", "a", *flags)
    pack = Pack("a")
    assert f"sha256 {pack.info.sha256}\n" in out
    assert "nego play --scenario a" in out
    assert len(pack) == 12
    assert pack.info.description == "nego scenarios generate --count 12 --seed 3 --split train --seats 2 --stakes mixed"
    assert {(s.n, "mixed" in s.tags) for s in pack} == {(2, True)}
    scenarios(capsys, "generate", "--out", "b", *flags)
    assert Pack("b").info.sha256 == pack.info.sha256
    assert "good: 12 scenarios decode" in scenarios(capsys, "validate", "a")[0]


def test_generate_overwrites_nothing(capsys: Said) -> None:
    folder = Path("full")
    folder.mkdir()
    (folder / "diary.txt").write_text("dear diary")
    _, err = scenarios(capsys, "generate", "--out", "full", "--count", "1", code=2)
    assert "is not empty, and nothing there is overwritten" in err
    assert [p.name for p in folder.iterdir()] == ["diary.txt"]


def test_generate_json_says_what_the_pack_says(capsys: Said) -> None:
    out, _ = scenarios(capsys, "generate", "--out", "a", "--count", "2", "--json")
    assert json.loads(out) == json.loads(Path("a/pack.json").read_text())


# ---------------------------------------------------------------- validate
def test_what_ships_is_valid(capsys: Said) -> None:
    out, err = scenarios(capsys, "validate", *pack_names(), ALLOTMENT, str(ROOT / "examples" / "river_crossing"))
    assert err == ""
    assert out.count(": good: ") == len(pack_names()) + 2
    assert "allotment.toml: good: 1 scenario decodes" in out
    assert "heldout: good: 500 scenarios decode, ids are unique, hash, count and shape are those of pack.json" in out


@pytest.fixture
def pack(capsys: Said) -> Path:
    scenarios(capsys, "generate", "--out", "p", "--count", "5", "--seed", "1")
    return Path("p")


def _edit(path: Path, line: int, old: str, new: str) -> None:
    lines = path.read_text().split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("\n".join(lines))


def _half(path: Path) -> None:
    body = path.read_bytes()
    path.write_bytes(body[: len(body) * 2 // 3])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda p: _edit(p / "scenarios.jsonl", 3, '"id":', '"idd":'),
            "p/scenarios.jsonl:3: Object contains unknown field",
        ),
        (lambda p: _edit(p / "scenarios.jsonl", 2, '"walk_away":', '"walk_away":9'), "p/scenarios.jsonl:2: scenario "),
        (lambda p: _edit(p / "scenarios.jsonl", 1, "the", "teh"), "is not the "),
        (lambda p: _half(p / "scenarios.jsonl"), "p/scenarios.jsonl:"),
        (lambda p: _edit(p / "index.jsonl", 4, '"seats":', '"seats":1'), "p/index.jsonl:4: seats is 1"),
        (lambda p: _edit(p / "index.jsonl", 2, '"at":', '"at":1'), "p/index.jsonl:2: at is 1"),
        (lambda p: _edit(p / "index.jsonl", 5, "{", "["), "p/index.jsonl:5: "),
        (lambda p: _half(p / "index.jsonl"), "p/index.jsonl:"),
        (lambda p: _edit(p / "pack.json", 2, "nego-pack/1", "nego-pack/7"), "unknown format 'nego-pack/7'"),
        (lambda p: (p / "pack.json").write_text("{}"), "p/pack.json: "),
        (lambda p: (p / "scenarios.jsonl").unlink(), "p/scenarios.jsonl: cannot be read"),
        (lambda p: (p / "index.jsonl").write_text(""), "p/index.jsonl: 0 entries for 5 scenarios"),
    ],
)
def test_a_spoiled_pack_is_told_where(spoil: Callable[[Path], None], told: str, pack: Path, capsys: Said) -> None:
    spoil(pack)
    out, err = scenarios(capsys, "validate", "p", code=2)
    assert out == ""
    assert all(line.startswith("nego: error: ") for line in err.splitlines())
    assert told in err.splitlines()[0]


def test_every_fault_has_its_line(pack: Path, capsys: Said) -> None:
    _edit(pack / "scenarios.jsonl", 2, '"id":', '"idd":')
    _edit(pack / "scenarios.jsonl", 4, '"id":', '"idd":')
    _, err = scenarios(capsys, "validate", "p", ALLOTMENT, code=2)
    assert [line.split(": ")[2] for line in err.splitlines()[:2]] == ["p/scenarios.jsonl:2", "p/scenarios.jsonl:4"]


def test_a_count_and_a_shape_that_do_not_fit(pack: Path, capsys: Said) -> None:
    info = json.loads((pack / "pack.json").read_text())
    (pack / "pack.json").write_text(json.dumps(info | {"count": 6}))
    assert "p/pack.json: count is 6, scenarios.jsonl has 5" in scenarios(capsys, "validate", "p", code=2)[1]
    (pack / "pack.json").write_text(json.dumps(info | {"shape": {"seats": 9, "options": [2]}}))
    assert "p/pack.json: shape is 9 seats and 2 options" in scenarios(capsys, "validate", "p", code=2)[1]


def test_two_with_one_id_in_a_jsonl(capsys: Said) -> None:
    line = encode_scenario(open_path(ALLOTMENT).get("allotment")) + b"\n"
    Path("two.jsonl").write_bytes(line + b"\n" + line)
    _, err = scenarios(capsys, "validate", "two.jsonl", code=2)
    assert err == "nego: error: two.jsonl:3: the id 'allotment' is that of line 1 already\n"


def test_transcripts_are_told_from_scenarios(capsys: Said) -> None:
    play(ALLOTMENT, "revealer", out="run.jsonl")
    _, err = scenarios(capsys, "validate", "run.jsonl", code=2)
    assert err == "nego: error: run.jsonl: these are transcripts, not scenarios: nego replay run.jsonl\n"


def test_an_empty_jsonl(capsys: Said) -> None:
    Path("none.jsonl").write_text("\n")
    assert "none.jsonl: no scenarios in it" in scenarios(capsys, "validate", "none.jsonl", code=2)[1]


def test_a_folder_of_toml_tells_of_each_file(capsys: Said) -> None:
    folder = Path("mine")
    folder.mkdir()
    good = Path(ALLOTMENT).read_text()
    (folder / "a.toml").write_text(good)
    (folder / "b.toml").write_text('id = "a"\n' + good)
    (folder / "c.toml").write_text(good.replace("walk_away = 20", "walk_away = 'lots'"))
    (folder / "d.toml").write_text("task = \n")
    _, err = scenarios(capsys, "validate", "mine", code=2)
    told = err.splitlines()
    assert len(told) == 3
    assert told[0] == "nego: error: mine/b.toml: the id 'a' is that of mine/a.toml already"
    assert told[1].startswith(
        "nego: error: mine/c.toml: Expected `float`, got `str` - at `$.seats[0].stakes.walk_away`"
    )
    assert told[2].startswith("nego: error: mine/d.toml: not valid TOML: ")
    (folder / "b.toml").unlink()
    (folder / "c.toml").unlink()
    (folder / "d.toml").unlink()
    assert scenarios(capsys, "validate", "mine") == ("mine: good: 1 scenario decodes, ids are unique\n", "")
