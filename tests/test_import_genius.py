"""The importer for GENIUS domains.

1. A small domain of our own (`samples/genius/market`): discrete and integer issues;
   every figure is worked by hand.
2. Every way of breaking it gives one `ScenarioError` naming file, line and element, and XML that attacks its reader is refused.
3. Where NegMAS is installed, its reader agrees about each option.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from importer_support import SAMPLES, broken, worth

from nego_env.accounting import report
from nego_env.scenario import Scenario, decode_scenario, encode_scenario
from nego_scenarios.importers.genius import Genius, read_domain
from nego_scenarios.importers.xml_tree import MAX_BYTES, MAX_DEPTH, read_xml

SAMPLE = SAMPLES / "genius" / "market"
LOADER = Genius()
D, P = "market-domain.xml", "market-profile1.xml"


@pytest.fixture(scope="module")
def market() -> Scenario:
    (scenario,) = LOADER.load(SAMPLE)
    return scenario


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sample that a test may break."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "domains" / "market"))


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# ---------------------------------------------------------------- the mapping, by hand
def test_issues_and_options(market: Scenario) -> None:
    assert (market.id, market.n, market.counts) == ("genius-market-domain", 2, (3, 5, 2))
    assert [(i.id, i.name) for i in market.issues] == [("A", "Closing hour"), ("B", "Stalls"), ("C", "Music")]
    assert [(o.id, o.label, o.text) for o in market.issues[0].options] == [
        ("A1", "ten", "the last tram"), ("A2", "midnight", ""), ("A3", "never", ""),
    ]  # fmt: skip
    assert [o.label for o in market.issues[1].options] == ["0", "1", "2", "3", "4"]
    assert market.issues[2].options[1].label == 'a "quiet" band'
    assert market.task.endswith("?")


def test_scores_by_hand(market: Scenario) -> None:
    first, second = (seat.stakes for seat in market.seats)
    assert first is not None
    assert second is not None
    # weights 0.5, 0.3, 0.2; evaluations 2, 5, 8 over 8; 0.25 a stall; 0 and 10 over 10
    assert first.scores[0] == pytest.approx((0.5 * 2 / 8, 0.5 * 5 / 8, 0.5))
    assert first.scores[1] == pytest.approx((0, 0.075, 0.15, 0.225, 0.3))
    assert first.scores[2] == (0, 0.2)
    # weights 0.25, 0.25, 0.5; 1 - 0.5 a stall, and never below 0
    assert second.scores == ((0.25, 0.125, 0), (0.25, 0.125, 0, 0, 0), (0.5, 0.1))
    assert (first.walk_away, second.walk_away) == (0.4, 0)
    assert first.best == pytest.approx(1)


def test_three_deals_by_hand(market: Scenario) -> None:
    # midnight, one stall, a band: 0.3125 + 0.075 + 0.2 and 0.125 + 0.125 + 0.1
    assert [worth(market, i, "A2 B2 C2") for i in (0, 1)] == pytest.approx([0.5875, 0.35])
    # never, four stalls, a band: everything for the first
    assert [worth(market, i, "A3 B5 C2") for i in (0, 1)] == pytest.approx([1.0, 0.1])
    # ten, no stall, no music: everything for the second, and below the first one's reservation
    account = report(market, market.deal(["A1", "B1", "C1"]))
    assert account.scores == (0.125, 1.0)
    assert account.thresholds_met == (False, True)


def test_meta_and_round_trip(market: Scenario) -> None:
    assert market.meta == {
        "source": "GENIUS domain Night market",
        "domain": "market-domain",
        "profile.seat_0": "market-profile1.xml",
        "profile.seat_1": "market-profile2.xml",
        "discount_factor.seat_0": "0.9",
    }
    assert [s.name for s in market.seats] == ["market-profile1", "market-profile2"]
    assert decode_scenario(encode_scenario(market), "here") == market


def test_an_integer_issue_counts_from_its_lower_bound(copy: Path) -> None:
    for file in ("market-domain.xml", "market-profile1.xml", "market-profile2.xml"):
        edit(copy, file, 'lowerbound="0" upperbound="4"', 'lowerbound="-5" upperbound="-1"')
    (moved,) = LOADER.load(copy)
    assert [o.label for o in moved.issues[1].options] == ["-5", "-4", "-3", "-2", "-1"]
    stakes = moved.seats[0].stakes
    assert stakes is not None
    assert stakes.scores[1] == pytest.approx((0, 0.075, 0.15, 0.225, 0.3))


def test_issues_may_be_grouped_under_objectives(copy: Path, market: Scenario) -> None:
    for file in (D, P):
        edit(copy, file, '<issue index="2"', '<objective index="4" name="Room"><issue index="2"')
        edit(copy, file, '<issue index="3"', '</objective><issue index="3"')
    assert LOADER.load(copy) == [market]


def test_a_range_in_an_element_of_its_own(copy: Path, market: Scenario) -> None:
    edit(
        copy, "market-domain.xml", 'vtype="integer" lowerbound="0" upperbound="4"/>',
        'vtype="integer"><range lowerbound="0" upperbound="4"/></issue>',
    )  # fmt: skip
    assert LOADER.load(copy) == [market]


def test_an_issue_worth_nothing(copy: Path) -> None:
    edit(copy, "market-profile1.xml", 'evaluation="10"', 'evaluation="0"')
    stakes = LOADER.load(copy)[0].seats[0].stakes
    assert stakes is not None
    assert stakes.scores[2] == (0, 0)


def test_a_long_value_is_cut_and_stands_whole_in_the_text(copy: Path) -> None:
    for file in ("market-domain.xml", "market-profile1.xml", "market-profile2.xml"):
        edit(copy, file, 'value="ten"', f'value="{"word " * 30}"')
    option = LOADER.load(copy)[0].issues[0].options[0]
    assert option.label.endswith("word word…")
    assert len(option.label) == 80
    assert option.text == ("word " * 30) + "the last tram"


# ---------------------------------------------------------------- finding domains
def test_a_domain_file_a_folder_and_a_folder_of_folders(copy: Path, market: Scenario) -> None:
    assert LOADER.load(copy / "market-domain.xml") == [market]
    shutil.copytree(copy, copy.parent / "second")
    (copy.parent / "notes").mkdir()
    found = LOADER.load(copy.parent)
    assert [s.id for s in found] == ["genius-market-domain", "genius-market-domain-second"]
    assert LOADER.sniff(copy)
    assert LOADER.sniff(copy.parent)


def test_several_domains_in_a_folder_take_the_profiles_of_their_name(copy: Path) -> None:
    for file in list(copy.iterdir()):
        shutil.copy(file, copy / f"other-{file.name}")
    (copy / "pareto.xml").write_text("<analysis/>")
    found = LOADER.load(copy)
    assert [s.id for s in found] == ["genius-market-domain", "genius-other-market-domain"]
    assert [s.name for s in found[1].seats] == ["other-market-profile1", "other-market-profile2"]
    assert [s.id for s in LOADER.load(copy / "other-market-domain.xml")] == ["genius-other-market-domain"]


def test_profiles_may_be_chosen(market: Scenario) -> None:
    first, second = (SAMPLE / f"market-profile{i}.xml" for i in (1, 2))
    swapped = read_domain(SAMPLE / "market-domain.xml", [second, first])
    assert [s.stakes for s in swapped.seats] == [s.stakes for s in reversed(market.seats)]


def test_sniff_is_not_fooled(tmp_path: Path) -> None:
    (tmp_path / "pom.xml").write_text("<project/>")
    for path in (tmp_path, tmp_path / "pom.xml", tmp_path / "absent"):
        assert not LOADER.sniff(path)
        assert "no GENIUS domain here" in broken(LOADER.load, path)


# ---------------------------------------------------------------- damage
@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        (D, 'index="1" name="Closing hour"', 'name="Closing hour"', ":5: <issue>: the attribute 'index' is missing"),
        (D, 'name="Closing hour"', 'name=" "', ":5: <issue>: the attribute 'name' is empty"),
        (D, 'index="2" name="Stalls"', 'index="1" name="Stalls"', ":10: <issue>: index 1 is used already (line 5)"),
        (D, 'index="2" name="Stalls"', 'index="two" name="Stalls"', ":10: <issue>: index='two' is no number"),
        (D, 'index="2" name="Stalls"', 'index="2.5" name="Stalls"', ":10: <issue>: index='2.5' is no whole number"),
        (D, 'type="integer"', 'type="real"', ":10: <issue>: 'Stalls' is real; only discrete and integer issues"),
        (D, 'upperbound="4"', 'upperbound="-1"', ":10: <issue>: 0 to -1 are 0 options; 1 to 5000"),
        (D, 'upperbound="4"', 'upperbound="900000000"', ":10: <issue>: 0 to 900000000 are 900000001 options; 1 to 5000"),
        (D, ' upperbound="4"', "", ":10: <issue>: the attribute 'upperbound' is missing"),
        (D, 'value="midnight"', 'value="ten"', ":7: <item>: value 'ten' of 'Closing hour' is listed twice"),
        (D, '<item index="2" value="midnight"/>', "<item/>", ":7: <item>: the attribute 'value' is missing"),
        (D, "</negotiation_template>", "", ":18: column 1: not well-formed XML: no element found"),
        (D, "<item", "<item <", ":6: column 15: not well-formed XML"),
        (P, '<weight index="2" value="0.3"/>', "", ":2: <utility_space>: no weight for issue 2 ('Stalls')"),
        (P, 'value="0.3"', 'value="lots"', ":5: <weight>: value='lots' is no number"),
        (P, 'value="0.3"', 'value="nan"', ":5: <weight>: value='nan' is no number"),
        (P, 'value="0.3"', 'value="-0.3"', ":5: <weight>: value=-0.3; a weight is at least 0"),
        (P, '<weight index="2"', '<weight index="1"', ":5: <weight>: a second weight for index 1"),
        (P, 'evaluation="5"', 'evaluation="five"', ":9: <item>: evaluation='five' is no number"),
        (P, ' evaluation="5"', "", ":9: <item>: the attribute 'evaluation' is missing"),
        (P, 'evaluation="5"', 'evaluation="-5"', ":9: <item>: evaluation=-5; an evaluation is at least 0"),
        (P, 'value="midnight"', 'value="noon"', ":9: <item>: value 'noon' of 'Closing hour' is not in the domain"),
        (P, 'value="midnight"', 'value="ten"', ":9: <item>: value 'ten' of 'Closing hour' is listed twice"),
        (P, '<item index="2" value="midnight" evaluation="5"/>', "", ":7: <issue>: no evaluation of 'midnight' ('Closing hour')"),
        (P, 'name="Music"', 'name="Noise"', ":15: <issue>: issue 3 is called 'Noise' here and 'Music' in the domain"),
        (P, 'issue index="3"', 'issue index="9"', ":15: <issue>: issue 9 is not in the domain, which has 1, 2, 3"),
        (P, '<evaluator ftype="linear" slope="0.25" offset="0.0"/>', "", ":12: <issue>: 'Stalls' needs a linear evaluator"),
        (P, 'ftype="linear"', 'ftype="triangular"', ":13: <evaluator>: 'Stalls' needs a linear evaluator"),
        (P, 'slope="0.25"', "", ":13: <evaluator>: the attribute 'slope' is missing"),
        (P, 'lowerbound="0"', 'lowerbound="1"', ":12: <issue>: 'Stalls' begins at 1 here and at 0 in the domain"),
        (P, 'value="0.4"', 'value="1.5"', ":2: <utility_space>: reservation 1.5 is above the best deal's 1"),
        (P, 'value="0.4"', 'value=""', ":20: <reservation>: the attribute 'value' is empty"),
        (P, 'value="0.9"', 'value="s"', ":21: <discount_factor>: value='s' is no number"),
        (P, "<utility_space ", '<utility_space type="nonlinear" ', ":2: <utility_space>: not a weighted sum over the issues"),
        (P, "<reservation", "<utility_function/><reservation", ":20: <utility_function>: not a weighted sum over the issues"),
    ],
)  # fmt: skip
def test_damage_is_told_with_line_and_element(copy: Path, file: str, old: str, new: str, fault: str) -> None:
    edit(copy, file, old, new)
    assert f"{copy}/{file}{fault}" in broken(LOADER.load, copy)


def test_a_missing_issue_a_missing_profile_and_a_missing_domain(copy: Path) -> None:
    edit(copy, P, '<issue index="3" name="Music" etype="discrete">', '<issue_ index="3">')
    edit(copy, P, "</issue>\n  </objective>", "</issue_>\n  </objective>")
    assert f"{P}:2: <utility_space>: issue 3 ('Music') of the domain is missing" in broken(LOADER.load, copy)
    (copy / P).unlink()
    assert f"{D}: 1 profiles (market-profile2.xml); a negotiation needs two" in broken(LOADER.load, copy)
    (copy / D).unlink()
    assert f"{copy}: no domain" in broken(LOADER.load, copy)


def test_too_many_deals(copy: Path) -> None:
    for file in (D, P, "market-profile2.xml"):  # 103 closing hours, 4901 stalls, 2 kinds of music
        edit(copy, file, 'upperbound="4"', 'upperbound="4900"')
        items = [f'<item value="x{i}"' + ("/>" if file == D else ' evaluation="1"/>') for i in range(100)]
        edit(copy, file, '<item index="1" value="ten"', "".join(items) + '<item index="1" value="ten"')
    assert "1009606 deals; exact accounting enumerates at most 1000000" in broken(LOADER.load, copy)


# ---------------------------------------------------------------- XML that attacks its reader
BOMB = '<!DOCTYPE z [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE z [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize("doctype", [BOMB, OUTSIDE, '<!DOCTYPE z SYSTEM "http://127.0.0.1:9/z.dtd">', "<!DOCTYPE z>"])
def test_a_doctype_is_refused(copy: Path, doctype: str) -> None:
    edit(copy, D, "<negotiation_template>", f"{doctype}<negotiation_template>")
    assert f"{D}:2: a DOCTYPE is not read: take it out of the file" in broken(LOADER.load, copy)


def test_an_entity_of_its_own_is_refused(copy: Path) -> None:
    edit(copy, D, 'value="ten"', 'value="&x;"')
    assert f"{D}:6: column 9: not well-formed XML: undefined entity" in broken(LOADER.load, copy)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"<a>" * (MAX_DEPTH + 1), ":1: more than 200000 elements, or more than 50 inside each other"),
        (b"<a>" + b"<b/>" * 200_001, ":1: more than 200000 elements"),
        (b'<a b="' + b"c" * 10_001 + b'"/>', ":1: <a>: b has 10001 characters; at most 10000"),
        (b"", ":1: column 1: not well-formed XML: no element found"),
        (b"\x89PNG\r\n", ":1: byte 0x89 is not UTF-8 text; save it as UTF-8"),
        ('<a>\n<b c="é"/></a>'.encode("latin-1"), ":2: byte 0xe9 is not UTF-8 text"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', ":1: "),
        (b"<a/>" + b" " * MAX_BYTES, f": larger than {MAX_BYTES} bytes"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(content)
    assert f"{path}{fault}" in broken(lambda p: read_xml(p, what="GENIUS file"), path)


def test_a_declared_encoding_is_read(copy: Path) -> None:
    for file in (D, P, "market-profile2.xml"):
        text = (copy / file).read_text(encoding="utf-8").replace('value="ten"', 'value="zehn Uhr früh"')
        (copy / file).write_bytes(text.replace('encoding="UTF-8"', 'encoding="ISO-8859-1"').encode("latin-1"))
    assert LOADER.load(copy)[0].issues[0].options[0].label == "zehn Uhr früh"


# ---------------------------------------------------------------- NegMAS' own reader
def test_negmas_reads_the_same(market: Scenario) -> None:
    """NegMAS weighs evaluations as they stand; GENIUS, and so we, divide them by the issue's largest."""
    inout: Any = pytest.importorskip("negmas.inout", reason="pip install negmas to compare with its reader")
    theirs = inout.load_genius_domain_from_folder(str(SAMPLE), ignore_discount=True)
    assert [i.name for i in theirs.issues] == [i.name for i in market.issues]
    for seat, ufun in zip(market.seats, theirs.ufuns, strict=True):
        assert seat.stakes is not None
        assert ufun.reserved_value == seat.stakes.walk_away
        for k, (issue, ours) in enumerate(zip(theirs.issues, seat.stakes.scores, strict=True)):
            values = list(issue.all)
            assert [str(v) for v in values] == [o.label for o in market.issues[k].options]
            raw = [float(ufun.values[k](v)) for v in values]
            top = 1.0 if issue.is_integer() else max(raw)
            shares = [min(1.0, max(0.0, v / top)) for v in raw]
            assert [ufun.weights[k] * v for v in shares] == pytest.approx(list(ours))
