"""Promises about packs and finding things by name.

1. A pack lists without loading a scenario, loads one at a time, and knows when it is not the file it was frozen as.
2. A path is a pack, a TOML file, a folder of them or a JSONL; anything else is a clear error.
3. A name finds a pack or a scenario; an unknown one is answered with the closest known ones.
4. What is registered is found through entry points, ours no differently from a stranger's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from msgspec.structs import replace
from support import bargain, council, dilemma, quorum, single_line

from nego_env import packs, registry
from nego_env.errors import MissingExtraError, NotFoundError, ScenarioError
from nego_env.packs import (
    KEPT_DECODED,
    Entry,
    LooseScenarios,
    Pack,
    Shape,
    find,
    load_scenario,
    open_path,
    open_suite,
    pack_names,
    read_jsonl,
    write_pack,
)
from nego_env.registry import GROUPS, load_entry_point
from nego_env.scenario import encode_scenario, read_toml

TOML = """
task = "Who waters the beans?"
[[seats]]
name = "a"
persona = "Sleep late."
[[seats]]
name = "b"
persona = "Go out in the evening."
"""
SCENARIOS = (quorum(), bargain(), dilemma(3), council())


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Four scenarios on disk."""
    write_pack(tmp_path / "four", SCENARIOS, name="four", title="Four", description="For tests.")
    return Pack(tmp_path / "four")


# ---------------------------------------------------------------- packs
def test_a_pack_lists_its_scenarios_in_order_of_id(pack: Pack) -> None:
    assert pack.ids() == ["allotment", "council", "last-ferry", "quorum"]
    assert len(pack) == 4
    assert [(e.id, e.kind, e.seats, e.issues) for e in pack.entries()] == [
        ("allotment", "structured", 2, (3, 3)),
        ("council", "structured", 3, (3,)),
        ("last-ferry", "open", 3, ()),
        ("quorum", "structured", 4, (3,)),
    ]


def test_a_pack_is_listed_without_loading_a_scenario(pack: Pack) -> None:
    (pack.directory / "scenarios.jsonl").unlink()
    assert len(list(pack.entries())) == 4
    assert "council" in pack
    assert "nobody" not in pack
    with pytest.raises(ScenarioError, match=r"scenarios\.jsonl: cannot be read"):
        pack.get("council")


def test_a_pack_gives_each_scenario_whole_and_the_same_each_time(pack: Pack) -> None:
    for s in SCENARIOS:
        assert pack.get(s.id) == s
        assert pack.get(s.id).content_hash == s.content_hash
        assert pack.get(s.id) is pack.get(s.id)
    assert [s.id for s in pack] == pack.ids()


def test_a_pack_keeps_only_the_last_few_hundred_scenarios_decoded(tmp_path: Path) -> None:
    many = [replace(dilemma(), id=f"d{i:04}") for i in range(KEPT_DECODED + 10)]
    write_pack(tmp_path, many, name="many", title="", description="")
    pack = Pack(tmp_path)
    first = pack.get("d0000")
    second = pack.get("d0001")
    for s in many[2:KEPT_DECODED]:
        pack.get(s.id)
    assert pack.get("d0000") is first
    pack.get(f"d{KEPT_DECODED:04}")  # one too many: the one asked for longest ago goes
    assert pack.get("d0000") is first
    assert pack.get("d0001") is not second
    assert pack.get("d0001") == second


def test_the_same_scenarios_make_the_same_pack_in_any_order(tmp_path: Path) -> None:
    shuffled = list(SCENARIOS)
    random.Random(0).shuffle(shuffled)
    one = write_pack(tmp_path / "a", SCENARIOS, name="x", title="", description="")
    two = write_pack(tmp_path / "b", shuffled, name="x", title="", description="")
    assert one == two
    names = ["index.jsonl", "pack.json", "scenarios.jsonl"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == names
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


def test_two_scenarios_of_one_id_are_no_pack(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="two scenarios have the id 'council'"):
        write_pack(tmp_path, [council(), bargain(), council()], name="x", title="", description="")
    with pytest.raises(ScenarioError, match="loose: two scenarios have the id 'council'"):
        LooseScenarios("loose", [council(), council()])


def test_a_pack_that_was_changed_is_found_out(pack: Pack) -> None:
    pack.verify()
    path = pack.directory / "scenarios.jsonl"
    path.write_bytes(path.read_bytes().replace(b"north", b"south"))
    with pytest.raises(ScenarioError, match=r"scenarios\.jsonl: content hash .* is not the"):
        pack.verify()


@pytest.mark.parametrize(
    ("file", "body", "fault"),
    [
        ("pack.json", b"", r"pack\.json: "),
        ("pack.json", b"{}", r"pack\.json: Object missing required field `format`"),
        ("pack.json", bytes(range(256)), r"pack\.json: "),
        ("pack.json", b'{"x":' + b"[" * 200_000, r"pack\.json: "),
        ("index.jsonl", b'{"id": 5}\n', r"index\.jsonl:1: Expected `str`, got `int` - at `\$\.id`"),
        ("index.jsonl", b"\xff\n", r"index\.jsonl:1: "),
    ],
)
def test_a_broken_pack_is_an_error_that_names_the_file(pack: Pack, file: str, body: bytes, fault: str) -> None:
    (pack.directory / file).write_bytes(body)
    with pytest.raises(ScenarioError, match=fault) as e:
        Pack(pack.directory).ids()
    assert single_line(str(e.value))


def test_a_pack_of_another_format_is_refused(pack: Pack) -> None:
    path = pack.directory / "pack.json"
    path.write_bytes(path.read_bytes().replace(b"nego-pack/1", b"nego-pack/2"))
    with pytest.raises(ScenarioError, match=r"pack\.json: unknown format 'nego-pack/2'; this reads nego-pack/1"):
        Pack(pack.directory)


def test_a_missing_pack_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"pack\.json: cannot be read: No such file"):
        Pack(tmp_path)


# ---------------------------------------------------------------- shapes
def test_a_shape_is_the_smallest_that_every_scenario_fits_in(pack: Pack) -> None:
    assert pack.shape == Shape(4, (3, 3)) == LooseScenarios("x", SCENARIOS).shape
    assert all(pack.shape.holds(s) for s in SCENARIOS)
    assert Shape.of([(2, (5, 1)), (3, (2, 4, 2))]) == Shape(3, (5, 4, 2))
    assert Shape.of([]) == Shape(0, ())
    assert not Shape(3, (3, 3)).holds(quorum())  # too few seats
    assert not Shape(4, (2, 3)).holds(bargain())  # too few options
    assert not Shape(4, (3,)).holds(bargain())  # too few issues
    assert Shape(2, (3, 3, 3)).holds(bargain())


# ---------------------------------------------------------------- paths
def test_a_path_is_a_pack_a_toml_file_a_folder_of_them_or_a_jsonl(pack: Pack, tmp_path: Path) -> None:
    assert isinstance(open_path(pack.directory), Pack)
    (tmp_path / "beans.toml").write_text(TOML)
    assert open_path(tmp_path / "beans.toml").ids() == ["beans"]
    (tmp_path / "peas.toml").write_text(TOML)
    assert open_path(tmp_path).ids() == ["beans", "peas"]
    lines = tmp_path / "some.jsonl"
    lines.write_bytes(b"\n".join(encode_scenario(s) for s in SCENARIOS) + b"\n\n")
    suite = open_path(lines)
    assert (suite.name, suite.ids()) == ("some", [s.id for s in SCENARIOS])
    assert [e.id for e in suite.entries()] == suite.ids()
    assert list(suite.entries())[1] == Entry("allotment", "structured", 2, (3, 3))
    assert suite.get("council") == council()


def test_a_path_that_is_none_of_them_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file or folder"):
        open_path(tmp_path / "gone.toml")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(
        ScenarioError, match=r"notes\.txt: no pack \(pack\.json\), \.toml, \.jsonl or format an importer knows"
    ):
        open_path(tmp_path / "notes.txt")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ScenarioError, match=r"empty\.jsonl: no scenarios in it"):
        open_path(tmp_path / "empty.jsonl")
    (tmp_path / "bad.jsonl").write_bytes(encode_scenario(council()) + b"\nhello\n")
    with pytest.raises(ScenarioError, match=r"bad\.jsonl:2: "):
        list(read_jsonl(tmp_path / "bad.jsonl"))


@pytest.mark.parametrize("look_up", [find, open_suite, open_path, load_scenario])
def test_a_name_no_file_can_have_is_simply_not_found(look_up: Callable[[str], object]) -> None:
    for name in ("x" * 5000, "a\0b", ""):
        if name or look_up is not open_path:  # "" is the current folder to a path
            with pytest.raises(NotFoundError):
                look_up(name)


# ---------------------------------------------------------------- names
def four() -> LooseScenarios:
    """A registered pack."""
    return LooseScenarios("four", SCENARIOS)


def one() -> LooseScenarios:
    """Another registered pack, of a single scenario."""
    return LooseScenarios("one", [replace(council(), id="alone")])


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packs, registered the way a stranger's would be, and nothing else."""
    made = {n: EntryPoint(n, f"{__name__}:{n}", "nego_env.packs") for n in ("four", "one")}

    def entry_points(group: str) -> dict[str, EntryPoint]:
        return made if group == "nego_env.packs" else {}

    monkeypatch.setattr(registry, "entry_points", entry_points)
    monkeypatch.setattr(packs, "entry_points", entry_points)


@pytest.mark.usefixtures("registered")
def test_a_name_is_a_pack_a_scenario_or_a_scenario_of_a_pack() -> None:
    assert pack_names() == ["four", "one"]
    suite = find("four")
    assert isinstance(suite, LooseScenarios)
    assert len(suite) == 4
    assert find("council") == find("four/council") == council()
    assert load_scenario("alone").id == "alone"


@pytest.mark.usefixtures("registered")
def test_a_path_to_one_scenario_is_that_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beans.toml").write_text(TOML)
    assert find(tmp_path / "beans.toml") == read_toml(tmp_path / "beans.toml")
    (tmp_path / "peas.toml").write_text(TOML)
    assert isinstance(find(tmp_path), LooseScenarios)
    with pytest.raises(NotFoundError, match=r"holds 2 scenarios \(beans, peas, \.\.\.\): name one"):
        load_scenario(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "four").write_text("a name wins over a path")
    assert isinstance(open_suite("four"), LooseScenarios)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("look_up", "name", "fault"),
    [
        (find, "councl", "unknown scenario 'councl'; did you mean 'council'"),
        (find, "fuor", "unknown scenario 'fuor'; did you mean 'four'"),
        (find, "four/councl", "unknown scenario in four 'councl'; did you mean 'council'"),
        (find, "five/council", "no file or folder five/council"),
        (find, "gone.toml", r"no file or folder gone\.toml"),
        (find, "zzzz", r"unknown scenario 'zzzz'; packs: four, one \(nego scenarios list shows what there is\)$"),
        (open_suite, "fuor", "unknown pack or path 'fuor'; did you mean 'four'"),
        (packs.open_pack, "fuor", "unknown pack 'fuor'; did you mean 'four'"),
        (load_scenario, "four", r"four holds 4 scenarios \(quorum, allotment, last-ferry, \.\.\.\): name one"),
    ],
)
def test_an_unknown_name_is_answered_with_the_closest_known_ones(
    look_up: Callable[[str], object], name: str, fault: str
) -> None:
    with pytest.raises(NotFoundError, match=fault) as e:
        look_up(name)
    assert isinstance(e.value, LookupError)


def raising() -> LooseScenarios:
    """A pack whose data is gone."""
    raise ValueError("no data\nat all")


def inconsistent() -> LooseScenarios:
    """A pack that does not hold together."""
    return LooseScenarios("inconsistent", [council(), council()])


def nothing() -> None:
    """A factory that forgot its `return`."""


BAD = {
    "raising": "ValueError: no data at all",
    "inconsistent": "inconsistent: two scenarios have the id 'council'",
    "nothing": "it made NoneType, expected Pack or LooseScenarios",
}


@pytest.fixture
def bad_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs that cannot be opened, around one that can."""
    made = {n: EntryPoint(n, f"{__name__}:{n}", "nego_env.packs") for n in ("four", *BAD)}
    monkeypatch.setattr(packs, "entry_points", lambda _: made)


@pytest.mark.usefixtures("bad_ones_too")
@pytest.mark.parametrize(("name", "why"), BAD.items())
def test_a_pack_that_cannot_be_opened_names_its_entry_point(name: str, why: str) -> None:
    for look_up in (packs.open_pack, open_suite, find):
        with pytest.raises(ScenarioError) as e:
            look_up(name)
        assert str(e.value) == f"pack {name!r} ({__name__}:{name}) cannot be loaded: {why}"


@pytest.mark.usefixtures("bad_ones_too")
def test_packs_that_cannot_be_opened_are_passed_over_and_named_when_nothing_is_found() -> None:
    assert find("quorum") == quorum()
    with pytest.raises(NotFoundError, match="unknown scenario 'zzzz'; packs: four, ") as e:
        find("zzzz")
    assert single_line(str(e.value))
    for name, why in BAD.items():
        assert f"; passed over: pack {name!r} ({__name__}:{name}) cannot be loaded: {why}" in str(e.value)


def test_a_scenario_a_suite_does_not_have_is_answered_with_the_closest_ones(pack: Pack) -> None:
    with pytest.raises(NotFoundError, match="unknown scenario in pack 'four' 'alotment'; did you mean 'allotment'"):
        pack.get("alotment")


# ---------------------------------------------------------------- entry points
def test_what_we_ship_is_registered_and_loads() -> None:
    assert set(registry.entry_points("nego_env.judges")) >= {"exact", "heuristic"}
    assert registry.load_named("nego_env.judges", "judge", "exact").name == "exact"
    assert GROUPS[0] == "nego_env.agents"
    with pytest.raises(NotFoundError, match=r"unknown judge 'exat'; did you mean 'exact'\? \(ask for help\)"):
        registry.load_named("nego_env.judges", "judge", "exat", hint="ask for help")


def test_an_entry_point_that_does_not_load_says_so() -> None:
    with pytest.raises(NotFoundError, match=r"nego_env\.agents 'x': cannot import nowhere_at_all:x"):
        load_entry_point(EntryPoint("x", "nowhere_at_all:x", "nego_env.agents"))
    with pytest.raises(NotFoundError, match=r"nego_env\.agents 'x': nego_env\.moves:gone: "):
        load_entry_point(EntryPoint("x", "nego_env.moves:gone", "nego_env.agents"))
    with pytest.raises(MissingExtraError, match=r"'x' needs nowhere_at_all: pip install 'nego-env\[llm\]'"):
        load_entry_point(EntryPoint("x", "nowhere_at_all:x [llm]", "nego_env.agents"))
