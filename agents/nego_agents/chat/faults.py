"""What can go wrong with one call, in words that name the server and say what to do."""

from __future__ import annotations

import re
from http import HTTPStatus

from nego_agents.chat.server import Server
from nego_env.backend import Answer

_CONTEXT = re.compile(
    r"context[ _](?:length|window|size)|maximum context|exceeds? .{0,40}context|too many (?:input )?tokens|prompt is too long"
    r"|input is too long|n_ctx|longer than the maximum|exceed_context_size",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model.{0,80}(?:not[ _]found|does not exist|not exist|unknown|not available|no such)"
    r"|(?:unknown|no such|invalid).{0,10}model|model_not_found|server is pinned to",
    re.IGNORECASE | re.DOTALL,
)
_CREDIT = re.compile(r"insufficient_quota|insufficient.{0,20}(?:credit|balance|funds)|billing", re.IGNORECASE)
_PASSING = frozenset({408, 409, 421, 423, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 529})
_QUOTED = 200


class Fault(Exception):
    """One call that gave no answer. The message has no secrets in it."""

    def __init__(self, message: str, *, passing: bool = True, reached: bool = True, after: float | None = None) -> None:
        super().__init__(message)
        self.passing = passing
        """Another try may do better."""
        self.reached = reached
        """There is a server."""
        self.after = after
        """Seconds the server asked to wait."""


class Empty(Fault):
    """An answer without words: asked for again, and in the end believed."""

    def __init__(self, message: str, answer: Answer) -> None:
        super().__init__(message)
        self.answer = answer


def quoted(words: str, server: Server) -> str:
    """What a server said, in one short line without secrets."""
    line = server.secrets.scrub(" ".join(words.split()))
    return line if len(line) <= _QUOTED else f"{line[: _QUOTED - 3]}..."


def refused(status: int, said: str, server: Server, model: str, *, after: float | None = None) -> Fault:
    """The fault behind a status other than 200. `said`: the server's message, or its whole body."""
    told = quoted(said, server)
    its = f": {told}" if told else ""
    if status in (401, 403):
        return Fault(_key_fault(status, its, server), passing=False)
    if status == 402 or (status == 429 and _CREDIT.search(said)):
        return Fault(f"{server.host} asks for payment ({status}){its}", passing=False)
    if _CONTEXT.search(said) and status in (400, 413, 422, 500):
        return Fault(
            f"{server.host}: the context of {model} is full ({status}){its}; give the seats a shorter --memory, lower "
            "max_tokens, or serve the model with a longer context",
            passing=False,
        )
    if status == 404 or (status == 400 and _NO_MODEL.search(said)):
        if _NO_MODEL.search(said):
            return Fault(
                f"{server.host} has no model {model!r} ({status}){its}; {server.base}/models lists what it has",
                passing=False,
            )
        return Fault(
            f"{server.url} is not there (404){its}; is {server.base} the base URL? It usually ends in /v1",
            passing=False,
        )
    if status in _PASSING or status >= 500:
        return Fault(f"{server.host} answered {status} {_phrase(status)}{its}".replace("  ", " "), after=after)
    if 300 <= status < 400:
        return Fault(f"{server.host} answered {status}{its}", passing=False)
    return Fault(f"{server.host} refused the request ({status}){its}", passing=False)


def _key_fault(status: int, its: str, server: Server) -> str:
    if server.key_from:
        return f"{server.host} does not accept the key in {server.key_from} ({status}){its}; put a valid one there"
    return f"{server.host} asks for a key ({status}){its}; put one in {server.key_names}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def elsewhere(status: int, target: str, server: Server) -> Fault:
    """A redirect that is not followed."""
    return Fault(
        f"{server.host} redirects to {quoted(target, server)!r} ({status}), which is not followed, since the key is not for "
        "it; name that address as the base URL if it is the right one",
        passing=False,
    )
