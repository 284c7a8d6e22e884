"""Moves: what a seat does with its turn, as words and as a dialogue act.

1. A seat says something (`Move.text`) and may, with it, do something (`Move.act`).
2. Words carry an act only through **one final tag**: `[Propose: A2 B1]`, `[Accept]`, `[Walk]`, `[Ask: A]`, `[Reveal: A]`,
   and on open dilemmas `[Agree]`. A tag quoted earlier in the text binds nobody.
3. A malformed final tag is talk: the fault is recorded and the seat is told in its next view.
4. act -> words -> act is exact.

Nothing a seat says is ever evaluated; tags are matched by a regular expression, in time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import msgspec

from nego_env.errors import MoveError, ScenarioError
from nego_env.scenario import KEPT_CHARS, Deal, Scenario

ActKind = Literal["propose", "accept", "walk", "ask", "reveal", "agree"]

_KINDS = get_args(ActKind)

MAX_CHARS = 4000
"""Default length an utterance is cut at, in code points."""


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A dialogue act: the part of a move the rules understand."""

    kind: ActKind
    deal: tuple[str, ...] = ()
    """For `propose`: one option id per issue, in issue order."""
    issue: str = ""
    """For `ask` and `reveal`: an issue id."""


class Move(msgspec.Struct, frozen=True):
    """A turn: words, and the act they carry. `Move.propose("A2 B1")`, `Move.accept()`, `Move("just words")`."""

    text: str = ""
    """Without text, an act gets plain words of its own; without a tag, the tag of the act is added at the end."""
    act: Act | None = None

    @classmethod
    def propose(cls, deal: str | Iterable[str], text: str = "") -> Move:
        """Put a deal on the table: option ids, one per issue, as one string or several."""
        return cls(text, Act("propose", deal=tuple(deal.split() if isinstance(deal, str) else deal)))

    @classmethod
    def accept(cls, text: str = "") -> Move:
        """Accept the standing deal."""
        return cls(text, Act("accept"))

    @classmethod
    def walk(cls, text: str = "") -> Move:
        """Walk away. Legal once every seat has spoken."""
        return cls(text, Act("walk"))

    @classmethod
    def ask(cls, issue: str, text: str = "") -> Move:
        """Ask the others what an issue is worth to them."""
        return cls(text, Act("ask", issue=issue))

    @classmethod
    def reveal(cls, issue: str, text: str = "") -> Move:
        """Have the environment publish your true scores for an issue."""
        return cls(text, Act("reveal", issue=issue))

    @classmethod
    def agree(cls, text: str = "") -> Move:
        """On an open dilemma: say that you consent to the plan just stated."""
        return cls(text, Act("agree"))


class Parsed(NamedTuple):
    """What a text amounts to: an act, or talk (no act), or talk with a fault to tell the speaker."""

    act: Act | None
    fault: str | None


_TALK = Parsed(None, None)
_FINAL = re.compile(r"\[([^\[\]]*)\][.!*_`\s]*\Z")  # the marks that close a sentence or its emphasis may follow
_KEYWORD = re.compile(r"\s*(propose|accept|walk|ask|reveal|agree)\b\s*:?", re.IGNORECASE)
_ANY_TAG = re.compile(r"\[\s*(?:propose|accept|walk|ask|reveal)\b", re.IGNORECASE)
_AGREED = re.compile(r"\[\s*agreed\s*:([^\[\]]*)\]", re.IGNORECASE)
_SEPARATOR = re.compile(r"[\s,;]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TAIL = 2000
"""A tag longer than this, with what follows it, is no tag."""


def parse(text: str, scenario: Scenario) -> Parsed:
    """The act a text carries in its final tag (module docstring, points 2 and 3)."""
    last = text.rfind("[")
    if last < 0:
        return _TALK
    tail = text[last:]
    read = scenario.kept_tags.get(tail) or _read_tail(tail, scenario)
    if read is not None:
        return read
    if scenario.issues and _ANY_TAG.search(text):
        return Parsed(None, "a tag counts only as the very last thing in a message, on its own in [ ]")
    return _TALK


def _read_tail(tail: str, scenario: Scenario) -> Parsed | None:
    """What a text says from its last `[` on; None where that is no tag, or its first word no keyword."""
    closed = tail.rstrip()
    final = _FINAL.match(closed) if len(closed) <= _TAIL else None
    keyword = None if final is None else _KEYWORD.match(final[1])
    if final is None or keyword is None:
        return None
    read = _read(keyword[1].lower(), final[1][keyword.end() :].strip(), scenario)
    return scenario.kept_tags.keep(tail, read) if len(tail) <= KEPT_CHARS else read


def _read(kind: str, rest: str, scenario: Scenario) -> Parsed:
    if not scenario.issues:
        if kind == "agree" and not rest:
            return Parsed(Act("agree"), None)
        return Parsed(None, None)  # other tags mean nothing on an open dilemma
    if kind == "agree":
        return Parsed(None, "[Agree] is for open dilemmas; here a deal is accepted with [Accept]")
    if kind in ("accept", "walk"):
        if rest:
            return Parsed(None, f"[{kind.capitalize()}] takes nothing after it, found {_short(rest)!r}")
        return Parsed(Act("accept" if kind == "accept" else "walk"), None)
    if kind == "propose":
        try:
            deal = scenario.deal([w for w in _SEPARATOR.split(rest) if w])
        except ScenarioError as e:
            return Parsed(None, f"[Propose: ...] needs one option id for every issue: {_fault(e, scenario)}")
        return Parsed(Act("propose", deal=scenario.ids(deal)), None)
    issue = _issue(rest, scenario)
    if issue is None:
        known = ", ".join(i.id for i in scenario.issues)
        return Parsed(None, f"[{kind.capitalize()}: ...] needs one issue id ({known}), found {_short(rest)!r}")
    return Parsed(Act("ask" if kind == "ask" else "reveal", issue=issue), None)


def _issue(word: str, scenario: Scenario) -> str | None:
    """An issue by its id, by the id of one of its options, or by its name."""
    key = word.upper()
    if key in scenario.issue_index:
        return scenario.issues[scenario.issue_index[key]].id
    if key in scenario.option_index:
        return scenario.issues[scenario.option_index[key][0]].id
    named = [i.id for i in scenario.issues if i.name.casefold() == word.casefold()]
    return named[0] if len(named) == 1 else None


def _fault(e: ScenarioError, scenario: Scenario) -> str:
    return str(e).removeprefix(f"{scenario.id}: ")


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def agreed_deal(completion: str, scenario: Scenario) -> tuple[Deal | None, str | None]:
    """The deal a completion states in its last `[Agreed: A2 B1]` tag, or why there is none."""
    found = scenario.kept_agreed.get(completion)
    if found is None:
        found = _agreed_deal(completion, scenario)
        if len(completion) <= KEPT_CHARS:
            scenario.kept_agreed.keep(completion, found)
    return found


def _agreed_deal(completion: str, scenario: Scenario) -> tuple[Deal | None, str | None]:
    tags = _AGREED.findall(completion)
    if not tags:
        return None, "no [Agreed: ...] tag"
    try:
        return scenario.deal(tuple(filter(None, _SEPARATOR.split(tags[-1])))), None
    except ScenarioError as e:
        return None, _fault(e, scenario)


def tag(act: Act) -> str:
    """The tag an act is written as: `[Propose: A2 B1]`."""
    argument = " ".join(act.deal) or act.issue
    return f"[{act.kind.capitalize()}: {argument}]" if argument else f"[{act.kind.capitalize()}]"


def words(act: Act, scenario: Scenario) -> str:
    """Plain words for an act, ending in its tag. `parse` gives the act back, exactly."""
    match act.kind:
        case "propose":
            said = f"I propose {_listing(scenario.labels(scenario.deal(act.deal)))}."
        case "accept":
            said = "I accept the deal on the table."
        case "walk":
            said = "We are too far apart, so I am walking away."
        case "ask":
            said = f"What does {_issue_name(act.issue, scenario)} mean to the rest of you?"
        case "reveal":
            said = f"Let me be open about {_issue_name(act.issue, scenario)}."
        case "agree":
            said = "I agree to this plan."
    return f"{said} {tag(act)}"


def completion_words(deal: Deal, scenario: Scenario) -> str:
    """A completion rendered from a deal, with its `[Agreed: ...]` tag."""
    found = scenario.kept_completions.get(deal)
    return scenario.kept_completions.keep(deal, _completion_words(deal, scenario)) if found is None else found


def _completion_words(deal: Deal, scenario: Scenario) -> str:
    terms = "; ".join(f"{i.name}: {label}" for i, label in zip(scenario.issues, scenario.labels(deal), strict=True))
    return f"The parties agree on this plan. {terms}. [Agreed: {' '.join(scenario.ids(deal))}]"


def _listing(labels: tuple[str, ...]) -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _issue_name(issue: str, scenario: Scenario) -> str:
    return scenario.issues[scenario.issue_index[issue.upper()]].name


def check_act(act: Act, scenario: Scenario) -> Act:
    """The act with ids as the scenario spells them. Raises `MoveError` for one this scenario cannot express."""
    if not isinstance(act, Act) or act.kind not in _KINDS:
        raise MoveError(f"{scenario.id}: {act!r} is no act; acts: {', '.join(_KINDS)}")
    if (act.kind == "agree") == bool(scenario.issues):
        kind = "an open dilemma" if not scenario.issues else "a structured dilemma"
        raise MoveError(f"{scenario.id}: {act.kind!r} is no act of {kind}")
    if act.kind == "propose":
        try:
            return Act("propose", deal=scenario.ids(scenario.deal([str(id) for id in act.deal])))
        except ScenarioError as e:
            raise MoveError(str(e)) from None
    if act.kind in ("ask", "reveal"):
        issue = _issue(str(act.issue), scenario)
        if issue is None:
            known = ", ".join(i.id for i in scenario.issues)
            raise MoveError(f"{scenario.id}: no issue {act.issue!r}; issues: {known}")
        return Act(act.kind, issue=issue)
    return Act(act.kind)


def spoken(move: Move, scenario: Scenario) -> Move:
    """The move with its words complete: an act without words gets plain ones, words without the act's tag get it.

    Raises `MoveError` for an act the scenario cannot express, or for words that are no str.
    """
    if not isinstance(move.text, str):
        raise MoveError(f"the words of a move are a str, not {type(move.text).__name__}")
    if move.act is None:
        return move
    act = check_act(move.act, scenario)
    if not move.text.strip():
        return Move(words(act, scenario), act)
    if parse(move.text, scenario).act == act:
        return Move(move.text, act)
    return Move(f"{move.text.rstrip()} {tag(act)}", act)


def clean(text: str, max_chars: int) -> tuple[str, tuple[str, ...]]:
    """The text as it enters the record, and what was done to it: `surrogates` (lone ones became U+FFFD), `cut` (to
    `max_chars` code points, the last of them `…`, so that a tag quoted where the cut falls does not become the final one).
    Everything else, control characters too, is kept: screens escape, records do not."""
    if len(text) <= max_chars and text.isascii():
        return text, ()
    marks: tuple[str, ...] = ()
    if len(text) > max_chars:
        text, marks = text[: max_chars - 1] + "…", ("cut",)
    encodable = without_surrogates(text)
    return encodable, marks if encodable == text else (*marks, "surrogates")


def clean_move(move: Move, max_chars: int) -> tuple[str, tuple[str, ...]]:
    """`clean` for a `spoken` move: where its words are too long they give way to the tag, which stays whole and final."""
    ending = "" if move.act is None else f" {tag(move.act)}"
    if len(move.text) <= max_chars or not ending or len(ending) >= max_chars:
        return clean(move.text, max_chars)
    text, marks = clean(move.text, max_chars - len(ending))
    return text + ending, marks


def without_surrogates(text: str) -> str:
    """Lone surrogates, which no encoding has a form for, as U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
