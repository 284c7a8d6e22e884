"""Parameters of the shipped agents: what may stand after the colon in a name, and how a changed one shows in it."""

from __future__ import annotations

import inspect
import math
from typing import Any

from nego_env.errors import AgentError


def number(
    name: str,
    what: str,
    value: float | str,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
) -> float:
    """`value` as a finite number above `above`, at least `least` and at most `most`. Raises `AgentError` saying so."""
    bounds = [
        text
        for text, bound in ((f"above {above:g}", above), (f"at least {least:g}", least), (f"at most {most:g}", most))
        if math.isfinite(bound)
    ]
    try:
        x = float(value)
    except (TypeError, ValueError):
        x = math.nan
    if not (math.isfinite(x) and above < x and least <= x <= most):
        raise AgentError(f"{name}: {what} is a number {' and '.join(bounds)}; found {value!r}")
    return x


def no_argument(name: str, argument: str) -> None:
    """Raises `AgentError` when something stands after the colon of an agent that takes nothing there."""
    if argument:
        raise AgentError(f"{name} takes no argument, found {name}:{argument}; write {name}")


def spec_of(agent: Any, name: str) -> str:
    """The name, with the keyword parameters that differ from their defaults: `revealer`, `revealer(margin=0.2)`.

    Every keyword-only parameter of the agent's class must be kept as an attribute of the same name.
    """
    changed = [
        f"{p.name}={getattr(agent, p.name)!r}"
        for p in inspect.signature(type(agent)).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY and getattr(agent, p.name) != p.default
    ]
    return f"{name}({', '.join(changed)})" if changed else name
