"""A stand-in for a model's server: speaks /v1/chat/completions on loopback, answers as a function of the request, and
misbehaves on demand.

    with StandIn(faults=[Fault.BUSY]) as server:                # on a thread: the first call is answered 429
        play("thesis-deadline", f"openai:stand-in@{server.url}")

    python -m tests.stand_in --delay 0.05 --share 0.3           # on its own: prints its URL, serves until its input closes
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from enum import Enum
from hashlib import sha256
from typing import Any

from aiohttp import web

Reply = Callable[[list[dict[str, str]]], str]
"""Messages to words."""


class Fault(Enum):
    """Ways to misbehave."""

    SLOW = "a delay"
    BUSY = "429 with Retry-After"
    BROKEN = "500"
    GATEWAY = "502 with a page of HTML"
    CUT = "a reply that is cut off"
    CLOSED = "no reply"
    GARBAGE = "bytes that are no JSON"
    WRONG_TYPES = "JSON of the wrong types"
    EMPTY = "no choice"
    SILENT = "a choice without words"
    ERROR_200 = "an error with status 200"
    ENDLESS = "a reply that never ends"
    HUNG = "nothing, for ever"
    HUGE = "more than anybody wants"
    REDIRECT = "a redirect to another host"
    WRONG_KEY = "401"
    NO_MODEL = "404"
    FULL = "400, the context is full"


PASSING = (Fault.SLOW, Fault.BUSY, Fault.BROKEN, Fault.GATEWAY, Fault.CUT, Fault.CLOSED, Fault.GARBAGE, Fault.WRONG_TYPES,
           Fault.EMPTY, Fault.SILENT, Fault.ERROR_200, Fault.ENDLESS, Fault.HUGE)  # fmt: skip
"""Those that another try gets over."""


def negotiator(messages: list[dict[str, str]]) -> str:
    """A plausible seat, as a function of what it read: sometimes accepts, sometimes proposes, asks or reveals."""
    system, last = messages[0]["content"], messages[-1]["content"]
    drawn = random.Random(sha256(json.dumps(messages).encode()).digest())
    if (plan := re.search(r"\[Agreed: [^\]]*\]", last)) is not None:
        return f"The plan is settled, and everybody has a part in it. {plan[0]}"
    if "[Agree]" in system:
        return "Let us do both, one after the other, and check on Friday. [Agree]"
    if "On the table:" in last and drawn.random() < 0.5:
        return "That works for me. [Accept]"
    issues = re.findall(r"^([A-Z]+)\. .*$", system, re.MULTILINE)
    options = [sorted(set(re.findall(rf"\b{i}\d+\b", system))) for i in issues]
    if drawn.random() < 0.2 or not all(options):
        return f"What matters to you here? [Ask: {drawn.choice(issues or ['A'])}]"
    return f"How about this. [Propose: {' '.join(drawn.choice(o) for o in options)}]"


class StandIn:
    """The server, on a thread of its own inside `with`."""

    def __init__(
        self,
        *,
        reply: Reply = negotiator,
        faults: Iterable[Fault | None] = (),
        share: float = 0.0,
        kinds: tuple[Fault, ...] = PASSING,
        delay: float = 0.0,
        slow: float = 0.2,
        retry_after: str = "0.02",
        key: str | None = None,
        models: tuple[str, ...] = ("stand-in",),
        echo_key: bool = False,
        piece: str = r"\S+\s*",
        cut_streams: int = 0,
        between: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """`faults`: of the first calls, in order; None is a good one. `share`: of all calls that go wrong in one of `kinds`, as a
        function of the request and of how often it was made. `delay`: seconds before each answer. `key`: what it asks for;
        `echo_key`: put the key it was sent into its answers and errors, as no server should. Of streamed answers: `piece`,
        what goes into one event; `cut_streams`, how many break off after two events; `between`, awaited before event 0, 1, ..."""
        self.piece, self.cut_streams, self.between = piece, cut_streams, between
        self.reply, self.delay, self.slow, self.retry_after = reply, delay, slow, retry_after
        self.key, self.models, self.echo_key = key, models, echo_key
        self.script = list(faults)
        self.share, self.kinds = share, kinds
        self.calls = 0
        """Requests for an answer, whatever became of them."""
        self.answered = 0
        """Good answers sent."""
        self.in_flight = self.most_in_flight = 0
        self.asked: Counter[str] = Counter()
        """How often each request was made, by a hash of it."""
        self.bodies: list[dict[str, Any]] = []
        """Of the requests, while `keep_bodies`."""
        self.keep_bodies = True
        self.keys: set[str] = set()
        """Every Authorization header."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stand-in", daemon=True)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> StandIn:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._thread_main())
        self._loop.close()

    async def _thread_main(self) -> None:
        self._stop = asyncio.Event()
        runner = await self.start()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def start(self, port: int = 0) -> web.AppRunner:
        """Serve in the running loop."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/old/chat/completions", self._moved)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/stand-in", self._figures)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    # ---------------------------------------------------------------- handlers
    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": m, "object": "model"} for m in self.models]})

    async def _figures(self, request: web.Request) -> web.Response:
        return web.json_response({"calls": self.calls, "answered": self.answered, "most": self.most_in_flight})

    async def _moved(self, request: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": "/v1/chat/completions"})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.keys.add(sent := request.headers.get("Authorization", ""))
        body = json.loads(raw)
        if self.keep_bodies:
            self.bodies.append(body)
        name = sha256(raw).hexdigest()
        self.asked[name] += 1
        if self.key is not None and sent != f"Bearer {self.key}":
            return _error(401, f"Incorrect API key provided: {sent.removeprefix('Bearer ')}", "invalid_api_key")
        if body["model"] not in self.models:
            return _error(404, f"The model `{body['model']}` does not exist", "model_not_found")
        fault = self._fault(name)
        if fault is not None:
            bad = await self._misbehave(fault, request, sent)
            if bad is not None:
                return bad
        if self.delay:
            await asyncio.sleep(self.delay)
        words = self.reply(body["messages"]) + (f" (key: {sent})" if self.echo_key else "")
        self.answered += 1
        read, said = sum(len(m["content"].split()) for m in body["messages"]), len(words.split())
        usage = {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}
        if body.get("stream"):
            return await self._streamed(request, words, usage)
        return web.json_response(_completion(body["model"], words, usage))

    async def _streamed(self, request: web.Request, words: str, usage: dict[str, int]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        events: list[dict[str, Any]] = [
            {"choices": [{"delta": {"content": piece}}]} for piece in re.findall(self.piece, words)
        ]
        events += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
        await response.write(b": waiting\n\n")
        cut, self.cut_streams = self.cut_streams > 0, max(0, self.cut_streams - 1)
        for i, event in enumerate(events[:2] if cut else events):
            if self.between is not None:
                await self.between(i)
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        if not cut:
            await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    def _fault(self, name: str) -> Fault | None:
        if self.script:
            return self.script.pop(0)
        if not self.share:
            return None
        drawn = random.Random(sha256(f"{name} {self.asked[name]}".encode()).digest())
        return drawn.choice(self.kinds) if drawn.random() < self.share else None

    async def _misbehave(self, fault: Fault, request: web.Request, sent: str) -> web.StreamResponse | None:
        """The bad reply; None where a good one follows."""
        told = f" {sent}" if self.echo_key else ""
        match fault:
            case Fault.SLOW:
                await asyncio.sleep(self.slow)
                return None
            case Fault.BUSY:
                return _error(429, f"Too many requests{told}", "rate_limit", {"Retry-After": self.retry_after})
            case Fault.BROKEN:
                return _error(500, f"Something broke{told}")
            case Fault.GATEWAY:
                return web.Response(status=502, text="<html><h1>Bad gateway</h1></html>", content_type="text/html")
            case Fault.GARBAGE:
                return web.Response(body=b'{"choices": [\xff\xfe\x00}', content_type="application/json")
            case Fault.WRONG_TYPES:
                return web.json_response(
                    {"choices": [{"message": {"role": "assistant", "content": 7}}], "usage": "much"}
                )
            case Fault.EMPTY:
                return web.json_response({"choices": [], "usage": {}})
            case Fault.SILENT:
                return web.json_response({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]})
            case Fault.ERROR_200:
                return web.json_response({"error": {"code": 503, "message": f"overloaded{told}"}})
            case Fault.REDIRECT:
                return web.Response(status=307, headers={"Location": "http://elsewhere.invalid/v1/chat/completions"})
            case Fault.WRONG_KEY:
                return _error(401, f"Incorrect API key provided:{told}")
            case Fault.NO_MODEL:
                return _error(404, "The model does not exist", "model_not_found")
            case Fault.FULL:
                words = (
                    "This model's maximum context length is 512 tokens. However, your messages resulted in 700 tokens."
                )
                return _error(400, words, "context_length_exceeded")
            case Fault.CLOSED:
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            case Fault.HUNG:
                await asyncio.sleep(60)
                return web.Response()
            case _:
                return await self._bad_stream(fault, request)

    async def _bad_stream(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if fault is Fault.CUT:
            response.content_length = 400
        with suppress(ConnectionError):
            await response.prepare(request)
            await response.write(b'{"choices": [{"message": {"content": "I would')
            if fault is Fault.CUT:
                assert request.transport is not None
                request.transport.close()
            elif fault is Fault.HUGE:
                for _ in range(12):
                    await response.write(b" more" * 2**18)
                await response.write_eof()
            else:
                while True:
                    await response.write(b" ")
                    await asyncio.sleep(0.01)
        return response


def _error(status: int, message: str, code: str = "error", headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "code": code}}, status=status, headers=headers)


def _completion(model: str, words: str, usage: dict[str, int]) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
    return {"id": "chatcmpl-0", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}


async def _serve(server: StandIn) -> None:
    runner = await server.start()
    print(server.url, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--share", type=float, default=0.0)
    parser.add_argument("--say", default="", help="answer every request with these words")
    given = parser.parse_args()
    saying: Reply = (lambda _: given.say) if given.say else negotiator
    stand_in = StandIn(delay=given.delay, share=given.share, reply=saying)
    stand_in.keep_bodies = False
    asyncio.run(_serve(stand_in))
