"""The words a prompted agent adds to what the renderer writes: guidance, a system text of the user's, requests to repair."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from nego_env.errors import SettingsError
from nego_env.messages import Message, Turn
from nego_env.moves import agreed_deal, parse
from nego_env.view import View


@cache
def prompt(name: str) -> str:
    """A prompt file of this package, read once."""
    from importlib.resources import files

    return files("nego_agents").joinpath("chat", "prompts", f"{name}.txt").read_text(encoding="utf-8").strip()


def read_system(path: str) -> str:
    """A user's text for the system message. Raises `SettingsError`."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is no UTF-8 text"
        raise SettingsError(f"{path}: the system text cannot be read: {why}") from None


def prompted(turn: Turn, view: View, *, guidance: bool, system: str) -> tuple[Message, ...]:
    """The turn's messages, with the added words in the system message, the same at every turn so that contexts grow; those on
    the final answer stand in its request."""
    first, *others, last = turn.messages
    words = filter(None, [first.content, prompt("guidance") if guidance else "", filled(system, view)])
    if guidance and view.phase == "completion":
        last = Message(last.role, f"{last.content}\n\n{prompt('completion')}")
    return (Message(first.role, "\n\n".join(words)), *others, last)


def filled(text: str, view: View) -> str:
    """{name}, {persona} and {task} of the seat put in, in one pass: other braces stay what they are."""
    if not text:
        return ""
    facts = {"name": view.name, "persona": view.persona, "task": view.task}
    head, *pieces = text.split("{")
    out = [head]
    for piece in pieces:
        slot, closed, rest = piece.partition("}")
        out.append(facts[slot] + rest if closed and slot in facts else "{" + piece)
    return "".join(out)


def repair(text: str, view: View) -> str | None:
    """What to ask of a model whose message would not count as it stands; None where it does, and where it is just talk."""
    if not view.scenario.issues:
        return None
    if view.phase == "completion":
        return _completion_repair(text, view)
    act, fault = parse(text, view.scenario)
    if act is not None and act.kind == "accept" and not view.legal.accept:
        fault = (
            "you have accepted the deal on the table already"
            if view.table
            else "there is no deal on the table to accept"
        )
    if act is not None and act.kind == "walk" and not view.legal.walk:
        fault = "nobody can walk away before everyone has spoken once"
    return None if fault is None else prompt("repair").replace("{fault}", fault)


def _completion_repair(text: str, view: View) -> str | None:
    if view.table is None:
        return None
    stated, fault = agreed_deal(text, view.scenario)
    if stated is not None:
        ids = view.scenario.ids(stated)
        fault = None if ids == view.table.deal else f"it states {' '.join(ids)}, which is not what was agreed"
    deal = " ".join(view.table.deal)
    return None if fault is None else prompt("repair_completion").replace("{deal}", deal).replace("{fault}", fault)
