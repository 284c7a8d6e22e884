"""What a person's line stands for, whichever screen it was typed at: a move, or a fault to show before anything is sent.

1. A line is talk, talk that ends in a tag, or a slash command (`/propose A2 B1 - some words`).
2. A tag that does not parse or looks mistyped, a move that is not legal now, and control characters are faults.
3. Nothing here knows about screens.
"""

from __future__ import annotations

import difflib
import re
import unicodedata

from nego_env.errors import AgentError
from nego_env.moves import Act, Move, agreed_deal, check_act, parse
from nego_env.scenario import Scenario
from nego_env.view import View, acceptance_text

_FINAL_GROUP = re.compile(r"\[\s*([^\[\]\s:,;]{1,40})\s*(:?)([^\[\]]*)\][.!*_`\s]*\Z")
"""The brackets a message ends in: first word, colon, rest."""
_CLOSE, _CLOSE_WITH_COLON = 0.75, 0.6
"""How much (`difflib` ratio) a first word must resemble a verb to be taken for a slip; a colon makes a tag likelier."""


def typed(view: View, line: str) -> Move:
    """The move a line stands for (point 1). Raises `NegoError` with the fault."""
    if not line:
        raise AgentError("an empty line says nothing; type a message, or /help")
    if not line.startswith("/"):
        return checked_talk(view, line)
    head, _, rest = line.partition(" ")
    return command_move(view, head[1:].lower(), rest)


def checked_talk(view: View, line: str) -> Move:
    """A typed message whose tag, if any, counts now. Raises `AgentError` with the fault."""
    check_text(line)
    parsed = parse(line, view.scenario)
    if parsed.fault:
        raise AgentError(parsed.fault)
    if parsed.act is not None:
        check_legal(view, parsed.act)
    elif slip := mistyped_tag(line, view.scenario):
        raise AgentError(slip)
    return Move(line, parsed.act)


def plan(view: View, line: str) -> Move:
    """The final plan, ending in the deal agreed, which is added where it is left out. Raises `AgentError` with the fault."""
    line = line.strip()
    ending = plan_ending(view)
    if not line:
        raise AgentError("an empty line says nothing")
    check_text(line)
    if not ending:
        return Move(line)
    if "[" not in line:
        return Move(f"{line} {ending}")
    deal, fault = agreed_deal(line, view.scenario)
    if fault is not None:
        raise AgentError(f"{fault}; it must end in {ending}")
    if view.table and deal != view.scenario.deal(view.table.deal):
        raise AgentError(f"that is not the deal agreed, {ending}")
    return Move(line)


def plan_ending(view: View) -> str:
    """What a plan must end in: `[Agreed: A2 B1]`; empty where there is no deal."""
    return f"[Agreed: {' '.join(view.table.deal)}]" if view.table else ""


def acting(view: View, words: str, act: Act) -> Move:
    """An act chosen from a form, with the words beside it. Raises `NegoError` with the fault."""
    words = words.strip()
    check_text(words)
    act = check_act(act, view.scenario)
    check_legal(view, act)
    tagged = parse(words, view.scenario)
    if tagged.act not in (None, act):
        raise AgentError("the words end in another tag")
    return Move(words, act)


def fault_text(e: Exception, scenario: Scenario) -> str:
    """A fault as it is shown, without the scenario's name before it."""
    return str(e).removeprefix(f"{scenario.id}: ")


def holds_control_characters(text: str) -> bool:
    """Whether a text has characters that no message should: escapes, backspaces, ... Tabs and line breaks are none of them."""
    return any(c not in "\t\n" and unicodedata.category(c) == "Cc" for c in text)


def check_text(text: str) -> None:
    """Raises `AgentError` for control characters."""
    if holds_control_characters(text):
        raise AgentError("the line holds control characters")


def mistyped_tag(line: str, scenario: Scenario) -> str | None:
    """The fault of a message that ends in what was likely meant as a tag; None for plain talk, "[smiles]" included.

    Likely: the first word in the brackets resembles a verb, or option ids stand in them as they do in a tag.
    """
    start = line.rfind("[")
    group = _FINAL_GROUP.match(line, start) if start >= 0 else None
    if group is None:
        return None
    word, colon, rest = group[1], group[2], group[3].strip()
    verbs = ("propose", "accept", "walk", "ask", "reveal") if scenario.issues else ("agree",)
    close = difflib.get_close_matches(word.lower(), verbs, n=1, cutoff=_CLOSE_WITH_COLON if colon else _CLOSE)
    shown = line[start : line.rindex("]") + 1]
    if close:
        return f"{shown} is no tag; did you mean {_tag_of(close[0], rest)}?"
    if _is_option(word, scenario):
        rest = f"{word} {rest}"
    options = [_is_option(w, scenario) for w in rest.replace(",", " ").replace(";", " ").split()]
    if any(options) if colon else options and all(options):
        return f"{shown} is no tag; did you mean {_tag_of('propose', rest)}?"
    return None


def _is_option(word: str, scenario: Scenario) -> bool:
    return word.upper() in scenario.option_index


def _tag_of(verb: str, argument: str) -> str:
    """The tag of a verb as it would be typed."""
    if verb in ("propose", "ask", "reveal"):
        return f"[{verb.capitalize()}: {argument or '...'}]"
    return f"[{verb.capitalize()}]"


def command_move(view: View, command: str, rest: str) -> Move:
    """The move of a slash command. Raises `NegoError` with the fault."""
    argument, _, words = f" {rest} ".partition(" - ")
    argument = argument.strip()
    known = ("propose", "accept", "ask", "reveal", "walk") if view.scenario.issues else ("agree",)
    match command:
        case "propose" if command in known:
            act = Act("propose", deal=tuple(argument.replace(",", " ").split()))
        case "ask" | "reveal" if command in known:
            act = Act("ask" if command == "ask" else "reveal", issue=argument)
        case "accept" | "walk" | "agree" if command in known:
            if argument:
                raise AgentError(f"/{command} takes nothing but words after a dash: /{command} - {argument}")
            act = Act("accept" if command == "accept" else "walk" if command == "walk" else "agree")
        case _:
            listed = ", ".join(f"/{c}" for c in (*known, "view", "moves", "help"))
            raise AgentError(f"there is no /{command} here; there is {listed}")
    act = check_act(act, view.scenario)
    check_legal(view, act)
    return Move(words.strip(), act)


def check_legal(view: View, act: Act) -> None:
    """Raises `AgentError` for an act that does not count now."""
    if act.kind == "accept" and not view.legal.accept:
        why = "you have accepted it already" if view.table else "there is no deal on the table to accept"
        raise AgentError(why)
    if act.kind == "walk" and not view.legal.walk:
        raise AgentError("nobody can walk away before everyone has spoken once")


# ---------------------------------------------------------------- what can be done now
def moves_line(view: View) -> str:
    """What can be done now, on one line."""
    if not view.scenario.issues:
        return "Say something, or /agree"
    legal = view.legal
    able = ["/propose", *(["/accept"] if legal.accept else []), "/ask", "/reveal", *(["/walk"] if legal.walk else [])]
    return f"Say something, or {' '.join(able)}"


def moves_text(view: View) -> str:
    """What can be done now, in full."""
    if not view.scenario.issues:
        return f"{moves_line(view)}."
    legal = view.legal
    return "\n".join(
        [
            f"/propose {' '.join(i.options[0].id for i in view.scenario.issues)}   (one option for every issue)",
            *(["/accept"] if legal.accept else []),
            f"/ask ISSUE      not asked yet: {', '.join(legal.ask) or 'none'}",
            f"/reveal ISSUE   not revealed yet: {', '.join(legal.reveal) or 'none'}",
            *(["/walk"] if legal.walk else ["(/walk once everyone has spoken)"]),
        ]
    )


def how_it_ends(view: View) -> str:
    """The cap and the acceptance rule in two sentences."""
    rounds = f"Each of you speaks once a round, for at most {view.max_rounds} rounds."
    if not view.scenario.issues:
        return f"{rounds} You are done when all of you consent to one concrete plan."
    return f"{rounds} A deal settles every issue. {acceptance_text(view.scenario)}"
