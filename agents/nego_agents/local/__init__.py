"""Language models on this machine, through transformers. Torch is imported when an agent is made, not before."""

from __future__ import annotations

from nego_agents.local.agent import HFAgent
from nego_agents.local.sampling import Sampling

__all__ = ["HFAgent", "Sampling", "hf"]

hf = HFAgent
"""As it is registered."""
