"""Promises about the transcript.

1. One canonical line per episode: the same episode gives the same bytes, stored as goldens.
2. Reading is strict, and an error names where and which field; a newer version is refused by name.
3. The rules run over a record again give what it records, and a record that contradicts them is refused.
4. What an episode came to is computed from its record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support import (
    FixedJudge,
    assert_golden,
    bargain,
    begin,
    council,
    dilemma,
    play,
    play_out,
    quorum,
    say,
    single_line,
)

from nego_env.errors import TranscriptError
from nego_env.moves import Act, Move
from nego_env.rules import StopReason, fail
from nego_env.scenario import Scenario, Seat, Stakes
from nego_env.settings import resolve
from nego_env.transcript import FORMAT, Transcript, decode, episode_id, header, transcript
from nego_env.verdict import Verdict

STRUCTURED = (
    "Mornings matter to me. What about the shed? [Ask: B]",
    "Naïve question 🙂 \x1b[31m\ud800: look. [Reveal: B]",
    Move.propose("A2 B3"),
    "You said [Accept], I say [Propose: A2]",
    Move.reveal("A", "Then look here."),
    "[Propose: A2 B2]",
    Move.accept(),
)
OPEN = (
    "One of us sails tonight and pays the other's room. [Agree]",
    "",
    "I will pay. [Agree]",
    "Then it is settled. [Agree]",
    "Passenger 0 will sail at 8 tonight and pay the room of passenger 1, who will sail tomorrow on the first ferry.",
)


def golden_structured() -> Transcript:
    """A scripted dialogue with every kind of act, a malformed tag, a quoted one, and characters that need care."""
    return play(bargain(), *STRUCTURED, agents=("scripted", "other"), seed=7, memory=2, selfishness=0.25)


def golden_open() -> Transcript:
    """A scripted dialogue that agrees in its second round."""
    return play(dilemma(), *OPEN, agents=("scripted", "other"), seed=11)


# ---------------------------------------------------------------- one canonical line
@pytest.mark.parametrize("made", [golden_structured, golden_open])
def test_a_scripted_dialogue_is_recorded_byte_for_byte(made: Callable[[], Transcript]) -> None:
    name = made.__name__.removeprefix("golden_")
    assert_golden(f"transcripts/{name}.jsonl", made().encode() + b"\n")


@pytest.mark.parametrize("made", [golden_structured, golden_open])
def test_a_record_round_trips(made: Callable[[], Transcript]) -> None:
    t = made()
    assert decode(t.encode(), "here") == t
    assert decode(t.encode().decode(), "here").encode() == t.encode()
    assert b"\n" not in t.encode()


def test_the_record_has_the_names_others_build_on() -> None:
    names = list(msgspec.json.decode(golden_structured().encode()))
    assert names == [
        "format", "id", "scenario", "settings", "seed", "index", "attempt", "agents", "utterances", "verdicts",
        "deal", "completion", "rewards", "stop", "error",
    ]  # fmt: skip
    assert golden_structured().format == FORMAT == "nego/1"


def test_a_running_episode_has_no_record_yet() -> None:
    with pytest.raises(TranscriptError, match="still running"):
        transcript(begin(bargain()))


# ---------------------------------------------------------------- the id
def test_the_id_is_a_hash_of_scenario_settings_agents_seed_and_index_but_not_of_the_attempt() -> None:
    s = bargain()
    settings = resolve(s)

    def id(
        scenario: Scenario = s, agents: tuple[str, ...] = ("a", "b"), seed: int = 0, index: int = 0, **k: Any
    ) -> str:
        return episode_id(scenario, resolve(scenario, **k), agents, seed, index)

    assert id() == id()
    assert len(id()) == 24
    others = [
        id(replace(s, task="What?")),
        id(agents=("b", "a")),
        id(agents=("a", "c")),
        id(seed=1),
        id(index=1),
        id(max_rounds=6),
        id(memory=2),
        id(selfishness=0.5),
        id(completion="write"),
        id(codecs=("act", "text")),
    ]
    assert len({id(), *others}) == 11
    heads = [header(s, settings, ("a", "b"), seed=0, attempt=k) for k in (0, 1)]
    assert heads[0].id == heads[1].id == id()


# ---------------------------------------------------------------- strict reading
def edited(**changes: Any) -> bytes:
    """The golden record with fields changed; `...` removes one."""
    data = msgspec.json.decode(golden_structured().encode())
    for path, value in changes.items():
        at, *rest = path.split("__")
        where: Any = data
        for step in rest:
            where, at = where[int(at) if at.isdigit() else at], step
        key: Any = int(at) if at.isdigit() else at
        if value is ...:
            del where[key]
        else:
            where[key] = value
    return msgspec.json.encode(data)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"seed": "1"}, "Expected `int`, got `str` - at `$.seed`"),
    ({"seed": 1.5}, "Expected `int`, got `float` - at `$.seed`"),
    ({"seed": -1}, "seed is -1, it must be at least 0"),
    ({"index": -1}, "index is -1"),
    ({"attempt": -2}, "attempt is -2"),
    ({"id": ...}, "missing required field `id`"),
    ({"utterances": ...}, "missing required field `utterances`"),
    ({"colour": "red"}, "contains unknown field `colour`"),
    ({"agents": ["a"]}, "agents has 1 entries for 2 seats"),
    ({"agents": ["a", "b", "c"]}, "agents has 3 entries for 2 seats"),
    ({"rewards": [1.0]}, "rewards has 1 entries for 2 seats"),
    ({"rewards": None}, "rewards: an episode that stopped by 'agreement' has rewards"),
    ({"stop": "budget"}, "rewards: an episode that stopped by 'budget' has null"),
    ({"stop": "boredom"}, "Invalid enum value 'boredom' - at `$.stop`"),
    ({"deal": ["A2"]}, "deal: allotment: no option for issue B"),
    ({"utterances__0__seat": "seat_2"}, "utterances[0].seat: 'seat_2' is no seat of 'allotment'"),
    ({"utterances__1__text": 5}, "Expected `str`, got `int` - at `$.utterances[1].text`"),
    ({"utterances__1__phase": "prologue"}, "Invalid enum value 'prologue' - at `$.utterances[1].phase`"),
    ({"utterances__1__mood": "sad"}, "unknown field `mood` - at `$.utterances[1]`"),
    ({"utterances__0__act__kind": "dance"}, "Invalid enum value 'dance' - at `$.utterances[0].act.kind`"),
    ({"verdicts__0__value": None}, "Expected `float`, got `null` - at `$.verdicts[0].value`"),
    ({"settings__memory": "all"}, "at `$.settings.memory`"),
    ({"settings__judge": ...}, "missing required field `judge` - at `$.settings`"),
    ({"settings__max_rounds": 0}, "settings: max_rounds is 0"),
    ({"settings__selfishness": 7.0}, "settings: selfishness is 7"),
    ({"settings__codecs": ["text"]}, "settings: scenario 'allotment' has 2 seats; codecs must be"),
    ({"scenario__task": ""}, "the task is empty"),
    ({"scenario__issues": ...}, "seat_0 has stakes, but there are no issues"),
    ({"scenario__seen_by": 0}, "scenario.seen_by"),
]


@pytest.mark.parametrize(("changes", "fault"), BROKEN, ids=[next(iter(c)) for c, _ in BROKEN])
def test_a_record_that_does_not_hold_together_is_an_error_that_names_where_and_the_field(
    changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(TranscriptError) as e:
        decode(edited(**changes), "run.jsonl:3")
    assert str(e.value).startswith("run.jsonl:3: ")
    assert fault in str(e.value)
    assert single_line(str(e.value))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"hello",
        b"\x00\xff\xfe",
        b"[]",
        b"null",
        b"5",
        b"{}",
        b'{"format": 1}',
        b'{"format":"nego/1"}',
        "\ud800",
    ],
)
def test_what_is_no_record_is_an_error_that_names_where(line: bytes | str) -> None:
    with pytest.raises(TranscriptError, match=r"^run\.jsonl:3: "):
        decode(line, "run.jsonl:3")


@pytest.mark.parametrize("head", [b'{"x":', b'{"format":"nego/1","x":', b'{"format":"nego/1","settings":'])
def test_bottomless_nesting_is_an_error_like_any_other(head: bytes) -> None:
    with pytest.raises(TranscriptError, match=r"^run\.jsonl:3: "):
        decode(head + b"[" * 200_000, "run.jsonl:3")


@pytest.mark.parametrize("version", ["nego/2", "nego/10"])
def test_a_newer_version_is_refused_by_name_whatever_else_is_in_it(version: str) -> None:
    for line in (edited(format=version), msgspec.json.encode({"format": version, "all": "new"})):
        with pytest.raises(
            TranscriptError, match=rf"run:1: written by a newer nego-env \(format {version}; .* pip install -U"
        ):
            decode(line, "run:1")


@pytest.mark.parametrize(
    "version", ["nego/0", "nego", "nego/", "nego/x", "nego/²", "other/2", "", "nego/" + "9" * 5000]
)
def test_an_unknown_format_is_refused(version: str) -> None:
    with pytest.raises(TranscriptError, match="run:1: unknown format"):
        decode(edited(format=version), "run:1")


# ---------------------------------------------------------------- run through the rules again
@pytest.mark.parametrize("memory", [None, 1])
def test_the_rules_run_again_give_the_same_states(memory: int | None) -> None:
    lived = play_out(begin(bargain(), memory=memory, max_chars=80), [*STRUCTURED[:3], "x" * 100, *STRUCTURED[4:]])
    assert list(transcript(lived[-1]).states()) == lived


def test_an_episode_that_failed_runs_again_up_to_where_it_failed() -> None:
    lived = fail(say(begin(bargain()), "a", "[Propose: A2 B2]"), StopReason.AGENT_ERROR, "broke")
    states = list(transcript(lived).states())
    assert len(states) == 3
    assert states[-1] == lived


def test_a_judge_that_failed_leaves_its_verdict_out() -> None:
    for state in (say(begin(bargain()), "[Propose: A2 B2]", "[Accept]"), say(begin(dilemma()), "a", "b")):
        lived = fail(state, StopReason.JUDGE_ERROR, "broke")
        assert list(transcript(lived).states())[-1] == lived


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"utterances__0__seat": "seat_1"}, r"utterances\[0\] is by seat_1, but by the rules it is not its turn"),
    ({"utterances__3__round": 1}, r"utterances\[3\]\.round is 1, by the rules it is 2"),
    ({"utterances__2__act__deal": ["A1", "B1"]}, r"utterances\[2\]\.act is Act\(.*'A1', 'B1'.* by the rules it is Act"),
    ({"utterances__6__text": "no"}, r"utterances\[6\]\.act is Act\(kind='accept'.*by the rules it is None"),
    ({"verdicts": []}, "stop is .*agreement.*, by the rules it is None"),
    ({"rewards": [5.0, 5.0]}, r"rewards is \(5\.0, 5\.0\), by the rules it is \("),
    ({"stop": "cap"}, "stop is .*cap.*, by the rules it is .*agreement"),
    ({"completion": "Something else."}, "completion is 'Something else.', by the rules"),
]


@pytest.mark.parametrize(("changes", "fault"), CONTRADICTIONS, ids=[next(iter(c)) for c, _ in CONTRADICTIONS])
def test_a_record_that_contradicts_the_rules_is_refused_when_it_is_run_again(
    changes: dict[str, Any], fault: str
) -> None:
    t = decode(edited(**changes), "here")
    with pytest.raises(TranscriptError, match=f"episode {t.id}: {fault}"):
        list(t.states())


def test_verdicts_nobody_asked_for_contradict_the_rules() -> None:
    t = golden_structured()
    doubled = replace(t, verdicts=t.verdicts * 2)
    with pytest.raises(TranscriptError, match="verdicts: more of them than the rules ask for"):
        list(doubled.states())
    wrong = replace(t, verdicts=(Verdict("agreement", "x", 1.0),))
    with pytest.raises(TranscriptError, match="verdicts: a verdict of kind 'agreement' is not due"):
        list(wrong.states())


def test_words_after_the_end_contradict_the_rules() -> None:
    t = golden_structured()
    longer = replace(t, utterances=(*t.utterances, t.utterances[0]))
    with pytest.raises(TranscriptError, match=r"utterances\[7\] is by seat_0, but by the rules it is not its turn"):
        list(longer.states())


# ---------------------------------------------------------------- what it came to
def test_the_outcome_of_an_agreement() -> None:
    o = golden_structured().outcome
    assert (o.scored, o.agreed, o.rounds, o.deal) == (True, True, 4, ("A2", "B2"))
    assert (o.score, o.label, o.ca, o.regret) == (5.0, "CA", 5.0, 0.0)
    assert (o.scores, o.gains, o.passed, o.bonus_scores) == ((4.0, 4.0), (0.5, 0.5), True, {})
    assert golden_structured().rewards == (4.375, 4.375)  # .75 x 5 + .25 x 5 x .5


def test_the_outcome_of_a_middling_deal() -> None:
    o = play(bargain(), "[Propose: A2 B3]", "[Accept]").outcome
    assert (o.ca, o.regret, o.scores, o.gains) == (2.530802, 2.469198, (5.0, 2.0), (0.75, 0.0))


def test_without_a_deal_ca_is_0_and_there_is_nothing_else_to_tell() -> None:
    o = play(bargain(), max_rounds=2).outcome
    assert (o.scored, o.agreed, o.rounds, o.deal) == (True, False, 2, None)
    assert (o.ca, o.regret, o.score, o.scores, o.gains, o.passed) == (0.0, 5.0, None, None, None, None)


def test_the_outcome_under_k_of_n_has_passed_and_the_bonus_beside_it() -> None:
    o = play(quorum(), "[Propose: Y3]", "[Accept]", "[Accept]", "no").outcome
    assert (o.ca, o.passed, o.bonus_scores, o.scores) == (5.0, True, {"seat_0": 13.0}, (3.0,) * 4)


def test_without_a_zone_of_possible_agreement_there_is_no_ca() -> None:
    s = council()
    s = replace(s, seats=(Seat("a", "p", Stakes(((9, 0, 0),), 5)), Seat("b", "p", Stakes(((0, 9, 0),), 5))))
    agreed, capped = play(s, "[Propose: X1]", "[Accept]"), play(s, max_rounds=1)
    assert s.no_zopa
    assert (agreed.outcome.ca, agreed.outcome.regret, agreed.rewards) == (None, None, (0.0, 0.0))
    assert (capped.outcome.ca, capped.outcome.regret, capped.outcome.agreed) == (None, None, False)


def test_the_outcome_on_an_open_dilemma_is_the_judges() -> None:
    o = play(dilemma(), "a", "b", "c", judge=FixedJudge(3.5)).outcome
    assert (o.agreed, o.score, o.label, o.rounds) == (True, 3.5, "CA", 1)
    assert (o.ca, o.regret, o.deal, o.scores, o.gains, o.passed) == (None,) * 6


def test_an_unscored_episode_has_no_figures() -> None:
    t = transcript(fail(say(begin(bargain()), "[Propose: A2 B2]", "[Accept]"), StopReason.JUDGE_ERROR, "it broke"))
    o = t.outcome
    assert not t.scored
    assert (o.scored, o.ca, o.regret, o.score, o.scores, o.gains, o.passed) == (False, *(None,) * 6)


# ---------------------------------------------------------------- as text
def test_a_transcript_prints_as_text_that_is_safe_on_a_terminal() -> None:
    text = str(golden_structured())
    assert "\\x1b[31m" in text
    assert all(c.isprintable() or c == "\n" for c in text)
    assert text.splitlines()[-1] == "stop: agreement, CA 5"
    assert "seat_1: (silence)" in str(golden_open())
    failed = transcript(fail(begin(bargain()), StopReason.AGENT_ERROR, "\x1b[2J broke"))
    assert str(failed) == "stop: agent_error, \\x1b[2J broke"


def test_an_act_is_kept_beside_its_words() -> None:
    line = golden_structured().utterances[2]
    assert line.text == "I propose always and half. [Propose: A2 B3]"
    assert line.act == Act("propose", deal=("A2", "B3"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rewards": (99.0, 1.0)}, "rewards are"),
        ({"id": "../../etc"}, "id is"),
        ({"utterances": 0}, r"utterances\[0\]\.round is -5"),
        ({"verdicts": 77.0}, r"verdicts\[0\]\.value is 77"),
    ],
)
def test_a_figure_out_of_its_range_is_refused_with_its_field(change: dict[str, Any], told: str) -> None:
    t = golden_structured()
    if "utterances" in change:
        change = {"utterances": (replace(t.utterances[0], round=-5), *t.utterances[1:])}
    if "verdicts" in change:
        change = {"verdicts": (replace(t.verdicts[0], value=77.0),)}
    with pytest.raises(TranscriptError, match=f"^run.jsonl:3: {told}"):
        decode(replace(t, **change).encode(), "run.jsonl:3")
