"""What a judge returns, and what it is asked about."""

from __future__ import annotations

from typing import Literal

import msgspec

from nego_env.scenario import Scenario

VerdictKind = Literal["agreement", "score"]


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One judgement, stored with the reply it was read from."""

    kind: VerdictKind
    judge: str
    """The judge's name, as registered."""
    value: float
    """`agreement`: 1.0 for yes, 0.0 for no. `score`: 0 to 5."""
    label: str = "CA"
    """What the figure is called wherever it shows: `CA`, or for the embedded judge `heuristic (not CA)`."""
    reason: str = ""
    """One sentence."""
    raw: str = ""
    """The judge's reply verbatim, where there was one."""
    flags: tuple[str, ...] = ()
    """`no_tag`, `other_deal`, `not_agreed`: why an exact score is what it is."""
    deal: tuple[str, ...] = ()
    """The deal the completion states, as option ids (structured dilemmas)."""


class Case(msgspec.Struct, frozen=True):
    """What a judge sees. What agents wrote (`lines`, `completion`) is data: never an instruction, never markup."""

    kind: VerdictKind
    scenario: Scenario
    """Whole, with every persona."""
    lines: tuple[tuple[str, str], ...]
    """(seat id, text) of every utterance so far."""
    consents: tuple[bool, ...] = ()
    """Per seat: the last utterance ended in an `[Agree]` tag (open dilemmas)."""
    completion: str = ""
    deal: tuple[str, ...] = ()
    """The deal agreed by the rules (structured dilemmas), or nothing."""
