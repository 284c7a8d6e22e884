"""Judges of the core: exact (structured dilemmas) and heuristic (open ones, plumbing only).

A judge answers one question at a time (`Case`): has one concrete plan been agreed, or how good is the completion, 0 to 5.
"""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

from nego_env.accounting import collective_agency
from nego_env.errors import JudgeError
from nego_env.moves import agreed_deal
from nego_env.verdict import Case, Verdict


@runtime_checkable
class Judge(Protocol):
    """Anything with a name and a `judge` method. `async def ajudge(case)` is used instead where there is one."""

    name: str

    def judge(self, case: Case) -> Verdict:
        """The verdict on one case, of the kind asked for. Raises rather than guess: the episode then has no reward."""
        ...


class ExactJudge:
    """Scores the deal stated in the completion's `[Agreed: ...]` tag (`nego_env.accounting`). Structured dilemmas only.

    A missing tag (`no_tag`) or a deal other than the one agreed (`other_deal`) scores 0. With no deal agreed, which
    happens under `complete="always"`, the stated deal is scored and flagged `not_agreed`: a metric, never a reward.
    """

    name = "exact"

    def judge(self, case: Case) -> Verdict:
        """The exact Collective Agency of the stated deal, in [0, 5]."""
        if case.kind != "score" or not case.scenario.issues:
            raise JudgeError(f"the exact judge scores deals; it cannot judge {case.kind} of {case.scenario.id!r}")
        deal, fault = agreed_deal(case.completion, case.scenario)
        if deal is None:
            return Verdict("score", self.name, 0.0, reason=fault or "", flags=("no_tag",))
        stated = case.scenario.ids(deal)
        if case.deal and stated != case.deal:
            reason = f"the completion states {' '.join(stated)}, agreed was {' '.join(case.deal)}"
            return Verdict("score", self.name, 0.0, reason=reason, flags=("other_deal",), deal=stated)
        ca = collective_agency(case.scenario, deal)
        flags = () if case.deal else ("not_agreed",)
        return Verdict("score", self.name, ca, reason=f"exact account of {' '.join(stated)}", flags=flags, deal=stated)


class HeuristicJudge:
    """A stand-in for a language-model judge on open dilemmas: it makes the machinery run offline and measures nothing.

    Agreement is an explicit `[Agree]` from every seat in one round. The figure counts plain signs of substance in the
    completion (length, a number or a date, who does what, every seat named) and is labelled so wherever it shows.
    """

    name = "heuristic"
    label = "heuristic (not CA)"

    def judge(self, case: Case) -> Verdict:
        """Agreement by `[Agree]` tags, or a figure in {0, ..., 5} that is not Collective Agency."""
        if case.kind == "agreement":
            agreed = bool(case.consents) and all(case.consents)
            reason = (
                "every seat ended the round with [Agree]" if agreed else "not every seat ended the round with [Agree]"
            )
            return Verdict("agreement", self.name, float(agreed), label=self.label, reason=reason)
        text = case.completion
        words = len(re.findall(r"\w+", text))
        signs = (
            words >= 8,
            words >= 25,
            bool(re.search(r"\d|\b(?:by|until|before|after|every|each)\b", text, re.IGNORECASE)),
            bool(re.search(r"\b(?:will|shall|agree[sd]?|must)\b", text, re.IGNORECASE)),
            all(seat.name.casefold() in text.casefold() for seat in case.scenario.seats),
        )
        reason = f"{sum(signs)} of 5 surface signs of a plan; no judgement of its worth"
        return Verdict("score", self.name, float(sum(signs)), label=self.label, reason=reason)
