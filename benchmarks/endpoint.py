"""What the chat backend costs beside the wire, and what it makes of a bad one. Everything is on loopback.

1. Speed: 64 episodes in flight against a stand-in that takes 50 ms an answer, calls a second, beside a bare asyncio client
   that does nothing but post and read, in turns; the same with a judge that asks the same kind of server; AsyncOpenAI and
   Inspect AI beside them where they are installed.
2. Faults: 1,000 episodes with 30 % of the replies faulty, the stand-in answering as a function of the request, beside the
   same episodes without a fault.
3. Memory: 10,000 episodes stream by.

    python -m benchmarks.endpoint
    python -m benchmarks.endpoint --parts speed --rounds 5

Peers stand beside it where they are installed, in an environment of their own:

    python -m venv .venv-endpoint
    .venv-endpoint/bin/pip install -r benchmarks/endpoint-peers.txt -e '.[chat]'
    .venv-endpoint/bin/python -m benchmarks.endpoint --parts speed --calls 1024 --out endpoint-peers.json
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks.dilemmas import dilemma
from benchmarks.memory import resident_mib
from benchmarks.record import Spread, as_dict, interleaved, machine, ratio, versions, write
from nego_agents.chat.agent import ChatAgent
from nego_agents.chat.backend import ChatBackend
from nego_env.backend import GREEDY
from nego_env.messages import Message
from nego_env.packs import LooseScenarios, Pack, write_pack
from nego_env.rollout import play, rollout
from nego_env.run import Run
from nego_env.scenario import Protocol, Scenario, Seat
from nego_env.store import TranscriptWriter, read_final
from nego_env.transcript import Transcript
from nego_env.verdict import Case, Verdict

Part = Literal["speed", "faults", "memory"]
IN_FLIGHT, DELAY = 64, 0.05
TALK = "I see the point about the summer rota, and I would still rather have the mornings than the money."
ROUNDS = 4
"""Of talk in an episode of the speed test: eight calls, and with a judge four more."""
MARKS = (1_000, 4_000, 7_000, 10_000)
RAW, OURS, JUDGED, OPENAI, INSPECT = (
    "bare asyncio client",
    "episodes",
    "episodes with a judge that asks",
    "AsyncOpenAI client",
    "Inspect AI",
)


@dataclass(frozen=True)
class Endpoint:
    """Measure the chat backend."""

    parts: tuple[Part, ...] = ("speed", "faults", "memory")
    rounds: int = 5
    calls: int = 6_144
    """Of each contender in a round of the speed test, about."""
    episodes: int = 1_000
    """Of the fault test."""
    timeout: float = 2.0
    """Seconds a call of the fault test may take: what a reply that never ends costs."""
    out: Path | None = None
    """Where the result goes; by default `benchmarks/results/endpoint.json`."""

    def run(self) -> None:
        result: dict[str, Any] = {
            "machine": machine(),
            "versions": versions("nego-env", "aiohttp", "msgspec", "numpy", "openai", "inspect_ai"),
        }
        if "memory" in self.parts:  # first: what another part had used would hide what this one takes
            result["memory"] = memory()
        if "speed" in self.parts:
            result["speed"] = speed(self.rounds, self.calls)
        if "faults" in self.parts:
            result["faults"] = faults(self.episodes, self.timeout)
        print(f"-> {write('endpoint', result, self.out).name}")


# ---------------------------------------------------------------- the stand-in
@contextmanager
def stand_in(*options: str) -> Iterator[str]:
    """The base URL of a stand-in in a process of its own."""
    command = [sys.executable, "-m", "tests.stand_in", *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate("")


def counted(url: str) -> int:
    """Calls a stand-in has had."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stand-in") as reply:
        return int(json.load(reply)["calls"])


# ---------------------------------------------------------------- speed
def speed(rounds: int, calls: int) -> dict[str, Any]:
    """Calls a second of every contender, and shares of the bare client's."""
    with stand_in("--delay", str(DELAY), "--say", TALK) as url:
        body = recorded_body(url)
        contenders: dict[str, Callable[[], float]] = {
            RAW: lambda: asyncio.run(bare(url, body, calls)),
            OURS: lambda: episodes(url, calls, judged=False),
            JUDGED: lambda: episodes(url, calls, judged=True),
        }
        if find_spec("openai") is not None:
            contenders[OPENAI] = lambda: asyncio.run(openai_client(url, body, calls))
        if find_spec("inspect_ai") is not None and find_spec("openai") is not None:
            contenders[INSPECT] = lambda: asyncio.run(inspect_client(url, body, calls))
        busy: dict[str, list[float]] = {name: [] for name in contenders}
        measured = interleaved({name: _busy(f, busy[name], calls) for name, f in contenders.items()}, rounds)
    absent = [name for name, module in ((OPENAI, "openai"), (INSPECT, "inspect_ai")) if find_spec(module) is None]
    if absent:
        print(f"not installed: {' and '.join(absent)} (benchmarks/endpoint-peers.txt)")
    share = {name: ratio(values, measured[RAW]) for name, values in measured.items() if name != RAW}
    for name, values in measured.items():
        told = f"  {share[name].median:.0%} of the bare client" if name in share else ""
        print(f"{name:34s} {Spread.of(values, 0)} calls/s, {Spread.of(busy[name], 0).median:g} us CPU a call{told}")
    return {
        "unit": f"calls a second, {IN_FLIGHT} in flight, {DELAY * 1000:g} ms an answer; at most {IN_FLIGHT / DELAY:g}",
        "figures": {name: as_dict(Spread.of(values, 1)) for name, values in measured.items()},
        "share of the bare client": {name: as_dict(s) for name, s in share.items()},
        "CPU microseconds a call, of this process": {n: as_dict(Spread.of(v[1:], 0)) for n, v in busy.items()},
        "absent": absent,
        "target": {
            "share of at least": 0.9,
            "met": all(share[name].median >= 0.9 for name in (OURS, JUDGED)),
        },
    }


def _busy(contender: Callable[[], float], kept: list[float], calls: int) -> Callable[[], float]:
    """The contender, with the processor time of each of its calls kept; the first round is not measured."""

    def timed() -> float:
        began = time.process_time()
        found = contender()
        kept.append((time.process_time() - began) / calls * 1e6)
        return found

    return timed


def recorded_body(url: str) -> bytes:
    """A request as an episode sends it in its middle: what the others post again and again."""
    sent: list[bytes] = []

    class Listening(ChatBackend):
        async def _admitted(self, data: bytes, watch: Any) -> Any:
            sent.append(data)
            return await super()._admitted(data, watch)

    play(_duel(0), [ChatAgent(f"stand-in@{url}", backend=Listening(f"stand-in@{url}"))], max_rounds=ROUNDS)
    return sent[len(sent) // 2]


def _duel(i: int) -> Scenario:
    return Scenario(
        id=f"rota-{i}",
        task=f"Two neighbours share garden number {i}. Who waters it in the summer, and when?",
        seats=(Seat("the early riser", "Keep the mornings."), Seat("the night owl", "Keep the evenings.")),
        protocol=Protocol(),
    )


class AskingJudge:
    """Asks a server for each verdict, the answer notwithstanding: no agreement, so that episodes are of one length."""

    name = "asking"

    def __init__(self, url: str) -> None:
        self.backend = ChatBackend(f"stand-in@{url}")

    async def ajudge(self, case: Case) -> Verdict:
        """One call."""
        lines = "\n".join(f"{seat}: {text}" for seat, text in case.lines[-2:])
        asked = (Message("system", "Have they agreed? YES or NO."), Message("user", lines))
        answer = await self.backend.complete(asked, GREEDY)
        return Verdict(case.kind, self.name, 0.0, raw=answer.text)

    def judge(self, case: Case) -> Verdict:
        """For faces that do not await."""
        raise NotImplementedError


class Never:
    """Says at once that nothing was agreed."""

    name = "never"

    def judge(self, case: Case) -> Verdict:
        """No."""
        return Verdict(case.kind, self.name, 0.0)


def episodes(url: str, calls: int, *, judged: bool) -> float:
    """Calls a second of whole episodes through the engine."""
    each = 2 * ROUNDS + (ROUNDS if judged else 0)
    count = max(IN_FLIGHT, round(calls / each / IN_FLIGHT) * IN_FLIGHT)  # whole rounds of the wire
    suite = LooseScenarios("duels", [_duel(i) for i in range(IN_FLIGHT)])
    judge = AskingJudge(url) if judged else Never()
    before, began = counted(url), time.perf_counter()
    play(suite, [ChatAgent(f"stand-in@{url}")], episodes=count, judge=judge, in_flight=IN_FLIGHT, max_rounds=ROUNDS)
    took = time.perf_counter() - began
    assert counted(url) - before == count * each
    return count * each / took


async def bare(url: str, body: bytes, calls: int) -> float:
    """Calls a second of a client that only posts and reads, over connections it keeps."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    request = f"{head}\r\n\r\n".encode() + body

    async def worker(count: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(count):
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            json.loads(await reader.readexactly(int(length.split(b":")[1])))["choices"][0]["message"]["content"]
        writer.close()
        await writer.wait_closed()

    return await _timed(worker, calls)


async def _timed(worker: Callable[[int], Any], calls: int) -> float:
    each = calls // IN_FLIGHT
    began = time.perf_counter()
    await asyncio.gather(*(worker(each) for _ in range(IN_FLIGHT)))
    return each * IN_FLIGHT / (time.perf_counter() - began)


async def openai_client(url: str, body: bytes, calls: int) -> float:
    """Calls a second of the vendor's client."""
    from openai import AsyncOpenAI

    request = json.loads(body)
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        async def worker(count: int) -> None:
            for _ in range(count):
                reply = await client.chat.completions.create(**request)
                assert reply.choices[0].message.content

        return await _timed(worker, calls)


async def inspect_client(url: str, body: bytes, calls: int) -> float:
    """Calls a second of Inspect's model interface."""
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageUser,
        GenerateConfig,
        get_model,
    )

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    chat = [kinds[m["role"]](content=m["content"]) for m in json.loads(body)["messages"]]
    model = get_model(
        "openai/stand-in",
        base_url=url,
        api_key="none",
        config=GenerateConfig(max_connections=IN_FLIGHT, max_tokens=1024),
        responses_api=False,
    )

    async def worker(count: int) -> None:
        for _ in range(count):
            assert (await model.generate(chat)).completion

    return await _timed(worker, calls)


# ---------------------------------------------------------------- faults
def faults(count: int, timeout: float) -> dict[str, Any]:
    """A run with faults beside the same run without."""
    runs: dict[str, Any] = {}
    final: dict[str, list[Transcript]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, share in (("without faults", "0"), ("with faults", "0.3")):
            out = Path(folder) / f"{share}.jsonl"
            with stand_in("--delay", "0.01", "--share", share) as url:
                seated = ChatAgent(f"stand-in@{url},timeout={timeout}", spec="stand-in")
                began = time.perf_counter()
                play("train", [seated], episodes=count, out=out, in_flight=IN_FLIGHT)
                runs[name] = {"seconds": round(time.perf_counter() - began, 1), "calls": counted(url)}
            final[name] = read_final(out)
            lines = out.read_bytes().count(b"\n")
            runs[name] |= {"scored": sum(t.scored for t in final[name]), "attempts": lines}
    good = {t.id: t.rewards for t in final["without faults"]}
    bad = final["with faults"]
    same = sum(t.rewards == good[t.id] for t in bad if t.scored)
    checks = {
        "none lost, none doubled": [t.index for t in bad] == list(range(count)),
        "same rewards": same,
        "unscored, by stop reason": _stops([t for t in bad if not t.scored]),
        "times the fault-free wall time": round(runs["with faults"]["seconds"] / runs["without faults"]["seconds"], 2),
    }
    met = checks["none lost, none doubled"] and same == runs["with faults"]["scored"] >= 0.99 * count
    for name, figures in runs.items():
        print(f"{name:34s} {figures}")
    print(checks)
    return {
        "setup": f"{count} episodes of the pack `train`, {IN_FLIGHT} in flight, 30 % of replies faulty, time-out {timeout:g} s",
        "figures": runs,
        **checks,
        "target": {"scored of at least": 0.99, "with the same rewards": "all", "met": bool(met)},
    }


def _stops(transcripts: Sequence[Transcript]) -> dict[str, int]:
    found: dict[str, int] = {}
    for t in transcripts:
        found[t.stop.value] = found.get(t.stop.value, 0) + 1
    return found


# ---------------------------------------------------------------- memory
def memory() -> dict[str, Any]:
    """Resident MiB at the marks while 10,000 short episodes are played against a server and written to a file."""
    with tempfile.TemporaryDirectory() as folder, stand_in("--say", "Let us settle. [Propose: A1 B1 C1]") as url:
        pack_at, out = Path(folder) / "pack", Path(folder) / "run.jsonl"
        write_pack(pack_at, map(dilemma, range(1_000)), name="memory", title="", description="")
        rss = asyncio.run(_marks(Pack(pack_at), url, out))
    growth = round(rss[MARKS[-1]] - rss[MARKS[0]], 2)
    print(*(f"{n:>6}: {mib:.1f} MiB" for n, mib in rss.items()), f"  growth {growth} MiB")
    return {
        "unit": "MiB resident, by episodes finished",
        "figures": rss,
        "growth from first mark to last": growth,
        "target": {"growth of at most, MiB": 5.0, "met": growth <= 5.0},
    }


async def _marks(pack: Pack, url: str, out: Path) -> dict[int, float]:
    run = Run(pack, [ChatAgent(f"stand-in@{url}", spec="stand-in")], max_rounds=2)
    marks: dict[int, float] = {}
    finished = 0
    with TranscriptWriter(out, run.id) as writer:
        async for _ in rollout(run, MARKS[-1], writer=writer):
            finished += 1
            if finished in MARKS:
                marks[finished] = resident_mib()
    return marks


if __name__ == "__main__":
    tyro.cli(Endpoint, description=__doc__).run()
