"""Pairwise preference as in *Learning to Negotiate* (arXiv 2603.10476, sec. 4.2).

Two completions of one dilemma are put before a judge in both orders. A win counts only when the same completion is preferred
both times; pairs on which the orders disagree say more about the judge than about the completions, and are left out of the
rate and counted. The paper leaves open what a tie is: here one in both orders is a tie, also left out and counted.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from nego_env.accounting import TOLERANCE, collective_agency
from nego_env.errors import JudgeError, SettingsError, unknown_name
from nego_env.moves import agreed_deal
from nego_env.registry import load_python
from nego_env.rollout import run_blocking
from nego_env.scenario import Scenario
from nego_env.transcript import Transcript
from nego_trainers.intervals import RESAMPLES, Bootstrap, Estimate

Choice = Literal["a", "b", "tie"]
Outcome = Literal["win", "loss", "tie", "inconsistent"]
Aspect = Literal["ca", "resolution"]
"""What a prompted judge compares by: Collective Agency, or the quality of conflict resolution."""
_CHOICES = ("a", "b", "tie")


class PairwiseJudge(Protocol):
    """Anything that says which of two completions is better. `async def acompare` is used instead where there is one, for all
    pairs at once."""

    name: str

    def compare(self, scenario: Scenario, a: str, b: str) -> Choice:
        """The better completion for this dilemma (`scenario.task`) and the personas of its seats. What completions say is
        data. Raises rather than guess."""
        ...


class ExactPairwise:
    """Compares by exact Collective Agency: of the deal that each completion states; 0 for one that states none."""

    name = "exact"

    def compare(self, scenario: Scenario, a: str, b: str) -> Choice:
        """The completion whose deal has the higher CA. Raises `JudgeError` on an open dilemma."""
        if not scenario.issues:
            raise JudgeError(f"the exact judge compares deals; {scenario.id!r} is an open dilemma")
        first, second = (_agency(scenario, text) for text in (a, b))
        if abs(first - second) <= TOLERANCE:
            return "tie"
        return "a" if first > second else "b"


def _agency(scenario: Scenario, completion: str) -> float:
    deal, _ = agreed_deal(completion, scenario)
    return 0.0 if deal is None else collective_agency(scenario, deal)


def resolve_pairwise(judge: str, *, aspect: Aspect = "ca") -> PairwiseJudge:
    """A judge of pairs by name: `exact`, `prompted:openai:MODEL@URL`, `prompted:hf:MODEL`, `my_file.py:NAME` or `module:NAME`.

    Raises `NotFoundError`, `JudgeError`, and what the backend of a prompted judge raises."""
    name, colon, argument = judge.partition(":")
    if judge == "exact":
        return ExactPairwise()
    if name == "prompted":
        from nego_agents.judging.pairwise import PromptedPairwise

        if not argument:
            raise JudgeError("a prompted judge of pairs needs a model: prompted:openai:MODEL@URL or prompted:hf:MODEL")
        return PromptedPairwise(argument, aspect=aspect)
    if not colon:
        raise unknown_name("judge of pairs", judge, ("exact", "prompted:BACKEND"), hint="your own: my_file.py:MyJudge")
    found: Any = load_python(judge, "judge of pairs", JudgeError)
    made: Any = found() if inspect.isclass(found) else found
    if not any(callable(getattr(made, method, None)) for method in ("compare", "acompare")):
        raise JudgeError(f"a judge of pairs has a method compare(scenario, a, b), {type(made).__name__} has none")
    if not isinstance(getattr(made, "name", None), str):
        raise JudgeError(f"the judge of pairs {type(made).__name__} has no name")
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PairResult:
    """How two entries compare, seen from the left one."""

    left: str
    right: str
    wins: int
    losses: int
    ties: int
    inconsistent: int
    rate: Estimate
    """Wins over wins and losses, with its interval over scenarios."""
    unjudged: int = 0
    """Pairs on which the judge gave no verdict, left out."""
    why_unjudged: str | None = None
    """Of the first of these."""
    judge: str = "exact"
    """Who compared."""

    @property
    def compared(self) -> int:
        """Pairs with a verdict."""
        return self.wins + self.losses + self.ties + self.inconsistent


def both_orders(judge: PairwiseJudge, scenario: Scenario, left: str | None, right: str | None) -> Outcome:
    """The verdict on one pair, for the left completion. A negotiation without a completion (it failed) loses to one that has
    one, and ties with another; the judge is not asked. Raises `JudgeError` for an answer that is none."""
    return run_blocking(_both_orders(judge, scenario, left, right))


async def _both_orders(judge: PairwiseJudge, scenario: Scenario, left: str | None, right: str | None) -> Outcome:
    if not left or not right:
        return "tie" if not left and not right else "win" if left else "loss"
    forth, back = await asyncio.gather(_asked(judge, scenario, left, right), _asked(judge, scenario, right, left))
    if forth == "tie" and back == "tie":
        return "tie"
    if (forth, back) == ("a", "b"):
        return "win"
    return "loss" if (forth, back) == ("b", "a") else "inconsistent"


async def _asked(judge: PairwiseJudge, scenario: Scenario, a: str, b: str) -> str:
    acompare: Any = getattr(judge, "acompare", None)
    choice: str = await acompare(scenario, a, b) if acompare is not None else judge.compare(scenario, a, b)
    if choice not in _CHOICES:
        raise JudgeError(f"{judge.name}: compare returned {choice!r}, expected one of {', '.join(_CHOICES)}")
    return choice


async def _all_pairs(
    judge: PairwiseJudge, pairs: Sequence[tuple[Transcript, Transcript]]
) -> list[Outcome | JudgeError]:
    async def outcome(left: Transcript, right: Transcript) -> Outcome | JudgeError:
        try:
            return await _both_orders(judge, left.scenario, left.completion, right.completion)
        except JudgeError as e:
            return e

    return await asyncio.gather(*(outcome(*pair) for pair in pairs))


def compare(
    left: Iterable[Transcript],
    right: Iterable[Transcript],
    judge: PairwiseJudge | None = None,
    *,
    names: tuple[str, str] = ("left", "right"),
    resamples: int = RESAMPLES,
) -> PairResult:
    """Compare the completions of two sets of episodes, paired by (scenario, seed, index); `judge` is the exact one by default.

    Unscored episodes and those without a partner are left out. The completion is the one the reward was given for: none
    after a failed negotiation, unless it was asked for all the same (`complete="always"`). A pair without a verdict is left out
    and counted. Raises `SettingsError` where nothing pairs up, and `RunError` or `BudgetError` as the judge does.
    """
    rights = {_key(t): t for t in right if t.scored}
    pairs = [(t, rights[_key(t)]) for t in left if t.scored and _key(t) in rights]
    if not pairs:
        raise SettingsError(f"{names[0]} and {names[1]} have no episode of the same scenario and seed in common")
    chosen = judge or ExactPairwise()
    found = run_blocking(_all_pairs(chosen, pairs))
    failed = [v for v in found if isinstance(v, JudgeError)]
    by_scenario: dict[str, list[Outcome]] = {}
    for (t, _), verdict in zip(pairs, found, strict=True):
        if not isinstance(verdict, JudgeError):
            by_scenario.setdefault(t.scenario.content_hash, []).append(verdict)
    return PairResult(
        *names,
        wins=found.count("win"),
        losses=found.count("loss"),
        ties=found.count("tie"),
        inconsistent=found.count("inconsistent"),
        rate=_rate(list(by_scenario.values()), resamples),
        unjudged=len(failed),
        why_unjudged=str(failed[0]) if failed else None,
        judge=chosen.name,
    )


def _key(t: Transcript) -> tuple[str, int, int]:
    return t.scenario.content_hash, t.seed, t.index


def _rate(by_scenario: list[list[Outcome]], resamples: int) -> Estimate:
    if not by_scenario:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    worth = {"win": 1.0, "loss": 0.0}
    width = max(map(len, by_scenario))
    values = np.full((1, len(by_scenario), width), np.nan)
    for i, verdicts in enumerate(by_scenario):
        for k, v in enumerate(verdicts):
            values[0, i, k] = worth.get(v, np.nan)
    return Bootstrap([0] * len(by_scenario), resamples=resamples).estimate(values)
