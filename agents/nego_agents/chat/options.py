"""What may stand after `openai:` on a command line: `MODEL@BASE_URL`, then options: `openai:qwen3@localhost:8000,top_p=0.9`."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from nego_env.backend import Sampling
from nego_env.errors import AgentError, SettingsError, unknown_name

_URL_BEGINS = re.compile(r"@(?=https?://)", re.IGNORECASE)
_SECRET = ("key", "token", "secret", "password", "authorization", "bearer")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True)
class Options:
    """Where a model is and how it is asked."""

    model: str = ""
    """As the server calls it."""
    url: str = ""
    """Base URL; empty is the environment's OPENAI_BASE_URL, or else OpenAI."""
    server: str = ""
    """Which software answers (`Dialect`); by default told from the URL."""
    temperature: float | None = None
    """For this and the next three: the server's own by default."""
    top_p: float | None = None
    seed: int | None = None
    reasoning: str | None = None
    """Thinking: `off`, `on`, or `low`, `medium`, `high` where the server knows them."""
    max_tokens: int = 1024
    """Of an utterance and of the final answer, thinking included."""
    completion_temperature: float | None = None
    """For the final answer; `temperature` by default."""
    style: str = "full"
    """`full` or `brief`."""
    guidance: bool = True
    """Tell a seat what a good resolution is (the paper's three points); False leaves it to the rules."""
    system: str = ""
    """A text file whose words are added to the system message; {name}, {persona} and {task} are filled in."""
    repairs: int = 1
    """How often a message with a malformed tag is asked for again before it is sent."""
    stream: bool | None = None
    """Have the words sent as they come, which also has idle time-outs bind each piece; by default where a person watches."""
    timeout: float = 600.0
    """Seconds one call may take."""
    idle_timeout: float = 300.0
    """Seconds without a byte from the server."""
    retries: int = 6
    """How often a call that failed in passing is made again."""
    concurrency: int = 64
    """Calls in flight to one host."""

    @classmethod
    def parse(cls, argument: str, name: str = "openai") -> Options:
        """Raises `NotFoundError` for an unknown option, `AgentError` for a value of the wrong kind or no model."""
        place, *pairs = argument.split(",")
        model, url = _place(place)
        if not model:
            raise AgentError(f"{name} needs a model: {name}:MODEL@BASE_URL, such as {name}:qwen3:8b@localhost:11434/v1")
        found: dict[str, object] = {"model": model, "url": url}
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name not in ("model", "url")}
        for pair in pairs:
            option, _, value = pair.partition("=")
            if option not in kinds and any(word in option.lower() for word in _SECRET):
                raise AgentError(f"{name}: keys come from the environment only (NEGO_API_KEY), never from a name")
            if option not in kinds:
                raise unknown_name(f"option of {name}", option, kinds, hint=f"{name}:MODEL@URL,temperature=0.7")
            found[option] = _value(name, option, kinds[option], value)
        return cls(**found)  # type: ignore[arg-type]  # each value has been made of its field's type

    def __post_init__(self) -> None:
        for what, value, least in (
            ("timeout", self.timeout, 0.001),
            ("idle_timeout", self.idle_timeout, 0.001),
            ("retries", self.retries, 0),
            ("concurrency", self.concurrency, 1),
            ("repairs", self.repairs, 0),
        ):
            if not value >= least:
                raise SettingsError(f"{what} is {value}, it must be at least {least:g}")

    @property
    def sampling(self) -> Sampling:
        """For utterances. Raises `SettingsError` for values out of range."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            reasoning=self.reasoning,
        )

    @property
    def completion_sampling(self) -> Sampling:
        """For the final answer."""
        chosen = self.temperature if self.completion_temperature is None else self.completion_temperature
        return Sampling(
            temperature=chosen, top_p=self.top_p, max_tokens=self.max_tokens, seed=self.seed, reasoning=self.reasoning
        )


def _place(place: str) -> tuple[str, str]:
    """Model and URL; a model's own name may hold an `@`."""
    at = _URL_BEGINS.search(place)
    if at is not None:
        return place[: at.start()], place[at.end() :]
    head, _, tail = place.rpartition("@")
    return (head, tail) if head else (place, "")


def _value(name: str, option: str, kind: str, value: str) -> object:
    if kind.startswith("bool"):
        if value.lower() not in (*_TRUE, *_FALSE):
            raise AgentError(f"{name}: {option} is {value!r}, expected yes or no")
        return value.lower() in _TRUE
    number = float if "float" in kind else int if "int" in kind else str
    try:
        return number(value)
    except ValueError:
        raise AgentError(f"{name}: {option} is {value!r}, expected a number ({number.__name__})") from None
