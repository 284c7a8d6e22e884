"""The text fields of a text seat's observation, for one scenario."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nego_env.rules import Settings, Standing, State, Utterance
from nego_env.scenario import Kept, Scenario
from nego_env.view import rules_text
from nego_env.wording import NO_TABLE, issues_text, line_text, stakes_text, table_text

TEXT_KEYS = (
    "task", "issues", "persona", "stakes", "rules", "dialogue", "table", "published", "notice", "personas",
)  # fmt: skip
"""Text fields of a text seat's observation: the dilemma; what there is to settle; own objective; own scores; the rules;
the talk in the memory window; the deal on the table and its worth to the seat; published scores; what was wrong with
the seat's last tag; every persona (finalizer's turn only). Empty where there is nothing."""


class SeatWriter:
    """Text fields of one scenario. What does not change is put in words once; tables that come up again are kept."""

    def __init__(self, scenario: Scenario, settings: Settings, arrays: Sequence[str] = ()) -> None:
        """`arrays` are the fields that come before the texts."""
        self.scenario, self.settings = scenario, settings
        self._arrays = tuple(arrays)
        self._still: dict[int, dict[str, Any]] = {}
        self._kept_tables: Kept[tuple[int, Standing, tuple[bool, ...]], str] = Kept()
        self.speakers = [line_text(scenario, Utterance(name, 1, "dialogue", "-"))[:-1] for name in scenario.seat_ids]
        """What a seat's lines of dialogue begin with."""

    def still(self, seat: int) -> dict[str, Any]:
        """The arrays' fields (None) and every field of `TEXT_KEYS`, those that change over a match still empty."""
        if seat not in self._still:
            me = self.scenario.seats[seat]
            self._still[seat] = (
                dict.fromkeys(self._arrays)
                | dict.fromkeys(TEXT_KEYS, "")
                | {
                    "task": self.scenario.task,
                    "issues": issues_text(self.scenario),
                    "persona": me.persona,
                    "stakes": stakes_text(self.scenario, me.stakes),
                    "rules": rules_text(self.scenario, seat, self.settings.max_rounds),
                }
            )
        return self._still[seat]

    def table(self, state: State, seat: int) -> str:
        """`table_text`."""
        if state.standing is None:
            return NO_TABLE if self.scenario.issues else ""
        key = seat, state.standing, state.accepted
        found = self._kept_tables.get(key)
        return self._kept_tables.keep(key, table_text(state, seat)) if found is None else found
