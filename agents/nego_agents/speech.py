"""How the shipped agents talk: a few turns of phrase per situation, filled with the words of the dilemma.

The act is never in these texts: the rules add its tag at the end. Which phrase is used comes from the seat's own
generator, so the same seed says the same. No score is ever spoken; that is what `[Reveal: ...]` is for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nego_agents.bidding import Bargain
from nego_env.view import View

_LISTED = 4
"""A deal of more issues is told by its most important ones."""

_OPENING = 12
"""Phrases that share so many first characters sound the same."""

_MAX_WORDS = 1000
"""Words are cut here, in characters: labels may be long, and the tag must have room."""

_NO_ARTICLE = frozenset(
    {
        "the",
        "a",
        "an",
        "this",
        "that",
        "these",
        "those",
        "my",
        "your",
        "our",
        "his",
        "her",
        "its",
        "their",
        "who",
        "what",
        "when",
        "where",
        "how",
        "which",
        "whether",
        "why",
        "if",
    }
)


@dataclass(frozen=True)
class Voice:
    """Turns of phrase by situation.

    Slots: `deal`; `kept` and `given` (issues) with their labels `kept_label` and `given_label`; `who` (`the captain`) and
    `address` (`captain`). With a capital first letter, as at the start of a sentence, each is capitalised.
    """

    opening: tuple[str, ...]
    """A first offer that holds a favourite of the speaker's."""
    meet: tuple[str, ...]
    """An offer that takes up something another seat wants."""
    shift: tuple[str, ...]
    """An offer that moves, but towards nobody in particular."""
    plain: tuple[str, ...]
    """Any offer."""
    repeat: tuple[str, ...]
    """The same offer again."""
    accept: tuple[str, ...]
    """Yes to a deal that gives the speaker a good deal of what it wants."""
    settle: tuple[str, ...]
    """Yes to a deal that is merely better than none."""
    hold: tuple[str, ...]
    """Standing by somebody else's deal."""
    ask: tuple[str, ...]
    reveal: tuple[str, ...]
    reveal_more: tuple[str, ...]
    """Revealing, not for the first time."""
    answer: tuple[str, ...]
    """Revealing what somebody has asked about."""


PLAIN = Voice(
    opening=(
        "What matters most to me is {kept}, so let me open with {deal}.",
        "To start us off, I would like {deal}. The part I care about most is {kept}.",
        "Let me say what would suit me: {deal}. I feel most strongly about {kept}.",
    ),
    meet=(
        "I can give on {given}: {given_label}, as {who} would have it. In return I need {kept_label}.",
        "{Who} has a point about {given}. I will take {given_label} if {kept_label} stays.",
        "Let us meet halfway: {given_label} for {who}, {kept_label} for me.",
    ),
    shift=(
        "Then let us try it another way: {deal}.",
        "I have moved on {given}. Can you live with {deal}?",
        "Here is some room on {given}. How about {deal}?",
    ),
    plain=(
        "What would you say to {deal}?",
        "I could see us settling on {deal}.",
        "Let me suggest {deal}.",
    ),
    repeat=(
        "I have thought it over, and my offer stays as it is: {deal}.",
        "I still think {deal} is where we should end up.",
        "Nothing has changed for me: {deal}.",
    ),
    accept=(
        "{Kept_label} is what I came for, and I can live with the rest. Agreed.",
        "That works for me. Let us settle on it.",
        "Good, {address}: I am glad we could find this.",
    ),
    settle=(
        "It is less than I hoped for, and better than no deal at all. Agreed.",
        "I can live with that. Let us not lose it.",
        "Not my first choice, {address}, but I will sign it.",
    ),
    hold=(
        "I am still behind the proposal of {who}. What do the rest of you say?",
        "I have said yes to what {who} put forward, and I stand by it.",
    ),
    ask=(
        "Before I say more: what would {given} mean to the rest of you?",
        "{Given} is something I can be flexible about. How much does it matter to you?",
    ),
    reveal=(
        "Cards on the table: this is what {given} means to me.",
        "So that we find something good for all of us, here is where I stand on {given}.",
        "Let me be open about {given}.",
    ),
    reveal_more=(
        "And here is what {given} means to me.",
        "Let me be open about {given} too.",
    ),
    answer=(
        "{Who} asked about {given}. Here is the plain truth.",
        "Since {who} wants to know: this is how I see {given}.",
    ),
)

FIRM = replace(
    PLAIN,
    opening=(
        "I will be frank: on {kept} there is little I can give away. My offer is {deal}.",
        "Here is my position: {deal}. I have good reasons, above all on {kept}.",
        "Let us not waste time. {Deal}: that is what I am here for.",
    ),
    meet=(
        "Very well, {given_label}, since {who} insists. {Kept_label} stays.",
        "I will move on {given}, and I expect that to be noticed: {given_label}. But {kept_label}.",
        "{Given_label}, then. That is a real step for me, and {kept_label} is the price of it.",
    ),
    shift=(
        "I can move a little on {given}, and no further for now: {deal}.",
        "Call it a small step: {deal}.",
    ),
    plain=(
        "My offer is {deal}.",
        "{Deal}. I think that is reasonable.",
    ),
    repeat=(
        "My offer has not changed: {deal}.",
        "I said {deal}, and I meant it.",
        "There is no hurry on my side. My offer stands.",
        "I hear you, and I am staying where I am.",
        "You have not given me a reason to move yet.",
    ),
    accept=(
        "Good. {Kept_label} is what I needed. Agreed.",
        "That I can sign.",
        "Now we are talking, {address}. Agreed.",
    ),
    settle=(
        "I had hoped for more, but I would rather have this than nothing. Agreed.",
        "You drive a hard bargain, {address}. Agreed, before we run out of time.",
    ),
)

WARM = replace(
    PLAIN,
    opening=(
        "Thank you for sitting down with me. Ideally I would have {deal}; closest to my heart is {kept}.",
        "Let me begin with a wish rather than a demand: {deal}. I am ready to move.",
        "So that we have something to talk about: {deal}. I care most about {kept}, and I am listening.",
    ),
    meet=(
        "I see why {who} wants {given_label}. You can have it, if we keep {kept_label}.",
        "Happy to give way on {given}: {given_label}. Could we keep {kept_label}?",
        "Let me come towards {who}: {given_label} it is, and {kept_label} for me.",
    ),
    shift=(
        "I do not want us to get stuck, so I am moving on {given}. Would {deal} be better for you?",
        "Here is another step from me: {deal}.",
    ),
    plain=(
        "Would {deal} work for you?",
        "How would you feel about {deal}?",
    ),
    repeat=(
        "I have little left to give, but the offer is an honest one: {deal}.",
        "I would still be glad to settle on {deal}.",
    ),
    accept=(
        "Lovely, {address}. {Kept_label} makes all the difference to me. Agreed.",
        "That is a good outcome for me, and I hope for all of you. Yes.",
        "Yes, gladly.",
    ),
    settle=(
        "I would sooner part as friends than hold out for more. Agreed.",
        "It is not everything I wanted, but it is fair enough. Yes.",
    ),
    hold=(
        "I am happy with what {who} proposed. I hope the others can join us.",
        "My yes to {who} stands.",
    ),
)

TRADER = replace(
    PLAIN,
    opening=(
        "We surely care about different things, so let us trade. I start from {deal}; what I care about is {kept}.",
        "To me {kept} is worth a good deal, the rest much less. What is it for you? For now: {deal}.",
    ),
    meet=(
        "A trade: {who} gets {given_label}, and I get {kept_label}.",
        "{Given_label} costs me little and seems to matter to {who}. I give that for {kept_label}.",
        "If {given} is what {who} needs, take it: {given_label}. {Kept_label} is what I need.",
    ),
    shift=(
        "Let me package it differently: {deal}.",
        "The same to me, perhaps better for you: {deal}.",
    ),
    plain=(
        "How about this package: {deal}?",
        "Taken together, {deal} should suit us all.",
    ),
    repeat=(
        "I see no better package for all of us than {deal}.",
        "I keep coming back to {deal}.",
    ),
    accept=(
        "A good trade: I get {kept_label}, and you get what you care about. Agreed.",
        "That is a package I can sign.",
    ),
    ask=(
        "{Given} is where I have room to give. How much does it matter to you?",
        "I could be generous about {given}, if it matters to you. Does it?",
    ),
)

OPEN = replace(
    PLAIN,
    opening=(
        "From what I know so far, {deal} looks good for all of us.",
        "Let me try for something we can all be glad of: {deal}.",
    ),
    meet=(
        "Going by what we have told each other: {given_label} for {who}, {kept_label} for me.",
        "{Who} cares about {given}, I care about {kept}. So: {given_label}, and {kept_label}.",
    ),
    shift=(
        "If that leaves one of you short, then perhaps {deal}?",
        "Let me look for something that suits you better: {deal}.",
    ),
    plain=(
        "Putting our cards together, the best I can see for everyone is {deal}.",
        "With all that on the table, {deal} seems the best for all of us.",
    ),
    repeat=(
        "I have looked again, and I find nothing better for all of us than {deal}.",
        "I would still say {deal}: it leaves everybody well off.",
    ),
    accept=(
        "I cannot find anything better for all of us. Agreed.",
        "That does right by everyone at the table. Agreed.",
        "Yes, {address}, that is the one.",
    ),
    settle=(
        "It could be kinder to me, but I can live with it, and time is short. Agreed.",
        "I would have shared it out differently. Still, agreed.",
    ),
    ask=(
        "It would help us all to know: what does {given} mean to each of you?",
        "Let us be open with each other. How do you see {given}?",
    ),
    reveal=(
        "Cards on the table: this is what {given} means to me.",
        "I would rather show you than haggle: here is where I stand on {given}.",
        "Somebody has to begin, so let me be open about {given}.",
    ),
    reveal_more=(
        "Next, {given}. This is how the options look from my side.",
        "Let me be open about {given} too.",
        "And on {given}, this is what I would gain and lose.",
    ),
)


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def the(name: str) -> str:
    """An issue's name as it stands in a sentence: `the length of the lease`."""
    first = name.split(maxsplit=1)[0].casefold() if name.strip() else ""
    return name if first in _NO_ARTICLE or name[:1].isupper() or name[:1].isdigit() else f"the {name}"


def listing(items: list[str] | tuple[str, ...]) -> str:
    """`a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def pick(rng: np.random.Generator, phrases: Sequence[str]) -> str:
    """One of the phrases. Every draw takes the same amount of randomness, so that what a seat does never depends on its words."""
    return phrases[int(rng.random() * len(phrases))]


def pick_fresh(view: View, phrases: Sequence[str]) -> str:
    """One of the phrases that nobody has begun an utterance with in the last two rounds, while there is one."""
    recent = [u.text for u in view.utterances[-2 * view.scenario.n :]]
    fresh = [p for p in phrases if not any(text.startswith(p[:_OPENING]) for text in recent)]
    return pick(view.rng, fresh or phrases)


def address(name: str) -> str:
    """A seat's name as one calls it: `the captain` is addressed as `captain`."""
    article, _, rest = name.partition(" ")
    return rest if article.casefold() == "the" and rest else name


@dataclass(frozen=True)
class Speaker:
    """A seat about to say something: its view, what it knows, its voice."""

    view: View
    bargain: Bargain
    voice: Voice

    def offer(self, index: int) -> str:
        """Words for proposing a deal, fitting what was offered before. Take the offer before it is observed."""
        b = self.bargain
        mine = b.offers[b.seat]
        deal = b.deal(index)
        slots = {"deal": self._told(deal)}
        if mine and mine[-1] == index:
            return self._say(self.voice.repeat, slots)
        kept = self._kept(deal)
        if not mine:
            if kept is None:
                return self._say(self.voice.plain, slots)
            return self._say(self.voice.opening, slots | self._issue("kept", kept, deal))
        before = b.deal(mine[-1])
        moved = [i for i, (was, now) in enumerate(zip(before, deal, strict=True)) if was != now]
        taken = next(((i, j) for i in moved for j in b.others if self._wants(j, i, deal[i])), None)
        if taken is not None and kept is not None and kept != taken[0]:
            slots |= self._issue("given", taken[0], deal) | self._issue("kept", kept, deal)
            return self._say(self.voice.meet, slots | {"who": self._name(taken[1])})
        given = min(moved, key=b.importance.__getitem__)
        return self._say(self.voice.shift, slots | self._issue("given", given, deal))

    def accept(self) -> str:
        """Words for accepting the standing deal."""
        b = self.bargain
        assert self.view.table is not None  # accepting is legal only with a deal on the table
        name = self._name(int(self.view.table.by.removeprefix("seat_")))
        who = {"who": name, "address": address(name)}
        kept = None if b.standing is None else self._kept(b.deal(b.standing))
        if b.standing is None or kept is None or b.gains[b.standing] < 0.35:
            return self._say(self.voice.settle, who)
        return self._say(self.voice.accept, who | self._issue("kept", kept, b.deal(b.standing)))

    def hold(self) -> str:
        """Words for standing by somebody's deal that this seat has accepted before."""
        by = self.view.seat if self.view.table is None else self.view.table.by
        return self._say(self.voice.hold, {"who": self._name(int(by.removeprefix("seat_")))})

    def ask(self, issue: int) -> str:
        """Words for asking about an issue."""
        return self._say(self.voice.ask, {"given": the(self.view.scenario.issues[issue].name)})

    def reveal(self, issue: int, asker: int | None = None) -> str:
        """Words for publishing the scores of an issue; `asker` is the seat that wanted to know."""
        slots = {"given": the(self.view.scenario.issues[issue].name)}
        if asker is None:
            before = any(r.seat == self.view.seat for r in self.view.revealed)
            return self._say(self.voice.reveal_more if before else self.voice.reveal, slots)
        return self._say(self.voice.answer, slots | {"who": self._name(asker)})

    def _say(self, phrases: tuple[str, ...], slots: dict[str, str]) -> str:
        filled = slots | {capital(k): capital(v) for k, v in slots.items()}
        said = pick_fresh(self.view, [p.format(**filled) for p in phrases])
        return said if len(said) <= _MAX_WORDS else f"{said[: _MAX_WORDS - 3]}..."

    def _told(self, deal: tuple[int, ...]) -> str:
        labels = self.bargain.scenario.labels(deal)
        if len(labels) <= _LISTED:
            return listing(labels)
        most = sorted(range(len(labels)), key=lambda i: -self.bargain.importance[i])[: _LISTED - 1]
        return f"{', '.join(labels[i] for i in sorted(most))}, and the rest as written here"

    def _kept(self, deal: tuple[int, ...]) -> int | None:
        """The most important issue on which the deal gives this seat its favourite option."""
        b = self.bargain
        mine = [i for i, option in enumerate(deal) if option == b.favourites[i] and b.importance[i] > 0]
        return max(mine, key=b.importance.__getitem__) if mine else None

    def _wants(self, seat: int, issue: int, option: int) -> bool:
        offers = self.bargain.offers[seat]
        return bool(offers) and self.bargain.deal(offers[-1])[issue] == option

    def _issue(self, slot: str, issue: int, deal: tuple[int, ...]) -> dict[str, str]:
        spoken = self.view.scenario.issues[issue]
        return {slot: the(spoken.name), f"{slot}_label": spoken.options[deal[issue]].label}

    def _name(self, seat: int) -> str:
        return self.view.scenario.seats[seat].name


_OBJECT_FOLLOWS = frozenset(
    {
        "back",
        "in",
        "out",
        "up",
        "down",
        "to",
        "and",
        "or",
        "with",
        "within",
        "by",
        "for",
        "of",
        "at",
        "on",
        "from",
        "as",
        "than",
        "even",
        "but",
    }
)
"""After these, or at the end of a clause, `you` was an object: `beside you, and`, `call you back`."""

_YOU = re.compile(r"\b(you(?:rself|rs|r)?)\b(\s+were\b|\s+are\b)?(?=(\s+\w+|[^\w\s]|\s*\Z)?)", re.IGNORECASE)


def in_first_person(persona: str) -> str:
    """A persona, which addresses its seat as `you`, as the seat itself would say it; without the full stop.

    A handful of rules for the plain imperative sentences personas are (`your half` -> `my half`), no parser.
    """

    def turn(found: re.Match[str]) -> str:
        word, verb, following = found[1].lower(), (found[2] or "").strip().lower(), (found[3] or "").strip().lower()
        if word != "you":
            return _FIRST_PERSON[word]
        if verb:
            return _FIRST_PERSON[verb]
        return "me" if not following or not following[0].isalnum() or following in _OBJECT_FOLLOWS else "I"

    text = _YOU.sub(turn, persona.strip().rstrip("."))
    return text[:1].lower() + text[1:]


_FIRST_PERSON = {"your": "my", "yours": "mine", "yourself": "myself", "were": "I was", "are": "I am"}
