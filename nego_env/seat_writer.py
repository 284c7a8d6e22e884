"""The text fields of a text seat's observation, for one scenario."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from nego_env.rules import Utterance
from nego_env.scenario import Scenario
from nego_env.settings import Settings
from nego_env.view import rules_text
from nego_env.wording import issues_text, line_text, stakes_text

TEXT_KEYS = (
    "task", "issues", "persona", "stakes", "rules", "dialogue", "table", "published", "notice", "personas",
)  # fmt: skip
"""Text fields of a text seat's observation: the dilemma; what there is to settle; own objective; own scores; the rules;
the talk in the memory window; the deal on the table and its worth to the seat; published scores; what was wrong with
the seat's last tag; every persona (finalizer's turn only). Empty where there is nothing."""


class SeatWriter:
    """Text fields of one scenario that do not change over a match, put in words once."""

    def __init__(self, scenario: Scenario, settings: Settings, arrays: Sequence[str] = ()) -> None:
        """`arrays` are the fields that come before the texts."""
        self.scenario, self.settings = scenario, settings
        self._arrays = tuple(arrays)
        self.speakers = [line_text(scenario, Utterance(name, 1, "dialogue", "-"))[:-1] for name in scenario.seat_ids]
        """What a seat's lines of dialogue begin with."""

    @cached_property
    def still(self) -> list[dict[str, Any]]:
        """By seat, the arrays' fields (None) and every field of `TEXT_KEYS`, those that change over a match still empty."""
        shared = {"task": self.scenario.task, "issues": issues_text(self.scenario)}
        return [
            dict.fromkeys(self._arrays)
            | dict.fromkeys(TEXT_KEYS, "")
            | shared
            | {
                "persona": me.persona,
                "stakes": stakes_text(self.scenario, me.stakes),
                "rules": rules_text(self.scenario, seat, self.settings.max_rounds),
            }
            for seat, me in enumerate(self.scenario.seats)
        ]
