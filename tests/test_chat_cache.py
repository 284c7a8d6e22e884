"""Answers that are kept: on disk by what was asked, and on a tape for tests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from chat_support import HELLO, backend, clean_environment
from stand_in import Fault, StandIn

from nego_agents.chat.cache import usual_folder
from nego_agents.chat.tape import Recorded, Replayed
from nego_env.backend import GREEDY, Backend, Sampling
from nego_env.errors import BackendError, SettingsError
from nego_env.messages import Message

__all__ = ["clean_environment"]


async def test_a_question_is_asked_once(tmp_path: Path) -> None:
    with StandIn(reply=lambda _: "Hello.") as server:
        first = await backend(server, cache=tmp_path).complete(HELLO, GREEDY)
        asked = backend(server, cache=tmp_path)  # another process would do the same
        again = await asked.complete(HELLO, GREEDY)
        await asked.complete((*HELLO, Message("user", "And?")), GREEDY)
        await asked.complete(HELLO, Sampling(temperature=0, max_tokens=3))
    assert (first.cached, again.cached, again.tries) == (False, True, 0)
    assert (first.text, first.usage) == (again.text, again.usage)
    assert server.calls == 3
    assert (asked.spent.calls, asked.spent.cached) == (2, 1)


async def test_what_is_sampled_is_not_kept(tmp_path: Path) -> None:
    with StandIn(reply=lambda _: "Hello.") as server:
        asked = backend(server, cache=tmp_path)
        for sampling in (Sampling(), Sampling(temperature=0.7)):
            for _ in range(2):
                assert not (await asked.complete(HELLO, sampling)).cached
    assert server.calls == 4
    assert not list(tmp_path.rglob("*.json"))


async def test_the_same_question_of_another_model_or_server_is_another(tmp_path: Path) -> None:
    with StandIn(models=("stand-in", "b")) as one, StandIn() as two:
        await backend(one, cache=tmp_path).complete(HELLO, GREEDY)
        await backend(two, cache=tmp_path).complete(HELLO, GREEDY)
        other = backend(one, cache=tmp_path)
        other.model = "b"
        await other.complete(HELLO, GREEDY)
    assert (one.calls, two.calls) == (2, 1)


async def test_questions_at_the_same_time_are_one_call(tmp_path: Path) -> None:
    with StandIn(reply=lambda _: "Hello.", delay=0.05) as server:
        asked = backend(server, cache=tmp_path)
        found = await asyncio.gather(*(asked.complete(HELLO, GREEDY) for _ in range(20)))
    assert server.calls == 1
    assert sum(f.cached for f in found) == 19


async def test_one_who_waits_asks_for_itself_when_the_other_fails(tmp_path: Path) -> None:
    with StandIn(reply=lambda _: "Hello.", faults=[None, Fault.BROKEN], delay=0.05) as server:
        asked = backend(server, "retries=0", cache=tmp_path)
        await asked.complete(HELLO)
        found = await asyncio.gather(*(asked.complete(HELLO, GREEDY) for _ in range(3)), return_exceptions=True)
    assert [type(f).__name__ for f in found] == ["BackendError", "Answer", "Answer"]
    assert server.calls == 3


async def test_one_who_is_cancelled_takes_nobody_along(tmp_path: Path) -> None:
    with StandIn(reply=lambda _: "Hello.", delay=0.2) as server:
        asked = backend(server, cache=tmp_path)
        tasks = [asyncio.create_task(asked.complete(HELLO, GREEDY)) for _ in range(3)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()
        tasks[1].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(f, asyncio.CancelledError) for f in found] == [True, True, False]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"format": 1}'])
async def test_a_damaged_entry_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    with StandIn(reply=lambda _: "Hello.") as server:
        await backend(server, cache=tmp_path).complete(HELLO, GREEDY)
        entry = next(tmp_path.rglob("*.json"))
        good = entry.read_bytes()
        entry.write_bytes(damage)
        assert (await backend(server, cache=tmp_path).complete(HELLO, GREEDY)).text == "Hello."
    assert entry.read_bytes() == good
    assert not list(tmp_path.rglob("*.part"))


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert usual_folder() == tmp_path / "usual-cache"
    monkeypatch.delenv("NEGO_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert usual_folder() == tmp_path / "nego-env" / "chat"
    (tmp_path / "file").write_text("")
    from nego_agents.chat.backend import ChatBackend

    with pytest.raises(SettingsError, match="the cache cannot be made there"):
        ChatBackend("m@localhost:1", cache=tmp_path / "file" / "cache")


TWO = """
import asyncio, sys
from pathlib import Path
from nego_agents.chat.backend import ChatBackend
from nego_env.backend import GREEDY
from nego_env.messages import Message

async def main(url, folder):
    backend = ChatBackend(f"stand-in@{url}", cache=Path(folder))
    asked = [(Message("system", "s"), Message("user", f"question {i}")) for i in range(50)]
    found = [await backend.complete(m, GREEDY) for m in asked for _ in range(2)]
    assert all(f.text == "Hello." for f in found), found
    print(backend.spent.calls)

asyncio.run(main(*sys.argv[1:]))
"""


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    with StandIn(reply=lambda _: "Hello.") as server:
        command = [sys.executable, "-c", TWO, server.url, str(tmp_path / "kept")]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        results = [p.communicate(timeout=300) for p in both]
    assert [p.returncode for p in both] == [0, 0], results
    assert 50 <= server.calls <= 100  # what one has kept the other need not ask
    assert len(list((tmp_path / "kept").rglob("*.json"))) == 50
    assert not list((tmp_path / "kept").rglob("*.part"))


# ---------------------------------------------------------------- tapes
async def test_what_was_recorded_is_replayed(tmp_path: Path) -> None:
    tape = tmp_path / "judge.tape.jsonl"
    said = iter(["one", "two", "three"])
    with StandIn(reply=lambda _: next(said)) as server:
        recording = Recorded(backend(server), tape)
        for _ in range(2):
            await recording.complete(HELLO)
        await recording.complete(HELLO, GREEDY)
        await recording.aclose()
    replayed = Replayed(tape)
    assert isinstance(recording, Backend)
    assert isinstance(replayed, Backend)
    assert replayed.name == recording.name
    pieces: list[str] = []
    assert (await replayed.complete(HELLO, GREEDY, watch=pieces.append)).text == "three"
    assert [(await replayed.complete(HELLO)).text for _ in range(3)] == ["one", "two", "two"]
    assert pieces == ["three"]
    with pytest.raises(BackendError, match=r"judge\.tape\.jsonl holds no answer to this question"):
        await replayed.complete((Message("user", "What else?"),))


def test_a_tape_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Replayed(tmp_path / "gone")
    (tmp_path / "t").write_text('{"backend": "x"}\n')
    with pytest.raises(SettingsError, match="t:1: no recorded exchange"):
        Replayed(tmp_path / "t")
