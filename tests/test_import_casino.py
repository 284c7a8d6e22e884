"""The importer for CaSiNo dialogues.

1. Three small dialogues of our own, worked by hand: a deal, a walk-away, and a deal offered back.
2. Every way of breaking the file gives one `ScenarioError` naming file, place and field.
3. On the public dialogues the transcripts run through the rules again, and points computed straight from the file (counts
   times 5, 4 and 3) are those of our accounting and those that the file states.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from importer_support import SAMPLES, broken, public, worth

from nego_env.cli import main
from nego_env.rules import StopReason
from nego_env.store import read
from nego_env.transcript import Transcript, decode
from nego_scenarios.importers.casino import NO_CAP, CaSiNo

SAMPLE = SAMPLES / "casino.json"
LOADER = CaSiNo()

Dialogues = list[dict[str, Any]]


@pytest.fixture(scope="module")
def played() -> tuple[Transcript, ...]:
    return LOADER.read(SAMPLE).transcripts


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Callable[[Dialogues], object]], Path]:
    """A copy of the sample that a function has changed."""

    def change(how: Callable[[Dialogues], object]) -> Path:
        data = json.loads(SAMPLE.read_text(encoding="utf-8"))
        how(data)
        path = tmp_path / "casino.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return change


# ---------------------------------------------------------------- the mapping, by hand
def test_a_dialogue_is_a_structured_scenario(played: tuple[Transcript, ...]) -> None:
    s = played[0].scenario
    assert (s.id, s.tags, s.counts) == ("casino-7", ("imported", "casino"), (4, 4, 4))
    assert [i.name for i in s.issues] == ["Food", "Water", "Firewood"]
    assert s.ids((0, 2, 3)) == ("A0", "B2", "C3")  # the figure is what seat_0 gets
    assert s.labels((0, 2, 3))[1] == "2 for the first camper, 1 for the second camper"
    assert s.task.endswith("?")
    assert s.meta == {"source": "CaSiNo (NAACL 2021), dialogue 7"}


def test_who_speaks_first_is_seat_0_with_its_own_ranking(played: tuple[Transcript, ...]) -> None:
    # agent_2 opens dialogue 7 and ranks Firewood, Water, Food; agent_1 ranks Food, Firewood, Water
    assert played[0].agents == ("imported:casino/agent_2", "imported:casino/agent_1")
    first, second = (seat.stakes for seat in played[0].scenario.seats)
    assert first is not None
    assert second is not None
    assert first.scores == ((0, 3, 6, 9), (0, 4, 8, 12), (0, 5, 10, 15))
    assert second.scores == ((15, 10, 5, 0), (9, 6, 3, 0), (12, 8, 4, 0))
    assert (first.walk_away, second.walk_away, first.best, second.best) == (5, 5, 36, 36)
    assert played[0].scenario.seats[1].persona == (
        "Get the packages you need most; a package gives you 5 for food, 4 for firewood, 3 for water, and no deal gives you 5 "
        'in all. Food, in your words: "We are four at table.". Water, in your words: "The stream is near.".'
    )


def test_messages_merge_acts_are_tagged_and_talk_stays_talk(played: tuple[Transcript, ...]) -> None:
    assert [(u.seat, u.text) for u in played[0].utterances] == [
        ("seat_0", "Hello! Cold nights, aren't they?"),
        ("seat_1", "They are.\nWe mostly lack food."),
        ("seat_0", "And I lack firewood."),
        ("seat_1", "Submit-Deal [Propose: A0 B1 C2]"),  # the sender keeps food 3, water 2, firewood 1
        ("seat_0", "Reject-Deal\nTwo logs will not do (Accept)"),
        ("seat_1", "All right."),
        ("seat_0", "Submit-Deal [Propose: A1 B2 C3]"),
        ("seat_1", "Accept-Deal [Accept]"),
    ]
    assert [u.act.kind if u.act else None for u in played[0].utterances] == [
        None, None, None, "propose", None, None, "propose", "accept",
    ]  # fmt: skip


def test_a_deal_is_scored_by_our_accounting(played: tuple[Transcript, ...]) -> None:
    t = played[0]
    assert (t.stop, t.deal, t.settings.max_rounds, t.index) == (StopReason.AGREEMENT, ("A1", "B2", "C3"), NO_CAP, 0)
    assert t.outcome.scores == (1 * 3 + 2 * 4 + 3 * 5, 2 * 5 + 1 * 3 + 0 * 4) == (26, 13)
    # gains over the walk-away value of 5: (26 - 5) / 31 and (13 - 5) / 31
    assert t.outcome.gains == pytest.approx((21 / 31, 8 / 31), abs=1e-6)
    assert t.rewards == (t.outcome.ca, t.outcome.ca)


def test_a_walk_away(played: tuple[Transcript, ...]) -> None:
    t = played[1]
    assert (t.stop, t.deal, t.rewards, t.outcome.scores) == (StopReason.WALK_AWAY, None, (0, 0), None)
    assert t.utterances[-1].text == "Walk-Away [Walk]"


def test_a_deal_offered_back_binds_only_when_it_is_accepted(played: tuple[Transcript, ...]) -> None:
    # agent_1 offers A2 B2 C1, is refused, and is offered the very same back twice; it accepts the second time. In the rules
    # offering the deal on the table accepts it, so the first time is talk and the second the agreement.
    t = played[2]
    assert [u.text for u in t.utterances if "ropose" in u.text] == [
        "Submit-Deal [Propose: A2 B2 C1]",
        "Reject-Deal\nSubmit-Deal (Propose: A2 B2 C1)",
        "Submit-Deal [Propose: A2 B2 C1]",
    ]
    assert (t.deal, t.outcome.scores) == (("A2", "B2", "C1"), (2 * 5 + 2 * 4 + 1 * 3, 1 * 3 + 1 * 4 + 2 * 5))
    (note,) = LOADER.read(SAMPLE).notes
    assert note.startswith(f"{SAMPLE}: $[2]: ")
    assert note.endswith("the Accept-Deal after it was left out")


def test_transcripts_run_again_and_round_trip(played: tuple[Transcript, ...]) -> None:
    for t in played:
        assert list(t.states())[-1].stop == t.stop
        assert decode(t.encode(), "here") == t
    assert len({t.id for t in played}) == len(played)
    assert LOADER.load(SAMPLE) == [t.scenario for t in played]


def test_people_are_not_read(played: tuple[Transcript, ...]) -> None:
    line = b"".join(t.encode() for t in played)
    assert not any(word in line for word in (b"svo", b"unclassified", b"99", b"Undecided", b"satisf"))


def test_they_replay(played: tuple[Transcript, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"".join(t.encode() + b"\n" for t in played))
    assert main(["replay", str(path), "--plain", "--width", "100"]) == 0
    out = capsys.readouterr().out
    assert "imported:casino/agent_2" in out
    assert "We mostly lack food." in out
    assert main(["replay", str(path), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert [t.outcome.scores for t in read(path)] == [t.outcome.scores for t in played]


def test_a_longer_dialogue_than_any_meets_no_cap(changed: Callable[..., Path]) -> None:
    def talk(data: Dialogues) -> None:
        logs = data[0]["chat_logs"]
        logs[1:1] = [{"text": "x" * 5000, "task_data": {}, "id": f"agent_{1 + i % 2}"} for i in range(2500)]
        del data[1:]

    (t,) = LOADER.read(changed(talk)).transcripts
    assert (t.stop, t.outcome.scores) == (StopReason.AGREEMENT, (26, 13))
    assert t.outcome.rounds > NO_CAP
    assert not any(u.marks for u in t.utterances)


# ---------------------------------------------------------------- damage
def message(i: int, **fields: Any) -> Callable[[Dialogues], object]:
    return lambda data: data[0]["chat_logs"][i].update(fields)


def person(**fields: Any) -> Callable[[Dialogues], object]:
    return lambda data: data[0]["participant_info"]["agent_2"].update(fields)


def counts(you: Any, they: Any) -> Callable[[Dialogues], object]:
    task = {"issue2youget": {"Food": you, "Water": "2", "Firewood": "3"}}
    return message(8, task_data=task | {"issue2theyget": {"Food": they, "Water": "1", "Firewood": "0"}})


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        (lambda d: d[1].update(dialogue_id=7), "$[1].dialogue_id: 7 is listed already (casino.json: $[0]); ids must differ"),
        (lambda d: d[1].update(dialogue_id="8"), "$[1].dialogue_id: expected a whole number from 0, found '8'"),
        (lambda d: d[1].pop("chat_logs"), "$[1]: the field 'chat_logs' is missing"),
        (lambda d: d[1].update(chat_logs={}), "$[1].chat_logs: expected a list, found an object"),
        (lambda d: d[1].update(chat_logs=[]), "$[1].chat_logs: no message in it"),
        (lambda d: d.append(3), "$[3]: expected an object, found 3"),
        (lambda d: d[0]["participant_info"].pop("agent_1"), "$[0].participant_info: 1 people (agent_2); a dialogue has two"),
        (message(1, id="agent_3"), "$[0].chat_logs[1].id: 'agent_3' is not among the people: agent_1, agent_2"),
        (message(1, text=None), "$[0].chat_logs[1].text: expected a string, found null"),
        (message(4, task_data={}), "$[0].chat_logs[4].task_data: the field 'issue2youget' is missing"),
        (counts("1", "3"), "$[0].chat_logs[8].task_data: Food: 1 and 3 packages; there are 3 to divide"),
        (counts("one", "2"), "$[0].chat_logs[8].task_data.issue2youget.Food: expected a number of packages, 0 to 3, found 'one'"),
        (counts(1.5, 1.5), "$[0].chat_logs[8].task_data.issue2youget.Food: expected a number of packages, 0 to 3, found 1.5"),
        (counts("4", "-1"), "$[0].chat_logs[8].task_data.issue2youget.Food: expected a number of packages, 0 to 3, found '4'"),
        (counts(["1"], "2"), "issue2youget.Food: expected a number of packages, 0 to 3, found a list"),
        (message(8, text="Well."), "$[0].chat_logs[9].text: Accept-Deal without a Submit-Deal of the other person before it"),
        (message(9, text="Fine."), "$[0].chat_logs[9]: the dialogue ends here without Accept-Deal or Walk-Away"),
        (message(0, text="Walk-Away"), "$[0].chat_logs[0].text: Walk-Away: nobody can walk away before everyone has spoken once"),
        (lambda d: d[0]["chat_logs"].append(d[0]["chat_logs"][0]), "$[0].chat_logs[10]: a message after the end of the dialogue"),
        (lambda d: d[2]["chat_logs"].append(d[2]["chat_logs"][1]), "$[2].chat_logs[9]: a message after the end of the dialogue"),
        (person(value2issue={"High": "Food", "Medium": "Water"}), "agent_2.value2issue: the field 'Low' is missing"),
        (person(value2issue={"High": "Food", "Medium": "Water", "Low": "Gold"}), "agent_2.value2issue.Low: 'Gold' is no item"),
        (person(value2issue={"High": "Food", "Medium": "Food", "Low": "Water"}), "agent_2.value2issue: ranks Food, Food, Water"),
        (person(outcomes={"points_scored": 25}), "agent_2.outcomes.points_scored: 25 points, but the deal gives 26"),
        (person(outcomes={"points_scored": "26"}), "agent_2.outcomes.points_scored: expected a number, found '26'"),
        (person(outcomes={"points_scored": True}), "agent_2.outcomes.points_scored: expected a number, found True"),
        (
            lambda d: d[1]["participant_info"]["agent_1"]["outcomes"].update(points_scored=6),
            "$[1].participant_info.agent_1.outcomes.points_scored: 6 points, but walking away gives 5",
        ),
    ],
)  # fmt: skip
def test_damage_is_told_with_its_place(
    changed: Callable[..., Path], how: Callable[[Dialogues], object], fault: str
) -> None:
    told = broken(LOADER.load, changed(how))
    assert "casino.json: $[" in told
    assert fault in told


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (SAMPLE.read_bytes()[:900], "casino.json:54: column "),
        (b"[]", "no dialogue in it"),
        (b"{}", "$: expected a list, found an object"),
        (b"", ":1: the file is empty"),
        (b"\x80\x04\x95", ":1: byte 0x80 is not UTF-8 text"),
        ('["é"]'.encode("latin-1"), ":1: byte 0xe9 is not UTF-8 text"),
        (b'[\n{"dialogue_id": NaN}]', "NaN is no JSON number"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "casino.json"
    path.write_bytes(content)
    assert fault in broken(LOADER.load, path)


def test_sniff_and_an_empty_folder(tmp_path: Path) -> None:
    assert broken(LOADER.load, tmp_path) == f"{tmp_path}: no .json file here; CaSiNo is a JSON file"
    (tmp_path / "other.json").write_text('[{"a": 1}]')
    assert not any(LOADER.sniff(p) for p in (tmp_path, tmp_path / "absent", SAMPLES / "moralchoice.csv"))
    assert LOADER.sniff(SAMPLE)
    assert LOADER.sniff(SAMPLES)


# ---------------------------------------------------------------- the public dialogues
def by_hand(dialogue: dict[str, Any], id: str, counts: dict[str, str]) -> int:
    """Points of one person, straight from the file."""
    rank = {item: level for level, item in dialogue["participant_info"][id]["value2issue"].items()}
    return sum(int(n) * {"High": 5, "Medium": 4, "Low": 3}[rank[item]] for item, n in counts.items())


def test_public_dialogues() -> None:
    file = public("casino", "casino_valid.json")
    raw = json.loads(file.read_text(encoding="utf-8"))
    found = LOADER.read(file)
    assert len(raw) == len(found.scenarios) == len(found.transcripts) == 30
    assert Counter(t.stop.value for t in found.transcripts) == {"agreement": 30}  # nobody walks away in this part
    assert found.notes == ()
    for dialogue, t in zip(raw, found.transcripts, strict=True):
        assert list(t.states())[-1].rewards == t.rewards
        assert t.scenario.id == f"casino-{dialogue['dialogue_id']}"
        people = [name.removeprefix("imported:casino/") for name in t.agents]
        assert people[0] == dialogue["chat_logs"][0]["id"]
        last = [m for m in dialogue["chat_logs"] if m["text"] == "Submit-Deal"][-1]
        mine, theirs = last["task_data"]["issue2youget"], last["task_data"]["issue2theyget"]
        points = [by_hand(dialogue, p, mine if p == last["id"] else theirs) for p in people]
        stated = [dialogue["participant_info"][p]["outcomes"]["points_scored"] for p in people]
        assert list(t.outcome.scores or ()) == points == stated
        assert [worth(t.scenario, i, " ".join(t.deal or ())) for i in (0, 1)] == points
        talk = [m["text"].strip() for m in dialogue["chat_logs"]]
        heard = "\n".join(u.text for u in t.utterances)
        assert all(words in heard for words in talk)
        assert sum("Submit-Deal" in u.text for u in t.utterances) == talk.count("Submit-Deal")


def test_three_public_dialogues_by_hand() -> None:
    found = {t.scenario.id: t for t in LOADER.read(public("casino", "casino_valid.json")).transcripts}
    # 157: agent_1 opens and takes firewood 2, food 1, water 1; both rank firewood, food, water
    t = found["casino-157"]
    assert (t.deal, t.outcome.scores) == (("A1", "B1", "C2"), (1 * 4 + 1 * 3 + 2 * 5, 2 * 4 + 2 * 3 + 1 * 5))
    assert (t.outcome.rounds, len(t.utterances), t.utterances[-1].seat) == (6, 12, "seat_1")
    # 937: 18 messages, two of one person in a row (a rejection and its reason), so 17 utterances
    t = found["casino-937"]
    assert (len(t.utterances), t.outcome.scores) == (17, (17, 19))
    assert t.utterances[11].text.startswith("Reject-Deal\nNo, that is a terrible offer")
    # 431: agent_2 opens, so its 19 points stand first
    t = found["casino-431"]
    assert t.agents == ("imported:casino/mturk_agent_2", "imported:casino/mturk_agent_1")
    assert t.outcome.scores == (19, 23)


def test_a_whole_split_where_there_is_one() -> None:
    """The other public splits, where somebody has put them beside the first: 1030 dialogues, 25 of them walked away."""
    folder = public("casino", "casino_train.json").parent
    public("casino", "casino_test.json")
    found = LOADER.read(folder).transcripts
    assert Counter(t.stop.value for t in found) == {"agreement": 1005, "walk_away": 25}
