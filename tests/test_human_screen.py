"""A person at the screen: what is shown, what is sent, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent_samples import OPEN_TWO, TRADE, drawn
from human_screen_support import LARGE, SMALL, sitting
from rich.cells import cell_len
from textual.widgets import Button, Input

from nego_agents import HumanAgent, ScriptedAgent
from nego_agents.human_screen.choices import Choices
from nego_agents.human_screen.dialogs import Curtain, Form, Proposal, Sheet
from nego_env.moves import Act
from nego_env.rules import StopReason
from nego_env.run import Run
from nego_env.scenario import Issue, Option, Scenario, Seat, Stakes
from nego_env.store import TranscriptWriter, read

OFFER = "[Propose: A1 B2]"


def miller(*lines: str) -> ScriptedAgent:
    """The other side, who repeats what it was told."""
    return ScriptedAgent(list(lines) or ["I see."], repeat=True)


# ---------------------------------------------------------------- what is shown
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_opens_with_the_dilemma_the_aim_and_the_scores(size: tuple[int, int]) -> None:
    async with sitting(TRADE, miller(), size=size) as table:
        await table.asked()
        await table.sees(TRADE.task, "you are the baker in made", "round 1 of 7", "Get the most.", "A1 way a of a")
        await table.sees("nothing on the table yet", "your best deal is worth 10, no deal 2")
        await table.until(lambda: table.enabled() == {"propose", "ask", "reveal", "private", "help"}, "the buttons")


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_deal_on_the_table_and_what_it_is_worth_to_me(size: tuple[int, int]) -> None:
    async with sitting(TRADE, miller(f"Then this. {OFFER}"), size=size) as table:
        await table.asked()
        await table.say("Hello.")
        await table.asked(2)
        await table.sees("on the table, by the miller", "accepted by the miller (1 of 2)")
        shown = await table.sees("worth 9 to you, gain 0.88")
        await table.until(
            lambda: table.enabled() == {"propose", "accept", "ask", "reveal", "walk", "private", "help"}, "the buttons"
        )
        assert "0.75" not in shown  # what it is worth to the miller


async def test_a_loss_is_called_one() -> None:
    async with sitting(TRADE, miller("[Propose: A2 B1]")) as table:
        await table.asked()
        await table.say("Hello.")
        await table.asked(2)
        await table.sees("worth 1 to you, a loss")


async def test_what_others_publish_is_shown() -> None:
    async with sitting(TRADE, miller("See. [Reveal: B]")) as table:
        await table.asked()
        await table.say("Hello.")
        await table.asked(2)
        await table.sees("publishes its true scores for B (matter b): B1 0, B2 9")
        await table.sees("published scores")


async def test_six_seats() -> None:
    async with sitting(drawn(1, seats=6), *["random"] * 5, size=SMALL) as table:
        await table.asked()
        await table.say("Hm.")
        await table.asked(2)
        assert [u.seat for u in table.app.dialogue.talk.said if u is not None] == [f"seat_{i}" for i in range(6)]
        await table.press("f7")
        await table.sees("the farmer", "the cook", "the smith", "the nurse")


async def test_messages_out_of_memory_stay_on_screen() -> None:
    async with sitting(TRADE, miller("one", "two", "three"), memory=1) as table:
        for round in (1, 2, 3):
            await table.asked(round)
            await table.say(f"word {round}")
        await table.asked(4)
        words = [u.text if u is not None else None for u in table.app.dialogue.talk.said]
        assert words == ["word 1", "one", "word 2", "two", "word 3", "three"]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_nothing_others_wrote_is_obeyed(size: tuple[int, int]) -> None:
    nasty = "\x1b[2Jclear\x07 \u202eback [bold]x[/bold] :smile: [@click=app.quit]q[/] \ud800 \x9b31m"
    issues = tuple(
        Issue(i.id, f"[b]{i.name}\x1b[0m", tuple(Option(o.id, f"[i]{o.label}\u202e") for o in i.options))
        for i in TRADE.issues
    )
    seats = tuple(Seat(f"[u]{s.name}\x1b", f"[b]{s.persona}\x07", Stakes(((9, 0), (1, 0)), 0)) for s in TRADE.seats)
    scenario = Scenario("nasty", "What\x1b[31m [red]now[/red]?", seats, issues)
    async with sitting(scenario, miller(f"{nasty} {OFFER}", f"{nasty} [Reveal: A]"), size=size) as table:
        await table.asked()
        screens = [await table.sees("[red]now[/red]", "A1")]
        await table.say("Hello.")
        await table.asked(2)
        screens.append(await table.sees("\\x1b[2Jclear\\x07 \\u202eback [bold]x[/bold] :smile: [@click=app.quit]"))
        for keys in (("f2",), ("escape", "f3"), ("escape", "f4"), ("escape", "f5"), ("escape", "f7")):
            await table.press(*keys)
            screens.append(table.shown())
        assert all(c == "\n" or c.isprintable() for shown in screens for c in shown)
        assert "[b]matter a\\x1b[0m" in screens[2]


async def test_wide_characters_keep_the_columns() -> None:
    issues = (
        Issue("A", "お茶の種類", (Option("A1", "玉露 🍵 とても"), Option("A2", "番茶"))),
        Issue("B", "場所", (Option("B1", "庭"), Option("B2", "家"))),
    )
    seats = tuple(
        Seat(name, "一番良い茶を。", s.stakes) for name, s in zip(("田中 🙂", "鈴木"), TRADE.seats, strict=True)
    )
    async with sitting(Scenario("tea", "どの茶を飲むか 🍵", seats, issues), miller("こんにちは"), size=SMALL) as table:
        await table.asked()
        await table.press("f2")
        choices = table.app.screen.query_one(Choices)
        lines = str(choices.render()).split("\n")
        assert {cell_len(line) for line in lines} == {choices.size.width}
        assert len({cell_len(line[: line.index("━")]) for line in lines if "━" in line}) == 1


async def test_dark_and_light() -> None:
    async with sitting(TRADE, miller(), theme="light") as table:
        await table.asked()
        await table.say("Hello.")
        await table.asked(2)
        assert not table.app.current_theme.dark
        before = await table.sees("I see.", "your turn")
        await table.press("f8")
        assert table.app.current_theme.dark
        await table.until(lambda: table.shown() == before, "the same words in other colours")


async def test_the_dialogue_is_drawn_again_for_another_width() -> None:
    async with sitting(TRADE, miller()) as table:
        await table.asked()
        await table.say("Hello.")
        await table.asked(2)
        await table.pilot.resize_terminal(*SMALL)
        await table.until(lambda: table.app.narrow and "the miller" in table.shown())
        assert table.shown().count("Hello.") == 1


# ---------------------------------------------------------------- what is sent
async def test_a_draft_is_read_as_it_is_typed() -> None:
    async with sitting(TRADE, miller()) as table:
        await table.asked()
        await table.sees("type a message and press Enter")
        await table.type("Hi [Propose: A1 B2")
        await table.sees("a tag is closed by ]")
        await table.type("]")
        await table.sees("Enter sends [Propose: A1 B2] worth 9 to you, gain 0.88")
        await table.press("ctrl+z")
        assert not table.app.draft.text.endswith("]")
        table.app.draft.text = "Good morning."
        await table.press("end")
        await table.sees("Enter says this to everyone")


FAULTS = {
    "Then [Propose: A9 B1]": "no option 'A9'",
    "Yes. [Accept]": "there is no deal on the table to accept",
    "So: [Propse: A1 B2]": "did you mean [Propose: A1 B2]?",
    "/walk": "nobody can walk away",
    "/jump": "there is no /jump here",
    "bell \x07": "control characters",
}


async def test_a_fault_is_shown_before_anything_is_sent() -> None:
    async with sitting(TRADE, miller(), size=SMALL) as table:
        await table.asked()
        for typed, fault in FAULTS.items():
            table.app.draft.text = typed
            await table.sees(fault)
            await table.press("enter")
            assert table.app.turn is not None
            assert table.app.draft.text == typed
            assert not table.app.dialogue.talk.said


SAID = {
    "Good morning.": "Good morning.",
    "Two\nlines": "Two\nlines",
    "/propose a1 b2 - Let us trade.": f"Let us trade. {OFFER}",
    "/ask B": "What does matter b mean to the rest of you? [Ask: B]",
    "[bold]not markup[/bold]": "[bold]not markup[/bold]",
}


async def test_messages_are_said() -> None:
    async with sitting(TRADE, miller()) as table:
        for round, typed in enumerate(SAID, 1):
            await table.asked(round)
            await table.say(typed)
            assert table.app.draft.text == ""
        await table.asked(len(SAID) + 1)
        assert table.app.turn is not None
        assert [u.text for u in table.app.turn.view.utterances[::2]] == list(SAID.values())


async def test_the_field_has_line_breaks_and_takes_no_control_characters() -> None:
    async with sitting(TRADE, miller()) as table:
        await table.asked()
        await table.press("a", "ctrl+j", "b")
        assert table.app.draft.text == "a\nb"
        from textual.events import Paste

        table.app.draft.post_message(Paste("\x1b[31mred\r\nnext\x07"))
        await table.until(lambda: "red" in table.app.draft.text)
        assert table.app.draft.text == "a\nb[31mred\nnext"
        await table.sees("were left out")


async def test_a_proposal_from_the_form() -> None:
    async with sitting(TRADE, miller("Fine. [Accept]")) as table:
        await table.asked()
        await table.type("Let us trade.")
        await table.press("f2")
        await table.sees("Propose a deal")
        send = table.app.screen.query_one("#send", Button)
        assert send.disabled
        await table.press("down", "space")
        await table.sees("still to choose: B")
        await table.press("ctrl+z", "space", "down", "space")
        await table.sees("worth 9 to you, gain 0.88")
        await table.sees("of 10")
        assert not send.disabled
        await table.press("ctrl+s")
        await table.until(lambda: table.app.end, "the end")
        assert table.played[0].deal == ("A1", "B2")
        assert table.played[0].utterances[0].text == f"Let us trade. {OFFER}"


async def test_a_proposal_by_mouse() -> None:
    async with sitting(TRADE, miller()) as table:
        await table.asked()
        await table.pilot.click("#do-propose")
        await table.until(lambda: isinstance(table.app.screen, Proposal))
        await table.pilot.click("#choices", offset=(6, 2))
        await table.pilot.click("#choices", offset=(6, 4))
        assert table.app.screen.query_one(Choices).picked == [1, 0]
        await table.pilot.click("#send")
        await table.asked(2)
        assert table.app.dialogue.talk.said[0] is not None
        assert table.app.dialogue.talk.said[0].act == Act("propose", deal=("A2", "B1"))


async def test_a_form_starts_from_the_table_and_keeps_what_was_put_aside() -> None:
    async with sitting(TRADE, miller(OFFER), size=SMALL) as table:
        await table.asked()
        await table.say("Hello.")
        await table.asked(2)
        await table.press("f2")
        assert table.app.screen.query_one(Choices).picked == [0, 1]
        await table.sees("to propose it is to accept it")
        await table.press("down", "space")
        await table.sees("9 less than the deal on the table")
        table.app.screen.query_one(Input).value = "kept words"
        await table.press("escape")
        assert table.app.draft.text == "kept words"
        await table.press("f2")
        assert table.app.screen.query_one(Choices).picked == [1, 1]
        table.app.screen.query_one(Input).value = "No. [Walk]"
        await table.pilot.pause()
        await table.sees("the words end in another tag")
        assert table.app.screen.query_one("#send", Button).disabled


async def test_a_long_form_scrolls_and_keeps_its_buttons() -> None:
    async with sitting(drawn(3, counts=(6, 6, 6, 6)), miller(), size=SMALL) as table:
        await table.asked()
        await table.press("f2")
        for _ in range(4):
            await table.sees("Propose")
            await table.sees("❯")
            await table.press("down", "space")
        assert all(p == 1 or p == 0 for p in table.app.screen.query_one(Choices).picked)
        await table.sees("worth")


async def test_ask_reveal_and_walk_from_their_forms() -> None:
    async with sitting(TRADE, miller(), size=SMALL) as table:
        await table.asked()
        await table.press("f4", "space", "ctrl+s")
        await table.asked(2)
        await table.press("f4", "space")
        await table.sees("asked already")
        assert table.app.screen.query_one("#send", Button).disabled
        await table.press("escape", "f5")
        await table.sees("everybody would read: A1 9, A2 0")
        await table.press("down", "space", "ctrl+s")
        await table.asked(3)
        await table.press("f6")
        await table.sees("Without a deal you have 2.")
        await table.press("enter")
        await table.until(lambda: table.app.end, "the end")
        assert [u.act and u.act.kind for u in table.played[0].utterances[::2]] == ["ask", "reveal", "walk"]
        assert table.played[0].stop is StopReason.WALK_AWAY


async def test_a_move_that_is_not_legal_opens_nothing() -> None:
    async with sitting(TRADE, miller()) as table:
        await table.asked()
        await table.press("f3")
        assert not isinstance(table.app.screen, Form)
        await table.sees("there is no deal on the table to accept")


async def test_help_and_the_private_view() -> None:
    async with sitting(TRADE, miller(), size=SMALL) as table:
        await table.asked()
        for keys, words in ((("question_mark",), "put a deal on the table"), (("f7",), "what the others do not know")):
            await table.press(*keys)
            await table.until(lambda: isinstance(table.app.screen, Sheet))
            if keys == ("f7",):
                words = "Get the most."
            await table.sees(words)
            await table.press("x")
            await table.until(lambda: not isinstance(table.app.screen, Sheet))
        await table.say("/moves")
        await table.until(lambda: isinstance(table.app.screen, Sheet))
        await table.press("escape", "slash", "v", "i", "e", "w", "enter")
        await table.until(lambda: isinstance(table.app.screen, Sheet))
        assert table.app.turn is not None


# ---------------------------------------------------------------- how it ends
async def test_the_end_is_shown_and_the_episode_is_saved_as_any_other(tmp_path: Path) -> None:
    run = Run(TRADE, [HumanAgent(), miller(OFFER)], seed=1)
    with TranscriptWriter(tmp_path / "run.jsonl", run.id) as out:
        async with sitting(TRADE, miller(OFFER), out=out) as table:
            await table.asked()
            await table.say("Hello.")
            await table.asked(2)
            await table.press("f3")
            await table.sees("you are the last to accept it")
            await table.press("enter")
            await table.until(lambda: table.app.end, "the end")
            await table.sees("Agreement after 2 rounds", "best possible", "Enter goes on")
            await table.press("enter")
            t = await table.over()
    assert t.deal == ("A1", "B2")
    assert list(read(tmp_path / "run.jsonl")) == [t]


async def test_episode_after_episode() -> None:
    async with sitting(TRADE, miller("[Propose: A1 B2]"), episodes=2, size=SMALL) as table:
        for number in (1, 2):
            await table.until(lambda: table.app.turn and not table.app.dialogue.talk.said, "a fresh episode")
            await table.say(f"Hello {number}.")
            await table.asked(2)
            await table.say("/accept")
            await table.until(lambda: table.app.end, "the end")
            await table.press("enter")
        await table.over()
        assert [t.index for t in table.played] == [0, 1]
        assert all(t.stop is StopReason.AGREEMENT for t in table.played)


async def test_an_open_dilemma_and_its_plan() -> None:
    other = miller("We could share it.", "Yes. [Agree]")
    async with sitting(OPEN_TWO, other, size=SMALL) as table:
        await table.asked()
        await table.until(lambda: table.enabled() == {"agree", "private", "help"}, "the buttons")
        await table.say("What then?")
        await table.asked(2)
        await table.press("f3", "enter")
        await table.until(lambda: table.app.turn and table.app.turn.view.phase == "completion", "the plan")
        await table.sees("you write the plan for everyone")
        await table.sees("Hold an equal half of the bakery.")
        await table.until(lambda: table.enabled() == {"private", "help"}, "the buttons")
        await table.say("They share the bakery from Monday.")
        await table.until(lambda: table.app.end, "the end")
        assert table.played[0].completion == "They share the bakery from Monday."
        assert table.played[0].stop is StopReason.AGREEMENT


async def test_a_plan_ends_in_the_deal_agreed() -> None:
    async with sitting(TRADE, miller("[Accept]"), completion="write") as table:
        await table.asked()
        await table.say(f"Trade? {OFFER}")
        await table.until(lambda: table.app.turn and table.app.turn.view.phase == "completion", "the plan")
        await table.sees("It must end in [Agreed: A1 B2]")
        await table.say("Done. [Agreed: A2 B2]")
        await table.sees("that is not the deal agreed")
        await table.say("A fair trade.")
        await table.until(lambda: table.app.end, "the end")
        assert table.played[0].completion == "A fair trade. [Agreed: A1 B2]"


async def test_two_people_at_one_keyboard_do_not_see_each_others_scores() -> None:
    async with sitting(TRADE, size=SMALL) as table:
        await table.asked()
        await table.press("f7")
        await table.press("x")
        await table.say("Hello from the baker.")
        await table.until(lambda: isinstance(table.app.screen, Curtain), "the curtain")
        shown = await table.sees("It is the turn of the miller")
        assert "A1" not in shown
        assert "Get the most" not in shown
        await table.press("f7", "f2", "enter")
        await table.until(lambda: table.app.turn and table.app.turn.view.name == "the miller", "the other's turn")
        await table.sees("you are the miller", "Hello from the baker.")


async def test_an_answer_that_comes_too_late_is_told() -> None:
    async with sitting(TRADE, miller(), timeout=0.3) as table:
        await table.asked()
        await table.type("Slow")
        await table.until(lambda: table.app.end, "the end")
        assert table.played[0].stop is StopReason.AGENT_TIMEOUT
        await table.sees("did not answer in time")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (("ctrl+c",), "interrupted"),
        (("ctrl+q",), "you have left the table"),
        (("escape", "n", "escape", "y"), "you have left the table"),
        (("f2", "ctrl+c"), "interrupted"),
    ],
)
async def test_leaving_keeps_the_episode(keys: tuple[str, ...], why: str) -> None:
    async with sitting(TRADE, miller()) as table:
        await table.asked()
        await table.say("Hello.")
        await table.asked(2)
        await table.pilot.press(*keys)
        t = await table.over()
    assert t.stop is StopReason.INTERRUPTED
    assert t.error == f"human at seat_0: {why}"
    assert [u.text for u in t.utterances] == ["Hello.", "I see."]
