"""Which kinds of move there are for a view, which of them are legal now, and the form of each."""

from __future__ import annotations

from nego_agents.human_lines import check_legal
from nego_agents.human_screen.dialogs import Form, IssueForm, Plain, Proposal
from nego_env.errors import NegoError
from nego_env.moves import Act
from nego_env.replay.style import Palette
from nego_env.view import View


def exists(view: View, kind: str) -> bool:
    """Whether a kind of move exists in this dilemma and phase at all."""
    return view.phase == "dialogue" and (kind == "agree") != bool(view.scenario.issues)


def legal(view: View, kind: str) -> bool:
    """Whether it counts now."""
    now = view.legal
    counts = {
        "propose": now.propose,
        "accept": now.accept,
        "walk": now.walk,
        "ask": bool(now.ask),
        "reveal": bool(now.reveal),
        "agree": True,
    }
    return exists(view, kind) and counts[kind]


def why_not(view: View, kind: str) -> str:
    """Why a kind of move cannot be made now."""
    if not exists(view, kind):
        return f"there is nothing to {kind} here"
    if kind in ("ask", "reveal"):
        return "you have asked about every issue" if kind == "ask" else "you have published all your scores"
    try:
        check_legal(view, _plain(kind))
    except NegoError as e:
        return str(e)
    return f"you cannot {kind} now"


def form(view: View, kind: str, words: str, palette: Palette, kept: tuple[int | None, ...]) -> Form:
    """The form of a move, with words begun elsewhere; `kept` is what was picked when a proposal was last put aside."""
    if kind == "propose":
        return Proposal(view, words, palette, kept)
    if kind in ("ask", "reveal"):
        return IssueForm(view, words, palette, reveal=kind == "reveal")
    return Plain(view, words, palette, _plain(kind))


def _plain(kind: str) -> Act:
    return Act("accept" if kind == "accept" else "walk" if kind == "walk" else "agree")
