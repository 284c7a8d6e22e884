"""Words for open dilemmas: what a seat wants, what it has heard, and a plan written down."""

from __future__ import annotations

import re

from nego_agents.completion import objectives
from nego_agents.speech import capital, in_first_person, listing
from nego_env.rules import Utterance
from nego_env.safe_text import visible
from nego_env.view import View

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_BRACKETED = re.compile(r"\[[^\[\]]*\]")
_OFFERS_PLAN = re.compile(
    r"\b(?:here is (?:a|the|my) plan|i propose|i suggest|my proposal|what if we|let us agree)\b", re.IGNORECASE
)
_MAX_QUOTED = 600


def own_aim(view: View) -> str:
    """The seat's persona as it would say it of itself: `own the bakery whole, as I was promised`."""
    return in_first_person(view.persona) or "find something all of us can live with"


def plain(text: str) -> str:
    """What somebody said, fit to be quoted: no tags or brackets, no control characters, one line, at most 600 characters."""
    text = _BRACKETED.sub(" ", text[: 4 * _MAX_QUOTED])
    text = visible(" ".join(text.replace("[", " ").replace("]", " ").split()), newlines=False)
    return text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 3].rstrip() + "..."


def telling_sentence(text: str) -> str:
    """The sentence of an utterance most worth repeating: the longest that is no question, quotes nobody and is under 200
    characters; of `I want this: peace and quiet.`, what follows the colon."""
    sentences = [s for s in _sentences(text) if len(s.split()) >= 4 and len(s) < 200 and "“" not in s]
    statements = [s for s in sentences if not s.endswith("?")]
    longest = max(statements or sentences, key=len, default="")
    _, _, after = longest.partition(": ")
    return capital(after) if len(after.split()) >= 4 else longest


def plan_sentence(text: str) -> str:
    """The sentence that puts a plan forward, else the most telling one, else everything said."""
    plans = [s for s in _sentences(text) if _OFFERS_PLAN.search(s)]
    return plans[-1] if plans else telling_sentence(text) or plain(text)


def _sentences(text: str) -> list[str]:
    return _SENTENCE.split(plain(text))


def latest(view: View) -> dict[int, Utterance]:
    """Each other seat's latest utterance in view that says anything, by seat."""
    return {
        int(u.seat.removeprefix("seat_")): u
        for u in view.utterances
        if u.seat != view.seat and u.phase == "dialogue" and u.text.strip()
    }


def offers_plan(u: Utterance) -> bool:
    """The utterance puts a plan forward, going by a few plain phrases."""
    return bool(_OFFERS_PLAN.search(u.text))


def agrees(u: Utterance) -> bool:
    """The utterance ended in `[Agree]`."""
    return u.act is not None and u.act.kind == "agree"


def open_completion(view: View) -> str:
    """A plan in one paragraph: who wanted what, what was said to settle it, and when it is looked at again."""
    talk = [u for u in view.utterances if u.phase == "dialogue" and plain(u.text)]
    plans = [u for u in talk if offers_plan(u)] or talk
    names = capital(listing([seat.name for seat in view.scenario.seats]))
    settled = ""
    if plans:
        who = view.scenario.seats[int(plans[-1].seat.removeprefix("seat_"))].name
        settled = f"What they settled on, in the words of {who}: “{plan_sentence(plans[-1].text)}” "
    return (
        f"{names} will follow one plan. {objectives(view)}{settled}"
        "Each of them will do their part of it from tomorrow, nobody gives up what they called essential, and after "
        "4 weeks they will sit down together and change what has not worked."
    )
