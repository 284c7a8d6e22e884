"""Language models in a list of agents: `hf:MODEL,temperature=0.7` (their options are `nego_agents.local.options`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

KIND = "hf"
DEFAULT_MODEL = "nego-tiny"


def is_model(name: str) -> bool:
    """The name stands for a language model on this machine."""
    return name == KIND or name.startswith(f"{KIND}:")


def with_temperatures(names: Iterable[str], temperatures: Sequence[float]) -> list[str]:
    """Every language model that names no temperature of its own, once for each of these; other names as they are, once."""
    found: list[str] = []
    for name in names:
        model = name.partition(":")[2] or DEFAULT_MODEL
        options = [part.partition("=")[0].strip() for part in model.split(",")[1:]]
        if is_model(name) and temperatures and "temperature" not in options:
            found += [f"{KIND}:{model},temperature={t:g}" for t in temperatures]
        else:
            found.append(name)
    return list(dict.fromkeys(found))
