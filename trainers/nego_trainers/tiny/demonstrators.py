"""Scripted negotiators of mixed skill, whose talk nego-tiny is first trained on.

1. A seat **reveals** some of its issues (by tag, or in words), then **proposes**, and **accepts** what leaves it a fair share
   of its own best. Once the other has published everything it proposes the deal with the highest sum of both seats' shares
   of their best deals (`nego_env.wording.added_shares`); before that, the highest sum of its own scores and those it was told.
   Where both know everything and refuse what is unfair, sums of shares come to CA 4.85, sums of raw scores to 3.3.
2. Skill varies by seat: how much it reveals, whether it uses what it hears, where it accepts. A share only haggles (it asks
   for much and gives way as rounds pass), a share is rash (it signs without looking). Bad ways are habits, not noise in
   good ones: self-play finds another habit within a few steps, and takes long to sharpen a blurred one.
3. Demonstrations decide what self-play can later make more of: reinforcement amplifies the better of the ways a model
   has, and here those who reveal do better (the probe `revealing_pays` checks it).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nego_agents.bidding import additive
from nego_env.moves import Act, tag
from nego_env.rules import State, can_accept
from nego_env.scenario import Scenario
from nego_env.wording import added_shares, number, published_scores

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mix:
    """How skilled the demonstrators of a dialogue are, on average."""

    clean: float = 0.0
    """Share of dialogues between two clean demonstrators: they reveal, add up, and hold one line."""
    reveal: float = 0.5
    """Share of seats that reveal."""
    haggle: float = 0.2
    """Share of those who do not reveal that haggle; the others open with what is best for themselves."""
    whole: float = 0.5
    """Share of revealing seats that reveal every issue."""
    words: float = 0.08
    """Share of revelations made in words, not by tag."""
    slip: float = 0.06
    """Chance that a proposal's option is another one, per issue."""
    lines: tuple[float, float] = (0.0, 0.35)
    """Range of the gain at which a seat accepts in round 1."""
    wobble: float = 0.08
    """Standard deviation of the acceptance line, in gain."""
    rash: float = 0.4
    """Share of seats that sign what is on the table without looking, every other time."""
    talk: float = 0.04
    """Chance of a turn without an act."""
    plans: float = 0.2
    """Share of dialogues at whose end the plan is written, not rendered."""


class Skill(NamedTuple):
    """One seat's ways, drawn once per dialogue."""

    reveals: int
    """How many issues it reveals before it proposes."""
    words: float
    haggles: bool
    uses: bool
    """It takes in what it is told."""
    slip: float
    line: float
    """Gain it accepts at in round 1."""
    wobble: float
    talk: float
    rash: bool = False


def draw_skill(rng: random.Random, mix: Mix, issues: int, *, clean: bool) -> Skill:
    """A seat's ways."""
    if clean:
        reveals = issues if rng.random() < 0.75 else rng.randint(0, issues)
        return Skill(reveals, 0.05, False, True, 0.0, 0.15, 0.0, 0.0)
    open_ = rng.random() < mix.reveal
    reveals = 0 if not open_ else issues if rng.random() < mix.whole else rng.randint(1, issues)
    return Skill(
        reveals=reveals,
        words=mix.words,
        haggles=not open_ and rng.random() < mix.haggle,
        uses=rng.random() < 0.95,
        slip=mix.slip * rng.choice((0.5, 1.0, 1.5)),
        line=rng.uniform(*mix.lines),
        wobble=mix.wobble,
        talk=mix.talk,
        rash=rng.random() < mix.rash,
    )


FAIR = 0.5
"""Share of the other's best deal below which a seat that knows it does not sign: the other has likely erred."""


class Demonstrator:
    """One seat of one dialogue. `say(state)` is its next utterance."""

    def __init__(self, scenario: Scenario, seat: int, skill: Skill, rng: random.Random, heard: Heard) -> None:
        stakes = scenario.seats[seat].stakes
        assert stakes is not None  # demonstrators play structured dilemmas
        self.scenario, self.seat, self.skill, self.rng, self.heard = scenario, seat, skill, rng, heard
        self.scores = stakes.scores
        self.worth = additive(stakes.scores)
        self.gains = (self.worth - stakes.walk_away) / (stakes.best - stakes.walk_away)
        self.told: set[int] = set()
        self.asked: set[int] = set()
        self.said: set[int] = set()

    def say(self, state: State) -> str:
        """Words, and mostly a tag."""
        rng, skill = self.rng, self.skill
        if state.phase == "completion":
            return self._plan(state)
        if rng.random() < skill.talk:
            return self._phrase("talk")
        rounds = state.settings.max_rounds
        hurry = state.round >= rounds - 1
        if self._accepts(state, hurry):
            return self._with("accept", Act("accept"))
        if len(self.told) < skill.reveals and state.round <= rounds - 2:
            return self._reveal(state)
        others = {i for seat, i in self.heard.scores if seat != self.seat}
        if skill.uses and skill.reveals and not hurry and len(others) < len(self.scores) and rng.random() < 0.1:
            unknown = [i for i in range(len(self.scores)) if i not in others and i not in self.asked]
            if unknown:
                issue = rng.choice(unknown)
                self.asked.add(issue)
                return self._with("ask", Act("ask", issue=self.scenario.issues[issue].id), issue)
        return self._propose(state)

    # ---------------------------------------------------------------- accept
    def _accepts(self, state: State, hurry: bool) -> bool:
        if not can_accept(state, self.seat) or state.standing is None or state.standing.by == self.seat:
            return False
        if self.skill.rash and self.rng.random() < 0.5:
            return True
        theirs = self._published(state)
        if self.skill.uses and theirs and _share(theirs, state.standing.deal) < FAIR * (1 - 0.04 * state.round):
            return False
        gain = self.gains[self._index(state.standing.deal)]
        rounds = state.settings.max_rounds
        line = self.skill.line * (1 - 0.75 * (state.round / rounds) ** 2) + self.rng.gauss(0, self.skill.wobble)
        if len(self.told) < self.skill.reveals and not hurry and self.rng.random() < 0.7:
            line += 0.25  # it has not said what it came to say: there is something better to be had
        return bool(gain >= (0.02 if state.round == rounds else max(line, 0.02)))

    # ---------------------------------------------------------------- reveal
    def _reveal(self, state: State) -> str:
        rng = self.rng
        left = [i for i in range(len(self.scores)) if i not in self.told]
        asked = [i for who, name in state.asked if who != self.seat and (i := self._issue(name)) in left]
        heaviest = max(left, key=lambda i: max(self.scores[i]) - min(self.scores[i]))
        issue = asked[0] if asked and rng.random() < 0.8 else heaviest if rng.random() < 0.6 else left[0]
        if rng.random() < self.skill.words:
            said = [issue, *(i for i in left if i != issue and rng.random() < 0.5)]
            for i in said:
                self.told.add(i)
                self.heard.scores[self.seat, i] = self.scores[i]
            pairs = (
                f"{o.id} {number(x)}"
                for i in said
                for o, x in zip(self.scenario.issues[i].options, self.scores[i], strict=True)
            )
            return _fill(self.rng.choice(phrases()["told"]), {"scores": " ".join(pairs)})
        self.told.add(issue)
        self.heard.scores[self.seat, issue] = self.scores[issue]
        returned = any(seat != self.seat for seat, _ in self.heard.scores)
        act = Act("reveal", issue=self.scenario.issues[issue].id)
        return self._with("reveal_back" if returned and rng.random() < 0.4 else "reveal", act, issue)

    # ---------------------------------------------------------------- propose
    def _propose(self, state: State) -> str:
        rng, skill = self.rng, self.skill
        known = {i for seat, i in self.heard.scores if seat != self.seat} if skill.uses else set()
        theirs = self._published(state)
        if skill.uses and theirs:
            worth = additive(added_shares([self.scores, theirs]))
        else:
            rows = [np.array(row) for row in self.scores]
            for i in known:
                rows[i] = rows[i] + np.array(self.heard.scores[1 - self.seat, i])
            line = max(0.05, min(skill.line, 0.4) * (1 - 0.5 * state.round / state.settings.max_rounds))
            worth = additive(rows) - 60.0 * (self.gains < line)
        if skill.haggles:
            target = max(0.05, 1.0 - (state.round / state.settings.max_rounds) ** 1.2)
            worth = -np.abs(self.gains - target) * 100
        if state.standing is not None:
            self.said.add(self._index(state.standing.deal))
        for i in self.said:  # what was refused is not asked for again while there is something nearly as good
            worth[i] -= 30.0 if skill.uses and theirs else 12.0
        deal = list(self._deal(int(np.argmax(worth))))
        for i, count in enumerate(self.scenario.counts):
            if rng.random() < skill.slip:
                deal[i] = rng.randrange(count)
        self.said.add(self._index(deal))
        refused = state.standing is not None and state.standing.by != self.seat
        kind = (
            "counter" if refused and rng.random() < 0.6 else "informed" if known and rng.random() < 0.5 else "propose"
        )
        return self._with(kind, Act("propose", deal=self.scenario.ids(tuple(deal))), rng.randrange(len(deal)))

    def _published(self, state: State) -> list[tuple[float, ...]]:
        """The other's scores by issue, where all of them are published; else none."""
        return published_scores(self.scenario, state.revealed, self.scenario.seat_ids[1 - self.seat])

    # ---------------------------------------------------------------- plan
    def _plan(self, state: State) -> str:
        assert state.standing is not None  # a plan is written of a deal
        ids = " ".join(self.scenario.ids(state.standing.deal))
        return f"{self._phrase('plan')} [Agreed: {ids}]"

    # ---------------------------------------------------------------- words
    def _with(self, kind: str, act: Act, issue: int | None = None) -> str:
        if self.rng.random() < 0.6:
            return tag(act)
        return f"{self._phrase(kind, issue)} {tag(act)}"

    def _phrase(self, kind: str, issue: int | None = None) -> str:
        about = self.rng.randrange(len(self.scores)) if issue is None else issue
        return _fill(self.rng.choice(phrases()[kind]), {"issue": self.scenario.issues[about].name})

    def _issue(self, name: str) -> int:
        return self.scenario.issue_index[name.upper()]

    def _index(self, deal: Sequence[int]) -> int:
        index = 0
        for j, count in zip(deal, self.scenario.counts, strict=True):
            index = index * count + j
        return index

    def _deal(self, index: int) -> tuple[int, ...]:
        deal = []
        for count in reversed(self.scenario.counts):
            index, j = divmod(index, count)
            deal.append(j)
        return tuple(reversed(deal))


def _share(rows: Sequence[Sequence[float]], deal: Sequence[int]) -> float:
    """What a deal is worth to a seat with these scores, as a share of its best one."""
    return sum(row[j] for row, j in zip(rows, deal, strict=True)) / max(1e-9, sum(map(max, rows)))


class Heard:
    """What has been told at a table, by (seat, issue): published by tag, or said in words."""

    def __init__(self) -> None:
        self.scores: dict[tuple[int, int], tuple[float, ...]] = {}


def _fill(template: str, slots: dict[str, str]) -> str:
    for slot, text in slots.items():
        template = template.replace("{" + slot + "}", text)
    return template[:1].upper() + template[1:]


@cache
def phrases() -> dict[str, list[str]]:
    """What demonstrators say, by act."""
    import tomllib

    return tomllib.loads(files("nego_trainers.tiny").joinpath("phrases.toml").read_text(encoding="utf-8"))
