"""Words as they come, for a person who watches `nego play`.

1. Where a person sits at the table, what they sit at hears the others: a screen's `hear`, or what an agent's `listener()` gives.
2. Else, with one episode and a terminal at stderr, its dialogue stands there while it grows, and goes when it is over.
3. Nobody else is streamed to: an agent's `watch` stays as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nego_env.run import Run
from nego_env.view import View

Hear = Callable[[View, str], None]


@contextmanager
def watched(run: Run, stage: object | None, *, alone: bool) -> Iterator[None]:
    """Has the run's agents tell their words to whoever watches. `alone`: one episode is played, and nothing else is shown."""
    streaming: list[Any] = [a.agent for a in {id(a.agent): a for a in run.agents}.values() if _can_stream(a.agent)]
    hear = _listener(run, stage) if streaming else None
    if hear is not None:
        with _telling(streaming, hear):
            yield
    elif streaming and alone and not run.one_at_a_time and sys.stderr.isatty():
        from nego_env.commands.growing import growing

        with growing() as hear, _telling(streaming, hear):
            yield
    else:
        yield


def _can_stream(agent: object) -> bool:
    return getattr(agent, "watch", False) is None


def _listener(run: Run, stage: object | None) -> Hear | None:
    if stage is not None:
        hear: Hear | None = getattr(stage, "hear", None)
        return hear
    for a in run.agents:
        if callable(listener := getattr(a.agent, "listener", None)):
            found: Hear | None = listener()
            return found
    return None


@contextmanager
def _telling(agents: list[Any], hear: Hear) -> Iterator[None]:
    for agent in agents:
        agent.watch = hear
    try:
        yield
    finally:
        for agent in agents:
            agent.watch = None
