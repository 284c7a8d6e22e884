"""What the importers' tests share: the samples, the public files where there are some, and files to break."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nego_env.errors import ScenarioError
from nego_env.scenario import Scenario

SAMPLES = Path(__file__).parent / "samples"


def public(*parts: str) -> Path:
    """A path of the public data; skips the test where it is not there."""
    path = Path(os.environ.get("NEGO_DATA", ""), *parts)
    if not os.environ.get("NEGO_DATA") or not path.exists():
        pytest.skip(f"the public files are not part of the project: set NEGO_DATA to a folder with {'/'.join(parts)}")
    return path


def broken(load: Callable[[Path], object], path: Path) -> str:
    """The one line that a damaged file gets."""
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def worth(scenario: Scenario, seat: int, deal: str) -> float:
    """What a deal, as option ids, is worth to a seat: the plain sum."""
    stakes = scenario.seats[seat].stakes
    assert stakes is not None
    chosen = scenario.deal(deal.split())
    return sum(row[j] for row, j in zip(stakes.scores, chosen, strict=True))
