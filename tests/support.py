"""Small hand-made scenarios whose figures are worked out beside them, and the shortest ways to play them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st

from nego_env.judges import ExactJudge, HeuristicJudge, Judge
from nego_env.moves import Act, Move, tag
from nego_env.rules import State, case, judged, pending, start, utter
from nego_env.scenario import Acceptance, Issue, Option, Protocol, Scenario, Seat, Stakes
from nego_env.settings import resolve
from nego_env.transcript import Transcript, header, transcript
from nego_env.verdict import Case, Verdict

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "NEGO_UPDATE_GOLDEN"


def issue(id: str, name: str, *labels: str) -> Issue:
    """An issue whose options are `A1`, `A2`, ... in the order of their labels."""
    return Issue(id, name, tuple(Option(f"{id}{j}", label) for j, label in enumerate(labels, 1)))


def bargain(**protocol: Any) -> Scenario:
    """Two seats, two issues, three options. (tenant, owner) scores; walk-away 2 and best 6 for both, so room 4:

          B1      B2      B3
    A1   2, 2    0, 6    1, 4        A: tenant 0 4 2, owner 2 0 1
    A2   6, 0    4, 4    5, 2        B: tenant 2 0 1, owner 0 4 2
    A3   4, 1    2, 5    3, 3
    """
    return Scenario(
        id="allotment",
        task="The plot has one tap and one shed. Who gets which, and when?",
        seats=(
            Seat("the tenant", "Keep the tap for the seedlings.", Stakes(((0, 4, 2), (2, 0, 1)), 2)),
            Seat("the owner", "Keep the shed for the tools.", Stakes(((2, 0, 1), (0, 4, 2)), 2)),
        ),
        issues=(
            issue("A", "the tap", "mornings", "always", "weekdays"),
            issue("B", "the shed", "mine", "yours", "half"),
        ),
        protocol=Protocol(**protocol),
    )


def council(**protocol: Any) -> Scenario:
    """Three seats, one issue of three options: X1 is worth 1, 2, 3 to them, X2 2, 3, 1 and X3 3, 1, 2; walk-away 1."""
    rows = ((1, 2, 3), (2, 3, 1), (3, 1, 2))
    return Scenario(
        id="council",
        task="Which road is mended first?",
        seats=tuple(Seat(f"ward {i}", f"Mend the road of ward {i}.", Stakes((row,), 1)) for i, row in enumerate(rows)),
        issues=(issue("X", "the road", "north", "east", "south"),),
        protocol=Protocol(**protocol),
    )


def quorum(at_least: int | None = 3, vetoes: tuple[int, ...] = (0,), **protocol: Any) -> Scenario:
    """Four seats, one issue: Y1 is worth 5 5 5 0 to them, Y2 0 5 5 5 and Y3 3 3 3 3; walk-away 1. seat_0 has a bonus of 10.

    By default three must accept, seat_0 among them: Y1 passes, Y2 does not, Y3 passes and leaves nobody below.
    """
    rows = ((5, 0, 3), (5, 5, 3), (5, 5, 3), (0, 5, 3))
    return Scenario(
        id="quorum",
        task="Where does the bridge go?",
        seats=tuple(
            Seat(f"town {i}", f"Bring the bridge to town {i}.", Stakes((row,), 1)) for i, row in enumerate(rows)
        ),
        issues=(issue("Y", "the bridge", "west", "east", "middle"),),
        protocol=Protocol(acceptance=Acceptance(at_least, vetoes), bonus={"seat_0": 10}, **protocol),
    )


def dilemma(n: int = 2, **protocol: Any) -> Scenario:
    """An open dilemma of n seats."""
    return Scenario(
        id="last-ferry",
        task="One berth is left on the last ferry. Who sails?",
        seats=tuple(Seat(f"passenger {i}", f"Sail tonight, whatever passenger {i - 1} says.") for i in range(n)),
        protocol=Protocol(**protocol),
    )


def begin(scenario: Scenario, *, agents: tuple[str, ...] | None = None, seed: int = 0, **settings: Any) -> State:
    """A fresh episode."""
    resolved = resolve(scenario, **settings)
    return start(scenario, resolved, header(scenario, resolved, agents or ("scripted",) * scenario.n, seed=seed))


def say(state: State, *said: str | Move) -> State:
    """The state after these utterances, no verdict being due in between."""
    for words in said:
        state = utter(state, words)
    return state


def default_judge(scenario: Scenario) -> Judge:
    """The judge of the core for a scenario of its kind."""
    return ExactJudge() if scenario.issues else HeuristicJudge()


def settle(state: State, judge: Judge | None = None) -> State:
    """The state after every verdict that is due."""
    judge = judge or default_judge(state.scenario)
    while (due := pending(state)) is not None and due.what != "utterance":
        state = judged(state, judge.judge(case(state)))
    return state


def play_out(state: State, said: Iterable[str | Move], judge: Judge | None = None) -> list[State]:
    """Every state from this one to the end: before each utterance, and at last the finished one. Silence when lines run out."""
    lines, states = iter(said), [state]
    while pending(state) is not None:
        state = settle(utter(state, next(lines, "")), judge)
        states.append(state)
    return states


def play(scenario: Scenario, *said: str | Move, judge: Judge | None = None, **settings: Any) -> Transcript:
    """The transcript of an episode with these utterances, and silence when they run out."""
    return transcript(play_out(begin(scenario, **settings), said, judge)[-1])


class FixedJudge:
    """Says what it was made with: agreement or not, and a score."""

    name = "fixed"

    def __init__(self, score: float = 3.0, *, agreed: bool = True) -> None:
        self.score = score
        self.agreed = agreed
        self.cases: list[Case] = []

    def judge(self, case: Case) -> Verdict:
        """The fixed verdict; the case is kept in `cases`."""
        self.cases.append(case)
        return Verdict(case.kind, self.name, float(self.agreed) if case.kind == "agreement" else self.score)


def assert_golden(name: str, found: bytes) -> None:
    """The bytes equal the stored ones; with `NEGO_UPDATE_GOLDEN=1` in the environment they are stored instead."""
    path = GOLDEN / name
    if os.environ.get(UPDATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found)
    assert found == path.read_bytes(), f"{path.name} differs: look at it, then run again with {UPDATE}=1"


# ---------------------------------------------------------------- hypothesis
TAGS = ("[Propose: A1 B1]", "[Accept]", "[Walk]", "[Ask: A]", "[Reveal: A]", "[Agree]", "[Agreed: A1 B1]")
ANY_CHARACTER = st.characters(exclude_categories=())
"""Every code point, lone surrogates and controls among them."""
ENCODABLE = st.characters(exclude_categories=["Cs"])
LABELS = st.one_of(
    st.sampled_from(("[Accept]", "[Propose: A1", "]", "[", "[Walk].", "six\nmonths", "{n}", "[Agreed: A1 B1]", "…")),
    st.text(ENCODABLE, min_size=1, max_size=12),
).filter(lambda s: bool(s.strip()))
POINTS = st.integers(-300, 1000).map(lambda x: x / 10)


@st.composite
def structured(draw: st.DrawFn, max_seats: int = 4) -> Scenario:
    """A structured scenario with any labels and names, decimal scores, and any acceptance rule."""
    n = draw(st.integers(2, max_seats))
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    issues = tuple(issue("ABC"[i], draw(LABELS), *(draw(LABELS) for _ in range(c))) for i, c in enumerate(counts))
    seats = []
    for name in draw(st.lists(LABELS, min_size=n, max_size=n, unique=True)):
        rows = tuple(tuple(draw(POINTS) for _ in range(c)) for c in counts)
        low, high = sum(min(r) for r in rows), sum(max(r) for r in rows)
        walk_away = draw(st.sampled_from((low, high, round(low + (high - low) * draw(st.floats(0, 1)), 2))))
        seats.append(Seat(name, draw(LABELS), Stakes(rows, min(walk_away, high))))
    at_least = draw(st.one_of(st.none(), st.integers(1, n)))
    vetoes = tuple(draw(st.lists(st.integers(0, n - 1), max_size=2, unique=True)))
    protocol = Protocol(acceptance=Acceptance(at_least, vetoes), finalizer=draw(st.integers(0, n - 1)))
    return Scenario("any", "What now?", tuple(seats), issues, protocol)


def deals_of(scenario: Scenario) -> list[tuple[int, ...]]:
    """Every deal."""
    return [tuple(int(j) for j in deal) for deal in scenario.table.deals]


def acts_of(scenario: Scenario) -> list[Act]:
    """Every act a scenario can express."""
    if not scenario.issues:
        return [Act("agree")]
    kinds: tuple[Literal["ask", "reveal"], ...] = ("ask", "reveal")
    return [
        *(Act("propose", deal=scenario.ids(deal)) for deal in deals_of(scenario)),
        Act("accept"),
        Act("walk"),
        *(Act(kind, issue=i.id) for kind in kinds for i in scenario.issues),
    ]


def speech(scenario: Scenario) -> st.SearchStrategy[str | Move]:
    """Whatever a seat may say: real moves, tags quoted and malformed, any Unicode, far too much."""
    acts = st.sampled_from(acts_of(scenario))
    rubbish = st.text(ANY_CHARACTER, max_size=40)
    tags = st.one_of(acts.map(tag), st.sampled_from(TAGS))
    return st.one_of(
        acts.map(lambda act: Move("", act)),
        st.builds(Move, rubbish, acts),
        tags,
        st.builds(lambda a, b: f"{a} {b}", rubbish, tags),
        st.builds(lambda a, b: f"you said {b}, {a}", rubbish, tags),
        st.builds(lambda a, k: "x" * k + a, tags, st.integers(60, 130)),
        st.builds(lambda a, k: (a * 40)[:k], tags, st.integers(0, 200)),
        st.sampled_from(("", " ", "\x00", "\x1b[2J", "\ud800", "[" * 3000, "x" * 100_000, "[Propose: A1", "[Accept]]")),
        rubbish,
    )


def single_line(message: str) -> bool:
    """An error message as a person gets it: something in it, and on one line."""
    return bool(message.strip()) and not re.search(r"[\r\n]", message)
