"""One match at a time over a scenario or a suite: what the PettingZoo and Gymnasium faces share.

A `Session` holds the suite, the settings and the episode's `State`; the faces add spaces, rewards and the order of steps.
Everything that decides what happens is in `nego_env.rules`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple, Unpack

import numpy as np
from gymnasium import spaces

from nego_env.codec import ActTable, Features, Mask, SeatCoder, UnicodeText, feature_size
from nego_env.errors import MoveError, SettingsError
from nego_env.judges import Judge
from nego_env.judging import Terms, settle
from nego_env.moves import Move
from nego_env.packs import LooseScenarios, Shape, Suite, find
from nego_env.rules import State, StopReason, fail, start, utter
from nego_env.scenario import Scenario
from nego_env.seat_writer import TEXT_KEYS, SeatWriter
from nego_env.settings import CodecName, Options, Settings
from nego_env.transcript import Transcript, header, transcript
from nego_env.view import SeatRandom, View, seat_randoms, view, window
from nego_env.wording import personas_text, revealed_text, said_text, table_text

ScenarioLike = Scenario | Suite | str | Path
Codecs = CodecName | Sequence[CodecName] | Mapping[str, CodecName]

DEFAULT_SCENARIO = "train"
Info = dict[str, float | int]
INFO_KEYS = ("round", "phase", "agreed", "score", "unscored", "malformed", "your_turn")
"""Numbers, the same keys from reset to the end: round (1, 2, ...); phase (0 dialogue, 1 completion, 2 over); agreed (0/1);
the judge's score (-1 until it is in); unscored (1 after an infrastructure failure); malformed (1 when the seat's last tag
did not count); your_turn (1 when the seat speaks next)."""
_FIRST_INFO: Info = dict.fromkeys(INFO_KEYS, 0) | {"score": -1.0}
PHASES = {"dialogue": 0, "completion": 1, "over": 2}
MAX_STATIC = 10**9
CACHED_SCENARIOS = 256
Form = Literal["text", "act", "both"]
MASKS: dict[Form, tuple[str, ...]] = {
    "text": ("legal_acts",),
    "act": ("action_mask",),
    "both": ("legal_acts", "action_mask"),
}
"""What the acts that count are called in each form of observation."""


def plain(said: str | Move) -> str | Move:
    """The same with words of type str exactly: `rng.choice([...])` returns a subclass that no record can hold."""
    if isinstance(said, str):
        return said if type(said) is str else str.__str__(said)
    if isinstance(said.text, str) and type(said.text) is not str:
        return Move(str.__str__(said.text), said.act)
    return said


class _Ready(NamedTuple):
    """A scenario with what is worked out once for it."""

    scenario: Scenario
    settings: Settings
    coder: SeatCoder | None
    writer: SeatWriter
    judge: Judge


class Session:
    """A scenario or suite with settings, and the match that is being played."""

    def __init__(
        self,
        scenario: ScenarioLike | None,
        *,
        codecs: Codecs = "text",
        judge: str | Judge | None = None,
        agents: Sequence[str] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.suite = as_suite(DEFAULT_SCENARIO if scenario is None else scenario)
        self._ids = self.suite.ids()
        if not self._ids:
            raise SettingsError(f"suite {self.suite.name!r} is empty")
        self.shape: Shape = self.suite.shape
        self.codecs = _codecs(codecs, self.shape.seats)
        self._form: Form = self.codecs[0] if len(set(self.codecs)) == 1 else "both"
        self.acts = ActTable(self.shape) if self.shape.options else None
        if "act" in self.codecs:
            (self.acts or ActTable(self.shape)).require_flat()
        self._terms = Terms(codecs=self.codecs, judge=judge, **options)
        self.agents = tuple(agents) if agents is not None else None
        if self.agents is not None and len(self.agents) != self.shape.seats:
            raise SettingsError(f"{len(self.agents)} agent names for {self.shape.seats} seats")
        self._cache: OrderedDict[str, _Ready] = OrderedDict()
        # A setting that does not fit is an error here, not at the first reset.
        self.scenario, self.settings, self.coder, self._writer, self.judge = self._load(self._ids[0])
        self.max_chars = self.settings.max_chars
        self.seed: int | None = None
        self.index = -1
        self.state: State | None = None
        self.dialogue = ""
        self._begins: list[int] = []
        """Where each line of the dialogue begins."""
        self._randoms: tuple[SeatRandom, ...] | None = None
        self._faults: dict[int, str] = {}
        """By seat, what was wrong with its last tag."""

    # ---------------------------------------------------------------- a match
    def reset(self, seed: int | None, options: Mapping[str, Any] | None) -> State:
        """A fresh match. A seed starts a new series at index 0; without one the series goes on with the next index, so
        that resets after `reset(seed=s)` are the episodes 1, 2, ... of the run with seed s. `options={"scenario": id}`
        picks a scenario of the suite; other keys are ignored."""
        if seed is not None:
            if seed < 0:
                raise SettingsError(f"seed is {seed}, it must be at least 0")
            self.seed, self.index = int(seed), 0
        elif self.seed is None:
            self.seed, self.index = int(np.random.SeedSequence().entropy) % 2**63, 0  # type: ignore[arg-type]  # an int here
        else:
            self.index += 1
        # The check for None first: to ask whether it is a Mapping takes longer than to draw a scenario.
        wanted = options.get("scenario") if options is not None and isinstance(options, Mapping) else None
        ready = self._load(self._draw() if wanted is None else wanted)
        self.scenario, self.settings, self.coder, self._writer, self.judge = ready
        n = self.scenario.n
        names = ("external",) * n if self.agents is None else self.agents[:n]
        head = header(self.scenario, self.settings, names, seed=self.seed, index=self.index)
        self.state = start(self.scenario, self.settings, head)
        self.dialogue, self._begins, self._randoms = "", [], None
        self._faults = {}
        return self.state

    def _draw(self) -> str:
        if len(self._ids) == 1:
            return self._ids[0]
        assert self.seed is not None
        # A hash, for one number: seeding a generator takes longer than a step.
        drawn = blake2b(f"{self.seed} {self.index}".encode(), digest_size=8, person=b"nego scenario").digest()
        return self._ids[int.from_bytes(drawn, "big") % len(self._ids)]

    def _load(self, id: str | Scenario) -> _Ready:
        key = id.id if isinstance(id, Scenario) else str(id)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        scenario = self.suite.get(key)
        judge, settings = self._terms.judge(scenario), self._terms.settings(scenario)
        coder = SeatCoder(scenario, self.shape, self.acts) if self.acts is not None else None
        writer = SeatWriter(scenario, settings, () if coder is None else ("observation", *MASKS[self._form]))
        self._cache[key] = _Ready(scenario, settings, coder, writer, judge)
        if len(self._cache) > CACHED_SCENARIOS:
            self._cache.popitem(last=False)
        return self._cache[key]

    @property
    def playing(self) -> State:
        """The state of the match. Raises `MoveError` before the first reset. (`state or playing`, where every call counts.)"""
        if self.state is None:
            raise MoveError("reset() the environment first")
        return self.state

    def move(self, action: object, seat: int) -> str | Move:
        """An action of any codec as what the rules take. Raises `MoveError` for a wrong type or a number out of range."""
        if type(action) is str:
            return action
        if isinstance(action, (str, Move)):
            return plain(action)
        if isinstance(action, (int, np.integer)) and not isinstance(action, bool):
            return self._decoded(int(action))
        if isinstance(action, np.ndarray) and action.ndim == 0 and np.issubdtype(action.dtype, np.integer):
            return self._decoded(int(action))
        raise MoveError(
            f"{self.scenario.seat_ids[seat]} ({self.codecs[seat]} codec): an action is a str, an int or a Move, "
            f"not {type(action).__name__}"
        )

    def _decoded(self, action: int) -> str | Move:
        if self.acts is None:
            raise MoveError(f"{self.scenario.id} is an open dilemma: an action is a str, not a number")
        return self.acts.decode(action, self.scenario)

    def play(self, said: str | Move) -> State:
        """The state after the seat whose turn it is has spoken and every verdict then due is in."""
        before = self.state or self.playing
        spoke = utter(before, said)
        seat, said_now = before.seat, spoke.utterances[-1]
        before_it = f"{self.dialogue}\n" if self.dialogue else ""
        self._begins.append(len(before_it))
        self.dialogue = f"{before_it}{self._writer.speakers[seat]}{said_text(said_now.text)}"
        if said_now.notice is not None:
            self._faults[seat] = said_now.notice
        elif self._faults:
            self._faults.pop(seat, None)
        if spoke.awaiting != "utterance":
            spoke = settle(spoke, self.judge)
        self.state = spoke
        return spoke

    def cut(self, reason: StopReason, error: str) -> State:
        """The match ended from outside, without a reward."""
        self.state = fail(self.playing, reason, error)
        return self.state

    @property
    def transcript(self) -> Transcript | None:
        """The record of the match once it is over; None before."""
        return None if self.state is None or self.state.stop is None else transcript(self.state)

    def view(self, seat: int) -> View:
        """What an agent at this seat is given."""
        state = self.playing
        if self._randoms is None:
            self._randoms = seat_randoms(state.header, self.scenario.n)
        return view(state, self._randoms, seat)

    @property
    def dialogue_lines(self) -> list[str]:
        """The dialogue so far, an utterance each."""
        ends = [begin - 1 for begin in self._begins[1:]]
        return [self.dialogue[begin:end] for begin, end in zip(self._begins, [*ends, None], strict=False)]

    # ---------------------------------------------------------------- what seats see
    def features(self, seat: int) -> Features:
        """(F,) float32 in [-1, 1]; zeros on an open dilemma of a mixed suite, and for a seat the scenario lacks."""
        assert self.coder is not None  # only faces with features ask
        if seat >= self.scenario.n:
            return np.zeros(feature_size(self.shape), np.float32)
        return self.coder.features(self.playing, seat)

    def mask(self, seat: int, *, noop: bool = False) -> Mask:
        """(A,) int8: 1 for acts that count now. With `noop` (A + 1,): all that a seat the scenario lacks may do."""
        assert self.coder is not None
        if seat >= self.scenario.n:
            absent = np.zeros(self.coder.acts.size + noop, np.int8)
            absent[-1] = noop
            return absent
        return self.coder.mask(self.playing, seat, noop=noop)

    def texts(self, state: State, seat: int) -> dict[str, Any]:
        """The text fields of an observation (`TEXT_KEYS`) but for the table, behind room for its arrays where there are
        any."""
        fields = self._writer.still[seat].copy()
        completing = seat == state.seat and state.phase == "completion"
        if completing or state.settings.memory is None:
            fields["dialogue"] = self.dialogue
        elif state.utterances:
            fields["dialogue"] = self.dialogue[self._begins[-len(window(state))] :]
        if state.revealed:
            fields["published"] = revealed_text(self.scenario, state.revealed)
        if self._faults and self.scenario.issues:
            fields["notice"] = self._faults.get(seat, "")
        if completing:
            fields["personas"] = personas_text(self.scenario, [s.persona for s in self.scenario.seats])
        return fields

    def infos(self, seats: Sequence[str]) -> dict[str, Info]:
        """Numbers about the match (`INFO_KEYS`) for seats 0, 1, ..., which go by these names; fresh dicts each time."""
        state = self.state or self.playing
        shared = _FIRST_INFO.copy()
        shared["round"] = state.round
        if state.outcome is not None or state.stop is not None:
            shared |= _ending(state)
        infos = {}
        for name in seats:  # no comprehension: this is the hot path of every face, and to make one is a call
            infos[name] = shared.copy()
        for seat in self._faults:
            infos[seats[seat]]["malformed"] = 1
        if state.awaiting == "utterance":
            infos[seats[state.seat]]["your_turn"] = 1
        return infos

    def info(self, seat: int) -> Info:
        """`infos` of one seat of the scenario."""
        seats = self.scenario.seat_ids
        return self.infos(seats)[seats[seat]]

    # ---------------------------------------------------------------- spaces
    def feature_space(self) -> spaces.Box:
        """Box of the features."""
        return spaces.Box(-1.0, 1.0, (feature_size(self.shape),), np.float32)

    def mask_space(self, noop: bool) -> spaces.Box:
        """Box of the mask, with the NOOP as last entry in the parallel face."""
        assert self.acts is not None
        return spaces.Box(0, 1, (self.acts.size + noop,), np.int8)

    def observation_space(self, *, noop: bool = False) -> spaces.Dict:
        """The Dict every seat observes: what its codec reads, or what both read where the seats' codecs differ."""
        fields: dict[str, spaces.Space[Any]] = {}
        if self.acts is not None:
            fields["observation"] = self.feature_space()
            for key in MASKS[self._form]:
                fields[key] = self.mask_space(noop)
        if self._form != "act":
            fields |= {key: UnicodeText(MAX_STATIC) for key in TEXT_KEYS}
        return spaces.Dict(fields)

    def action_space(self, seat: int, *, noop: bool = False) -> spaces.Space[Any]:
        """Discrete acts, or text."""
        if self.codecs[seat] == "act":
            assert self.acts is not None
            return spaces.Discrete(self.acts.size + noop)
        return UnicodeText(self.max_chars)

    def observation(self, seat: int, *, noop: bool = False) -> dict[str, Any]:
        """What a seat observes now, in its `observation_space`; nothing but its NOOP where the scenario lacks the seat."""
        if seat >= self.scenario.n:
            return self._absent(seat, noop)
        state, coder = self.state or self.playing, self.coder
        if self._form == "act":
            assert coder is not None  # act seats need issues
            features, mask = coder.arrays(coder.shown(state, seat, noop=noop), state, seat)
            return {"observation": features, "action_mask": mask}
        fields = self.texts(state, seat)
        if coder is not None:
            shown = coder.shown(state, seat, noop=noop)
            if shown.table is None:
                shown.table = table_text(state, seat)
            fields["table"] = shown.table
            fields["observation"], fields["legal_acts"] = coder.arrays(shown, state, seat)
            if self._form == "both":
                fields["action_mask"] = fields["legal_acts"].copy()  # each reader's own, like all arrays
        return fields

    def _absent(self, seat: int, noop: bool) -> dict[str, Any]:
        fields: dict[str, Any] = {} if self._form == "act" else dict.fromkeys(TEXT_KEYS, "")
        if self.coder is not None:
            fields["observation"] = self.features(seat)
            for key in MASKS[self._form]:
                fields[key] = self.mask(seat, noop=noop)
        return fields


def _ending(state: State) -> Info:
    """What infos tell from the end of the dialogue on."""
    final = state.verdicts[-1] if state.verdicts and state.verdicts[-1].kind == "score" else None
    return {
        "phase": PHASES[state.phase],
        "agreed": int(state.outcome is StopReason.AGREEMENT),
        "score": -1.0 if final is None else final.value,
        "unscored": int(state.stop is not None and state.rewards is None),
    }


def as_suite(scenario: ScenarioLike) -> Suite:
    """A scenario, suite, id, pack name or path as a suite. Raises `NotFoundError` or `ScenarioError`."""
    found = find(scenario) if isinstance(scenario, (str, Path)) else scenario
    return LooseScenarios(found.id, [found]) if isinstance(found, Scenario) else found


def _codecs(codecs: Codecs, seats: int) -> tuple[CodecName, ...]:
    if isinstance(codecs, str):
        chosen: list[Any] = [codecs] * seats
    elif isinstance(codecs, Mapping):
        unknown = set(codecs) - {f"seat_{i}" for i in range(seats)}
        if unknown:
            raise SettingsError(f"codecs for {', '.join(sorted(unknown))}: seats are seat_0 to seat_{seats - 1}")
        chosen = [codecs.get(f"seat_{i}", "text") for i in range(seats)]
    else:
        chosen = list(codecs)
    if len(chosen) != seats or any(c not in ("text", "act") for c in chosen):
        raise SettingsError(f"codecs must be 'text' or 'act', or one of them for each of {seats} seats; got {codecs!r}")
    return tuple(chosen)


def names_max_rounds(max_rounds: int | None, max_cycles: int | None) -> int | None:
    """One cap under two names: ours, and the one `pettingzoo.make` passes."""
    if max_rounds is not None and max_cycles is not None and max_rounds != max_cycles:
        raise SettingsError(f"max_rounds={max_rounds} and max_cycles={max_cycles} name the same cap: give one")
    return max_rounds if max_rounds is not None else max_cycles
