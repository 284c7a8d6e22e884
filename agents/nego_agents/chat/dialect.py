"""The servers' dialects of one protocol: what they call the limit on tokens, and how thinking is switched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from nego_env.backend import Sampling
from nego_env.errors import SettingsError, unknown_name
from nego_env.messages import Message

Thinking = Literal["effort", "template", "openrouter", "none"]


@dataclass(frozen=True)
class Dialect:
    """One server software's ways."""

    name: str
    limit: str = "max_tokens"
    thinking: Thinking = "template"
    """`effort`: reasoning_effort, off as "none". `template`: chat_template_kwargs. `openrouter`: its own object."""
    asks_usage: bool = True
    """Counts tokens of a streamed answer where it is asked to."""
    marks_thinking: bool = False
    """Never sends thinking as if it were the answer."""

    def body(self, model: str, messages: Sequence[Message], sampling: Sampling, *, stream: bool) -> dict[str, Any]:
        """The request, in a fixed order of fields."""
        body: dict[str, Any] = {"model": model, "messages": [{"role": m.role, "content": m.content} for m in messages]}
        for name in ("temperature", "top_p", "seed"):
            if (value := getattr(sampling, name)) is not None:
                body[name] = value
        if sampling.max_tokens is not None:
            body[self.limit] = sampling.max_tokens
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.reasoning is not None:
            body |= self._reasoning(sampling.reasoning)
        if stream:
            body["stream"] = True
            if self.asks_usage:
                body["stream_options"] = {"include_usage": True}
        return body

    def _reasoning(self, wanted: str) -> dict[str, Any]:
        switch = wanted in ("on", "off")
        if self.thinking == "template":
            return (
                {"chat_template_kwargs": {"enable_thinking": wanted == "on"}}
                if switch
                else {"reasoning_effort": wanted}
            )
        if self.thinking == "openrouter":
            return {"reasoning": {"enabled": wanted == "on"} if switch else {"effort": wanted}}
        if self.thinking == "effort":
            return {"reasoning_effort": {"on": "medium", "off": "none"}.get(wanted, wanted)}
        raise SettingsError(
            f"reasoning={wanted}: {self.name} has no such setting in this protocol; set it in the server"
        )


DIALECTS = {
    d.name: d
    for d in (
        Dialect("openai", limit="max_completion_tokens", thinking="effort", marks_thinking=True),
        Dialect("openrouter", thinking="openrouter", marks_thinking=True),
        Dialect("ollama", thinking="effort"),
        Dialect("vllm"),
        Dialect("sglang"),
        Dialect("llama.cpp"),
        Dialect("lmstudio", thinking="none"),
        Dialect("transformers", asks_usage=False),
        Dialect("other", asks_usage=False),
    )
}
_HOSTS = {"api.openai.com": "openai", "openrouter.ai": "openrouter", "ollama.com": "ollama"}
_PORTS = {11434: "ollama", 1234: "lmstudio"}


def dialect(name: str, url: str) -> Dialect:
    """The dialect of that name, or else the one the URL gives away: a known host, or the usual port of a local server. Raises
    `NotFoundError`."""
    if name and name not in DIALECTS:
        raise unknown_name("server", name, DIALECTS)
    parts = urlsplit(url)
    told = _HOSTS.get(parts.hostname or "") or _PORTS.get(parts.port or 0, "other")
    return DIALECTS[name or told]
