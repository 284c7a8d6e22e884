"""Small dilemmas to check against, somebody to play them with, and what every check raises."""

from __future__ import annotations

from typing import Any, Literal

from nego_env.errors import NegoError
from nego_env.moves import Move
from nego_env.rollout import play
from nego_env.scenario import Issue, Option, Scenario, Seat, Stakes
from nego_env.transcript import Transcript
from nego_env.view import View

Kind = Literal["structured", "open"]
KINDS: tuple[Kind, ...] = ("structured", "open")


class ConformanceError(NegoError, AssertionError):
    """A promise is broken; the message says whose and which."""


def sample_scenarios(kind: Kind | None = None) -> list[Scenario]:
    """Small dilemmas of both kinds to check against: structured with 2 and with 4 seats, open with 2 and with 3."""
    made = [_stall(), _courtyard(), _open(2), _open(3)]
    return [s for s in made if kind in (None, s.kind)]


def _stall() -> Scenario:
    return Scenario(
        id="check-stall",
        task="Two traders share a market stall and its one awning. Who has which half, and who pays for the repair?",
        seats=(
            Seat("the baker", "Get the shaded half; the repair is the smaller matter.", Stakes(((9, 4, 0), (0, 3)), 4)),
            Seat("the florist", "Pay as little of the repair as you can.", Stakes(((0, 3, 5), (8, 0)), 4)),
        ),
        issues=(
            _issue("A", "the shaded half", "the baker's", "by turns", "the florist's"),
            _issue("B", "the repair", "paid by the baker", "paid by the florist"),
        ),
    )


def _courtyard() -> Scenario:
    rows = (
        ((6, 1, 0), (2, 0), (0, 4)),
        ((0, 5, 2), (0, 3), (3, 0)),
        ((1, 2, 7), (4, 0), (0, 1)),
        ((2, 3, 0), (0, 5), (2, 0)),
    )
    names = ("the gardener", "the cellist", "the father of twins", "the caretaker")
    wants = ("Keep the beds.", "Have quiet in the evenings.", "Get room to play.", "Get a gate that locks.")
    return Scenario(
        id="check-courtyard",
        task="Four neighbours look out on one courtyard. What is it for, when is it quiet, and is the gate locked?",
        seats=tuple(Seat(n, p, Stakes(r, 3)) for n, p, r in zip(names, wants, rows, strict=True)),
        issues=(
            _issue("A", "its use", "beds", "benches", "a pitch"),
            _issue("B", "quiet hours", "from ten", "from seven"),
            _issue("C", "the gate", "locked at dusk", "left open"),
        ),
    )


def _issue(id: str, name: str, *labels: str) -> Issue:
    return Issue(id, name, tuple(Option(f"{id}{k}", label) for k, label in enumerate(labels, 1)))


def _open(n: int) -> Scenario:
    seats = (
        Seat("Ines", "Argue that a promise made in front of others has to be kept."),
        Seat("Malik", "Argue that a promise which now hurts somebody may be put down."),
        Seat("Dagny", "Argue that those who were promised something should be asked."),
    )
    return Scenario(
        id=f"check-promise-{n}",
        task="A choir promised its old hall a last concert; the roof has since become unsafe. Should they sing there?",
        seats=seats[:n],
    )


def partner(view: View) -> Move:
    """Somebody to play with: proposes, accepts, asks, reveals and talks, by its own generator."""
    if not view.scenario.issues:
        return Move.agree("Then let us do as was said.") if view.rng.random() < 0.5 else Move("I hear you.")
    choice = int(view.rng.integers(5))
    if choice == 0 and view.legal.accept:
        return Move.accept()
    if choice == 1 and view.legal.ask:
        return Move.ask(view.legal.ask[0])
    if choice == 2 and view.legal.reveal:
        return Move.reveal(view.legal.reveal[0])
    if choice == 3:
        return Move("Let me think about that.")
    return Move.propose(i.options[int(view.rng.integers(len(i.options)))].id for i in view.scenario.issues)


def play_at(table: list[Any], s: Scenario, episodes: int, seed: int, *, in_flight: int = 1) -> list[Transcript]:
    """Episodes of these agents, who sit as they are listed: on structured dilemmas with the plan rendered, then written."""
    transcripts: list[Transcript] = []
    for completion in ("render", "write") if s.issues else ("write",):
        transcripts += play(
            s, table, episodes=episodes, seed=seed, completion=completion, redraws=0, in_flight=in_flight
        )
    return transcripts
