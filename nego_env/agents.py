"""What an agent is: anything that turns a `View` into a move.

    def my_agent(view): return "I would settle for less. [Accept]"

Any callable is an agent, and so is an object with `act`. Beside `act`, an agent may have

1. `act_batch(views)`: all pending views at once, a list of replies in the same order (local models);
2. `async aact(view)`: awaited, many at a time (endpoints);
3. `spawn(seat, scenario)`: a fresh agent for one episode and seat, for agents with state; `scenario` is what that seat
   may know of it. Not called on an agent with `act_batch`, which sees `view.episode` and `view.seat`;
4. `close()`: called once for everything spawned, when its episode ends;
5. `kinds`: the kinds of dilemma it can play, such as `("structured",)`; seated at another, it is refused before a run starts;
6. `one_at_a_time = True`: never two episodes at once (a person at a terminal);
7. `ended(episode)`: told once that an episode is over (an agent with `act_batch` keeps its caches by episode).

The engine uses `act_batch`, else `aact`, else `act`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import msgspec

from nego_env.errors import AgentError, NegoError, NotFoundError, unknown_name
from nego_env.moves import Move
from nego_env.view import View


class Reply(msgspec.Struct, frozen=True):
    """A move with what a trainer needs to know of how it was made; goes to the sidecar and the token file, not to the
    transcript."""

    move: str | Move
    prompt_ids: tuple[int, ...] = ()
    """The tokens the model read: its whole context or, where it `continues`, what came after its last reply's tokens."""
    continues: bool = False
    """The context is the one of this seat's last reply, that reply's tokens, and `prompt_ids`."""
    token_ids: tuple[int, ...] = ()
    """The tokens it sampled, verbatim, with the end-of-turn token where that was sampled."""
    logprobs: tuple[float, ...] = ()
    """One per sampled token, of the temperature-scaled, untruncated distribution."""
    finish_reason: str | None = None
    """`stop`, `length`, ..."""
    usage: dict[str, int] = {}
    """Token counts as the model reported them."""


Said: TypeAlias = str | Move | Reply | int
"""What an agent may answer with; an int is an act number of the suite's act codec."""


@runtime_checkable
class Agent(Protocol):
    """An object that plays a seat."""

    def act(self, view: View) -> Said:
        """What the seat says and does now."""
        ...


class AsyncAgent(Protocol):
    """An object that is awaited, many at a time."""

    async def aact(self, view: View) -> Said:
        """What the seat says and does now."""
        ...


class BatchAgent(Protocol):
    """An object that answers every pending view at once; `act_batch` may be a coroutine function."""

    def act_batch(self, views: list[View]) -> Sequence[Said] | Awaitable[Sequence[Said]]:
        """One answer per view, in order."""
        ...


class NamedAgent(msgspec.Struct, frozen=True):
    """An agent with the name it has in transcripts."""

    name: str
    agent: Agent


AgentLike: TypeAlias = (
    Agent
    | AsyncAgent
    | BatchAgent
    | Callable[[View], Said]
    | Callable[[View], Awaitable[Said]]
    | type[Any]
    | NamedAgent
    | str
)
"""An agent, a callable, a class to make one of, a `NamedAgent` that was made before, or a name: `boulware`,
`my_file.py:my_agent`, `package.module:name`."""


class CallableAgent:
    """A plain function (or coroutine function) as an agent."""

    def __init__(self, function: Callable[[View], Any]) -> None:
        self.function = function
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            self.aact = function

    def act(self, view: View) -> Said:
        """Whatever the function returns."""
        return self.function(view)  # type: ignore[no-any-return]


def describe(agent: Any) -> str:
    """The name of an agent that was given as an object: its `spec`, or its qualified Python name."""
    spec = getattr(agent, "spec", None)
    if isinstance(spec, str) and spec:
        return spec
    thing = agent.function if isinstance(agent, CallableAgent) else agent
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}:{named.__qualname__}"


def resolve_agent(agent: AgentLike) -> NamedAgent:
    """The agent behind a name, a callable or an object. Raises `NotFoundError` or `AgentError` with a message that helps."""
    if isinstance(agent, NamedAgent):
        return agent
    if isinstance(agent, str):
        return NamedAgent(agent, _as_agent(_load(agent), agent))
    made = _as_agent(agent, repr(agent))
    return NamedAgent(describe(made), made)


def _as_agent(thing: Any, where: str) -> Agent:
    if inspect.isclass(thing):
        try:
            thing = thing()
        except TypeError as e:
            raise AgentError(f"agent {where}: the class cannot be made without arguments: {e}") from None
        except NegoError:
            raise
        except (Exception, SystemExit) as e:
            raise AgentError(f"agent {where}: making it failed: {type(e).__name__}: {e}") from None
    if callable(getattr(thing, "act", None)):
        return thing  # type: ignore[no-any-return]
    if callable(getattr(thing, "aact", None)) or callable(getattr(thing, "act_batch", None)):
        return thing  # type: ignore[no-any-return]
    if callable(thing):
        return CallableAgent(thing)
    raise AgentError(f"agent {where}: expected a callable or an object with act(view), found {type(thing).__name__}")


def _made(factory: Any, argument: str, spec: str) -> Any:
    try:
        return factory(argument)
    except NegoError:
        raise
    except (Exception, SystemExit) as e:
        raise AgentError(f"agent {spec!r}: making it failed: {type(e).__name__}: {e}") from None


def _load(spec: str) -> Any:
    """`name`, `name:argument`, `file.py:name` or `module:name`. A registered name wins over a module of that name."""
    from nego_env.registry import entry_points, load_entry_point, load_python

    head, colon, tail = spec.partition(":")
    registered = entry_points("nego_env.agents")
    if head in registered:
        factory = load_entry_point(registered[head])
        return _made(factory, tail, spec) if colon else factory
    if not colon and head.endswith(".py"):
        raise NotFoundError(f"agent {spec!r}: which one in the file? {spec}:NAME")
    if not colon:
        hint = "your own: my_file.py:my_agent or package.module:name"
        raise unknown_name("agent", spec, registered, hint=hint)
    return load_python(spec, "agent", AgentError)
