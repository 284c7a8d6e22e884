"""Checks for what others add: call them in the tests of your own package.

    from nego_env.conformance import check_agent, check_judge, check_scenario

    def test_my_agent_keeps_its_promises() -> None:
        check_agent("my-agent", kinds=("structured",))

Each raises `ConformanceError` (an `AssertionError`) at the first promise that is broken, and says which one. An agent

1. *resolves*: it is found and made without arguments;
2. *refuses* with an `AgentError` the kind of dilemma it does not play;
3. *plays* every seat, at tables of two and of four, to an end with a reward, and writes the final plan where it has to;
4. *counts*: its tags are ones that count (no notices);
5. *minds its own randomness*: draws come from `view.rng`, the global generators stay as they were;
6. *leaves the scenario alone*;
7. *repeats itself*: same seed, same replies, also when episodes are interleaved;
8. *batches*: `act_batch` of many views answers each as it would alone;
9. *spawns* a fresh state for every episode and seat;
10. *closes* twice without complaint.

The promises of judges and scenarios stand at `check_judge` and `check_scenario`.
"""

from __future__ import annotations

from nego_env.conformance.agents import check_agent
from nego_env.conformance.judges import ATTACK, FILLER, check_judge
from nego_env.conformance.samples import KINDS, ConformanceError, Kind, sample_scenarios
from nego_env.conformance.scenarios import check_scenario

__all__ = [
    "ATTACK",
    "FILLER",
    "KINDS",
    "ConformanceError",
    "Kind",
    "check_agent",
    "check_judge",
    "check_scenario",
    "sample_scenarios",
]
