"""The paper's pairwise protocol: both orders, only consistent wins count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chat_support import clean_environment
from stand_in import StandIn

from nego_env.errors import JudgeError, NegoError, NotFoundError, RunError, SettingsError
from nego_env.scenario import Scenario
from nego_trainers.evaluate_command import Evaluate
from nego_trainers.pairwise import Choice, ExactPairwise, both_orders, compare, resolve_pairwise
from tests.support import bargain, dilemma, play

__all__ = ["clean_environment"]

BEST, FAIR, BAD = (f"We do this. [Agreed: {d}]" for d in ("A2 B2", "A2 B3", "A2 B1"))


class Says:
    """Answers by a rule over the two completions."""

    name = "says"

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.asked: list[tuple[str, str]] = []

    def compare(self, scenario: Scenario, a: str, b: str) -> Choice:
        """`first`, `longer`, or any answer verbatim."""
        self.asked.append((a, b))
        if self.rule == "first":
            return "a"
        if self.rule == "longer":
            return "tie" if len(a) == len(b) else "a" if len(a) > len(b) else "b"
        return self.rule  # type: ignore[return-value]


def test_a_win_needs_both_orders() -> None:
    scenario = dilemma()
    assert both_orders(Says("longer"), scenario, "long words", "short") == "win"
    assert both_orders(Says("longer"), scenario, "short", "long words") == "loss"
    assert both_orders(Says("longer"), scenario, "abc", "def") == "tie"
    biased = Says("first")
    assert both_orders(biased, scenario, "one", "two") == "inconsistent"
    assert biased.asked == [("one", "two"), ("two", "one")]
    assert both_orders(Says("tie"), scenario, "one", "two") == "tie"


def test_a_failed_negotiation_loses_without_the_judge_being_asked() -> None:
    judge = Says("first")
    assert both_orders(judge, dilemma(), "a plan", None) == "win"
    assert both_orders(judge, dilemma(), None, "a plan") == "loss"
    assert both_orders(judge, dilemma(), None, None) == "tie"
    assert judge.asked == []


def test_rubbish_is_no_verdict() -> None:
    with pytest.raises(JudgeError, match="returned 'maybe', expected one of a, b, tie"):
        both_orders(Says("maybe"), dilemma(), "one", "two")


def test_the_exact_judge_compares_deals() -> None:
    judge, scenario = ExactPairwise(), bargain()
    assert judge.compare(scenario, BEST, FAIR) == "a"
    assert judge.compare(scenario, FAIR, BEST) == "b"
    assert judge.compare(scenario, BAD, "no tag at all") == "tie"
    with pytest.raises(JudgeError, match="open dilemma"):
        judge.compare(dilemma(), "a", "b")


def test_a_field_of_pairs() -> None:
    best = play(bargain(), "[Propose: A2 B2]", "[Accept]")
    fair = play(bargain(), "[Propose: A2 B3]", "[Accept]")
    failed = play(bargain(), max_rounds=1)
    for left, right, found in (
        (best, fair, (1, 0, 0, 0)),
        (fair, best, (0, 1, 0, 0)),
        (best, best, (0, 0, 1, 0)),
        (failed, best, (0, 1, 0, 0)),
    ):
        result = compare([left], [right], names=("l", "r"))
        assert (result.wins, result.losses, result.ties, result.inconsistent) == found
        assert result.compared == 1
    assert compare([best], [fair]).rate[:3] == (1.0, 1.0, 1.0)
    assert compare([best], [best]).rate.n == 0
    biased = compare([best], [fair], Says("first"))
    assert (biased.inconsistent, biased.rate.n) == (1, 0)


def test_only_the_same_scenario_and_seed_pair_up() -> None:
    one = play(bargain(), "[Propose: A2 B2]", "[Accept]")
    other = play(bargain(max_rounds=3), "[Propose: A2 B2]", "[Accept]")
    with pytest.raises(SettingsError, match="l and r have no episode"):
        compare([one], [other], names=("l", "r"))


# ---------------------------------------------------------------- by name, and from the command line
def test_judges_of_pairs_have_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "class Mine:\n    name = 'mine'\n    def compare(self, scenario, a, b): return 'tie'\nnothing = 3\n"
    )
    assert isinstance(resolve_pairwise("exact"), ExactPairwise)
    assert resolve_pairwise(f"{file}:Mine").name == "mine"
    made = resolve_pairwise("prompted:openai:m@localhost:1", aspect="resolution")
    assert made.name.startswith("pairwise:m@localhost:1/pairwise-resolution-1.")
    with pytest.raises(JudgeError, match="needs a model: prompted:openai:MODEL@URL"):
        resolve_pairwise("prompted")
    with pytest.raises(NotFoundError, match="unknown judge of pairs 'exakt'; did you mean 'exact'"):
        resolve_pairwise("exakt")
    with pytest.raises(JudgeError, match="a judge of pairs has a method compare"):
        resolve_pairwise(f"{file}:nothing")


def prefers(words: str) -> Any:
    """A model that prefers the response with these words, and is of two minds where neither or both have them."""

    def reply(messages: list[dict[str, str]]) -> str:
        user = messages[1]["content"]
        one, two = (words in part.split("</response")[0] for part in user.split("<response_")[1:3])
        return "Which?" if one == two else f"It is better.\n{'A' if one else 'B'}"

    return reply


def pairs(tmp_path: Path, reply: Any, **flags: Any) -> tuple[dict[str, Any], int]:
    """The pairs of results.json, and how many calls it took."""
    with StandIn(reply=reply) as server:
        command = Evaluate(
            out=tmp_path / "table",
            resamples=10,
            json=True,
            pairs_judge=f"prompted:openai:stand-in@{server.url},retries=0",
            **flags,
        )
        assert command.run() == 0
        (found,) = json.loads((tmp_path / "table" / "results.json").read_text())["pairs"]
        return found, server.calls


def test_a_prompted_judge_compares_structured_dilemmas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every answer is A, whatever stands first: no verdict is consistent. Two negotiations that failed lose unasked."""
    found, calls = pairs(tmp_path, lambda _: "A", agents=("revealer", "premature"), scenarios=2)
    assert [found[k] for k in ("wins", "losses", "ties", "inconsistent", "unjudged")] == [2, 0, 0, 2, 0]
    assert calls == 4
    assert found["judge"].startswith("pairwise:stand-in@127.0.0.1")
    assert json.loads(capsys.readouterr().out)["pairs"] == [found]


def agrees(words: str) -> str:
    """The text of an agent for open dilemmas."""
    return f"def agent(view):\n    return {words!r} if view.phase == 'completion' else 'Let us do that. [Agree]'\n"


def open_pair(tmp_path: Path) -> dict[str, Any]:
    """Two agents on open dilemmas whose plans differ, as flags."""
    for name, words in (("left", "We sail together on Friday."), ("right", "We will see about it.")):
        (tmp_path / f"{name}.py").write_text(agrees(words))
    agents = (f"{tmp_path / 'left.py'}:agent", f"{tmp_path / 'right.py'}:agent")
    return {"agents": agents, "suite": "open", "scenarios": 2, "judge": "heuristic", "seating": "given"}


def test_open_dilemmas_are_compared_in_both_orders(tmp_path: Path) -> None:
    found, calls = pairs(tmp_path, prefers("Friday"), **open_pair(tmp_path))
    assert (found["wins"], found["losses"], found["inconsistent"], found["unjudged"]) == (2, 0, 0, 0)
    assert found["win_rate"]["mean"] == 1.0
    assert calls == 4


def test_pairs_that_could_not_be_decided_are_unjudged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = open_pair(tmp_path)
    found, calls = pairs(tmp_path, prefers("neither says this"), **flags)
    assert (found["wins"], found["losses"], found["unjudged"], found["win_rate"]) == (0, 0, 2, None)
    assert "asked twice" in found["why_unjudged"]
    assert calls == 8
    capsys.readouterr()
    with StandIn(reply=prefers("neither says this")) as server:
        judge = f"prompted:openai:stand-in@{server.url}"
        assert Evaluate(out=tmp_path / "table", resamples=10, pairs_judge=judge, **flags).run() == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "unjudged" in told
    assert "2 without a verdict; the first: asked twice" in told


def test_a_judge_that_stops_the_run_costs_the_pairs_alone(tmp_path: Path) -> None:
    command = Evaluate(
        out=tmp_path / "table", resamples=10, pairs_judge="prompted:openai:m@http://127.0.0.1:1", **open_pair(tmp_path)
    )
    with pytest.raises(RunError, match=r"127\.0\.0\.1:1 refuses connections"):
        command.run()
    assert len(json.loads((tmp_path / "table" / "results.json").read_text())["entries"]) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"pairs": True, "suite": "open", "judge": "heuristic"},
            "is an open dilemma, on which nothing is exact: say who",
        ),
        ({"pairs_judge": "nobody"}, "unknown judge of pairs 'nobody'"),
    ],
)
def test_mistakes_are_told_before_anything_is_played(tmp_path: Path, flags: dict[str, Any], message: str) -> None:
    with pytest.raises(NegoError, match=message):
        Evaluate(**{"agents": ("mediator", "sycophant"), "out": tmp_path / "x", **flags}).run()
    assert not (tmp_path / "x").exists()
