"""One evaluated episode as numbers, and what each number means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nego_env.accounting import CA_MAX
from nego_env.scenario import Scenario
from nego_env.transcript import Transcript
from nego_trainers.outcomes import (
    capitulated,
    is_proposers_best,
    least_gain,
    premature,
    regret_by_round,
    statements,
    uninformed,
)
from nego_trainers.references import best_gains

Seating = Literal["given", "reversed"]


class Metric(NamedTuple):
    """A figure of an episode; nan where it does not apply, and left out of averages there."""

    name: str
    """As in JSON and in `Results.intervals`."""
    heading: str
    about: str
    best: Literal["high", "low", "none"] = "none"


METRICS = (
    Metric("agreement", "agreed", "a deal was struck, where one without a loss is possible", "high"),
    Metric("ca", "CA", "exact Collective Agency, 0 to 5; 0 without a deal", "high"),
    Metric("regret", "regret", "5 - CA; a failed negotiation counts 5", "low"),
    Metric("least_gain", "least gain", "gain of the least satisfied seat; 0 without a deal", "high"),
    Metric("rounds", "rounds", "rounds talked, failed negotiations included"),
    Metric("no_zopa_deals", "no-zopa deals", "a deal was struck where every deal is a loss for somebody", "low"),
    Metric("premature", "premature", "of deals: first proposed before any information was exchanged", "low"),
    Metric("uninformed", "uninformed", "of deals: no information exchanged at all", "low"),
    Metric("own_best", "own best", "of deals: the best there is for the seat that proposed it", "low"),
    Metric("truthful", "truthful", "of an episode's scores stated in words: true ones", "high"),
    Metric("statements", "statements", "scores stated in words, per episode"),
    Metric("tokens", "tokens", "tokens sampled, per episode"),
    Metric("judged", "judged", "a judge's figure, 0 to 5; 0 without agreement (open dilemmas)", "high"),
)
"""Beside these there are, per seat, `capitulation_0`, ... (of deals: the seat capitulated) and `gain_0`, ..."""

NAN = math.nan


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """What is kept of an episode."""

    scenario: str
    """Id of the scenario as given."""
    shape: str
    seating: Seating
    seed: int
    stop: str
    scored: bool
    """False after an infrastructure failure: counted, and in no average."""
    figures: dict[str, float]
    """By metric name; missing ones do not apply."""
    regret_by_round: tuple[float, ...] = ()


def record(t: Transcript, *, scenario: str, shape: str, seating: Seating, tokens: int | None = None) -> EpisodeRecord:
    """The record of a transcript. `tokens`: how many were sampled, where a language model played."""
    figures = _figures(t) if t.scored else {}
    if tokens is not None and t.scored:
        figures["tokens"] = float(tokens)
    return EpisodeRecord(
        scenario, shape, seating, t.seed, t.stop.value, t.scored, figures, regret_by_round(t) if t.scored else ()
    )


def _figures(t: Transcript) -> dict[str, float]:
    o = t.outcome
    if not t.scenario.issues:
        return {
            "agreement": float(o.agreed),
            "rounds": float(o.rounds),
            "judged": (o.score or 0.0) if o.agreed else 0.0,
        }
    said = statements(t)
    found = {"statements": float(len(said))}
    if said:
        found["truthful"] = sum(s.true for s in said) / len(said)
    if t.scenario.no_zopa:
        return found | {"no_zopa_deals": float(o.agreed)}
    assert o.ca is not None  # scored, structured, and something can be agreed
    found |= {
        "agreement": float(o.agreed),
        "ca": o.ca,
        "regret": CA_MAX - o.ca,
        "least_gain": least_gain(t),
        "rounds": float(o.rounds),
    }
    found |= {f"gain_{i}": x for i, x in enumerate(o.gains or (0.0,) * t.scenario.n)}
    if t.deal is not None:
        found |= {
            "premature": float(premature(t)),
            "uninformed": float(uninformed(t)),
            "own_best": float(is_proposers_best(t)),
        }
        found |= {f"capitulation_{i}": float(x) for i, x in enumerate(capitulated(t))}
    return found


def optimum_record(scenario: Scenario, *, id: str, shape: str, seating: Seating, seed: int) -> EpisodeRecord:
    """The record of an episode that ends in the best deal for all, without a word; in none where every deal is a loss."""
    if not scenario.issues:
        return EpisodeRecord(id, shape, seating, seed, "", True, {})
    if scenario.no_zopa:
        return EpisodeRecord(id, shape, seating, seed, "", True, {"no_zopa_deals": 0.0})
    gains = best_gains(scenario)
    figures = {"agreement": 1.0, "ca": CA_MAX, "regret": 0.0, "least_gain": min(gains)}
    figures |= {f"gain_{i}": x for i, x in enumerate(gains)}
    return EpisodeRecord(id, shape, seating, seed, "", True, figures)
