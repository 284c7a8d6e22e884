"""CaSiNo dialogues as structured scenarios with transcripts (Chawla et al., NAACL 2021).

Two people divide three packages each of Food, Water and Firewood for a camping trip. A JSON file is a list of dialogues:
`dialogue_id`, `chat_logs` (messages: `id` of the sender, `text`, `task_data`) and `participant_info` by sender.

1. Whoever speaks first is `seat_0`. An item is an issue, its options are the packages that `seat_0` gets, a package is
   worth 5, 4 or 3 points by that person's ranking, and without a deal both have 5.
2. Consecutive messages of one person are one utterance. `Submit-Deal` proposes, `Accept-Deal` accepts, `Walk-Away` leaves:
   the words stay and the tag of the act follows them. `Reject-Deal` is talk.
3. The dialogue is run through the rules, and what they make of it must be what the file says: the deal counts of both sides,
   and the points of both people. Rounds have no cap (`NO_CAP`).
4. Who the people are (age, gender, personality, how they liked it) is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nego_env.errors import ScenarioError
from nego_env.judges import ExactJudge
from nego_env.moves import MAX_CHARS, Act, parse, tag
from nego_env.rules import State, case, judged, pending, start, utter
from nego_env.scenario import Deal, Issue, Option, Scenario, Seat, Stakes
from nego_env.settings import resolve
from nego_env.transcript import Transcript, header, transcript
from nego_scenarios.importers.reading import Imported, Json, about, files_at, one_line, opening, quoted, read_json

ITEMS = (("A", "Food"), ("B", "Water"), ("C", "Firewood"))
"""Issue ids and items, in issue order."""
PACKAGES = 3
"""Of each item."""
POINTS = {"High": 5, "Medium": 4, "Low": 3}
"""A package, by how its owner ranks the item."""
WALK_AWAY = 5
"""Points without a deal, for either."""
NO_CAP = 1000
"""`max_rounds` of an imported transcript: more than any dialogue has (a longer one gets its own length)."""

_NAMES = ("First camper", "Second camper")
_TASK = (
    "Two neighbours on a campsite have their basic supplies and divide what is left over: three packages of food, three of "
    "water and three of firewood. How should they share them?"
)
_ACTS = {"Accept-Deal": Act("accept"), "Walk-Away": Act("walk")}
_BUTTONS = ("Submit-Deal", "Accept-Deal", "Reject-Deal", "Walk-Away")
_LEFT_OUT = "the Accept-Deal after it was left out"
_AFTER = "a message after the end of the dialogue"


class CaSiNo:
    """Reads one JSON file, or those of a folder."""

    name = "casino"

    def sniff(self, path: Path) -> bool:
        """Whether the file, or a JSON file of the folder, opens like a list of dialogues. Never raises."""
        try:
            files = [path] if path.is_file() else sorted(path.glob("*.json"))[:20]
        except OSError:
            return False
        return any(f.suffix.lower() == ".json" and _is_ours(opening(f)) for f in files)

    def load(self, path: Path) -> list[Scenario]:
        """A scenario for each dialogue at the path, in file order. Raises `ScenarioError` naming file, place and field."""
        return list(self.read(path).scenarios)

    def read(self, path: Path) -> Imported:
        """The same, with the dialogues as transcripts."""
        found: list[Transcript] = []
        notes: list[str] = []
        first: dict[int, str] = {}
        for file in files_at(path, ".json", what="CaSiNo is a JSON file"):
            meta = about("CaSiNo (NAACL 2021)", file)
            for entry in read_json(file, what="CaSiNo file").items():
                id = entry.key("dialogue_id")
                if id.whole() in first:
                    raise id.error(f"{id.value} is listed already ({first[id.value]}); ids must differ")
                first[id.whole()] = f"{file.name}: {entry.at}"
                found.append(_dialogue(entry, meta, notes, index=len(found)))
        if not found:
            raise ScenarioError(f"{path}: no dialogue in it")
        return Imported(tuple(t.scenario for t in found), tuple(found), tuple(notes))


def _is_ours(head: str) -> bool:
    return head.lstrip()[:1] == "[" and any(f'"{k}"' in head for k in ("chat_logs", "dialogue_id", "participant_info"))


# ---------------------------------------------------------------- a dialogue
def _dialogue(entry: Json, meta: dict[str, str], notes: list[str], *, index: int) -> Transcript:
    messages = list(entry.key("chat_logs").items())
    info = entry.key("participant_info")
    people = info.keys()
    if len(people) != 2:
        raise info.error(f"{len(people)} people ({', '.join(people)}); a dialogue has two")
    if not messages:
        raise entry.key("chat_logs").error("no message in it")
    for message in messages:
        sender = message.key("id")
        if sender.text() not in people:
            raise sender.error(f"{quoted(sender.value)} is not among the people: {', '.join(people)}")
    opener = messages[0].key("id").text()
    people.sort(key=lambda person: person != opener)
    scenario = _scenario(entry, [info.key(person) for person in people], meta)
    reading = _Reading(scenario, messages, opener)
    played = _played(scenario, reading.read(), people, index=index)
    if reading.repeated:
        notes.append(
            f"{entry.path}: {entry.at}: the last proposal is the deal on the table again, which accepts it: {_LEFT_OUT}"
        )
    _check_points(played, [info.key(person) for person in people])
    return played


def _scenario(entry: Json, people: Sequence[Json], meta: dict[str, str]) -> Scenario:
    id = entry.key("dialogue_id").whole()
    return Scenario(
        id=f"{CaSiNo.name}-{id}",
        task=_TASK,
        seats=tuple(_seat(person, seat) for seat, person in enumerate(people)),
        issues=tuple(
            Issue(issue, item, tuple(Option(f"{issue}{k}", _share(k)) for k in range(PACKAGES + 1)))
            for issue, item in ITEMS
        ),
        tags=("imported", CaSiNo.name),
        meta=meta | {"source": f"{meta['source']}, dialogue {id}"},
    )


def _share(k: int) -> str:
    return f"{k} for the {_NAMES[0].lower()}, {PACKAGES - k} for the {_NAMES[1].lower()}"


def _seat(person: Json, seat: int) -> Seat:
    ranking, reasons = person.key("value2issue"), person.key("value2reason")
    ranked = {level: ranking.key(level).text() for level in POINTS}
    known = [item for _, item in ITEMS]
    for level, item in ranked.items():
        if item not in known:
            raise ranking.key(level).error(f"{quoted(item)} is no item; items: {', '.join(known)}")
    if len(set(ranked.values())) < len(known):
        raise ranking.error(f"ranks {', '.join(ranked.values())}; each item has one rank")
    worth = {ranked[level]: points for level, points in POINTS.items()}
    scores = tuple(
        tuple(float(worth[item] * (k if seat == 0 else PACKAGES - k)) for k in range(PACKAGES + 1)) for _, item in ITEMS
    )
    why = "".join(_reason(ranked[level], reasons.key(level).text()) for level in POINTS)
    listed = ", ".join(f"{points} for {ranked[level].lower()}" for level, points in POINTS.items())
    persona = (
        f"Get the packages you need most; a package gives you {listed}, and no deal gives you {WALK_AWAY} in all.{why}"
    )
    return Seat(_NAMES[seat], persona, Stakes(scores, float(WALK_AWAY)))


def _reason(item: str, words: str) -> str:
    told = one_line(words)
    return f' {item}, in your words: "{told}".' if told else ""


# ---------------------------------------------------------------- its messages
class _Turn(NamedTuple):
    """One utterance: consecutive messages of one person."""

    last: Json
    """The last of the messages."""
    person: str
    text: str


class _Reading:
    """The messages of one dialogue, read in order into utterances. Seats alternate because what one person says in a row is
    one utterance."""

    def __init__(self, scenario: Scenario, messages: Sequence[Json], opener: str) -> None:
        self.scenario = scenario
        self.messages = messages
        self.opener = opener
        self.turns: list[_Turn] = []
        self.repeated = False
        """The last proposal is the deal on the table again: it accepts, and the Accept-Deal after it is left out."""
        self._offer: Json | None = None  # the Submit-Deal that waits for an answer
        self._standing: tuple[Act, str] | None = None  # the deal on the table, and whose it is
        self._words: list[str] = []
        self._act: Act | None = None

    def read(self) -> list[_Turn]:
        """The utterances. Raises `ScenarioError` for an answer without an offer and a deal that does not add up."""
        last = len(self.messages) - 1
        for i, message in enumerate(self.messages):
            person = message.key("id").text()
            following = None if i == last else self.messages[i + 1]
            self._take(message, person, following)
            if following is None or following.key("id").text() != person:
                self.turns.append(_Turn(message, person, self._spoken()))
                if self.repeated:
                    self._nothing_after(i + 2)
                    break
        return self.turns

    def _take(self, message: Json, person: str, following: Json | None) -> None:
        text = message.key("text").text()
        if text not in _BUTTONS:
            self._words.append(_talk(text, self.scenario))
            return
        if text in ("Accept-Deal", "Reject-Deal") and (self._offer is None or self._offer.key("id").text() == person):
            raise message.key("text").error(f"{text} without a Submit-Deal of the other person before it")
        self._offer = message if text == "Submit-Deal" else None
        if text == "Submit-Deal":
            text = self._proposed(message, person, following)
        elif text in _ACTS:
            self._act = _ACTS[text]
        self._words.append(text)

    def _proposed(self, message: Json, person: str, following: Json | None) -> str:
        """Its words. In the rules a rejected deal stays on the table, and whoever proposes it again accepts it."""
        mine = person == self.opener
        act = Act("propose", deal=self.scenario.ids(_deal(message.key("task_data"), mine=mine)))
        if self._standing is not None and self._standing[0] == act and self._standing[1] != person:
            if following is None or following.key("text").text() != "Accept-Deal":
                return f"Submit-Deal ({tag(act)[1:-1]})"  # not meant to bind: the dialogue goes on
            self.repeated = True
        self._standing = self._standing if self._standing and self._standing[0] == act else (act, person)
        self._act = act
        return "Submit-Deal"

    def _spoken(self) -> str:
        text = "\n".join(self._words) + (f" {tag(self._act)}" if self._act else "")
        self._words, self._act = [], None
        return text

    def _nothing_after(self, i: int) -> None:
        if i < len(self.messages):
            raise self.messages[i].error(_AFTER)


def _talk(text: str, scenario: Scenario) -> str:
    """Talk stays talk: where somebody typed what the rules would read as a tag, its brackets become round ones."""
    said = text.strip()
    return said if parse(said, scenario) == (None, None) else said.replace("[", "(").replace("]", ")")


def _deal(data: Json, *, mine: bool) -> Deal:
    """Packages that `seat_0` gets, by issue; `issue2youget` is what the sender gets."""
    chosen: list[int] = []
    for _, item in ITEMS:
        you, they = (_count(data.key(side).key(item)) for side in ("issue2youget", "issue2theyget"))
        if you + they != PACKAGES:
            raise data.error(f"{item}: {you} and {they} packages; there are {PACKAGES} to divide")
        chosen.append(you if mine else they)
    return tuple(chosen)


def _count(at: Json) -> int:
    """A number of packages; the file writes them as strings."""
    allowed = [str(k) for k in range(PACKAGES + 1)]
    if at.value not in allowed and (isinstance(at.value, bool) or at.value not in range(PACKAGES + 1)):
        raise at.wanted(f"a number of packages, 0 to {PACKAGES}")
    return int(at.value)


# ---------------------------------------------------------------- through the rules
def _played(scenario: Scenario, turns: Sequence[_Turn], people: Sequence[str], *, index: int) -> Transcript:
    """The dialogue as the rules see it. Raises `ScenarioError` where they would not let it go on, or where it stops short."""
    settings = resolve(
        scenario,
        max_rounds=max(NO_CAP, len(turns)),
        max_chars=max(MAX_CHARS, *(len(turn.text) for turn in turns)),
    )
    agents = tuple(f"imported:{CaSiNo.name}/{person}" for person in people)
    state = start(scenario, settings, header(scenario, settings, agents, seed=0, index=index))
    for turn in turns:
        due = pending(state)
        if due is None or due.what != "utterance" or people[due.seat] != turn.person:
            raise turn.last.error(_AFTER)
        state = utter(state, turn.text)
        if fault := state.utterances[-1].notice:
            raise turn.last.key("text").error(f"{turn.last.key('text').text()}: {fault}")
    return transcript(_finished(state, turns[-1]))


def _finished(state: State, turn: _Turn) -> State:
    due = pending(state)
    if due is not None and due.what == "score":
        return judged(state, ExactJudge().judge(case(state)))
    if due is not None:
        raise turn.last.error("the dialogue ends here without Accept-Deal or Walk-Away; is the file cut off?")
    return state


def _check_points(played: Transcript, people: Sequence[Json]) -> None:
    """Our account of the deal is the file's."""
    ours = played.outcome.scores or (float(WALK_AWAY),) * len(people)
    for person, points in zip(people, ours, strict=True):
        theirs = person.key("outcomes").key("points_scored")
        if theirs.number() != points:
            what = "the deal gives" if played.outcome.agreed else "walking away gives"
            raise theirs.error(f"{theirs.value} points, but {what} {points:g}")
