"""What must be the same after something as it was before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from nego_env.conformance.samples import ConformanceError
from nego_env.scenario import Scenario, encode_scenario


@contextmanager
def global_randomness(whose: str) -> Iterator[None]:
    """Raises where the block moved or seeded a global generator."""
    before = random.getstate(), _numpy_state()
    yield
    for name, was, now in (("random", before[0], random.getstate()), ("numpy.random", before[1], _numpy_state())):
        if was != now:
            raise ConformanceError(
                f"{whose} breaks its promise: minds its own randomness: the global generator of {name} was used or seeded"
            )


def _numpy_state() -> tuple[str, bytes, int, int, float]:
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return str(name), np.asarray(keys).tobytes(), int(position), int(has_gauss), float(cached)


@contextmanager
def untouched(name: str, scenarios: list[Scenario]) -> Iterator[None]:
    """Raises where the block changed a scenario."""
    before = [encode_scenario(s) for s in scenarios]
    yield
    for s, was in zip(scenarios, before, strict=True):
        if encode_scenario(s) != was:
            raise ConformanceError(
                f"agent {name!r} breaks its promise: leaves the scenario alone: {s.id!r} was changed"
            )
