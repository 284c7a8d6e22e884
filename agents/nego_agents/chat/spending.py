"""What was used, what it cost, and how much of either is allowed.

1. Tokens are what servers report; money is tokens times a price table that the user supplies (`NEGO_PRICES`, a JSON file).
2. A budget (`NEGO_BUDGET`, such as `calls=1000,tokens=2e6,money=5`) is shared by everything in this process that asks
   servers. A call is counted before it is sent; tokens and money when its answer is in, so that they can be overrun by
   what is in flight.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec

from nego_env.errors import BudgetError, RunError, SettingsError, unknown_name


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a million tokens cost, in any one currency."""

    input: float
    output: float
    cached: float | None = None
    """Of input the server had in its cache; `input` by default."""

    def cost(self, usage: Mapping[str, int]) -> float:
        """Of one answer."""
        read, cached = usage.get("prompt_tokens", 0), usage.get("cached_tokens", 0)
        cheap = self.input if self.cached is None else self.cached
        return ((read - cached) * self.input + cached * cheap + usage.get("completion_tokens", 0) * self.output) / 1e6


def read_prices(path: str | Path) -> dict[str, Price]:
    """Prices by model, from a JSON file: `{"gpt-4o-mini": {"input": 0.15, "output": 0.6}}`. Raises `SettingsError`."""
    try:
        prices = msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Price])
    except OSError as e:
        raise SettingsError(f"{path}: the price table cannot be read: {e.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise SettingsError(
            f'{path}: no price table: {e}; expected {{"MODEL": {{"input": 0.15, "output": 0.6}}}}'
        ) from None
    for model, price in prices.items():
        if not all(math.isfinite(x) and x >= 0 for x in (price.input, price.output, price.cached or 0.0)):
            raise SettingsError(f"{path}: {model}: a price is a number of at least 0")
    return prices


@dataclass
class Spent:
    """Sums over calls."""

    calls: int = 0
    """Sent, the failed ones among them."""
    answers: int = 0
    cached: int = 0
    """Answers that took no call."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, usage: Mapping[str, int], cost: float | None) -> None:
        """Count an answer."""
        self.answers += 1
        self.prompt_tokens += usage.get("prompt_tokens", 0)
        self.completion_tokens += usage.get("completion_tokens", 0)
        self.money += cost or 0.0


@dataclass
class Budget:
    """Limits on what is spent; None is no limit."""

    calls: int | None = None
    tokens: int | None = None
    money: float | None = None
    spent: Spent = field(default_factory=Spent)

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "money"):
            limit = getattr(self, name)
            if limit is not None and not (math.isfinite(limit) and limit >= 0):
                raise SettingsError(f"budget: {name} is {limit!r}, it must be at least 0")

    def admit(self) -> None:
        """Count a call that is about to be sent. Raises `BudgetError` when there is nothing left for it."""
        for name, limit in (("calls", self.calls), ("tokens", self.tokens), ("money", self.money)):
            if limit is not None and getattr(self.spent, name) >= limit:
                raise BudgetError(
                    f"the budget of {limit:,g} {name} is spent; raise it (NEGO_BUDGET) and run the same command with the same "
                    "--out to go on"
                )
        self.spent.calls += 1

    def add(self, usage: Mapping[str, int], cost: float | None, where: str) -> None:
        """Count an answer. Raises `RunError` where there are no tokens to count, and they are limited."""
        if not usage and (self.tokens is not None or self.money is not None):
            raise RunError(f"{where} does not say how many tokens it used: a budget of tokens or money cannot be kept")
        self.spent.add(usage, cost)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`calls=1000,tokens=2e6,money=5`. Raises `SettingsError` or `NotFoundError`."""
        limits: dict[str, float] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, _, value = part.partition("=")
            if name not in ("calls", "tokens", "money"):
                raise unknown_name("budget", name, ("calls", "tokens", "money"), hint="NEGO_BUDGET=calls=1000,money=5")
            try:
                limits[name] = float(value)
            except ValueError:
                raise SettingsError(f"budget: {name} is {value!r}, expected a number") from None
        return cls(**limits)  # type: ignore[arg-type]  # whole numbers compare as well as ints


@cache
def _shared(text: str) -> Budget:
    return Budget.parse(text)


def environment_budget() -> Budget:
    """The budget of NEGO_BUDGET: one for this process, whoever asks; without the variable there is no limit."""
    return _shared(os.environ.get("NEGO_BUDGET", ""))


def environment_price(model: str) -> Price | None:
    """The model's price in the table of NEGO_PRICES."""
    path = os.environ.get("NEGO_PRICES", "")
    return read_prices(path).get(model) if path else None
