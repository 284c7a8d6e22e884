"""How a deal came about: what is computed from one transcript, exactly, and shows a compromise that came too early.

The authors of *Learning to Negotiate* (arXiv 2603.10476, sec. 7) fear that faster agreement may be premature compromise, and
that one side gives in; a judge of outcomes cannot see either. Where stakes are exact, both can be counted. Definitions:

1. An utterance *informs* when it publishes true scores (`[Reveal: A]`) or states, in words, at least one true score of its
   own speaker ("A2 is worth 12 to me"). A question alone informs nobody; its answer does. Hints without a figure are not
   counted, so shares of uninformed deals are upper bounds.
2. The *agreed deal* was first proposed by its *author*, in the first `[Propose: ...]` that names it.
3. A deal is *premature* when no utterance before that one informs, and *uninformed* when none does in the whole dialogue.
   A deal that was put forward blind and checked afterwards is premature, not uninformed.
4. A seat *capitulates* when it agrees to the very first deal another seat proposed, gains less by it than that seat, and
   some other deal would have been better for all (CA below 5). Accepting a fair first offer is no capitulation.

Everything here is for structured dilemmas; on open ones nothing informs and nothing is agreed on by option.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from nego_env.accounting import CA_MAX, TOLERANCE, best_score, canonical, collective_agency, score
from nego_env.rules import Utterance
from nego_env.scenario import Scenario, Stakes
from nego_env.transcript import Transcript


# ---------------------------------------------------------------- who said what when
def first_proposed(t: Transcript) -> int | None:
    """Position of the utterance in which the agreed deal was first proposed; None where no deal was agreed."""
    if t.deal is None:
        return None
    return next(
        (i for i, u in _talk(t) if u.act is not None and u.act.kind == "propose" and u.act.deal == t.deal), None
    )


def author(t: Transcript) -> int | None:
    """The seat (a number) that first proposed the agreed deal; None where no deal was agreed."""
    at = first_proposed(t)
    return None if at is None else _seat(t, t.utterances[at])


def first_offers(t: Transcript) -> dict[int, tuple[str, ...]]:
    """By seat: the first deal it proposed, as option ids. Seats that never proposed are missing."""
    found: dict[int, tuple[str, ...]] = {}
    for _, u in _talk(t):
        if u.act is not None and u.act.kind == "propose":
            found.setdefault(_seat(t, u), u.act.deal)
    return found


def accepters(t: Transcript) -> tuple[bool, ...]:
    """Per seat: it stood by the agreed deal when the talk ended. All False where no deal was agreed."""
    standing: tuple[str, ...] | None = None
    accepted = [False] * t.scenario.n
    for _, u in _talk(t):
        if u.act is None:
            continue
        seat = _seat(t, u)
        if u.act.kind == "propose" and u.act.deal != standing:
            standing, accepted = u.act.deal, [False] * t.scenario.n
        if u.act.kind in ("propose", "accept", "walk"):
            accepted[seat] = u.act.kind != "walk"
    return tuple(accepted) if t.deal is not None else (False,) * t.scenario.n


# ---------------------------------------------------------------- information
def informs(t: Transcript) -> Iterator[int]:
    """Positions of the utterances that inform (module docstring, 1), in order."""
    for i, u in _talk(t):
        if (u.act is not None and u.act.kind == "reveal") or any(s.true for s in statements_in(u, t.scenario)):
            yield i


def information_exchanged(t: Transcript) -> bool:
    """Some utterance of the dialogue informs."""
    return next(informs(t), None) is not None


def information_exchanged_before_deal(t: Transcript) -> bool:
    """Some utterance informs before the one in which the agreed deal was first proposed. False where no deal was agreed."""
    at = first_proposed(t)
    first = next(informs(t), None)
    return at is not None and first is not None and first < at


def premature(t: Transcript) -> bool:
    """A deal was agreed that was first proposed before any utterance informed."""
    return t.deal is not None and not information_exchanged_before_deal(t)


def uninformed(t: Transcript) -> bool:
    """A deal was agreed, and no utterance of the dialogue informs."""
    return t.deal is not None and not information_exchanged(t)


class Statement(NamedTuple):
    """A score stated in words."""

    seat: int
    """Who spoke."""
    option: str
    """Option id."""
    stated: float
    true: bool
    """The speaker's own score, to as many decimals as were said."""


def statements(t: Transcript) -> list[Statement]:
    """Every score stated in words in the dialogue."""
    return [s for _, u in _talk(t) for s in statements_in(u, t.scenario)]


def statements_in(u: Utterance, scenario: Scenario) -> list[Statement]:
    """Scores that an utterance states of its speaker's own stakes: an option (its id or label), a number right after it, such
    as `A2 12`, `A2: 12`, `A2 is worth 12`, `A2 gives me 12 points`. Tags in brackets are no words. A sentence that speaks to
    or of others (`you`, `your`, `seat_1`) and not of `I`, `me`, `my` is not about the speaker and is passed over."""
    if not scenario.issues or not any(c.isdigit() for c in u.text):
        return []
    names = tuple((o.id, o.label) for issue in scenario.issues for o in issue.options)
    pattern, options = _pattern(names)
    seat = scenario.seat_ids.index(u.seat)
    stakes = scenario.seats[seat].stakes
    if stakes is None:
        return []
    found = []
    for sentence in _SENTENCE.split(_TAG.sub(" ", u.text)):
        if _OTHERS.search(sentence) and not _SELF.search(sentence):
            continue
        for match in pattern.finditer(sentence):
            option, number = options[match[1].casefold()], match[2].replace("−", "-")
            decimals = len(number.partition(".")[2])
            i, j = scenario.option_index[option.upper()]
            off = abs(stakes.scores[i][j] - float(number))
            found.append(Statement(seat, option, float(number), off <= 0.5 * 10.0**-decimals - TOLERANCE))
    return found


_TAG = re.compile(r"\[[^\[\]]*\]")
_SENTENCE = re.compile(r"[!?;\n]+|\.(?!\d)")
_OTHERS = re.compile(r"\b(?:you|your|yours|they|them|their|theirs|his|her|hers|seat_\d+)\b", re.IGNORECASE)
_SELF = re.compile(r"\b(?:i|me|my|mine|myself)\b", re.IGNORECASE)
_LINK = r"\s*(?:[:=,(]|(?:is|are|was|at|as|for|to|me|gives|brings|counts|means|scores|earns|has|worth|about|only|just|exactly)\b)"
_NUMBER = r"([-−]?\d{1,9}(?:\.\d{1,6})?)(?![\w.]*\w)"


@lru_cache(maxsize=512)
def _pattern(names: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """What finds (option, number) pairs, and option ids by casefolded name. Labels two options share name neither."""
    options: dict[str, str] = {}
    labels = [label.casefold() for _, label in names]
    for (id, _), label in zip(names, labels, strict=True):
        options[id.casefold()] = id
        if labels.count(label) == 1:
            options.setdefault(label, id)
    told = "|".join(re.escape(name) for name in sorted(options, key=len, reverse=True))
    return re.compile(rf"(?<!\w)({told})(?!\w)(?:{_LINK}){{0,4}}\s*{_NUMBER}", re.IGNORECASE), options


# ---------------------------------------------------------------- who got what
def is_proposers_best(t: Transcript) -> bool:
    """The agreed deal is worth as much to its author as any deal. False where no deal was agreed."""
    seat = author(t)
    if seat is None or t.deal is None:
        return False
    stakes = _stakes(t, seat)
    return score(stakes, t.scenario.deal(t.deal)) >= best_score(stakes) - TOLERANCE


def capitulated(t: Transcript) -> tuple[bool, ...]:
    """Per seat: it capitulated (module docstring, 4). All False where no deal was agreed."""
    none = (False,) * t.scenario.n
    gains = t.outcome.gains
    if t.deal is None or gains is None or _agency(t, t.deal) >= CA_MAX - TOLERANCE:
        return none
    opened = {seat for seat, deal in first_offers(t).items() if deal == t.deal}
    return tuple(
        yes and any(other != i and gains[other] > gains[i] + TOLERANCE for other in opened)
        for i, yes in enumerate(accepters(t))
    )


def least_gain(t: Transcript) -> float:
    """The gain of the least satisfied seat: 1 at its best deal, below 0 at a loss, 0 without a deal (it keeps its walk-away
    value)."""
    gains = t.outcome.gains
    return min(gains) if gains else 0.0


def regret_by_round(t: Transcript) -> tuple[float, ...]:
    """(max_rounds,): 5 - CA of what is on the table after each round (5 while nothing is), then of how it ended: of the deal
    agreed, or 5 for none. Empty on open dilemmas and where nothing can be agreed without a loss (`no_zopa`)."""
    if not t.scenario.issues or t.scenario.no_zopa:
        return ()
    after = [CA_MAX] * t.settings.max_rounds
    now = CA_MAX
    last = 0
    for _, u in _talk(t):
        after[last : u.round - 1] = [now] * (u.round - 1 - last)
        last = u.round - 1
        if u.act is not None and u.act.kind == "propose":
            now = canonical(CA_MAX - _agency(t, u.act.deal))
    # The round in which it ended shows the end, as do those that were never played.
    after[last:] = [CA_MAX if t.outcome.regret is None else t.outcome.regret] * (len(after) - last)
    return tuple(after)


def _agency(t: Transcript, deal: tuple[str, ...]) -> float:
    return collective_agency(t.scenario, t.scenario.deal(deal))


def _stakes(t: Transcript, seat: int) -> Stakes:
    stakes = t.scenario.seats[seat].stakes
    assert stakes is not None  # there is a deal, so there are stakes
    return stakes


def _talk(t: Transcript) -> Iterator[tuple[int, Utterance]]:
    """The utterances of the dialogue with their positions."""
    return ((i, u) for i, u in enumerate(t.utterances) if u.phase == "dialogue")


def _seat(t: Transcript, u: Utterance) -> int:
    return t.scenario.seat_ids.index(u.seat)
