"""The error tree. A wrong call is an exception at once; an episode that fails is data (a `StopReason`), never one of these.

NegoError
├── ScenarioError    (ValueError)   a scenario, pack or suite that does not hold together
├── SettingsError    (ValueError)   a setting out of range, or one that does not fit the scenario
├── MoveError        (ValueError)   a move or action of the wrong type, or one that cannot be
├── TranscriptError  (ValueError)   a transcript file that cannot be read, resumed or written
├── AgentError       (RuntimeError) an agent that broke its contract
├── JudgeError       (RuntimeError) a judge that broke its contract
├── BackendError     (RuntimeError) a language model gave no usable answer
├── RunError         (RuntimeError) what would fail every episode alike: it stops the run
├── BudgetError      (RuntimeError) the budget of calls, tokens or money is spent
├── NotFoundError    (LookupError)  no scenario, agent, judge or command of that name
└── MissingExtraError (ImportError) an optional dependency is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NegoError(Exception):
    """Base class of everything this package raises on purpose; the message is one line for a person."""


class ScenarioError(NegoError, ValueError):
    """A scenario, pack or suite that does not hold together."""


class SettingsError(NegoError, ValueError):
    """A setting out of range, or one that does not fit the scenario."""


class MoveError(NegoError, ValueError):
    """A move or action of the wrong type, or one that cannot be expressed."""


class TranscriptError(NegoError, ValueError):
    """A transcript file that cannot be read, resumed or written."""


class AgentError(NegoError, RuntimeError):
    """An agent that broke its contract. Inside an episode it is recorded; it stops only that episode."""


class JudgeError(NegoError, RuntimeError):
    """A judge that broke its contract. Inside an episode it is recorded; it stops only that episode."""


class BackendError(NegoError, RuntimeError):
    """A language model, or the server it is behind, gave no usable answer. Inside an episode it is recorded; it stops only
    that episode."""


class RunError(NegoError, RuntimeError):
    """Raised by an agent or a judge for what would fail every episode alike, such as a wrong key. It is not recorded as the
    end of an episode: it stops the run with its message, and the run can be resumed once the cause is gone."""


class BudgetError(NegoError, RuntimeError):
    """The budget of calls, tokens or money is spent. Inside an episode it is recorded as `budget`; it stops the run."""


class NotFoundError(NegoError, LookupError):
    """No scenario, agent, judge or command of that name."""


class MissingExtraError(NegoError, ImportError):
    """An optional dependency is not installed; the message names the install command."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> NotFoundError:
    """The error for a name nobody registered: the closest known ones first, then (when few) all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    message = f"unknown {kind} {name!r}"
    if close:
        message += f"; did you mean {' or '.join(repr(c) for c in close)}?"
    elif names:
        message += f"; known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
    if hint:
        message += f" ({hint})"
    return NotFoundError(message)


class Leave(NegoError):
    """Raised by an agent that a person is behind: they leave. The episode ends as `interrupted`, and so does the run."""
