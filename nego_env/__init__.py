"""nego-env: negotiation as a PettingZoo environment.

Persona-conditioned agents argue a dilemma in turns; the reward is the Collective Agency of what they agree on
(*Learning to Negotiate*, arXiv 2603.10476).

    from nego_env import play
    print(play("thesis-deadline", ["mediator", "sycophant"]))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pettingzoo as _pettingzoo

from nego_env.aec import env, raw_env
from nego_env.agents import Agent, Reply
from nego_env.errors import NegoError
from nego_env.moves import Act, Move
from nego_env.packs import load_scenario, open_suite
from nego_env.parallel import parallel_env
from nego_env.rules import StopReason
from nego_env.scenario import Scenario
from nego_env.seat_env import SeatEnv
from nego_env.transcript import Transcript
from nego_env.verdict import Verdict
from nego_env.view import View

if TYPE_CHECKING:
    from nego_env.rollout import play

__version__ = "0.1.0"

__all__ = [
    "Act",
    "Agent",
    "Move",
    "NegoError",
    "Reply",
    "Scenario",
    "SeatEnv",
    "StopReason",
    "Transcript",
    "Verdict",
    "View",
    "env",
    "load_scenario",
    "open_suite",
    "parallel_env",
    "play",
    "raw_env",
]

# A name in a dict, so that `pettingzoo.make("aec", "negotiation/negotiation-v0")` works; PettingZoo has it from 1.27.
if hasattr(_pettingzoo, "register") and "negotiation/negotiation-v0" not in _pettingzoo.aec_registry:
    _pettingzoo.register("aec", "negotiation/negotiation-v0", "nego_env.aec:env")
    _pettingzoo.register("parallel", "negotiation/negotiation-v0", "nego_env.parallel:parallel_env")


def __getattr__(name: str) -> Any:
    """`play` is imported when first used: the engine brings asyncio, which a PettingZoo loop never needs."""
    if name == "play":
        from nego_env.rollout import play

        return play
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
