"""Promises about scenarios.

1. A scenario that does not hold together is a `ScenarioError` on construction, and the message names the scenario and what.
2. It round-trips through JSON and TOML; files are read strictly, and an error names the file and the field.
3. `content_hash` names what is played: the same for equal scenarios, another for any change.
4. `for_seat` blanks everything one seat may not know.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from support import bargain, council, dilemma, quorum, single_line, structured

from nego_env.errors import NegoError, ScenarioError
from nego_env.scenario import (
    KEPT,
    MAX_DEALS,
    Acceptance,
    Issue,
    Kept,
    Option,
    Protocol,
    Scenario,
    Seat,
    Stakes,
    decode_scenario,
    encode_scenario,
    read_toml,
    scenario_from,
)

TOML = """
task = "Who waters the beans?"
tags = ["garden"]

[[seats]]
name = "the tenant"
persona = "Sleep late."
stakes = { scores = [[0, 4]], walk_away = 1 }

[[seats]]
name = "the owner"
persona = "Go out in the evening."
stakes = { scores = [[3, 0.5]], walk_away = 0 }

[[issues]]
id = "A"
name = "the watering"
options = [{ id = "A1", label = "mornings" }, { id = "A2", label = "evenings", text = "After six." }]
"""


# ---------------------------------------------------------------- what holds together
def test_a_scenario_with_issues_is_structured_and_one_without_is_open() -> None:
    assert (bargain().kind, bargain().n, bargain().counts, bargain().n_deals) == ("structured", 2, (3, 3), 9)
    assert (dilemma(3).kind, dilemma(3).n, dilemma(3).counts, dilemma(3).n_deals) == ("open", 3, (), 0)


def test_seats_are_called_seat_0_to_seat_n_minus_1() -> None:
    assert quorum().seat_ids == ("seat_0", "seat_1", "seat_2", "seat_3")


def test_the_default_cap_is_seven_rounds_the_default_finalizer_seat_0_and_everybody_must_accept() -> None:
    assert Protocol() == Protocol(max_rounds=7, acceptance=Acceptance(None, ()), finalizer=0, bonus={})


def seat(i: int, **changes: Any) -> Callable[[Scenario], Scenario]:
    """A scenario with one seat changed."""
    return lambda s: replace(s, seats=(*s.seats[:i], replace(s.seats[i], **changes), *s.seats[i + 1 :]))


def protocol(**changes: Any) -> Callable[[Scenario], Scenario]:
    """A scenario with its protocol changed."""
    return lambda s: replace(s, protocol=replace(s.protocol, **changes))


def options(*ids: str) -> tuple[Issue, ...]:
    """Issue A with the options named, and issue B as in the bargain."""
    return (Issue("A", "a", tuple(Option(i, "x") for i in ids)), bargain().issues[1])


BROKEN: list[tuple[str, Callable[[Scenario], Any]]] = [
    ("an id is 1 to 120 letters", lambda s: replace(s, id="")),
    ("an id is 1 to 120 letters", lambda s: replace(s, id="two words")),
    ("an id is 1 to 120 letters", lambda s: replace(s, id="../up")),
    ("an id is 1 to 120 letters", lambda s: replace(s, id="x" * 121)),
    ("an id is 1 to 120 letters", lambda s: replace(s, id="line\n")),
    ("the task is empty", lambda s: replace(s, task=" \n")),
    ("needs at least 2 seats, this one has 1", lambda s: replace(s, seats=s.seats[:1])),
    ("seat_1 has no name", seat(1, name=" ")),
    ("seat_1 and seat_0 are both called 'the tenant'", seat(1, name="the tenant")),
    ("seat_0 has no persona", seat(0, persona="")),
    ("seat_1 has no stakes, but there are issues", seat(1, stakes=None)),
    ("seat_0 has stakes, but there are no issues", lambda s: replace(s, issues=())),
    ("seat_0 scores 1 issues, the scenario has 2", seat(0, stakes=Stakes(((1, 2, 3),), 0))),
    ("seat_0 scores 2 options of issue 'A', which has 3", seat(0, stakes=Stakes(((1, 2), (1, 2, 3)), 0))),
    ("seat_0 has a score that is no number within", seat(0, stakes=Stakes(((1, 2, float("nan")), (1, 2, 3)), 0))),
    ("seat_0 has a score that is no number within", seat(0, stakes=Stakes(((1, 2, 3), (1, 2, 3)), float("-inf")))),
    ("seat_0 has a score that is no number within", seat(0, stakes=Stakes(((1e308, 2, 3), (1e308, 2, 3)), 0))),
    (
        "seat_0 would walk away from every deal (best 6, walk-away 6.5)",
        seat(0, stakes=Stakes(((0, 4, 2), (2, 0, 1)), 6.5)),
    ),
    ("issue 'A' has no options", lambda s: replace(s, seats=bare(s), issues=options())),
    ("option id '1A'", lambda s: replace(s, issues=options("1A", "A2", "A3"))),
    ("option id 'A-1'", lambda s: replace(s, issues=options("A-1", "A2", "A3"))),
    ("option id 'A12345678901234567'", lambda s: replace(s, issues=options("A12345678901234567", "A2", "A3"))),
    ("id 'a1' is used by an option already", lambda s: replace(s, issues=options("A1", "a1", "A3"))),
    ("id 'a' is used by an issue already", lambda s: replace(s, issues=options("a", "A2", "A3"))),
    ("max_rounds is 0, it must be at least 1", protocol(max_rounds=0)),
    ("finalizer 2 is no seat (0 to 1)", protocol(finalizer=2)),
    ("finalizer -1 is no seat (0 to 1)", protocol(finalizer=-1)),
    ("acceptance by at least 0 of 2 seats", protocol(acceptance=Acceptance(0))),
    ("acceptance by at least 3 of 2 seats", protocol(acceptance=Acceptance(3))),
    ("veto seat 2 is no seat", protocol(acceptance=Acceptance(1, (2,)))),
    ("a bonus for 'seat_2', which is no seat", protocol(bonus={"seat_2": 1.0})),
    ("the bonus for seat_0 is nan", protocol(bonus={"seat_0": float("nan")})),
]


def bare(s: Scenario) -> tuple[Seat, ...]:
    """Seats that score no option of issue A."""
    return tuple(replace(x, stakes=Stakes(((), (1.0, 2.0, 3.0)), 0)) for x in s.seats)


@pytest.mark.parametrize(("fault", "break_it"), BROKEN, ids=[f"{i}-{f[:30]}" for i, (f, _) in enumerate(BROKEN)])
def test_what_does_not_hold_together_is_an_error_that_says_what_and_where(
    fault: str, break_it: Callable[[Scenario], Any]
) -> None:
    with pytest.raises(ScenarioError) as e:
        break_it(bargain())
    assert fault in str(e.value)
    assert str(e.value).startswith("scenario ")
    assert single_line(str(e.value))
    assert isinstance(e.value, NegoError)
    assert isinstance(e.value, ValueError)


@pytest.mark.parametrize(
    "changes", [{"acceptance": Acceptance(2)}, {"acceptance": Acceptance(None, (0,))}, {"bonus": {"seat_0": 1.0}}]
)
def test_acceptance_and_bonus_need_issues(changes: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError, match="an open dilemma is agreed by its judge"):
        protocol(**changes)(dilemma())


def test_more_deals_than_can_be_enumerated_are_refused() -> None:
    issues = tuple(Issue(c, c, tuple(Option(f"{c}{j}", "x") for j in range(101))) for c in "ABC")
    stakes = Stakes(((0.0,) * 101,) * 3, 0)
    with pytest.raises(ScenarioError, match=f"1030301 deals; exact accounting enumerates at most {MAX_DEALS}"):
        Scenario("big", "What?", (Seat("a", "p", stakes), Seat("b", "p", stakes)), issues)


def test_decimal_scores_that_add_up_to_the_walk_away_value_reach_it() -> None:
    # 0.7 + 0.1 is 0.7999999999999999 in binary
    s = bargain()
    made = seat(0, stakes=Stakes(((0.7, 0, 0), (0.1, 0, 0)), 0.8))(s)
    assert made.seats[0].stakes is not None


# ---------------------------------------------------------------- deals and ids
def test_a_deal_is_named_by_option_ids_in_any_order_and_case() -> None:
    s = bargain()
    assert s.deal(["A2", "B1"]) == s.deal(["b1", "a2"]) == (1, 0)
    assert s.ids((1, 0)) == s.ids((1, 0)) == ("A2", "B1")
    assert s.labels((1, 0)) == ("always", "mine")


@pytest.mark.parametrize(
    ("ids", "fault"),
    [
        (["A2"], "no option for issue B"),
        ([], "no option for issue A, B"),
        (["A2", "B9"], "no option 'B9'; options: A1, A2, A3, B1, B2, B3"),
        (["A2", "A2", "B1"], "two options for issue 'A'"),
        (["A1", "A2", "B1"], "two options for issue 'A'"),
    ],
)
def test_a_deal_that_is_none_says_why(ids: list[str], fault: str) -> None:
    with pytest.raises(ScenarioError, match=f"allotment: {fault}"):
        bargain().deal(ids)


def test_the_scale_is_the_power_of_ten_that_no_best_total_exceeds() -> None:
    def scaled(top: float) -> float:
        return seat(0, stakes=Stakes(((0, top, 0), (0, 0, 0)), 0))(bargain()).scale

    assert [scaled(x) for x in (0, 6, 10, 10.5, 100, 101)] == [10, 10, 10, 100, 100, 1000]
    assert dilemma().scale == 10


# ---------------------------------------------------------------- names and copies
def test_equal_scenarios_have_one_hash_and_any_change_has_another() -> None:
    s = bargain()
    assert bargain().content_hash == s.content_hash
    changed = [
        replace(s, id="other"),
        replace(s, task="What?"),
        replace(s, tags=("x",)),
        seat(0, persona="Sing.")(s),
        seat(1, stakes=Stakes(((2, 0, 1), (0, 4, 2.5)), 2))(s),
        protocol(max_rounds=6)(s),
    ]
    assert len({x.content_hash for x in (s, *changed)}) == 7


def test_a_seat_knows_its_own_persona_and_stakes_only() -> None:
    s = replace(quorum(), tags=("secret",), meta={"source": "secret"})
    mine = s.for_seat(2)
    assert mine.seats[2] == s.seats[2]
    for i in (0, 1, 3):
        assert mine.seats[i] == Seat(s.seats[i].name, "")
    assert (mine.tags, mine.meta, mine.seen_by) == ((), {}, 2)
    assert (mine.task, mine.issues, mine.protocol) == (s.task, s.issues, s.protocol)
    assert s.for_seat(2) is mine


@settings(max_examples=30)
@given(structured())
def test_any_scenario_round_trips_through_json(s: Scenario) -> None:
    line = encode_scenario(s)
    again = decode_scenario(line, "here")
    assert again == s
    assert encode_scenario(again) == line
    assert again.content_hash == s.content_hash
    assert b"\n" not in line


def test_numbers_given_as_ints_have_the_same_bytes_as_when_they_are_read_back() -> None:
    made = bargain(bonus={"seat_0": 10})
    again = decode_scenario(encode_scenario(made), "here")
    assert encode_scenario(again) == encode_scenario(made)
    assert again.content_hash == made.content_hash
    assert made.seats[0].stakes == Stakes(((0.0, 4.0, 2.0), (2.0, 0.0, 1.0)), 2.0)


# ---------------------------------------------------------------- files
def test_a_hand_written_scenario_is_named_by_its_file_unless_it_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "beans.toml"
    path.write_text(TOML, encoding="utf-8")
    s = read_toml(path)
    assert (s.id, s.kind, s.n, s.counts, s.tags) == ("beans", "structured", 2, (2,), ("garden",))
    assert s.seats[1].stakes == Stakes(((3.0, 0.5),), 0.0)
    path.write_text('id = "peas"\n' + TOML, encoding="utf-8")
    assert read_toml(path).id == "peas"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("task = ", "not valid TOML"),
        (
            TOML.replace("walk_away = 1", 'walk_away = "one"'),
            "Expected `float`, got `str` - at `$.seats[0].stakes.walk_away`",
        ),
        (
            TOML.replace('label = "mornings"', 'lable = "mornings"'),
            "contains unknown field `lable` - at `$.issues[0].options[0]`",
        ),
        (TOML.replace('task = "Who waters the beans?"', ""), "missing required field `task`"),
        ('colour = "red"\n' + TOML, "contains unknown field `colour`"),
        (TOML.replace("[[0, 4]]", "[[0, nan]]"), "seat_0 has a score that is no number"),
        (TOML.replace("[[0, 4]]", "[[0, 4, 1]]"), "seat_0 scores 3 options of issue 'A', which has 2"),
        ("seen_by = 0\n" + TOML, "seen_by is not part of a scenario file"),
    ],
)
def test_a_broken_file_is_an_error_that_names_file_and_field(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "beans.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as e:
        read_toml(path)
    assert fault in str(e.value)
    assert str(e.value).startswith(str(path))


def test_a_file_that_is_no_text_missing_or_a_folder_is_a_clear_error(tmp_path: Path) -> None:
    noise = tmp_path / "noise.toml"
    noise.write_bytes(bytes(range(256)))
    with pytest.raises(ScenarioError, match=r"noise\.toml: not valid TOML"):
        read_toml(noise)
    with pytest.raises(ScenarioError, match=r"gone\.toml: cannot be read: No such file"):
        read_toml(tmp_path / "gone.toml")
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_toml(tmp_path)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"null", b'{"id": 5}', b"\xff\xfe", b'{"x":' + b"[" * 200_000])
def test_a_line_that_is_no_scenario_is_an_error_that_names_where(line: bytes) -> None:
    with pytest.raises(ScenarioError, match=r"^pack\.jsonl:7: "):
        decode_scenario(line, "pack.jsonl:7")


def test_what_one_seat_may_know_is_no_scenario_file() -> None:
    # It would load without the others' stakes, and every deal would fail to be scored.
    with pytest.raises(ScenarioError, match="here: seen_by"):
        decode_scenario(encode_scenario(bargain().for_seat(0)), "here")
    with pytest.raises(ScenarioError, match="here: seen_by"):
        scenario_from(msgspec.to_builtins(bargain().for_seat(0)), "here")


def test_scenarios_stay_the_same_when_an_environment_is_copied() -> None:
    s = council()
    assert copy.deepcopy(s) is s


def test_what_is_kept_of_a_scenario_is_bounded_and_says_the_same() -> None:
    scenario = bargain()
    spelt = [(f"{a}2", f"{b}3") for a in "Aa" for b in "Bb"]
    assert {scenario.deal(ids) for ids in spelt} == {(1, 2)}
    kept: Kept[int, str] = Kept()
    for i in range(3 * KEPT):
        assert kept.keep(i, str(i)) == str(i) == kept[i]
        assert len(kept) <= KEPT
    for _ in range(2):  # a refusal is not kept as anything else
        with pytest.raises(ScenarioError, match="no option 'A9'"):
            scenario.deal(("A9", "B1"))


@pytest.mark.parametrize("made", [bargain, council, quorum, dilemma])
def test_equal_scenarios_have_one_hash_however_they_came_about(made: Callable[..., Scenario]) -> None:
    s = made()
    others = [
        pickle.loads(pickle.dumps(s)),
        decode_scenario(encode_scenario(s), "here"),
        replace(s, protocol=replace(s.protocol, acceptance=replace(s.protocol.acceptance))),
    ]
    assert others == [s] * 3
    assert {o.content_hash for o in others} == {s.content_hash}
    redacted = s.for_seat(1)
    assert pickle.loads(pickle.dumps(redacted)) == redacted


def test_a_scenario_that_no_file_can_hold_is_a_clear_error() -> None:
    with pytest.raises(ScenarioError, match="lone surrogate"):
        replace(bargain(), task="half a \ud83d character?").content_hash  # noqa: B018  # asking for it is the test
