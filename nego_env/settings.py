"""How an episode is played: rounds, memory, rewards, completions, codecs, judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

import msgspec

from nego_env.errors import SettingsError
from nego_env.moves import MAX_CHARS
from nego_env.scenario import Scenario

CodecName = Literal["text", "act"]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an episode is played; fully resolved (`resolve`), stored in the transcript."""

    max_rounds: int
    memory: int | None
    """Rounds of talk a seat sees (the last `memory` x n utterances); None is all. The paper's runs use 2."""
    selfishness: float
    """s in [0, 1]; 0 rewards the score alone."""
    completion: Literal["write", "render"]
    complete: Literal["agreement", "always"]
    """`always` also asks for a completion after the cap: scored as a metric, reward 0 all the same."""
    max_chars: int
    codecs: tuple[CodecName, ...]
    judge: str


class Options(TypedDict, total=False):
    """Settings as a caller may name them, but for codecs and judge; `resolve` has their defaults, `Settings` their meaning."""

    max_rounds: int | None
    memory: int | None
    selfishness: float
    completion: Literal["write", "render"] | None
    complete: Literal["agreement", "always"]
    max_chars: int


def resolve(
    scenario: Scenario,
    *,
    codecs: CodecName | Sequence[CodecName] = "text",
    judge: str | None = None,
    max_rounds: int | None = None,
    memory: int | None = None,
    selfishness: float = 0.0,
    completion: Literal["write", "render"] | None = None,
    complete: Literal["agreement", "always"] = "agreement",
    max_chars: int = MAX_CHARS,
) -> Settings:
    """Settings with the scenario's own defaults filled in. Raises `SettingsError` for one out of range or out of place."""
    structured = scenario.kind == "structured"
    seats = (codecs,) * scenario.n if isinstance(codecs, str) else tuple(codecs)
    settings = Settings(
        max_rounds=scenario.protocol.max_rounds if max_rounds is None else max_rounds,
        memory=memory,
        selfishness=float(selfishness),
        completion=completion or ("render" if structured else "write"),
        complete=complete,
        max_chars=max_chars,
        codecs=seats,
        judge=judge or ("exact" if structured else "heuristic"),
    )
    check_settings(scenario, settings)
    return settings


def check_settings(scenario: Scenario, s: Settings) -> None:
    """Raises `SettingsError` for a setting out of range, or one that does not fit the scenario."""
    where = f"scenario {scenario.id!r}"
    structured = scenario.kind == "structured"
    for name, value in (("max_rounds", s.max_rounds), ("memory", s.memory), ("max_chars", s.max_chars)):
        if not isinstance(value, int) and not (name == "memory" and value is None):
            raise SettingsError(f"{name} is {value!r}, it must be an int{' or None' if name == 'memory' else ''}")
    if s.max_rounds < 1:
        raise SettingsError(f"max_rounds is {s.max_rounds}, it must be at least 1")
    if s.memory is not None and s.memory < 1:
        raise SettingsError(f"memory is {s.memory}, it must be at least 1 round, or None for everything")
    if not 0.0 <= s.selfishness <= 1.0:
        raise SettingsError(f"selfishness is {s.selfishness:g}, it must lie in [0, 1]")
    if s.selfishness > 0 and not structured:
        raise SettingsError(f"{where} is an open dilemma: nobody has private scores, so selfishness must be 0")
    if s.max_chars < 80:
        raise SettingsError(f"max_chars is {s.max_chars}, it must be at least 80")
    if s.completion not in ("write", "render"):
        raise SettingsError(f"completion is {s.completion!r}, it must be 'write' or 'render'")
    if s.complete not in ("agreement", "always"):
        raise SettingsError(f"complete is {s.complete!r}, it must be 'agreement' or 'always'")
    if len(s.codecs) != scenario.n or any(c not in ("text", "act") for c in s.codecs):
        raise SettingsError(f"{where} has {scenario.n} seats; codecs must be 'text', 'act' or one of them per seat")
    if not structured and s.completion == "render":
        raise SettingsError(f"{where} is an open dilemma: there is no deal to render a completion from; use 'write'")
    if not structured and "act" in s.codecs:
        raise SettingsError(f"{where} is an open dilemma: it has no acts to choose from; use text seats")
    if not structured and s.judge == "exact":
        raise SettingsError(f"{where} is an open dilemma: it has no scores for the exact judge; use another judge")
