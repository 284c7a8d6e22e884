"""The `nego scenarios` commands, one module each; heavy imports happen inside `run`."""

from __future__ import annotations

from typing import ClassVar

from nego_scenarios.commands.generating import Generate
from nego_scenarios.commands.importing import Import
from nego_scenarios.commands.listing import List
from nego_scenarios.commands.showing import Show
from nego_scenarios.commands.validating import Validate


class Scenarios:
    """List, show, generate, import and validate scenarios."""

    examples: ClassVar[str] = """
  nego scenarios list
  nego scenarios show thesis-deadline
  nego scenarios generate --out mine --count 100 --seed 7
  nego scenarios import casino casino.json --out camping
  nego scenarios validate mine
"""
    commands: ClassVar[dict[str, type]] = {
        "list": List,
        "show": Show,
        "generate": Generate,
        "import": Import,
        "validate": Validate,
    }
