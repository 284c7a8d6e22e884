"""A person at a terminal: what is shown, what is sent, and what is caught before it is."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from agent_samples import OPEN_TWO, TRADE, drawn, first_view, play

from nego_agents import HumanAgent, ScriptedAgent
from nego_env.errors import AgentError, Leave
from nego_env.moves import Act, Move
from nego_env.rules import StopReason
from nego_env.scenario import Issue, Option, Scenario, Seat, Stakes


def sit(lines: str, scenario: Scenario = TRADE, other: Any = None, **options: Any) -> tuple[Any, str]:
    """An episode of a person who types `lines` against a script, and everything the person was shown."""
    shown = io.StringIO()
    person = HumanAgent(input=io.StringIO(lines), output=shown)
    talk = ScriptedAgent(["I see."], repeat=True) if other is None else other
    return play(scenario, [person, talk], **options), shown.getvalue()


def answer(lines: str, scenario: Scenario = TRADE) -> tuple[Move, str]:
    """What a person's first turn comes to."""
    shown = io.StringIO()
    return HumanAgent(input=io.StringIO(lines), output=shown).act(first_view(scenario)), shown.getvalue()


def flat(text: str) -> str:
    """Shown text without its line breaks."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("typed", "act", "words"),
    [
        ("/propose A1 B2", Act("propose", deal=("A1", "B2")), ""),
        ("/propose b2, a1 - Let us trade.", Act("propose", deal=("A1", "B2")), "Let us trade."),
        ("/ask B", Act("ask", issue="B"), ""),
        ("/REVEAL a - there", Act("reveal", issue="A"), "there"),
        ("Good morning.", None, "Good morning."),
        ("How about it? [Propose: A1 B2]", Act("propose", deal=("A1", "B2")), "How about it? [Propose: A1 B2]"),
        ("[bold]not markup[/bold] :smile:", None, "[bold]not markup[/bold] :smile:"),
    ],
)
def test_a_line_becomes_a_move(typed: str, act: Act | None, words: str) -> None:
    assert answer(f"{typed}\n")[0] == Move(words, act)


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("Then [Propose: A9 B1]", "no option 'A9'"),
        ("Then [Propose: A1]", "no option for issue B"),
        ("[Accept] is what I would say", "the very last thing"),
        ("Yes. [Accept]", "there is no deal on the table to accept"),
        ("/accept", "there is no deal on the table to accept"),
        ("/walk", "nobody can walk away before everyone has spoken once"),
        ("[Walk]", "nobody can walk away"),
        ("Yes. [Agree]", "[Agree] is for open dilemmas"),
        ("/propose A1", "no option for issue B"),
        ("/ask Z", "no issue 'Z'"),
        ("/accept now", "takes nothing but words after a dash"),
        ("/jump", "there is no /jump here; there is /propose, /accept"),
        ("/agree", "there is no /agree here"),
        ("/worth A1", "no option for issue B"),
        ("", "an empty line says nothing"),
    ],
)
def test_a_malformed_line_is_shown_and_asked_for_again(typed: str, fault: str) -> None:
    move, shown = answer(f"{typed}\nThen this. [Propose: A1 B2]\n")
    assert f"Not sent: {fault}" in flat(shown) or ("Not sent: " in flat(shown) and fault in flat(shown))
    assert move == Move("Then this. [Propose: A1 B2]", Act("propose", deal=("A1", "B2")))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("So: [Propse: A1 B2]", "[Propose: A1 B2]"),
        ("[Porpose A1 B2].", "[Propose: A1 B2]"),
        ("[ proposal : a1 ]", "[Propose: a1]"),
        ("[Propsoe]", "[Propose: ...]"),
        ("[Offer: A1 B2]", "[Propose: A1 B2]"),
        ("[Deal A1, B2]", "[Propose: A1, B2]"),
        ("[A1 B2]", "[Propose: A1 B2]"),
        ("[Offer: A1 B9]", "[Propose: A1 B9]"),
        ("Fine. [Acept]", "[Accept]"),
        ("Fine. **[Accepted]**", "[Accept]"),
        ("[Wlak]", "[Walk]"),
        ("[Aks: B]", "[Ask: B]"),
        ("[Reveil: A]", "[Reveal: A]"),
    ],
)
def test_a_mistyped_tag_is_caught(typed: str, meant: str) -> None:
    move, shown = answer(f"{typed}\nHello.\n")
    mistyped = typed[typed.index("[") : typed.index("]") + 1]
    assert f"Not sent: {mistyped} is no tag; did you mean {meant}?\n" in shown
    assert move == Move("Hello.")


@pytest.mark.parametrize("typed", ["[Agreed]", "So be it. [Agre]", "[Agree: gladly]"])
def test_a_mistyped_tag_is_caught_in_an_open_dilemma(typed: str) -> None:
    move, shown = answer(f"{typed}\nHello.\n", OPEN_TWO)
    assert "is no tag; did you mean [Agree]?\n" in shown
    assert move == Move("Hello.")


@pytest.mark.parametrize(
    "typed",
    [
        "[smiles]",
        "Well. [sighs, looks away]",
        "[note: a thing]",
        "[I like A1 more]",
        "[Propse: A1] was a slip",
        "[]",
        "x]",
    ],
)
def test_brackets_that_resemble_no_tag_are_talk(typed: str) -> None:
    assert answer(f"{typed}\n")[0] == Move(typed)


@pytest.mark.parametrize("typed", ["\x1b[D\x1b[C", "Hel\x08lo", "nul\x00", "\x7f", "\x9b31m"])
def test_control_characters_are_not_sent(typed: str) -> None:
    move, shown = answer(f"{typed}\nA\ttab.\n")
    assert "Not sent: the line holds control characters.\n" in shown
    assert move == Move("A\ttab.")
    assert all(c == "\n" or c.isprintable() for c in shown)


def test_control_characters_are_not_sent_in_a_plan() -> None:
    t, shown = sit("/propose A1 B2\nA \x1b[Aplan.\nA plan.\n", other=ScriptedAgent(["[Accept]"]), completion="write")
    assert t.completion == "A plan. [Agreed: A1 B2]"
    assert shown.count("control characters") == 1


def test_line_ends_of_windows_are_line_ends() -> None:
    assert answer("Hello.\r\n")[0] == Move("Hello.")


def test_the_first_turn_shows_the_private_view() -> None:
    _, shown = answer("Hello.\n")
    assert TRADE.task in shown
    assert "Your aim, which the others do not know: Get the most." in flat(shown)
    assert "You are the baker. With you at the table: the miller." in flat(shown)
    assert "at most 7 rounds" in flat(shown)
    rows = [line.split("│") for line in shown.splitlines() if "│" in line]
    assert [(r[1].strip(), r[3].strip()) for r in rows] == [("A1", "9"), ("A2", "0"), ("B1", "1"), ("B2", "0")]
    assert "Your best deal is worth 10; without a deal you have 2." in flat(shown)


def test_a_whole_talk_shows_only_what_is_new() -> None:
    other = ScriptedAgent(["First.", "Second. [Propose: A1 B2]", "Third."])
    t, shown = sit("Hello.\nGo on.\n/accept - done\n", other=other)
    assert t.stop is StopReason.AGREEMENT
    assert t.deal == ("A1", "B2")
    assert t.utterances[-1].text == "done [Accept]"
    assert [shown.count(f"the miller: {word}") for word in ("First.", "Second.", "Third.")] == [1, 1, 0]
    assert "On the table, by the miller: A1 B2" in flat(shown)
    assert "Worth 9 to you: gain 0.88; your best is 10, without a deal 2." in flat(shown)
    assert shown.count("Your aim") == 1


def test_a_loss_is_called_one() -> None:
    _, shown = sit("Hello.\nNo.\n/walk\n", other=ScriptedAgent(["[Propose: A2 B1]"], repeat=True))
    assert "Worth 1 to you: a loss" in flat(shown)


def test_what_somebody_revealed_is_shown() -> None:
    _, shown = sit("Hello.\nAh.\n/walk\n", other=ScriptedAgent(["See. [Reveal: B]", "So.", "So."]))
    assert "(true scores of the miller for matter b: B1 0, B2 9)" in flat(shown)


def test_questions_to_the_terminal_spend_nothing() -> None:
    move, shown = answer("/help\n/moves\n/view\n/worth A1 B1\nHello.\n")
    assert move == Move("Hello.")
    assert "/propose A2 B1" in shown
    assert "not revealed yet: A, B" in shown
    assert shown.count("Your aim") == 2
    assert "Worth 10 to you (gain 1.00)." in shown


def test_the_end_of_the_input_leaves_the_table() -> None:
    with pytest.raises(Leave, match="left the table"):
        answer("")
    with pytest.raises(Leave):
        sit("Hello.\n")


SIGNALS = [s for s in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, s)]


def reading(readline: Callable[[], str]) -> HumanAgent:
    """A person whose lines come from `readline`."""
    stream = io.StringIO()
    stream.readline = readline  # type: ignore[assignment,method-assign]
    return HumanAgent(input=stream, output=io.StringIO())


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_during_the_read_leaves_and_the_old_handler_is_back(name: str) -> None:
    number, calls = getattr(signal, name), []

    def handler(*_: object) -> None:
        calls.append(name)

    def readline() -> str:
        signal.raise_signal(number)
        return "Hello.\n"

    previous = signal.signal(number, handler)
    try:
        with pytest.raises(Leave, match="interrupted"):
            reading(readline).act(first_view(TRADE))
        assert signal.getsignal(number) is handler
        assert not calls
    finally:
        signal.signal(number, previous)


@pytest.mark.parametrize(
    "error", [None, RuntimeError, UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), OSError(5, "gone")]
)
def test_the_handlers_are_back_however_the_read_ends(error: Any) -> None:
    def readline() -> str:
        assert all(signal.getsignal(getattr(signal, s)) is signal.default_int_handler for s in SIGNALS)
        if error is not None:
            raise error
        return "Hello.\n"

    before = [signal.getsignal(getattr(signal, s)) for s in SIGNALS]
    if error is None:
        assert reading(readline).act(first_view(TRADE)) == Move("Hello.")
    else:
        expected = {OSError: Leave, UnicodeDecodeError: AgentError}.get(type(error), RuntimeError)
        with pytest.raises(expected):
            reading(readline).act(first_view(TRADE))
    assert [signal.getsignal(getattr(signal, s)) for s in SIGNALS] == before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = [signal.getsignal(getattr(signal, s)) for s in SIGNALS]
    seen: list[Any] = []

    def readline() -> str:
        seen.append([signal.getsignal(getattr(signal, s)) for s in SIGNALS])
        return "Hello.\n"

    thread = threading.Thread(target=lambda: seen.append(reading(readline).act(first_view(TRADE))))
    thread.start()
    thread.join()
    assert seen == [before, Move("Hello.")]


def test_input_that_is_no_text_is_one_clear_error() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), encoding="utf-8")
    with pytest.raises(AgentError, match="not text"):
        HumanAgent(input=stream, output=io.StringIO()).act(first_view(TRADE))


def test_nothing_others_wrote_reaches_the_terminal_raw() -> None:
    nasty = "\x1b[2Jclear\x07 \u202eback [bold]x[/bold] :smile: \ud800 \x9b31m"
    issues = tuple(
        Issue(i.id, f"{i.name}\x1b[0m", tuple(Option(o.id, f"{o.label}\u202e") for o in i.options))
        for i in TRADE.issues
    )
    seats = tuple(Seat(f"{s.name}\x1b", f"{s.persona}\x07", Stakes(((9, 0), (1, 0)), 0)) for s in TRADE.seats)
    scenario = Scenario("nasty", "What\x1b[31m now?", seats, issues)
    other = ScriptedAgent([f"{nasty} [Propose: A1 B1]", f"{nasty} [Reveal: A]", "So."])
    _, shown = sit("Hello.\n/view\nAgain.\n/walk\n", scenario, other)
    assert all(c == "\n" or c.isprintable() for c in shown)
    assert "\\x1b[2Jclear\\x07 \\u202eback [bold]x[/bold] :smile:" in flat(shown)


def test_an_open_dilemma_and_its_completion() -> None:
    other = ScriptedAgent(["We could share it.", "Yes. [Agree]", "x"])
    t, shown = sit("/accept\n/agree\n/agree - so be it\n\nThey share the bakery from Monday.\n", OPEN_TWO, other)
    assert t.stop is StopReason.AGREEMENT
    assert [u.text for u in t.utterances if u.seat == "seat_0"] == [
        "I agree to this plan. [Agree]",
        "so be it [Agree]",
        "They share the bakery from Monday.",
    ]
    assert "there is no /accept here; there is /agree" in flat(shown)
    assert "the brother: Hold an equal half of the bakery." in flat(shown)
    assert "On the table" not in shown


@pytest.mark.parametrize(
    ("typed", "fault", "completion"),
    [
        ("A fair trade.\n", None, "A fair trade. [Agreed: A1 B2]"),
        ("Done. [Agreed: A1 B2]\n", None, "Done. [Agreed: A1 B2]"),
        ("Done. [Agreed: A2 B2]\nFair.\n", "that is not the deal agreed", "Fair. [Agreed: A1 B2]"),
        ("Done. [Agreed: A7]\nFair.\n", "no option 'A7'", "Fair. [Agreed: A1 B2]"),
        ("\nFair.\n", "an empty line", "Fair. [Agreed: A1 B2]"),
    ],
)
def test_a_completion_ends_in_the_deal_agreed(typed: str, fault: str | None, completion: str) -> None:
    other = ScriptedAgent(["[Accept]"])
    t, shown = sit(f"/propose A1 B2\n{typed}", other=other, completion="write")
    assert t.completion == completion
    assert t.outcome.ca == 5.0
    assert ("Not sent" in shown) == (fault is not None)
    assert fault is None or fault in flat(shown)


def test_one_object_can_hold_several_seats() -> None:
    shown = io.StringIO()
    t = play(TRADE, [HumanAgent(input=io.StringIO("/propose A1 B2\n/accept\n"), output=shown)])
    assert t.deal == ("A1", "B2")
    assert "You are the baker" in flat(shown.getvalue())
    assert "You are the miller" in flat(shown.getvalue())


def test_forgotten_messages_are_counted() -> None:
    other = ScriptedAgent(["one", "two", "three"], repeat=True)
    t, shown = sit("a\nb\nc\n/walk\n", other=other, memory=1)
    assert t.stop is StopReason.WALK_AWAY
    assert "out of your memory" not in shown  # one round back is always in view
    assert [shown.count(f"the miller: {x}") for x in ("one", "two", "three")] == [1, 1, 1]


def test_a_person_among_six() -> None:
    scenario = drawn(1, seats=6)
    shown = io.StringIO()
    person = HumanAgent(input=io.StringIO("Hm.\n" * 7), output=shown)
    t = play(scenario, [person, *["random"] * 5], seed=4)
    assert t.scored
    assert "With you at the table: the miller, the farmer, the cook, the smith, the nurse." in flat(shown.getvalue())
