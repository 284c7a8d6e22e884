"""A server's reply taken apart: strictly where it counts, leniently where servers differ."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from nego_agents.chat.faults import Empty, Fault, refused
from nego_agents.chat.listening import Habit, Listener, shown
from nego_agents.chat.patience import retry_after
from nego_agents.chat.server import Server
from nego_agents.chat.wire import Raw
from nego_env.backend import Answer

T = TypeVar("T")
_THINKING = re.compile(r"\s*<think(?:ing)?>(.*?)</think(?:ing)?>\s*", re.DOTALL)
_OPEN = re.compile(r"\s*<think(?:ing)?>")


class _Part(msgspec.Struct):
    text: str = ""


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


class _StreamChoice(msgspec.Struct):
    delta: _Message = msgspec.field(default_factory=_Message)
    finish_reason: str | None = None


class _Event(msgspec.Struct):
    choices: list[_StreamChoice] | None = None
    usage: Any = None
    error: Any = None


def read(raw: Raw, server: Server, model: str) -> Answer:
    """The answer in a reply. Raises `Fault` for any other than a good one."""
    if raw.status != 200:
        raise refused(raw.status, _error_words(raw.body), server, model, after=retry_after(raw.headers))
    reply = _decode(raw.body, _Reply, server)
    if reply.error is not None:
        _raise_error(reply.error, raw.headers, server, model)
    if not reply.choices:
        raise Fault(f"{server.host} sent a reply without a choice")
    choice = reply.choices[0]
    return _answer(
        _words(choice.message), _thought(choice.message), choice.finish_reason, _usage(reply.usage), server, model
    )


class Stream:
    """Server-sent events of one answer."""

    def __init__(
        self, server: Server, model: str, listener: Listener | None = None, habit: Habit | None = None
    ) -> None:
        """`habit`: what is known of the model's thinking, which decides what the listener is told when."""
        self._server, self._model, self._listener = server, model, listener
        self._habit = habit or Habit()
        self._rest = b""
        self._pieces: list[str] = []
        self._finish: str | None = None
        self._usage: Any = None
        self._thought = self._over = self._begun = False

    @property
    def begun(self) -> bool:
        """Something came."""
        return self._begun

    def feed(self, chunk: bytes) -> bool:
        """See `Feed`."""
        self._begun = True
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            field, _, value = line.strip().partition(b":")
            if field != b"data":
                continue  # comments keep a connection alive; other fields mean nothing here
            if value.strip() == b"[DONE]":
                self._over = True
            elif value.strip():
                self._event(_decode(value, _Event, self._server))
        return self._over

    def _event(self, event: _Event) -> None:
        if event.error is not None:
            _raise_error(event.error, {}, self._server, self._model)
        self._usage = event.usage if event.usage is not None else self._usage
        for choice in event.choices or ():
            self._finish = choice.finish_reason or self._finish
            self._thought |= _thought(choice.delta)
            if words := _words(choice.delta):
                self._pieces.append(words)
                self._show()

    def _show(self) -> None:
        if self._listener is not None:
            self._listener.so_far(shown("".join(self._pieces), self._habit, self._server.secrets))

    def answer(self) -> Answer:
        """The whole. Raises `Fault` for one that was cut off or is empty."""
        if not self._over and self._finish is None:
            raise Fault(f"{self._server.host} broke off in the middle of its answer")
        words = "".join(self._pieces)
        self._habit.learn(words)
        return _answer(words, self._thought, self._finish, _usage(self._usage), self._server, self._model)


def _answer(words: str, thought: bool, finish: str | None, usage: dict[str, int], server: Server, model: str) -> Answer:
    if finish == "content_filter":
        raise Fault(f"{server.host}: a content filter withheld the answer of {model}", passing=False)
    text, inline = without_thinking(words)
    text = server.secrets.conceal(text)
    if not text:
        if finish == "length" and (thought or inline or usage.get("reasoning_tokens")):
            raise Fault(
                f"{model} at {server.host} was still thinking when max_tokens ran out: give it more, or reasoning=off",
                passing=False,
            )
        raise Empty(f"{server.host} sent an answer without words", Answer("", finish, usage))
    return Answer(text, finish, usage)


def without_thinking(words: str) -> tuple[str, bool]:
    """The words after a leading block of thinking, and whether there was one; an unfinished one leaves none."""
    if (block := _THINKING.match(words)) is not None:
        return words[block.end() :].strip(), True
    if _OPEN.match(words):
        return "", True
    head, closed, tail = words.partition("</think>")  # templates that open the block in the prompt
    if closed and "<think" not in head:
        return tail.strip(), True
    return words.strip(), False


def _words(message: _Message) -> str:
    if isinstance(message.content, list):
        return "".join(part.text for part in message.content)
    return message.content or message.refusal or ""


def _thought(message: _Message) -> bool:
    return bool(message.reasoning_content or message.reasoning)


def _decode(body: bytes, kind: type[T], server: Server) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as e:
        raise Fault(f"{server.host} sent a reply of the wrong shape: {e}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:  # what a strict reader refuses and models do write: half a surrogate pair, broken UTF-8
        return msgspec.convert(json.loads(body.decode("utf-8", errors="replace")), kind)
    except msgspec.ValidationError as e:
        raise Fault(f"{server.host} sent a reply of the wrong shape: {e}") from None
    except (ValueError, RecursionError):
        if body.lstrip()[:1] == b"<":
            raise Fault(f"{server.host} answered with a web page; is {server.base} the base URL of an API?") from None
        raise Fault(f"{server.host} sent a reply that is no JSON ({len(body)} bytes)") from None


_COUNTS = ("prompt_tokens", "completion_tokens")
_DETAILS = (
    ("prompt_tokens_details", "cached_tokens"),
    ("completion_tokens_details", "reasoning_tokens"),
)


def _usage(reported: Any) -> dict[str, int]:
    """The counts that are counts."""
    if not isinstance(reported, dict):
        return {}
    found = {name: reported.get(name) for name in _COUNTS}
    for group, name in _DETAILS:
        details = reported.get(group)
        found[name] = details.get(name) if isinstance(details, dict) else None
    return {k: v for k, v in found.items() if type(v) is int and v >= 0 and (v or k in _COUNTS)}


def _error_words(body: bytes) -> str:
    """A server's error message, out of the usual wrappings; else its body, unless that is a page."""
    text = body[:20_000].decode("utf-8", errors="replace").strip()
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text
    return _words_in(found) or text


def _words_in(found: Any) -> str:
    if isinstance(found, dict):
        named = [found.get(k) for k in ("error", "message", "detail")]
        words = next((w for w in map(_words_in, named) if w), "")
        code = found.get("code") or found.get("type")
        return f"{words} ({code})" if words and isinstance(code, str) and code not in words else words
    if isinstance(found, list):
        return "; ".join(filter(None, map(_words_in, found[:3])))
    return found if isinstance(found, str) else ""


def _raise_error(error: Any, headers: Mapping[str, str], server: Server, model: str) -> NoReturn:
    """The fault behind an error that came with status 200."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    raise refused(status, _words_in(error) or str(error), server, model, after=retry_after(headers))
