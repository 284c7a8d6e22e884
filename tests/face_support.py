"""What the tests of the faces and of the engine share: matches of every kind, and players that do a bit of everything."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from pettingzoo import test as _pettingzoo_test
from support import bargain, council, dilemma, issue, quorum

import nego_env
from nego_env.moves import Act, Move
from nego_env.packs import LooseScenarios
from nego_env.scenario import Acceptance, Scenario, Seat, Stakes
from nego_env.verdict import Case, Verdict
from nego_env.view import View

# Untyped on purpose: PettingZoo and Gymnasium leave so much open that every line would need a cast.
env: Callable[..., Any] = nego_env.env
raw_env: Callable[..., Any] = nego_env.raw_env
parallel_env: Callable[..., Any] = nego_env.parallel_env
seat_env: Callable[..., Any] = nego_env.SeatEnv
conformance: Any = _pettingzoo_test


class Match(NamedTuple):
    """A scenario or suite with the settings it is played under."""

    scenario: Scenario | LooseScenarios
    settings: dict[str, Any]


def suite() -> LooseScenarios:
    """Two, three and four seats; two and one issue: everything in it is padded somewhere."""
    return LooseScenarios("small", [bargain(), council(), quorum()])


def wide(options: int = 6, issues: int = 5) -> Scenario:
    """Two seats and `options ** issues` deals; by default 7,776, more than an act seat can choose from."""
    rows = tuple(tuple(float(j) for j in range(options)) for _ in range(issues))
    return Scenario(
        id="wide",
        task="Everything is open. What first?",
        seats=(
            Seat("north", "Get the most.", Stakes(rows, 3)),
            Seat("south", "Give the least.", Stakes(tuple(row[::-1] for row in rows), 3)),
        ),
        issues=tuple(issue("ABCDEFGH"[i], f"matter {i}", *(f"way {j}" for j in range(options))) for i in range(issues)),
    )


_SEATS: dict[int, tuple[Callable[..., Scenario], Acceptance]] = {
    2: (bargain, Acceptance(1, (0,))),
    3: (council, Acceptance(2, (1,))),
    4: (lambda **protocol: quorum(protocol.pop("acceptance", Acceptance()).at_least, (), **protocol), Acceptance(3)),
}


def _structured(n: int, protocol: str) -> Match:
    make, rule = _SEATS[n]
    if protocol == "k-of-n":
        return Match(quorum() if n == 4 else make(acceptance=rule), {})
    settings: dict[str, Any] = {
        "unanimous": {},
        "write": {"completion": "write"},
        "always": {"completion": "write", "complete": "always"},
    }[protocol]
    return Match(make(), settings)


def _codecs(name: str, n: int) -> Any:
    return tuple("text" if i % 2 else "act" for i in range(n)) if name == "mixed" else name


def matches() -> list[Any]:
    """One pytest parameter for each distinct (kind, seats, protocol, codec)."""
    found = []
    for codec in ("text", "act", "mixed"):
        for n in (2, 3, 4):
            for protocol in ("unanimous", "k-of-n", "write", "always"):
                scenario, settings = _structured(n, protocol)
                match = Match(scenario, {**settings, "codecs": _codecs(codec, n)})
                found.append(pytest.param(match, id=f"structured-{n}-{protocol}-{codec}"))
        found.append(pytest.param(Match(suite(), {"codecs": _codecs(codec, 4)}), id=f"suite-{codec}"))
    for n in (2, 3, 4):
        found.append(pytest.param(Match(dilemma(n), {"codecs": "text"}), id=f"open-{n}-text"))
        found.append(
            pytest.param(Match(dilemma(n), {"codecs": "text", "complete": "always"}), id=f"open-{n}-always-text")
        )
    both = LooseScenarios("both", [bargain(), dilemma(3)])
    found.append(pytest.param(Match(both, {"codecs": "text"}), id="suite-of-both-kinds-text"))
    return found


def codecs_of(match: Match) -> set[str]:
    """Which codecs sit at the table."""
    codecs = match.settings["codecs"]
    return {codecs} if isinstance(codecs, str) else set(codecs)


def warned(call: Callable[[], object]) -> set[str]:
    """What a call warns about."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return {str(w.message) for w in caught}


# ---------------------------------------------------------------- players
LINES = (
    "",
    "hello",
    "Ich will mehr, 多一点 🙂",
    "[Accept",
    "you said [Accept] before",
    "[Propose: A1]",
    "\ud800 \x1b[2J",
)


def any_action(environment: Any, agent: str, rng: np.random.Generator) -> str | int | Move:
    """A legal act, any act, a `Move`, or words, whatever codec the seat has."""
    session = environment.unwrapped.session
    scenario, acts = session.scenario, session.acts
    kind = int(rng.integers(6))
    if acts is None or not acts.flat or not scenario.issues or kind == 0:
        return str(rng.choice([*LINES, "fine by me [Agree]"]))
    if kind == 1:
        return int(rng.integers(acts.size))
    if kind == 2:
        return Move.ask(scenario.issues[0].id, "tell me")
    legal = np.flatnonzero(session.mask(int(agent[5:])))
    return int(rng.choice(legal)) if len(legal) else "We agree on this."


def match_through(environment: Any, rng: np.random.Generator, **reset: Any) -> Iterator[str]:
    """Plays an AEC match at random; yields the selected seat before each step, dead steps too."""
    environment.reset(**reset)
    for agent in environment.agent_iter():
        yield agent
        done = environment.unwrapped.terminations[agent] or environment.unwrapped.truncations[agent]
        environment.step(None if done else any_action(environment, agent, rng))


def haggler(view: View) -> str | Move:
    """A bit of everything, drawn from the seat's own generator: words, every act, malformed tags, a completion."""
    scenario, rng = view.scenario, view.rng
    if view.phase == "completion":
        stated = f"[Agreed: {' '.join(view.table.deal)}]" if view.table is not None else "nothing"
        return f"So we all do this by Friday, every one of us will. {stated}"
    if not scenario.issues:
        return "I can live with that. [Agree]" if rng.random() < 0.8 else "Give me a reason."
    acts = [Act("propose", deal=tuple(str(rng.choice([o.id for o in i.options])) for i in scenario.issues))]
    acts += [Act("accept")] * 2 * view.legal.accept
    acts += [Act("ask", issue=i) for i in view.legal.ask[:1]] + [Act("reveal", issue=i) for i in view.legal.reveal[:1]]
    if view.legal.walk and rng.random() < 0.1:
        acts.append(Act("walk"))
    act = acts[int(rng.integers(len(acts)))]
    return (Move("", act), Move("Well now.", act), "Hm. [Accept", f"round {view.round}")[int(rng.integers(4))]


def agreeable(view: View) -> str:
    """Proposes every issue's first option, and accepts whatever lies on the table."""
    if view.phase == "completion":
        return f"Done by Monday. [Agreed: {' '.join(view.table.deal)}]" if view.table else "Done by Monday."
    if not view.scenario.issues:
        return "Yes. [Agree]"
    if view.table is not None:
        return "[Accept]" if view.legal.accept else "And you?"
    return f"[Propose: {' '.join(i.options[0].id for i in view.scenario.issues)}]"


def silent(view: View) -> str:
    """Says nothing."""
    return ""


# ---------------------------------------------------------------- judges
class BrokenJudge:
    """Fails in the way it was made to: `how` is raised when it is an exception, else returned."""

    name = "broken"

    def __init__(self, how: Any) -> None:
        self.how = how

    def judge(self, case: Case) -> Verdict:
        """Never a verdict one can use."""
        if isinstance(self.how, BaseException):
            raise self.how
        return self.how  # type: ignore[no-any-return]  # rubbish on purpose


BROKEN_VERDICTS = [
    pytest.param(ValueError("out of order"), "ValueError: out of order", id="raises"),
    pytest.param(None, "expected a Verdict", id="None"),
    pytest.param(3.0, "expected a Verdict", id="number"),
    pytest.param(Verdict("agreement", "broken", 1.0), "asked for was 'score'", id="kind"),
    pytest.param(Verdict("score", "broken", 5.1), "score lies in [0, 5]", id="above"),
    pytest.param(Verdict("score", "broken", -0.1), "score lies in [0, 5]", id="below"),
    pytest.param(Verdict("score", "broken", float("nan")), "score lies in [0, 5]", id="nan"),
    pytest.param(Verdict("score", "broken", "5"), "no record can hold", id="value-str"),  # type: ignore[arg-type]
    pytest.param(Verdict("score", "broken", 3.0, reason=7), "no record can hold", id="reason"),  # type: ignore[arg-type]
    pytest.param(Verdict("score", "broken", 3.0, raw=object()), "no record can hold", id="raw"),  # type: ignore[arg-type]
]
