"""Results as they are committed."""

from __future__ import annotations

import json
import math
from typing import Any

from experiments.recipe import RESULTS
from nego_trainers.intervals import Estimate


def told(e: Estimate) -> list[float] | None:
    """Value, low and high; None where there is no value."""
    return None if math.isnan(e.value) else [round(x, 4) for x in (e.value, e.low, e.high)]


def save(name: str, found: dict[str, Any]) -> None:
    """`results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
