"""What the tests of chat servers share: a quick backend, and an environment without anybody's keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from stand_in import StandIn

from nego_agents.chat.agent import ChatAgent
from nego_agents.chat.backend import ChatBackend
from nego_agents.chat.patience import Patience
from nego_env.messages import Message

HELLO = (Message("system", "You are a mirror."), Message("user", "Hello?"))
QUICK = Patience(first=0.001, most=0.01)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys, prices, budgets or proxies of whoever runs this; a cache of its own."""
    for name in list(os.environ):
        if (
            name.upper().startswith(("OPENAI_", "NEGO_API_KEY", "NEGO_BUDGET", "NEGO_PRICES"))
            or "_proxy" in name.lower()
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NEGO_CACHE_DIR", str(tmp_path / "usual-cache"))


def backend(server: StandIn, options: str = "", **chosen: Any) -> ChatBackend:
    """Asks the stand-in, and is impatient."""
    chosen.setdefault("patience", QUICK)
    return ChatBackend(f"stand-in@{server.url},timeout=60,{options}".rstrip(","), **chosen)


def agent(server: StandIn, options: str = "", **chosen: Any) -> ChatAgent:
    """An agent over such a backend."""
    told = {k: chosen.pop(k) for k in ("budget", "price", "cache", "patience") if k in chosen}
    argument = f"stand-in@{server.url},timeout=60,{options}".rstrip(",")
    return ChatAgent(argument, backend=backend(server, options, **told), spec="stand-in", **chosen)


def register(site: Path) -> Path:
    """A folder for sys.path in which the chat agents are registered by their names."""
    about = site / "chat_names-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: chat-names\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[nego_env.agents]\nopenai = nego_agents.chat.agent:ChatAgent\nchat = nego_agents.chat.agent:ChatAgent\n"
        "[nego_env.backends]\nopenai = nego_agents.chat.backend:ChatBackend\nchat = nego_agents.chat.backend:ChatBackend\n"
    )
    return site
