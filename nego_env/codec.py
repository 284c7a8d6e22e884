"""Codecs: what a seat's actions and observations look like to PettingZoo.

- `text`: the action is a string; the observation a Dict of text fields and, where there are issues, float features and
  `legal_acts`. (Not `action_mask`: many loops would hand a thing of that name to a stock `Text.sample`, which asserts.)
- `act`: the action is Discrete (propose deal k, accept, walk away, ask about issue i, reveal issue i); the observation is
  `{"observation": Box, "action_mask": Box}`.

Where the seats' codecs differ, every seat observes both forms: the texts, `observation`, and the same acts twice, as
`legal_acts` and as `action_mask`.

A suite fixes one padded `Shape`, so every scenario in it shares spaces. Deal k is a mixed-radix number over the padded
option counts, the last issue varying fastest; what a scenario does not have is masked.
"""

from __future__ import annotations

import math
import string
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from nego_env.accounting import best_score, gain, score
from nego_env.errors import MoveError, SettingsError
from nego_env.moves import Act, Move, words
from nego_env.packs import Shape
from nego_env.rules import State, can_walk
from nego_env.scenario import Kept, Scenario

MAX_FLAT_DEALS = 4096
"""Act seats choose from a flat list of deals; a shape with more has text seats only."""

Mask = npt.NDArray[np.int8]
Features = npt.NDArray[np.float32]


class UnicodeText(spaces.Text):
    """A space of strings in any language: `contains` checks type and length, `sample` draws a short lower-case string.

    Gymnasium's `Text` holds every legal character in a set: its default rejects a blank, and one over all of Unicode takes
    seconds to build (MiniWoB++ has a space of its own for the same reason).
    """

    def __init__(self, max_length: int, *, min_length: int = 0, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length, min_length=min_length, charset=string.ascii_lowercase + " .,?!", seed=seed)

    def contains(self, x: Any) -> bool:
        """A str of a length within bounds, in code points."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A short string over lower-case letters and punctuation.

        A mask that is an array is one of acts (`action_mask`): it says nothing about words and is left aside. Every other
        mask, and `probability`, works as for `Text`: `(length or None, array over the characters or None)`.
        """
        if probability is not None or not (mask is None or isinstance(mask, np.ndarray)):
            return super().sample(mask, probability)
        longest = min(self.max_length, max(40, self.min_length))
        length = int(self.np_random.integers(self.min_length, longest + 1))
        return "".join(self.character_list[i] for i in self.np_random.integers(0, len(self.character_list), length))

    def __repr__(self) -> str:
        return f"UnicodeText({self.min_length}, {self.max_length})"


class ActTable:
    """The flat list of acts for one shape: `[deals..., accept, walk, ask x I, reveal x I]`, and a NOOP after it in the
    parallel face. With more than 4,096 deals they collapse into one entry ("propose"), which only text seats can use."""

    def __init__(self, shape: Shape) -> None:
        if not shape.options:
            raise SettingsError("an open dilemma has no acts to choose from; use text seats")
        self.shape = shape
        self.deals = math.prod(shape.options)
        self.flat = self.deals <= MAX_FLAT_DEALS
        issues = len(shape.options)
        self.accept = self.deals if self.flat else 1
        self.walk = self.accept + 1
        self.ask = self.accept + 2
        self.reveal = self.ask + issues
        self.size = self.reveal + issues
        self.noop = self.size
        self._strides = [math.prod(shape.options[i + 1 :]) for i in range(issues)]

    def require_flat(self) -> None:
        """Raises `SettingsError` where act seats cannot play."""
        if not self.flat:
            raise SettingsError(
                f"{self.deals} deals ({' x '.join(map(str, self.shape.options))} options): act seats choose from a flat "
                f"list of at most {MAX_FLAT_DEALS}; use text seats, which play any size"
            )

    def decode(self, action: int, scenario: Scenario) -> Move | str:
        """The move behind an action. A deal or issue the scenario does not have becomes a malformed tag: talk, with a notice.

        Raises `MoveError` for a number outside the space, on an open dilemma, and where there are too many deals to number.
        """
        if not scenario.issues:
            raise MoveError(f"{scenario.id} is an open dilemma: an action is a str, not a number")
        if not self.flat:
            raise MoveError(f"{scenario.id}: {self.deals} deals are too many to number: an action is a str or a Move")
        if not 0 <= action < self.size:
            raise MoveError(f"action {action} is outside Discrete({self.size})")
        if action < self.deals:
            deal = [action // s % n for s, n in zip(self._strides, self.shape.options, strict=True)]
            k = len(scenario.issues)
            if any(deal[k:]) or any(j >= n for j, n in zip(deal, scenario.counts, strict=False)):
                return "[Propose: ?]"  # no id can be written so
            return Move(act=Act("propose", deal=scenario.ids(tuple(deal[:k]))))
        if action == self.accept:
            return Move(act=Act("accept"))
        if action == self.walk:
            return Move(act=Act("walk"))
        kind, i = ("ask", action - self.ask) if action < self.reveal else ("reveal", action - self.reveal)
        if i >= len(scenario.issues):
            return f"[{kind.capitalize()}: ?]"
        return Move(act=Act(kind, issue=scenario.issues[i].id))  # type: ignore[arg-type]  # one of the two literals

    def encode(self, act: Act, scenario: Scenario) -> int:
        """The action that stands for an act; the inverse of `decode`."""
        self.require_flat()
        match act.kind:
            case "propose":
                return sum(j * s for j, s in zip(scenario.deal(act.deal), self._strides, strict=False))
            case "accept":
                return self.accept
            case "walk":
                return self.walk
            case "ask":
                return self.ask + scenario.issue_index[act.issue.upper()]
            case "reveal":
                return self.reveal + scenario.issue_index[act.issue.upper()]
        raise MoveError(f"{act.kind!r} is no act of a structured dilemma")

    def words(self, action: int, scenario: Scenario) -> str:
        """What an action says."""
        move = self.decode(action, scenario)
        if isinstance(move, str):
            return move
        return words(move.act, scenario) if move.act else move.text


class Shown:
    """What a seat sees as long as the deal on the table, consent to it and what the seat may do stay the same. It is kept:
    readers get copies of the arrays."""

    __slots__ = ("features", "mask", "table")

    def __init__(self, features: Features, mask: Mask) -> None:
        self.features, self.mask = features, mask
        self.table: str | None = None
        """The deal on the table in words, once a text seat has read them."""


class SeatCoder:
    """Masks and features of one scenario inside a shape. What comes up again is kept."""

    def __init__(self, scenario: Scenario, shape: Shape, acts: ActTable) -> None:
        self.scenario, self.shape, self.acts = scenario, shape, acts
        self._issues = len(shape.options)
        self._width = max(shape.options)
        self._cells = self._issues * self._width
        self.layout = feature_layout(shape)
        self.size = feature_size(shape)
        self._kept_masks: Kept[tuple[bool, bool, bool], Mask] = Kept()
        self._kept_shown: Kept[tuple[object, ...], Shown] = Kept()
        self._blank: dict[int, Features] = {}
        self._round = self.layout["scalars"]
        self._structured = scenario.kind == "structured"

    @cached_property
    def _idle_masks(self) -> tuple[Mask, Mask]:
        """Nothing, and nothing but the NOOP."""
        mask = np.zeros(self.acts.size + 1, np.int8)
        mask[self.acts.noop] = 1
        return mask[:-1].copy(), mask

    def _mask(self, may_accept: bool, may_walk: bool, noop: bool) -> Mask:
        """Every deal, question and reveal the scenario has, and what depends on the state."""
        a, s = self.acts, self.scenario
        mask = np.zeros(a.size + noop, np.int8)
        mask[a.accept], mask[a.walk] = may_accept, may_walk
        k = len(s.issues)
        if a.flat:
            fits = np.zeros(self.shape.options, np.int8)
            fits[tuple(slice(0, n) for n in s.counts) + (0,) * (self._issues - k)] = 1
            mask[: a.deals] = fits.ravel()
        else:
            mask[0] = 1
        mask[a.ask : a.ask + k] = 1
        mask[a.reveal : a.reveal + k] = 1
        return mask

    def shown(self, state: State, seat: int, *, noop: bool = False) -> Shown:
        """What the seat sees now, but for the round, the questions and what was published."""
        completing, may_walk = state.phase == "completion", can_walk(state)
        speaking = seat == state.seat and state.phase == "dialogue" and state.awaiting == "utterance"
        key = seat, state.standing, state.accepted, state.walked, speaking, may_walk, completing, noop
        found = self._kept_shown.get(key)
        if found is not None:
            return found
        mask = self._idle_masks[noop]
        if speaking and self._structured:
            now = state.standing is not None and not state.accepted[seat], may_walk, noop
            kept = self._kept_masks.get(now)
            mask = self._kept_masks.keep(now, self._mask(*now)) if kept is None else kept
        return self._kept_shown.keep(key, Shown(self._board(state, seat), mask))

    def mask(self, state: State, seat: int, *, noop: bool = False) -> Mask:
        """(A,) int8: 1 for acts that count for the seat now; all 0 when it is not its turn, when the dialogue is over, and
        on an open dilemma of a mixed suite. With `noop` (A + 1,): the last entry is 1 where all others are 0."""
        return self.arrays(self.shown(state, seat, noop=noop), state, seat)[1]

    def features(self, state: State, seat: int) -> Features:
        """(F,) float32 in [-1, 1]: what the seat may know, as numbers (`feature_layout`)."""
        return self.arrays(self.shown(state, seat), state, seat)[0]

    def arrays(self, shown: Shown, state: State, seat: int) -> tuple[Features, Mask]:
        """`features` and `mask` from what is `shown` now."""
        features, mask = shown.features.copy(), shown.mask.copy()
        if self._structured:
            features[self._round] = state.round / state.settings.max_rounds
            if state.revealed or state.asked:
                self._openness(features, mask, state, seat)
        return features, mask

    def _openness(self, features: Features, mask: Mask, state: State, seat: int) -> None:
        """Who has published what and who has asked, filled in; the seat's own need not be done again."""
        scenario, acts, at = self.scenario, self.acts, self.layout
        for r in state.revealed:
            where = (int(r.seat[5:]) - seat) % scenario.n
            issue = scenario.issue_index[r.issue.upper()]
            features[at["told"] + where * self._issues + issue] = 1.0
            if where:
                cell = at["revealed"] + (where - 1) * self._cells + issue * self._width
                features[cell : cell + len(r.scores)] = [x / scenario.scale for x in r.scores]
            else:
                mask[acts.reveal + issue] = 0
        for who, name in state.asked:
            issue = scenario.issue_index[name.upper()]
            features[at["asked"] + (0 if who == seat else self._issues) + issue] = 1.0
            if who == seat:
                mask[acts.ask + issue] = 0

    def _board(self, state: State, seat: int) -> Features:
        """The features that are `shown`."""
        scenario, standing, at = self.scenario, state.standing, self.layout
        out = self._template(seat).copy()
        stakes = scenario.seats[seat].stakes
        if stakes is None:
            return out
        for name, flags in (("accepted", state.accepted), ("walked", state.walked)):
            out[at[name] : at[name] + scenario.n] = flags[seat:] + flags[:seat]
        out[at["scalars"] + 1 : at["scalars"] + 3] = can_walk(state), state.phase == "completion"
        if standing is not None:
            for i, j in enumerate(standing.deal):
                out[at["table"] + i * self._width + j] = 1.0
            out[at["scalars"] + 3 : at["scalars"] + 8] = (
                not state.accepted[seat],
                1.0,
                standing.by == seat,
                score(stakes, standing.deal) / scenario.scale,
                min(1.0, max(-1.0, gain(stakes, standing.deal))),
            )
        return out

    def _template(self, seat: int) -> Features:
        """What does not change over an episode."""
        if seat in self._blank:
            return self._blank[seat]
        scenario, at, width = self.scenario, self.layout, self._width
        out = np.zeros(self.size, np.float32)
        stakes = scenario.seats[seat].stakes
        if stakes is not None:
            for i, row in enumerate(stakes.scores):
                cell = i * width
                out[at["scores"] + cell : at["scores"] + cell + len(row)] = [x / scenario.scale for x in row]
                out[at["options"] + cell : at["options"] + cell + len(row)] = 1.0
            out[at["scalars"] + 8] = max(-1.0, stakes.walk_away / scenario.scale)
            out[at["scalars"] + 9] = best_score(stakes) / scenario.scale
        out[at["present"] : at["present"] + scenario.n] = 1.0
        out[at["seat"] + seat] = 1.0
        self._blank[seat] = out
        return out


def _blocks(shape: Shape) -> list[tuple[str, int]]:
    cells = len(shape.options) * max(shape.options, default=0)
    n, issues = shape.seats, len(shape.options)
    return [
        ("scores", cells),  # own score of each option / scale
        ("options", cells),  # 1 where the scenario has that option
        ("table", cells),  # the standing deal, one-hot per issue
        ("revealed", (n - 1) * cells),  # the others' published scores / scale, by distance round the table
        ("told", n * issues),  # 1 where the seat (own first, then by distance) has published the issue
        ("asked", 2 * issues),  # asked by this seat; asked by another
        ("present", n),  # 1 for each of the scenario's seats
        ("seat", n),  # own position, one-hot
        ("accepted", n),  # own first, then by distance round the table: the same weights serve every seat
        ("walked", n),
        # round / max_rounds, may walk, completing, may accept, a deal stands, it is own, its worth / scale, its gain,
        # walk-away / scale, best / scale
        ("scalars", 10),
    ]


def feature_layout(shape: Shape) -> dict[str, int]:
    """Where each block of the feature vector begins."""
    starts, at = {}, 0
    for name, size in _blocks(shape):
        starts[name] = at
        at += size
    return starts


def feature_size(shape: Shape) -> int:
    """F, the length of the feature vector."""
    return sum(size for _, size in _blocks(shape))
