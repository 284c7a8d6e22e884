"""Promises about a seat's chat as it grows, view by view.

1. It only ever grows by appending, until a memory window forgets something: then it is made anew and says so.
2. It reads the same as the transcript's chat where there is no window.
3. The brief style holds the facts alone, public words first and then one private table.
"""

from __future__ import annotations

import pytest
from support import bargain, begin, play

from nego_env.errors import NotFoundError, SettingsError
from nego_env.messages import Conversation, Message, Style, Turn
from nego_env.rules import State, utter
from nego_env.view import seat_randoms, view

SAID = (
    "What about the shed? [Ask: B]",
    "Look for yourself. [Reveal: B]",
    "[Propose: A2 B3]",
    "[Propose: A2]",
    "hm",
    "[Propose: A2 B2]",
    "No. [Propose: A2 B1]",
    "no",
    "well",
    "[Accept]",
)


def turns(seat: int, *, memory: int | None = None, style: Style = "full") -> list[Turn]:
    """Every turn of a seat, answered with what it said."""
    state: State = begin(bargain(), memory=memory)
    randoms, talk, seen = seat_randoms(state.header, 2), Conversation(style), []
    for text in SAID:
        if state.seat == seat:
            seen.append(talk.observe(view(state, randoms, seat)))
            talk.said(text)
        state = utter(state, text)
    return seen


@pytest.mark.parametrize("style", ["full", "brief"])
@pytest.mark.parametrize("seat", [0, 1])
def test_without_a_window_a_context_only_grows(seat: int, style: Style) -> None:
    seen = turns(seat, style=style)
    assert [t.continues for t in seen] == [False, *[True] * (len(seen) - 1)]
    own = [text for i, text in enumerate(SAID) if i % 2 == seat]
    for before, after, said in zip(seen, seen[1:], own, strict=False):
        assert after.messages == (*before.messages, Message("assistant", said), *after.fresh)
        assert [m.role for m in after.fresh] == ["user"]


@pytest.mark.parametrize("seat", [0, 1])
def test_the_live_chat_is_the_recorded_one(seat: int) -> None:
    recorded = play(bargain(), *SAID).messages(seat)
    last = turns(seat)[-1].messages
    assert [{"role": m.role, "content": m.content} for m in last] == recorded[: len(last)]


def test_a_window_that_moves_makes_the_context_anew() -> None:
    seen = turns(0, memory=1)
    assert [t.continues for t in seen] == [
        False,
        True,
        False,
        False,
        False,
    ]  # two utterances fit, the third pushes one out
    last = seen[-1]
    assert last.fresh == last.messages
    told = "\n".join(m.content for m in last.messages)
    assert SAID[7] in told
    assert SAID[6] in told
    assert SAID[5] not in told
    assert "On the table: A2 B1" in told
    assert "seat_1 B: B1" in told  # what was published is on record, however short the memory
    assert "(6 earlier messages are out of your memory.)" in last.messages[1].content


@pytest.mark.parametrize("memory", [1, 2, 3])
@pytest.mark.parametrize("seat", [0, 1])
def test_roles_take_turns_whatever_the_window(memory: int, seat: int) -> None:
    for turn in turns(seat, memory=memory):
        roles = [m.role for m in turn.messages]
        assert roles[0] == "system"
        assert roles[1:] == ["user", "assistant"] * (len(roles) // 2 - 1) + ["user"]


def test_the_brief_style_is_the_facts() -> None:
    first, second = turns(1, style="brief")[:2]
    persona = bargain().seats[1].persona
    stakes = bargain().seats[1].stakes
    assert stakes is not None
    system, user = first.messages
    assert system.content.splitlines()[:3] == [persona, "issue A the tap", "issue B the shed"]
    assert system.content.splitlines()[3] == "scores A1 2 A2 0 A3 1 B1 0 B2 4 B3 2"
    assert system.content.splitlines()[-1] == f"walk {stakes.walk_away:g}"
    assert user.content == f"seat_0: {SAID[0]}\nround 1 of 7"
    assert second.fresh[0].content.splitlines()[-1].startswith("table A2 B3 by seat_0 worth ")


def test_the_brief_style_names_a_loss_and_a_fault() -> None:
    told = [t.fresh[-1].content for t in turns(1, style="brief")]
    assert any("\nnote: " in text for text in told)


def test_the_brief_style_adds_shares_up_once_a_seat_has_published_everything() -> None:
    state, randoms, talk = begin(bargain()), seat_randoms(begin(bargain()).header, 2), Conversation("brief")
    read = []
    for text in ("hm", "[Reveal: B]", "hm", "[Reveal: A]", "hm", "[Propose: A2 B3]", "hm"):
        if state.seat == 0:
            read.append(talk.observe(view(state, randoms, 0)).fresh[-1].content)
            talk.said(text)
        state = utter(state, text)
    mine, theirs = (bargain().seats[i].stakes for i in (0, 1))
    assert mine is not None
    assert theirs is not None
    ids = [[o.id for o in issue.options] for issue in bargain().issues]
    best, other = (sum(max(row) for row in stakes.scores) for stakes in (mine, theirs))
    cells = [
        f"{option} {round(100 * x / best) + round(100 * y / other)}"
        for names, row, column in zip(ids, mine.scores, theirs.scores, strict=True)
        for option, x, y in zip(names, row, column, strict=True)
    ]
    assert [line for text in read for line in text.splitlines() if line.startswith("together")] == [
        f"together {' '.join(cells)}"
    ]
    assert "together" in read[2]  # with the last reveal, not before
    share = round(100 * (theirs.scores[0][1] + theirs.scores[1][2]) / other)
    assert read[3].splitlines()[-1].endswith(f" seat_1 {share}")


def test_a_style_that_is_none_and_an_answer_to_nothing_are_errors() -> None:
    with pytest.raises(NotFoundError, match="unknown style 'breif'; did you mean 'brief'"):
        Conversation("breif")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"said\(\) follows observe\(\)"):
        Conversation().said("hello")
