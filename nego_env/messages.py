"""A view as chat messages, and a whole transcript as one seat's chat.

1. The system message holds what never changes: task, issues, persona, stakes, rules.
2. Each user message holds what is new since the seat last spoke: the others' words, then the round, the standing deal and
   any notice. It is rendered once and never altered, so contexts grow by appending.
3. The seat's own words are the assistant messages, verbatim.
"""

from __future__ import annotations

from nego_env.errors import TranscriptError
from nego_env.rules import State, Utterance
from nego_env.transcript import Transcript
from nego_env.view import notice, rules_text
from nego_env.wording import (
    completion_request,
    dialogue_text,
    issues_text,
    personas_text,
    revealed_text,
    stakes_text,
    table_text,
)


def system_message(state: State, seat: int) -> str:
    """What a seat knows before anybody speaks."""
    scenario = state.scenario
    me = scenario.seats[seat]
    parts = [
        scenario.task,
        issues_text(scenario),
        f"Your objective, which you keep to yourself: {me.persona}",
        f"Your scores, yours alone:\n{stakes_text(scenario, me.stakes)}" if me.stakes else "",
        rules_text(scenario, seat, state.settings.max_rounds),
    ]
    return "\n\n".join(p for p in parts if p)


def user_message(state: State, seat: int, fresh: tuple[Utterance, ...], revealed_before: int = 0) -> str:
    """What is new for a seat whose turn it is: `fresh` utterances of the others, then where things stand."""
    if state.phase == "completion":
        everything = dialogue_text(state.scenario, state.utterances)
        return "\n\n".join([everything, personas_text(state.scenario), completion_request(state)])
    published = revealed_text(state).splitlines()[revealed_before:]
    parts = [
        dialogue_text(state.scenario, fresh),
        "Published scores:\n" + "\n".join(published) if published else "",
        f"Round {state.round} of {state.settings.max_rounds}. {table_text(state, seat)}".strip(),
        f"Note: {fault}." if (fault := notice(state, seat)) else "",
    ]
    return "\n\n".join(p for p in parts if p)


def chat(transcript: Transcript, seat: str | int) -> list[dict[str, str]]:
    """An episode as one seat's chat: system, then user and assistant in turn; a last user message where others spoke
    after it. Raises `TranscriptError` for a seat that is none."""
    ids = transcript.scenario.seat_ids
    name = ids[seat] if isinstance(seat, int) and 0 <= seat < len(ids) else seat
    if name not in ids:
        raise TranscriptError(f"episode {transcript.id}: no seat {seat!r}; seats: {', '.join(ids)}")
    me = ids.index(str(name))
    messages: list[dict[str, str]] = []
    heard = told = 0
    for state in transcript.states():
        if not messages:
            messages.append({"role": "system", "content": system_message(state, me)})
        if state.awaiting != "utterance" or state.seat != me or len(state.utterances) >= len(transcript.utterances):
            continue
        fresh = tuple(u for u in state.utterances[heard:] if u.seat != name)
        messages.append({"role": "user", "content": user_message(state, me, fresh, told)})
        messages.append({"role": "assistant", "content": transcript.utterances[len(state.utterances)].text})
        heard, told = len(state.utterances) + 1, len(state.revealed)
    rest = tuple(u for u in transcript.utterances[heard:] if u.seat != name)
    if rest:
        messages.append({"role": "user", "content": dialogue_text(transcript.scenario, rest)})
    return messages
