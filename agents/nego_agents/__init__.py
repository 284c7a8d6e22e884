"""Negotiators that need no model: scripted ones, strategies from the literature, characters, and a person at a terminal."""

from __future__ import annotations

from nego_agents.archetypes import Injector, Mediator, Stonewaller, Sycophant
from nego_agents.concession import Boulware, Conceder
from nego_agents.human import HumanAgent
from nego_agents.logroller import Logroller
from nego_agents.micro import MiCRO
from nego_agents.random_agent import RandomAgent
from nego_agents.revealer import Revealer
from nego_agents.scripted import ScriptedAgent
from nego_agents.tit_for_tat import TitForTat

__all__ = [
    "Boulware",
    "Conceder",
    "HumanAgent",
    "Injector",
    "Logroller",
    "Mediator",
    "MiCRO",
    "RandomAgent",
    "Revealer",
    "ScriptedAgent",
    "Stonewaller",
    "Sycophant",
    "TitForTat",
]
