"""The importer for LLM-Deliberation / ScorableGames folders (arXiv 2309.17234).

1. A small game of our own (`tests/data/scorable/night-market`) is mapped exactly; its figures are worked by hand below.
2. Every way of breaking it gives one `ScenarioError` naming file and line.
3. On the published games a brute force straight from the raw files agrees with the exact accounting. They are not part of
   the project: set NEGO_DATA to a folder that holds `llm-deliberation/`.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from nego_env.accounting import report
from nego_env.errors import ScenarioError
from nego_env.packs import open_path
from nego_env.scenario import Scenario, decode_scenario, encode_scenario
from nego_scenarios.importers.llm_deliberation import LABEL_MAX, LLMDeliberation, flatten, headline, read_game

SAMPLE = Path(__file__).parent / "data" / "scorable" / "night-market"


@pytest.fixture(scope="module")
def market() -> Scenario:
    return read_game(SAMPLE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sample that a test may break."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "games" / "night-market"))


# ---------------------------------------------------------------- the mapping, by hand
def test_seats_are_p1_p2_then_file_order(market: Scenario) -> None:
    # config.txt lists residents, guild (p1), tram, council (p2), with a blank line and stray blanks
    assert [s.name for s in market.seats] == ["Traders' Guild", "Town Council", "Quay Residents", "Tram Company"]


def test_protocol_is_all_but_one_with_two_vetoes(market: Scenario) -> None:
    p = market.protocol
    assert (p.acceptance.at_least, p.acceptance.vetoes, p.finalizer, p.bonus) == (3, (0, 1), 0, {"seat_0": 10.0})


def test_stakes_come_from_the_sheets(market: Scenario) -> None:
    stakes = [s.stakes for s in market.seats]
    assert [s.walk_away for s in stakes if s] == [30, 40, 60, 25]
    assert [s.scores for s in stakes if s] == [
        ((0, 10, 20), (5, 15, 30, 25), (0, 10)),
        ((10, 20, 0), (10, 30, 20, 0), (20, 5)),
        ((50, 30, 0), (20, 15, 5, 0), (30, 0)),
        ((0, 20, 40), (0, 10, 20, 30.5), (0, 0)),
    ]


def test_issues_in_three_layouts(market: Scenario) -> None:
    a, b, c = market.issues
    assert (a.id, a.name, b.id, b.name, c.id, c.name) == (
        "A", "Closing hour", "B", "Size", "C", "Payments to the Quay Residents",
    )  # fmt: skip
    assert [(o.id, o.label, o.text) for o in a.options] == [
        ("A1", "ten o'clock", "families go home on the last tram."),
        ("A2", "midnight", "two hours more, with the lamps dimmed after eleven."),
        ("A3", "no closing hour", "and the market ends when it ends."),
    ]
    assert [(o.id, o.label, o.text) for o in b.options] == [
        ("B1", "Twelve stalls", "everybody has room, nobody grows rich."),
        ("B2", "Thirty stalls", "lively, and the lane stays free."),
        ("B3", "Sixty stalls", "the whole quay; prams take the road."),
        ("B4", "No limit", ""),
    ]
    assert [(o.id, o.label, o.text) for o in c.options] == [
        ("C1", "Traders' Guild pays Quay Residents 5,000 a year", ""),
        ("C2", "Traders' Guild pays nothing", ""),
    ]
    assert a.text == (
        'When the last stall shuts. The "Quay Residents" have asked for early nights. There are three options.'
    )
    assert b.text == "How many stalls may stand on the quay. More stalls need more trams."


def test_task_is_the_story_and_asks_for_the_decision(market: Scenario) -> None:
    assert market.task == (
        'The "Traders\' Guild" wants to open a night market on the old quay of a harbour town. The parties are: '
        'The "Traders\' Guild", which would run the market. The "Town Council", which owns the quay. '
        'The "Quay Residents", who sleep beside it, and the "Tram Company", which would bring the visitors. '
        "Three issues are open. The talks end tonight. Which deal should they settle on?"
    )


def test_personas_hold_their_own_numbers(market: Scenario) -> None:
    assert market.seats[0].persona == (
        "Your confidential information: You speak for the Traders' Guild. Get the biggest market you can. "
        "Stalls matter most (issue B); sixty is what the guild can fill. "
        "Issue B (max score 30): B1 (5), B2(15), B3 (30), B4 (25). Beyond that the stalls fight each other. "
        "Late nights sell (issue A). Issue A (max score 20): A1 (0), A2 (10), A3 (20). "
        "You would rather not pay (issue C). Issue C (max score 10): C1 (0), C2 (10)."
    )
    assert market.seats[3].persona.endswith("you have 30.5, with no closing hour 40.")
    assert not any("#" in seat.persona for seat in market.seats)


def test_personas_and_sheets_are_private(market: Scenario) -> None:
    seen = market.for_seat(2)
    assert [s.persona != "" for s in seen.seats] == [False, False, True, False]
    assert [s.stakes is not None for s in seen.seats] == [False, False, True, False]
    assert seen.meta == {}


def test_meta_and_id(market: Scenario) -> None:
    assert market.id == "llm-deliberation-night-market"
    assert market.tags == ("imported", "llm-deliberation")
    assert market.meta["initial_deal"] == "A3 B4 C2"
    assert "licence" not in market.meta
    assert [market.meta[f"incentive.seat_{i}"] for i in range(4)] == ["greedy", *["cooperative"] * 3]
    assert (market.meta["role.seat_3"], market.meta["model.seat_1"]) == ("target", "other-model")
    assert "2309.17234" in market.meta["source"]


def test_a_licence_above_the_game_is_named(copy: Path) -> None:
    (copy.parent / "LICENSE").write_text("\nMIT License\n\nCopyright (c) 1999 A. Person\n\nPermission ...\n")
    assert read_game(copy).meta["licence"] == "MIT License; Copyright (c) 1999 A. Person"


def test_the_same_game_elsewhere_is_the_same_scenario(market: Scenario, copy: Path) -> None:
    assert read_game(copy).content_hash == market.content_hash


def test_round_trip(market: Scenario) -> None:
    assert decode_scenario(encode_scenario(market), "here") == market


# ---------------------------------------------------------------- the accounts, by hand
# Guild (p1) >= 30 and council (p2) >= 40, and one more of residents >= 60, tram >= 25:
#   A1 B3 C1: 30 50  85 20    A2 B3 C1: 40 60 65 40   A2 B4 C1: 35 40 60 50.5   A3 B2 C1: 35 50 45 50
#   A3 B3 C1: 50 40  35 60    A2 B2 C2: 35 55 45 30   A2 B3 C2: 50 45 35 40
# Seven deals pass; A2 B3 C1 and A2 B4 C1 have everybody.
PASSES = {"A1 B3 C1", "A2 B3 C1", "A2 B4 C1", "A3 B2 C1", "A3 B3 C1", "A2 B2 C2", "A2 B3 C2"}


def test_passing_deals(market: Scenario) -> None:
    table = market.table
    passed = {" ".join(market.ids(table.deal(int(i)))) for i in np.flatnonzero(table.passes)}
    unanimous = {" ".join(market.ids(table.deal(int(i)))) for i in np.flatnonzero(table.met.all(axis=0))}
    assert passed == PASSES
    assert unanimous == {"A2 B3 C1", "A2 B4 C1"}
    assert market.ids(table.best_deal) == ("A2", "B3", "C1")
    assert not market.no_zopa


def test_passing_over_one_party_passes_but_is_worth_nothing(market: Scenario) -> None:
    account = report(market, market.deal(["A2", "B3", "C2"]))
    assert list(account.scores) == [50, 45, 35, 40]
    assert list(account.thresholds_met) == [True, True, False, True]
    assert account.passed
    assert (account.ca, account.regret) == (0.0, 5.0)
    assert account.bonus_scores == {"seat_0": 50}  # the residents are below their minimum: no bonus


def test_a_veto_stops_a_deal_that_three_want(market: Scenario) -> None:
    account = report(market, market.deal(["A2", "B2", "C1"]))  # guild 25 < 30
    assert list(account.thresholds_met) == [False, True, True, True]
    assert not account.passed


def test_gains_and_ca_of_the_best_deal(market: Scenario) -> None:
    account = report(market, market.deal(["A2", "B3", "C1"]))
    # (40-30)/(60-30), (60-40)/(70-40), (65-60)/(100-60), (40-25)/(70.5-25)
    assert account.gains == pytest.approx((1 / 3, 2 / 3, 1 / 8, 15 / 45.5), abs=1e-6)
    assert (account.ca, account.regret, account.pareto) == (5.0, 0.0, True)
    assert account.bonus_scores == {"seat_0": 50}  # 40 + 10


def test_the_bonus_appears_exactly_when_every_threshold_is_met(market: Scenario) -> None:
    for row in market.table.deals:
        account = report(market, tuple(row.tolist()))
        extra = account.bonus_scores["seat_0"] - account.scores[0]
        assert extra == (10 if all(account.thresholds_met) else 0)


# ---------------------------------------------------------------- finding games
def test_one_game_a_folder_of_games_and_a_checkout(copy: Path, tmp_path: Path) -> None:
    importer = LLMDeliberation()
    shutil.copytree(copy, copy.parent / "a second game!")
    (copy.parent / "notes").mkdir()
    checkout = tmp_path / "checkout"
    shutil.copytree(copy.parent, checkout / "games_descriptions")
    assert [s.id for s in importer.load(copy)] == ["llm-deliberation-night-market"]
    for path in (copy.parent, checkout):
        assert importer.sniff(path)
        assert [s.id for s in importer.load(path)] == [
            "llm-deliberation-a-second-game", "llm-deliberation-night-market",
        ]  # fmt: skip


def test_sniff_is_not_fooled(tmp_path: Path, copy: Path) -> None:
    importer = LLMDeliberation()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.txt").write_text("width = 3\n")
    for path in (tmp_path / "other", tmp_path / "absent", copy / "config.txt"):
        assert not importer.sniff(path)
        with pytest.raises(ScenarioError, match="no game here"):
            importer.load(path)


def test_the_core_finds_it_by_path() -> None:
    assert open_path(SAMPLE).ids() == ["llm-deliberation-night-market"]


# ---------------------------------------------------------------- layouts
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('"By rail": the slow way.', ("By rail", "the slow way.")),
        ('"By rail". The slow way', ("By rail", "The slow way")),
        ("“By rail”", ("By rail", "")),
        ('"Payments to "other towns""', ("Payments to other towns", "")),
        ('"No preference" none at all for the "Union".', ("No preference", 'none at all for the "Union".')),
        ('"Union" pays the "Mayor".', ("Union pays the Mayor", "")),
        ('"Union": it pays.', ("Union", "it pays.")),
        ("By rail ==> slow, and cheap", ("By rail", "slow, and cheap")),
        ("By rail -> slow", ("By rail", "slow")),
        ("Low fare - one coin. Per head", ("Low fare", "one coin. Per head")),
        ("High fare. Two coins.", ("High fare", "Two coins.")),
        ("$1.5 billion.", ("$1.5 billion", "")),
        ("a quota of 2:1", ("a quota of 2:1", "")),
        ("", ("", "")),
    ],
)
def test_headlines(content: str, expected: tuple[str, str]) -> None:
    assert headline(content, {"union", "mayor"}) == expected


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ("the quay (" + "lamps, " * 20 + "stalls)", "the quay"),
        ("at the border, " + "near the mill " * 10, "at the border"),
        ("word " * 40, ("word " * 15).strip() + "…"),
        ("w" * 200, "w" * (LABEL_MAX - 1) + "…"),
    ],
)
def test_a_long_headline_is_cut_and_kept_whole_in_the_text(content: str, label: str) -> None:
    short, rest = headline(content)
    assert short == label
    assert rest == content.strip()
    assert len(short) <= LABEL_MAX


def test_options_that_open_alike_keep_their_whole_sentences(copy: Path) -> None:
    edit(copy, "global_instructions.txt", "B1: Twelve stalls ==>", "B1: Stalls ==>")
    edit(copy, "global_instructions.txt", "B2: Thirty stalls ==>", "B2: Stalls ==>")
    labels = [o.label for o in read_game(copy).issues[1].options]
    assert labels[0] == "Stalls ==> everybody has room, nobody grows rich"
    assert len(set(labels)) == 4


def test_a_hard_wrapped_option_keeps_its_second_line(copy: Path) -> None:
    edit(copy, "global_instructions.txt", "go home on the", "go home\non the")
    assert read_game(copy).issues[0].options[0].text == "families go home on the last tram."


def test_flatten_ends_sentences_at_bullets_only() -> None:
    assert flatten(["We meet", "on  Monday", "", "- first", " - second;", "====", "Bring:"]) == (
        "We meet on Monday. first. second; Bring."
    )


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_newlines_and_byte_order_marks_do_not_matter(market: Scenario, copy: Path, newline: str, mark: bytes) -> None:
    for file in copy.rglob("*.txt"):
        file.write_bytes(mark + file.read_text(encoding="utf-8").replace("\n", newline).encode())
    assert read_game(copy).content_hash == market.content_hash


def test_the_initial_deal_is_optional(copy: Path) -> None:
    (copy / "initial_deal.txt").unlink()
    assert "initial_deal" not in read_game(copy).meta


def test_a_story_that_asks_keeps_its_question(copy: Path) -> None:
    edit(copy, "global_instructions.txt", "The talks end tonight", "What do you settle on?")
    assert read_game(copy).task.endswith("Three issues are open. What do you settle on?")


def test_seven_parties_and_six_issues(tmp_path: Path) -> None:
    counts, n = (2, 3, 1, 4, 2, 5), 7
    game = tmp_path / "Größer"
    for folder in ("scores_files", "individual_instructions/cooperative"):
        (game / folder).mkdir(parents=True)
    roles = ["player", "player", "p2", "player", "player", "p1", "player"]
    config = [f"Party {i},f{i},{role},cooperative,m" for i, role in enumerate(roles)]
    (game / "config.txt").write_text("\n".join(config))
    blocks = [
        f"Issue {letter}: Matter {letter}\n" + "\n".join(f"{letter}{k + 1}: way {k + 1}" for k in range(count))
        for letter, count in zip("ABCDEF", counts, strict=True)
    ]
    (game / "global_instructions.txt").write_text("\n\n".join(blocks))
    for i in range(n):
        (game / "scores_files" / f"f{i}.txt").write_text("\n".join(",".join("7" * c) for c in counts) + f"\n{i}")
        (game / "individual_instructions" / "cooperative" / f"f{i}.txt").write_text(f"You are party {i}")
    s = read_game(game)
    assert (s.n, s.counts, s.protocol.acceptance.at_least) == (7, counts, 6)
    assert [seat.name for seat in s.seats][:4] == ["Party 5", "Party 2", "Party 0", "Party 1"]
    assert s.task == "Which deal should they settle on?"
    assert s.id == "llm-deliberation-Gr-er"


# ---------------------------------------------------------------- broken folders
def edit(game: Path, file: str, old: str, new: str) -> None:
    text = (game / file).read_text(encoding="utf-8")
    assert old in text
    (game / file).write_text(text.replace(old, new, 1), encoding="utf-8")


CONFIG, SHARED, DEAL = "config.txt", "global_instructions.txt", "initial_deal.txt"
GUILD, COUNCIL = "scores_files/guild.txt", "scores_files/council.txt"
TRAM = "individual_instructions/cooperative/tram.txt"


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "words"),
    [
        (
            CONFIG,
            "guild,p1",
            "guild,boss",
            3,
            "unknown role 'boss' of \"Traders' Guild\"; known: p1, p2, player, target",
        ),
        (CONFIG, "guild,p1", "guild,player", 5, "no party has the role p1"),
        (CONFIG, "council,p2", "council,player", 5, "no party has the role p2"),
        (CONFIG, "council,p2", "council,p1", 5, "a second p1, 'Town Council'; \"Traders' Guild\" is p1 (line 3)"),
        (CONFIG, "tram, target ", "tram,p2", 5, "a second p2, 'Town Council'; 'Tram Company' is p2 (line 4)"),
        (CONFIG, "Tram Company", "QUAY residents", 4, "party 'QUAY residents' is listed twice (line 1)"),
        (CONFIG, "tram, target", "guild, target", 4, "has the file 'guild'"),
        (CONFIG, ",greedy,any-model", "", 3, "3 of 5 fields"),
        (CONFIG, "any-model", "any-model,more", 1, "6 of 5 fields"),
        (CONFIG, "tram, target", "../tram, target", 4, "must be a plain name"),
        (CONFIG, "tram, target", f"{'t' * 300}, target", 4, "must be a plain name"),
        (CONFIG, "p2,cooperative", "p2,..", 5, "must be a plain name"),
        (CONFIG, "tram, target", "ferry, target", 4, "'Tram Company' has no score sheet"),
        (CONFIG, "guild,p1,greedy", "guild,p1,generous", 3, "it has some for the incentive: greedy"),
        (GUILD, "15,30", "15,thirty", 2, "'thirty' is no number"),
        (GUILD, "15,30", "15,nan", 2, "'nan' is no number"),
        (GUILD, "15,30", "15,1e999", 2, "'1e999' is no number"),
        (GUILD, "15,30", "15,,30", 2, "'' is no number"),
        (GUILD, "15,30", "15 30", 2, "'15 30' is no number"),
        (GUILD, "5,15,", "5,", 2, "3 scores for issue B, which has 4 options (B1 B2 B3 B4)"),
        (COUNCIL, "10, 20, 0", "10, 20, 0, 4", 1, "4 scores for issue A, which has 3 options"),
        (GUILD, "\n30", "", 3, "the file ends before the minimum acceptable score"),
        (GUILD, "\n0, 10\n\n30", "", 2, "the file ends before issue C, the minimum"),
        (COUNCIL, "40 ", "40, 50", 4, "2 numbers in the last line"),
        (COUNCIL, "40 ", "40\n40", 5, "5 lines; 3 issues and the minimum acceptable score take 4"),
        (COUNCIL, "40 ", "71", 4, "the minimum 71 is above the best deal's 70"),
        (TRAM, "#B4_NUM", "#B5_NUM", 2, "placeholder #B5_NUM names no option"),
        (TRAM, "#a_max_num", "#D_MAX_NUM", 2, "placeholder #D_MAX_NUM names no option"),
        (SHARED, "A2 ", "A3 ", 15, "option A3 where A2 was expected"),
        (SHARED, "A2 ", "A1 ", 15, "option A1 where A2 was expected"),
        (SHARED, "- B3:", "- C3:", 23, "option C3 stands under issue B"),
        (SHARED, "  - Issue B:", "  - Topic B:", 21, "option B1 stands under no issue"),
        (SHARED, "Issue C:", "Issue A:", 27, "issue A is listed twice (line 12)"),
        (SHARED, "- B4: No limit ", "- B4: ", 24, "option B4 has no words"),
        (SHARED, 'Issue A: "Closing hour"', "Issue A:", 12, "issue A has no name"),
        (SHARED, "=================\n", "Issue D: x\n=================\n", 19, "issue D has no options"),
        (SHARED, "quay   \nof", "quay \x1b[31m\nof", 1, "control character"),
        (DEAL, "B4", "B7", 1, "'B7' is no option; options: A1 A2 A3 B1"),
        (DEAL, "B4", "A1", 1, "A3 and A1 both settle issue A"),
        (DEAL, ", B4", "", 1, "nothing settles issue B"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(
    copy: Path, file: str, old: str, new: str, line: int, words: str
) -> None:
    edit(copy, file, old, new)
    with pytest.raises(ScenarioError) as e:
        LLMDeliberation().load(copy.parent)
    message = str(e.value)
    assert message.startswith(f"{copy / file}:{line}: ")
    assert words in message
    assert "\n" not in message


def test_odd_file_names_are_looked_up_literally(copy: Path) -> None:
    edit(copy, CONFIG, "tram, target", "**[x, target")
    (copy / "scores_files" / "tram.txt").rename(copy / "scores_files" / "**[x.txt")
    with pytest.raises(ScenarioError, match=r"has no instructions .*; add them or correct the file name"):
        read_game(copy)


def test_large_scores_are_written_out(copy: Path) -> None:
    edit(copy, "scores_files/tram.txt", "30.5", "1234567.25")
    assert "you have 1234567.25, with" in read_game(copy).seats[3].persona


@pytest.mark.parametrize("file", [CONFIG, SHARED, DEAL, GUILD, TRAM])
@pytest.mark.parametrize(
    ("content", "at", "words"),
    [
        (b"", ":1: ", "empty"),
        (b" \r\n\t\n", ":1: ", "empty"),
        (b"ok\nab\xff\xfe\x80", ":2: ", "0xff is not UTF-8"),
        (b"\x7fELF\x02\x01\x00", ":1: ", "control character"),
        (b"a" * 1_000_001, ": ", "larger than"),
    ],
)
def test_empty_binary_and_huge_files(copy: Path, file: str, content: bytes, at: str, words: str) -> None:
    (copy / file).write_bytes(content)
    with pytest.raises(ScenarioError) as e:
        read_game(copy)
    assert str(e.value).startswith(f"{copy / file}{at}")
    assert words in str(e.value)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (CONFIG, "config.txt: missing"),
        (SHARED, "global_instructions.txt: missing"),
        (GUILD, 'config.txt:3: "Traders\' Guild" has no score sheet'),
        (TRAM, "config.txt:4: 'Tram Company' has no instructions"),
    ],
)
def test_a_missing_part_is_named(copy: Path, part: str, words: str) -> None:
    (copy / part).unlink()
    assert LLMDeliberation().sniff(copy)
    with pytest.raises(ScenarioError) as e:
        LLMDeliberation().load(copy)
    assert words in str(e.value)
    assert str(copy / part) in str(e.value)


def test_prose_alone_holds_no_issues(copy: Path) -> None:
    (copy / SHARED).write_text("Talk about whatever you like.\n")
    with pytest.raises(ScenarioError, match=r"global_instructions\.txt:1: no issue in the file"):
        read_game(copy)


def test_too_many_deals_are_refused_with_the_file(copy: Path) -> None:
    options = "\n".join(f"B{k}: size {k}" for k in range(1, 1000))
    blocks = "\n\n".join(f"Issue {c}: Matter {c}\n{options.replace('B', c)}" for c in "AB")
    (copy / SHARED).write_text(f"A story.\n\n{blocks}\n\nIssue C: Matter C\nC1: this\nC2: that\n")
    for name in ("guild", "council", "residents", "tram"):
        row = ",".join(["1"] * 999)
        (copy / "scores_files" / f"{name}.txt").write_text(f"{row}\n{row}\n1,1\n1\n")
    with pytest.raises(ScenarioError, match=r"global_instructions\.txt:3: .*1996002 deals"):
        read_game(copy)


# ---------------------------------------------------------------- the published games, by brute force
class Raw(NamedTuple):
    """A game as its files have it: `sheets[party][issue][option]`, parties in seat order."""

    sheets: list[list[list[float]]]
    minimum: list[float]


def published(game: str) -> Path:
    data = os.environ.get("NEGO_DATA")
    if not data:
        pytest.skip("set NEGO_DATA to a folder that holds llm-deliberation/ to run this")
    folder = Path(data) / "llm-deliberation" / "games_descriptions" / game
    if not folder.is_dir():
        pytest.skip(f"NEGO_DATA has no {folder}")
    return folder


def raw_game(folder: Path) -> Raw:
    parties = [line.split(",") for line in (folder / "config.txt").read_text().strip().splitlines()]
    order = [p for p in parties if p[2] == "p1"] + [p for p in parties if p[2] == "p2"]
    order += [p for p in parties if p[2] not in ("p1", "p2")]
    sheets = []
    for party in order:
        lines = (folder / "scores_files" / f"{party[1]}.txt").read_text().strip().splitlines()
        sheets.append([[float(v) for v in line.split(",")] for line in lines])
    return Raw([sheet[:-1] for sheet in sheets], [sheet[-1][0] for sheet in sheets])


class Brute(NamedTuple):
    """What enumeration says, one entry per deal, the last issue varying fastest."""

    deals: list[tuple[int, ...]]
    scores: list[list[float]]
    met: list[list[bool]]
    passed: list[bool]
    g: list[float]


def brute(raw: Raw) -> Brute:
    n = len(raw.sheets)
    deals = list(itertools.product(*(range(len(row)) for row in raw.sheets[0])))
    best = [sum(max(row) for row in sheet) for sheet in raw.sheets]
    out = Brute(deals, [], [], [], [])
    for deal in deals:
        scores = [sum(row[j] for row, j in zip(sheet, deal, strict=True)) for sheet in raw.sheets]
        met = [s >= m for s, m in zip(scores, raw.minimum, strict=True)]
        each = [
            0.1 + 0.9 * ((s - m) / (b - m) if b > m else 0.0) if ok else 0.0
            for s, m, b, ok in zip(scores, raw.minimum, best, met, strict=True)
        ]
        out.scores.append(scores)
        out.met.append(met)
        out.passed.append(sum(met) >= n - 1 and met[0] and met[1])
        out.g.append(math.prod(each) ** (1 / n))
    return out


def best_of(values: list[float], among: list[bool]) -> list[int]:
    top = max(v for v, ok in zip(values, among, strict=True) if ok)
    return [i for i, (v, ok) in enumerate(zip(values, among, strict=True)) if ok and v >= top - 1e-9]


class Pinned(NamedTuple):
    """Measured once from the raw files; a deal is written by its option ids."""

    passes: int
    unanimous: int
    best_g: str
    best_p1: list[str]
    """Among the deals that pass, p1's bonus included."""
    best_welfare: list[str]
    """Among the deals that pass."""


PINNED = {
    "base": Pinned(55, 12, "A2 B3 C3 D2 E3", ["A2 B3 C4 D1 E3"], ["A2 B3 C2 D2 E4"]),
    "game1": Pinned(57, 21, "A3 B3 C3 D2 E2", ["A3 B4 C4 D4 E2"], ["A3 B3 C3 D4 E3"]),
}


@pytest.mark.parametrize("game", ["base", "game1"])
def test_published_games_agree_with_brute_force(game: str) -> None:
    folder = published(game)
    scenario = read_game(folder)
    table, found = scenario.table, brute(raw_game(folder))
    assert [table.deal(i) for i in range(len(table.deals))] == found.deals
    assert table.scores.T.tolist() == found.scores
    assert table.met.T.tolist() == found.met
    assert table.passes.tolist() == found.passed
    np.testing.assert_allclose(table.ca, 5 * np.array(found.g) / max(found.g), atol=1e-9)

    unanimous = [all(met) for met in found.met]
    p1 = [s[0] + (10 if ok else 0) for s, ok in zip(found.scores, unanimous, strict=True)]
    welfare = [sum(s) for s in found.scores]
    everything = [True] * len(found.deals)
    ours_p1 = [report(scenario, deal).bonus_scores["seat_0"] for deal in found.deals]
    for among in (everything, found.passed):
        assert best_of(ours_p1, among) == best_of(p1, among)
        assert best_of(table.scores[0].tolist(), among) == best_of([s[0] for s in found.scores], among)
        assert best_of(table.scores.sum(axis=0).tolist(), among) == best_of(welfare, among)
    (best_g,) = best_of(found.g, everything)
    assert table.best_index == best_g

    def ids(rows: list[int]) -> list[str]:
        return [" ".join(scenario.ids(found.deals[i])) for i in rows]

    assert PINNED[game] == Pinned(
        passes=sum(found.passed),
        unanimous=sum(unanimous),
        best_g=ids([best_g])[0],
        best_p1=ids(best_of(p1, found.passed)),
        best_welfare=ids(best_of(welfare, found.passed)),
    )


@pytest.mark.parametrize("game", ["base", "game1"])
def test_published_games_lose_one_sided_deals(game: str) -> None:
    scenario = read_game(published(game))
    table = scenario.table
    passed_over = np.flatnonzero(table.passes & ~table.met.all(axis=0))
    assert len(passed_over) > 0
    for i in passed_over:
        account = report(scenario, table.deal(int(i)))
        assert account.passed
        assert account.ca == 0.0
        assert account.bonus_scores["seat_0"] == account.scores[0]


@pytest.mark.parametrize(
    ("game", "names"),
    [
        (
            "base",
            "SportCo|Department of Tourism|Mayor|Other cities|Local Labour Union|Environmental League",
        ),
        (
            "game1",
            "government|international development bank|environmental NGO|construction company|indigenous community|"
            "local tourism association",
        ),
    ],
)
def test_published_games_are_mapped(game: str, names: str) -> None:
    (scenario,) = LLMDeliberation().load(published(game))
    assert [s.name for s in scenario.seats] == names.split("|")
    assert scenario.meta["licence"].startswith("MIT License")
    assert scenario.task.endswith("?")
    assert "Issue A" not in scenario.task
    assert not any("#" in s.persona for s in scenario.seats)
    for option in (o for issue in scenario.issues for o in issue.options):
        assert 0 < len(option.label) <= LABEL_MAX
        assert '"' not in option.label


@pytest.mark.parametrize("game", ["base", "game1"])
def test_no_word_of_the_published_text_is_lost(game: str) -> None:
    folder = published(game)
    s = read_game(folder)
    kept = " ".join([s.task, *(f"{i.name} {i.text} {o.label} {o.text}" for i in s.issues for o in i.options)])
    plain = str.maketrans("", "", '".,:;=>-')
    written = (folder / SHARED).read_text(encoding="utf-8").translate(plain).split()
    ids = {o.id for i in s.issues for o in i.options} | {i.id for i in s.issues} | {"Issue"}
    assert set(written) - set(kept.translate(plain).split()) - ids == set()
