"""The importer for bargaining instances: both layouts by hand, damage, and the public instances."""

from __future__ import annotations

from pathlib import Path

import pytest
from importer_support import SAMPLES, broken, public, worth

from nego_env.rollout import play
from nego_env.scenario import Scenario, decode_scenario, encode_scenario
from nego_scenarios.importers.open_spiel import OpenSpielBargaining

SAMPLE = SAMPLES / "bargaining.txt"
LOADER = OpenSpielBargaining()


@pytest.fixture(scope="module")
def instances() -> list[Scenario]:
    return LOADER.load(SAMPLE)


# ---------------------------------------------------------------- the mapping, by hand
def test_an_instance_is_three_issues(instances: list[Scenario]) -> None:
    s = instances[0]  # 1,2,3 8,1,0 4,0,2
    assert [x.id for x in instances] == ["open-spiel-0000", "open-spiel-0001", "open-spiel-0002"]
    assert (s.n, s.counts, s.protocol.max_rounds) == (2, (2, 3, 4), 5)
    assert s.task == "Two people divide 1 book, 2 hats and 3 balls. How should they share them?"
    assert s.seats[0].persona == (
        "Get the items that are worth most to you: in points, a book 8, a hat 1 and a ball 0. Without a deal you have 0."
    )
    stakes = [seat.stakes for seat in s.seats]
    assert [x.scores for x in stakes if x] == [
        ((0, 8), (0, 1, 2), (0, 0, 0, 0)),
        ((4, 0), (0, 0, 0), (6, 4, 2, 0)),
    ]
    assert [(x.best, x.walk_away) for x in stakes if x] == [(10, 0), (10, 0)]


def test_a_deal_by_hand(instances: list[Scenario]) -> None:
    # the book and both hats to seat_0, all three balls to seat_1: 8 + 2 * 1 and 3 * 2
    assert [worth(instances[0], i, "A1 B2 C0") for i in (0, 1)] == [10, 6]
    # 2,2,1 1,1,6 0,4,2: books and the ball to seat_0, hats to seat_1
    assert [worth(instances[1], i, "A2 B0 C1") for i in (0, 1)] == [2 * 1 + 6, 2 * 4]
    # 4,1,1 0,3,7 1,6,0, after a blank line
    assert [worth(instances[2], i, "A0 B0 C1") for i in (0, 1)] == [7, 4 * 1 + 6]


def test_two_lines_an_instance() -> None:
    # counts and values by kind: 1 8 2 1 3 0 is 1 book at 8, 2 hats at 1, 3 balls at 0
    first, second = LOADER.load(SAMPLES / "selfplay.txt")
    one, _, three = LOADER.load(SAMPLE)
    assert first == one
    assert (second.seats, second.issues) == (three.seats, three.issues)


def test_they_play_and_round_trip(instances: list[Scenario]) -> None:
    for s in instances:
        assert decode_scenario(encode_scenario(s), "here") == s
        assert not s.no_zopa
    assert play(instances[0], ["boulware", "conceder"], seed=1).scored


def test_windows_newlines_and_blanks(tmp_path: Path, instances: list[Scenario]) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xef\xbb\xbf" + SAMPLE.read_bytes().replace(b" ", b"  ").replace(b"\n", b" \r\n"))
    assert LOADER.load(path) == instances
    assert LOADER.load(tmp_path) == instances


# ---------------------------------------------------------------- damage
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("1,2,3 8,1,0 4,0,2\n1,2,3 8,1,0\n", ":2: 2 fields in '1,2,3 8,1,0'; a line is: pool values_0 values_1"),
        ("1,2,3 8,1,0 4,0\n", ":1: values_1: 2 numbers; it holds 3"),
        ("1,2,3 8,1,0 4,0,x\n", ":1: values_1: 'x' is no whole number from 0 to 99"),
        ("1,2,3 8,1,0 4,0,-2\n", ":1: values_1: '-2' is no whole number"),
        ("1,2,3 8,1,0 4,0,2.0\n", ":1: values_1: '2.0' is no whole number"),
        ("1,2,3 8,1,0 4,0,²\n", ":1: values_1: '²' is no whole number"),
        ("1,2,100 8,1,0 4,0,2\n", ":1: pool: '100' is no whole number from 0 to 99"),
        ("1,2,3 8,2,0 4,0,2\n", ":1: values_0: [8, 2, 0] times the pool [1, 2, 3] is 12; it must be 10"),
        ("1,0,3 10,1,0 4,0,2\n", ":1: pool: [1, 0, 3]; there is at least one item of each kind"),
        ("1 8 2 1 3 0\n", ":1: the second seat's line is missing"),
        ("1 8 2 1 3 0\n1 4 2 0 3\n", ":2: line: 5 numbers; it holds 6"),
        ("1 8 2 1 3 0\n2 4 2 0 3 2\n", ":2: counts [2, 2, 3] differ from [1, 2, 3] on line 1"),
        ("1 8 2 1 3 0\n1 4 2 0 3 1\n", ":2: values: [4, 0, 1] times the pool [1, 2, 3] is 7; it must be 10"),
        ("some words\n", ":1: line: 2 numbers; it holds 6"),
        ("\n\n", ":1: the file is empty"),
        ("1,2,3 8,1,0 4,0,\x01\n", ":1: control character '\\x01'"),
    ],
)
def test_damage_is_told_with_line_and_field(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / "instances.txt"
    path.write_text(content, encoding="utf-8")
    assert f"instances.txt{fault}" in broken(LOADER.load, path)


def test_binary_and_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "instances.txt"
    path.write_bytes(b"1,2,3 8,1,0 4,0,2\n\xff\xfe\x00")
    assert f"{path}:2: byte 0xff is not UTF-8 text" in broken(LOADER.load, path)


def test_sniff(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear all, a note, with commas\n")
    (tmp_path / "table.txt").write_text("1 2 3\n")
    assert not any(
        LOADER.sniff(p) for p in (tmp_path, tmp_path / "notes.txt", tmp_path / "absent", SAMPLES / "casino.json")
    )
    assert LOADER.sniff(SAMPLE)
    assert LOADER.sniff(SAMPLES / "selfplay.txt")


# ---------------------------------------------------------------- the public instances
def test_public_instances() -> None:
    file = public("open_spiel", "bargaining_instances_first200.txt")
    found = LOADER.load(file)
    assert len(found) == 200
    assert [s.id for s in found] == [f"open-spiel-{i:04}" for i in range(200)]
    lines = file.read_text().splitlines()
    for line, s in zip(lines, found, strict=True):
        pool, *values = ([int(x) for x in part.split(",")] for part in line.split())
        assert s.counts == tuple(n + 1 for n in pool)
        for row in s.table.deals.tolist():
            ids = " ".join(s.ids(tuple(row)))
            assert worth(s, 0, ids) == sum(k * v for k, v in zip(row, values[0], strict=True))
            assert worth(s, 1, ids) == sum((n - k) * v for n, k, v in zip(pool, row, values[1], strict=True))


def test_three_public_instances_by_hand() -> None:
    found = LOADER.load(public("open_spiel", "bargaining_instances_first200.txt"))
    # line 1: 1,2,3 8,1,0 4,0,2; line 2: 1,4,1 4,1,2 2,2,0; line 3: 2,2,1 1,1,6 0,4,2
    assert [worth(found[0], i, "A1 B2 C0") for i in (0, 1)] == [8 + 2 * 1, 3 * 2]
    assert [worth(found[1], i, "A1 B0 C1") for i in (0, 1)] == [4 + 2, 4 * 2]
    assert [worth(found[2], i, "A2 B0 C1") for i in (0, 1)] == [2 * 1 + 6, 2 * 4]
