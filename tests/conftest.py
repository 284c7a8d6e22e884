"""Hypothesis draws the same examples every time, so that a run is repeatable; `NEGO_HYPOTHESIS=explore` draws new ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("default"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("NEGO_HYPOTHESIS", "default"))
