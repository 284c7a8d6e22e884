"""A model behind a server that speaks /v1/chat/completions.

1. The first call goes alone. Until one has been answered, what cannot pass by itself (a wrong URL or key, an unknown model)
   stops the run: one message, before every episode fails the same way.
2. From then on a failed call is made again, after a pause, as often as `retries` says; then it costs its episode. When
   `GIVE_UP` calls in a row have failed for good, the run stops.
3. Answers at temperature 0 may be kept on disk (`Cache`).
4. Words are streamed to whoever watches them (`listening`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec
from msgspec.structs import replace

from nego_agents.chat.cache import Cache, usual_folder
from nego_agents.chat.dialect import dialect
from nego_agents.chat.faults import Empty, Fault
from nego_agents.chat.listening import Habit, Listener
from nego_agents.chat.options import Options
from nego_agents.chat.patience import LONGEST, Patience
from nego_agents.chat.server import Server
from nego_agents.chat.spending import Budget, Price, Spent, environment_budget, environment_price
from nego_env.backend import Answer, Sampling
from nego_env.errors import BackendError, MissingExtraError, RunError, SettingsError
from nego_env.messages import Message

GIVE_UP = 10
"""So many calls in a row that failed for good are taken for a server that is gone."""

Watch = Callable[[str], None]


class _Gate:
    """The first call of an event loop, and what became of it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.answered = False
        self.error: str | None = None


class ChatBackend:
    """Asks one model of one server. See `nego_env.backend.Backend`."""

    def __init__(
        self,
        argument: str | Options,
        *,
        cache: bool | Path = False,
        budget: Budget | None = None,
        price: Price | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`argument`: `MODEL@BASE_URL` and options (see `Options`). `cache`: keep answers at temperature 0 on disk; True is the
        usual place. `budget`, `price`: instead of the environment's (NEGO_BUDGET, NEGO_PRICES).

        Raises `MissingExtraError` without aiohttp, `AgentError`, `NotFoundError` or `SettingsError` for what is wrong with the
        name, and `SettingsError` for a budget in money without a price."""
        try:
            from nego_agents.chat import reply, wire
        except ModuleNotFoundError as e:
            missing = (e.name or "").partition(".")[0]
            raise MissingExtraError(f"chat servers need {missing}: pip install 'nego-env[chat]'") from None
        self._reply, self._wire = reply, wire
        self.options = Options.parse(argument) if isinstance(argument, str) else argument
        self.model = self.options.model
        self.server = Server.at(self.options.url)
        self.name = f"{self.model}@{self.server.host}"
        self.spent = Spent()
        self._dialect = dialect(self.options.server, self.server.url)
        self._line = wire.Line(self.server, wire.Limits(self.options.timeout, self.options.idle_timeout))
        self._patience = patience or Patience()
        self._budget = environment_budget() if budget is None else budget
        self._price = environment_price(self.model) if price is None else price
        if self._budget.money is not None and self._price is None:
            raise SettingsError(
                f"a budget in money needs the price of {self.model!r}: name a table of prices in NEGO_PRICES"
            )
        self._cache = Cache(cache if isinstance(cache, Path) else usual_folder()) if cache else None
        self._habit = Habit(unmarked=False if self._dialect.marks_thinking else None)
        self._proved = False
        self._failed = 0
        self._gates: WeakKeyDictionary[asyncio.AbstractEventLoop, _Gate] = WeakKeyDictionary()

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling = Sampling(),  # noqa: B008  # frozen
        *,
        session: str = "",
        watch: Watch | None = None,
    ) -> Answer:
        """The answer to a chat. Servers find what they know of it by its words: `session` is not sent."""
        stream = watch is not None if self.options.stream is None else self.options.stream
        listener = None if watch is None else Listener(watch)
        data = msgspec.json.encode(self._dialect.body(self.model, messages, sampling, stream=stream))
        if self._cache is None or sampling.temperature != 0:
            answer = await self._admitted(data, listener)
        else:
            answer = await self._cache.answer(self.server.base, data, lambda: self._admitted(data, listener))
        if answer.cached:
            self.spent.cached += 1
        if listener is not None:
            listener.so_far(answer.text)  # all of it, where a server does not stream
        return answer

    async def aclose(self) -> None:
        """Closes the connections of the running loop, other backends' too; they open again when needed."""
        await self._wire.close_wire()

    def __repr__(self) -> str:
        return f"ChatBackend({self.name!r})"

    async def _admitted(self, data: bytes, listener: Listener | None) -> Answer:
        if self._proved:
            return await self._patient(data, listener)
        gate = self._gates.setdefault(asyncio.get_running_loop(), _Gate())
        async with gate.lock:
            if gate.error is not None:
                raise RunError(gate.error)
            if not gate.answered:
                try:
                    answer = await self._patient(data, listener)
                except BackendError as e:
                    gate.error = f"{e} (nothing was answered yet, so the run stops)"
                    raise RunError(gate.error) from None
                gate.answered = True
                return answer
        return await self._patient(data, listener)

    async def _patient(self, data: bytes, listener: Listener | None) -> Answer:
        """The answer, of as many calls as it takes. Raises `BackendError` when patience ends."""
        tries = 0
        while True:
            tries += 1
            try:
                answer = await self._call(data, listener)
                break
            except Empty as fault:
                if tries > self.options.retries:
                    answer = fault.answer
                    break
                pause = self._pause(fault, tries)
            except Fault as fault:
                pause = self._pause(fault, tries)
            await asyncio.sleep(pause)
        self._proved, self._failed = True, 0
        cost = None if self._price is None else self._price.cost(answer.usage)
        self.spent.add(answer.usage, cost)
        self._budget.add(answer.usage, cost, self.server.host)
        return replace(answer, tries=tries, cost=cost)

    def _pause(self, fault: Fault, tries: int) -> float:
        """Seconds until the next call. Raises `BackendError` where there is to be none."""
        hopeless = not fault.passing or (not self._proved and not fault.reached)
        if not hopeless and tries <= self.options.retries:
            if fault.after is None or fault.after <= LONGEST:
                return self._patience.pause(tries, fault.after)
            fault = Fault(f"{fault}; it asks to wait {fault.after:,.0f} s, which is too long: come back later")
        self._failed += 1
        told = f"{fault}{f' ({tries} tries)' if tries > 1 else ''}"
        if self._failed >= GIVE_UP:
            raise RunError(f"{GIVE_UP} calls in a row failed, so the run stops; the last: {told}")
        raise BackendError(told)

    async def _call(self, data: bytes, listener: Listener | None) -> Answer:
        """One call."""
        wire = await self._wire.wire()
        async with wire.slots(self.server.host, self.options.concurrency):
            self._budget.admit()
            self.spent.calls += 1
            feed = self._reply.Stream(self.server, self.model, listener, self._habit)
            raw = await self._line.post(wire.session, data, feed)
        return feed.answer() if feed.begun else self._reply.read(raw, self.server, self.model)
