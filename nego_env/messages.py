"""A view as chat messages: the one renderer, for every backend and for exports.

1. The system message holds what never changes: task, issues, persona, stakes, rules.
2. Each user message holds what is new since the seat last spoke: the others' words, then the round, the standing deal and
   any notice. It is rendered once and never altered, so contexts grow by appending.
3. The seat's own words are the assistant messages, verbatim.
4. Where a memory window forgets what the context holds, the context is made anew: the words still in the window, then
   where things stand now.

Two styles: `full` explains the rules in prose, for models that read; `brief` is for models of a few million parameters,
which are trained on it: facts only, public words first and then one contiguous private table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, get_args

import msgspec
from msgspec.structs import replace

from nego_env.errors import SettingsError, TranscriptError, unknown_name
from nego_env.rules import Revealed, Utterance
from nego_env.transcript import Transcript
from nego_env.view import View, seat_randoms, view
from nego_env.wording import (
    NO_TABLE,
    completion_request,
    dialogue_text,
    issues_text,
    number,
    on_table_text,
    personas_text,
    published_scores,
    revealed_text,
    said_text,
    share,
    stakes_text,
    together_text,
)

Style = Literal["full", "brief"]
STYLES: tuple[Style, ...] = get_args(Style)


class Message(msgspec.Struct, frozen=True):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class Turn(msgspec.Struct, frozen=True):
    """What a seat reads when it is its turn."""

    messages: tuple[Message, ...]
    """The whole context: the system message first, a user message last."""
    continues: bool
    """The context is the one of the turn before, the seat's words on it, and `fresh`."""
    fresh: tuple[Message, ...]
    """What is new where it continues; else all of `messages`."""


class Conversation:
    """One seat's chat over one episode: `observe` each view, then say with `said` what was answered."""

    def __init__(self, style: Style = "full") -> None:
        """Raises `NotFoundError` for a style that is none of `STYLES`."""
        if style not in _RENDERERS:
            raise unknown_name("style", style, STYLES)
        self._render = _RENDERERS[style]
        self._messages: tuple[Message, ...] = ()
        self._heard = 0
        self._told = 0
        self._omitted = 0
        self._answered = False

    def observe(self, view: View) -> Turn:
        """The context for a view. Call it once per view, in the order of the episode."""
        continues = self._answered and view.omitted == self._omitted
        fresh = (self._new(view),) if continues else self._anew(view)
        self._messages = (*self._messages, *fresh) if continues else fresh
        self._heard = view.omitted + len(view.utterances) + 1  # the next one is the seat's own
        self._told, self._omitted, self._answered = len(view.revealed), view.omitted, False
        return Turn(self._messages, continues, fresh)

    def said(self, text: str) -> None:
        """What the seat answered to the view last observed. Raises `SettingsError` when none waits for an answer."""
        if not self._messages or self._answered:
            raise SettingsError("said() follows observe(): there is no view to answer")
        self._messages = (*self._messages, Message("assistant", text))
        self._answered = True

    def rest(self, view: View, heard: Sequence[Utterance]) -> tuple[Message, ...]:
        """The chat with what others said after the seat last spoke, for an episode that is over."""
        if not self._messages:
            self._messages = (Message("system", self._render.system(view)),)
        left = tuple(u for u in heard[self._heard :] if u.seat != view.seat)
        return (*self._messages, Message("user", self._render.words(view, left))) if left else self._messages

    def _new(self, view: View) -> Message:
        fresh = [u for u in view.utterances[max(0, self._heard - view.omitted) :] if u.seat != view.seat]
        return Message("user", self._render.turn(view, fresh, view.revealed[self._told :]))

    def _anew(self, view: View) -> tuple[Message, ...]:
        system = Message("system", self._render.system(view))
        if view.phase == "completion":
            return system, Message("user", self._render.turn(view, [], ()))
        messages = [system]
        waiting: list[Utterance] = []
        opening = f"({view.omitted} earlier messages are out of your memory.)" if view.omitted else ""
        for u in view.utterances:
            if u.seat != view.seat:
                waiting.append(u)
                continue
            heard = "\n\n".join(filter(None, [opening, self._render.words(view, waiting)]))
            messages += [Message("user", heard), Message("assistant", u.text)]
            waiting, opening = [], ""
        status = self._render.turn(view, waiting, view.revealed)
        return (*messages, Message("user", "\n\n".join(filter(None, [opening, status]))))


def chat(transcript: Transcript, seat: str | int) -> list[dict[str, str]]:
    """An episode as one seat's chat, whole whatever its memory window: system, then user and assistant in turn; a last user
    message where others spoke after it. Raises `TranscriptError` for a seat that is none."""
    ids = transcript.scenario.seat_ids
    name = ids[seat] if isinstance(seat, int) and 0 <= seat < len(ids) else seat
    if name not in ids:
        raise TranscriptError(f"episode {transcript.id}: no seat {seat!r}; seats: {', '.join(ids)}")
    me = ids.index(str(name))
    conversation = Conversation()
    seen = None
    for state in transcript.states():
        whole = replace(state, settings=replace(state.settings, memory=None))
        seen = view(whole, seat_randoms(state.header, transcript.scenario.n), me)
        if state.awaiting == "utterance" and state.seat == me and len(state.utterances) < len(transcript.utterances):
            conversation.observe(seen)
            conversation.said(transcript.utterances[len(state.utterances)].text)
    assert seen is not None  # `states` gives one before anybody speaks
    return [{"role": m.role, "content": m.content} for m in conversation.rest(seen, transcript.utterances)]


class _Renderer(Protocol):
    """The texts of one style."""

    def system(self, view: View) -> str:
        """What a seat knows before anybody speaks."""
        ...

    def words(self, view: View, utterances: Iterable[Utterance]) -> str:
        """Others' words."""
        ...

    def turn(self, view: View, fresh: Iterable[Utterance], published: Iterable[Revealed]) -> str:
        """What is new for a seat whose turn it is, then where things stand."""
        ...


class _Full:
    """Prose, and every rule."""

    def system(self, view: View) -> str:
        parts = [
            view.task,
            issues_text(view.scenario),
            f"Your objective, which you keep to yourself: {view.persona}",
            f"Your scores, yours alone:\n{stakes_text(view.scenario, view.stakes)}" if view.stakes else "",
            view.rules,
        ]
        return "\n\n".join(p for p in parts if p)

    def words(self, view: View, utterances: Iterable[Utterance]) -> str:
        return dialogue_text(view.scenario, utterances)

    def turn(self, view: View, fresh: Iterable[Utterance], published: Iterable[Revealed]) -> str:
        if view.phase == "completion":
            request = completion_request(view.scenario, view.table.deal if view.table else ())
            return "\n\n".join([self.words(view, view.utterances), _personas(view), request])
        lines = revealed_text(view.scenario, published)
        parts = [
            self.words(view, fresh),
            f"Published scores:\n{lines}" if lines else "",
            f"Round {view.round} of {view.max_rounds}. {_table(view)}".strip(),
            f"Note: {view.notice}." if view.notice else "",
        ]
        return "\n\n".join(p for p in parts if p)


class _Brief:
    """Facts alone: the persona, the issues by name, the private table. On open dilemmas the persona and the task."""

    def system(self, view: View) -> str:
        if view.stakes is None:
            return f"{view.persona}\n{view.task}"
        names = [f"issue {issue.id} {issue.name}" for issue in view.scenario.issues]
        table = [
            f"{o.id} {number(x)}"
            for i, row in zip(view.scenario.issues, view.stakes.scores, strict=True)
            for o, x in zip(i.options, row, strict=True)
        ]
        scores = f"scores {' '.join(table)}"  # one line: each cell has the same spelling as in a tag
        return "\n".join([view.persona, *names, scores, f"walk {number(view.stakes.walk_away)}"])

    def words(self, view: View, utterances: Iterable[Utterance]) -> str:
        return "\n".join(f"{u.seat}: {said_text(u.text)}" for u in utterances)

    def turn(self, view: View, fresh: Iterable[Utterance], published: Iterable[Revealed]) -> str:
        if view.phase == "completion":
            deal = " ".join(view.table.deal) if view.table else ""
            return "\n".join([_personas(view), f"write the plan {deal}".strip()])
        lines = [
            self.words(view, fresh),
            self._published(view, [r for r in published if r.seat != view.seat]),
            f"round {view.round} of {view.max_rounds}" if view.stakes is not None else "",
            self._table(view),
            f"note: {view.notice}" if view.notice else "",
        ]
        return "\n".join(line for line in lines if line)

    def _published(self, view: View, fresh: Sequence[Revealed]) -> str:
        """What others published; and whenever a seat has published everything, a line with every option's worth to the reader
        and to all who have, as shares of each one's best deal in whole per cent, added up: `together A1 42 A2 45`. Totals
        differ between seats, and a model of a few million parameters does not divide."""
        lines = [revealed_text(view.scenario, fresh)]
        tables = _tables(view)
        if view.stakes is not None and any(r.seat in tables for r in fresh):
            lines.append(f"together {together_text(view.scenario, [view.stakes.scores, *tables.values()])}")
        return "\n".join(lines)

    def _table(self, view: View) -> str:
        """The deal on the table and its worth; the gain as a whole per cent, which is one token to a small model; and its
        share of the best deal of every seat that published everything."""
        if view.table is None:
            return ""
        gain = f"gain {round(100 * view.table.gain)}" if view.table.gain >= 0 else "loss"
        parts = [f"table {' '.join(view.table.deal)} by {view.table.by} worth {number(view.table.worth)} {gain}"]
        deal = view.scenario.deal(view.table.deal)
        for seat, rows in _tables(view).items():
            worth = sum(row[j] for row, j in zip(rows, deal, strict=True))
            parts.append(f"{seat} {share(worth, sum(map(max, rows)))}")
        return " ".join(parts)


_RENDERERS: dict[str, _Renderer] = {"full": _Full(), "brief": _Brief()}


def _tables(view: View) -> dict[str, list[tuple[float, ...]]]:
    """All scores of each other seat that has published every issue."""
    found = {s: published_scores(view.scenario, view.revealed, s) for s in view.scenario.seat_ids if s != view.seat}
    return {seat: rows for seat, rows in found.items() if rows}


def system_message(view: View) -> str:
    """What a seat knows before anybody speaks, in the full style."""
    return _RENDERERS["full"].system(view)


def user_message(view: View, fresh: Sequence[Utterance], revealed_before: int = 0) -> str:
    """What is new for a seat whose turn it is, in the full style: `fresh` utterances of the others, then where things stand."""
    return _RENDERERS["full"].turn(view, fresh, view.revealed[revealed_before:])


def _table(view: View) -> str:
    """The deal on the table and what it is worth to the seat. Empty on open dilemmas."""
    if not view.scenario.issues:
        return ""
    if view.table is None:
        return NO_TABLE
    t, names = view.table, dict(zip(view.scenario.seat_ids, (s.name for s in view.scenario.seats), strict=True))
    accepted = [names[seat] for seat in t.accepted]
    return on_table_text(view.scenario, view.scenario.deal(t.deal), names[t.by], accepted, t.worth, t.gain)


def _personas(view: View) -> str:
    assert view.personas is not None  # the finalizer's view has them
    return personas_text(view.scenario, view.personas)
