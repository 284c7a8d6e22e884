"""The `nego agents` command."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Agents:
    """List the agents that can be named on the command line."""

    json: bool = False
    """One JSON object a line: `name`, `summary`, `source` (`module:name`)."""

    examples: ClassVar[str] = "nego agents\nnego agents --json"

    def run(self) -> int:
        """Print one line per registered agent; 0."""
        agents = listed()
        if self.json:
            for agent in agents:
                print(json.dumps(agent, ensure_ascii=False, sort_keys=True))
            return 0
        width = max((len(a["name"]) for a in agents), default=0)
        for agent in agents:
            print(f"{agent['name']:<{width}}  {agent['summary']}")
        print("\nYour own: my_file.py:my_agent or package.module:name.")
        return 0


def listed() -> list[dict[str, str]]:
    """Every registered agent by name, with the first line of its docstring, or why it cannot be loaded."""
    from nego_env.errors import NegoError
    from nego_env.registry import entry_points, load_entry_point
    from nego_env.safe_text import visible

    agents = []
    for name, entry in sorted(entry_points("nego_env.agents").items()):
        try:
            summary = (inspect.getdoc(load_entry_point(entry)) or "").partition("\n")[0]
        except NegoError as e:
            summary = f"cannot be loaded: {e}"
        agents.append(
            {"name": visible(name, newlines=False), "summary": visible(summary, newlines=False), "source": entry.value}
        )
    return agents
