"""One model behind one server: what is sent, what comes back, and what is made of everything else that may come."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import Any

import pytest
from chat_support import HELLO, backend, clean_environment
from stand_in import PASSING, Fault, StandIn
from support import single_line

from nego_agents.chat.backend import GIVE_UP, ChatBackend
from nego_agents.chat.patience import Patience, retry_after
from nego_agents.chat.reply import without_thinking
from nego_env.backend import GREEDY, Answer, Backend, Sampling, resolve_backend
from nego_env.errors import BackendError, NotFoundError, RunError
from nego_env.messages import Message

__all__ = ["clean_environment"]


def said(words: str) -> Any:
    return lambda _: words


async def test_an_answer_with_its_tokens() -> None:
    with StandIn(reply=said("Hello, you.")) as server:
        asked = backend(server)
        answer = await asked.complete(HELLO, Sampling(temperature=0.5, top_p=0.9, max_tokens=7, seed=3, stop=("x",)))
        await asked.aclose()
    assert answer == Answer("Hello, you.", "stop", {"prompt_tokens": 5, "completion_tokens": 2})
    assert server.bodies == [
        {
            "model": "stand-in",
            "messages": [
                {"role": "system", "content": "You are a mirror."},
                {"role": "user", "content": "Hello?"},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "max_tokens": 7,
            "stop": ["x"],
        }
    ]
    assert isinstance(asked, Backend)
    assert (asked.spent.calls, asked.spent.answers, asked.spent.tokens) == (1, 1, 7)


async def test_what_is_not_chosen_is_not_sent() -> None:
    with StandIn(reply=said("Yes.")) as server:
        await backend(server).complete(HELLO)
    assert set(server.bodies[0]) == {"model", "messages"}


# ---------------------------------------------------------------- faults that pass
@pytest.mark.parametrize("fault", PASSING, ids=lambda f: f.name)
@pytest.mark.parametrize("first", [True, False], ids=["first call", "later call"])
async def test_a_fault_that_passes_costs_a_try(fault: Fault, first: bool) -> None:
    with StandIn(reply=said("Hello."), faults=[fault] if first else [None, fault], slow=0.05) as server:
        asked = backend(server, f"timeout={2 if fault is Fault.ENDLESS else 60}")
        for _ in range(1 if first else 2):
            answer = await asked.complete(HELLO)
    assert answer.text == "Hello."
    assert answer.tries == (1 if fault is Fault.SLOW else 2)
    assert asked.spent.calls == server.calls == (1 if first else 2) + (fault is not Fault.SLOW)


@pytest.mark.parametrize("fault", [f for f in PASSING if f not in (Fault.SLOW, Fault.SILENT)], ids=lambda f: f.name)
async def test_patience_ends_with_a_message_that_names_the_server(fault: Fault) -> None:
    with StandIn(reply=said("Hello."), faults=[None, *[fault] * 3]) as server:
        asked = backend(server, f"timeout={2 if fault is Fault.ENDLESS else 60},retries=2")
        await asked.complete(HELLO)
        with pytest.raises(BackendError, match=r"\(3 tries\)") as e:
            await asked.complete(HELLO)
        assert (await asked.complete(HELLO)).text == "Hello."  # the next one is none the worse
    assert single_line(str(e.value))
    assert asked.server.host in str(e.value)
    assert "<" not in str(e.value)  # no pages


async def test_silence_is_asked_about_and_then_believed() -> None:
    with StandIn(reply=said("")) as server:
        asked = backend(server, "retries=2")
        answer = await asked.complete(HELLO)
    assert (answer.text, answer.tries) == ("", 3)


async def test_time_outs() -> None:
    with StandIn(reply=said("Hello."), faults=[None, Fault.HUNG, Fault.ENDLESS]) as server:
        asked = backend(server, "idle_timeout=1,timeout=3,retries=0")
        await asked.complete(HELLO)
        with pytest.raises(BackendError, match=r"sent nothing for 1 s \(idle_timeout\)"):
            await asked.complete(HELLO)
        with pytest.raises(BackendError, match=r"did not finish its answer within 3 s \(timeout\)"):
            await asked.complete(HELLO)


async def test_a_server_that_asks_to_wait_is_waited_for() -> None:
    with StandIn(reply=said("Hello."), faults=[Fault.BUSY], retry_after="0.3") as server:
        began = time.perf_counter()
        await backend(server).complete(HELLO)
    assert 0.3 <= time.perf_counter() - began < 2


async def test_a_server_that_asks_to_wait_too_long_is_not() -> None:
    with StandIn(reply=said("Hello."), faults=[None, Fault.BUSY], retry_after="86400") as server:
        asked = backend(server)
        await asked.complete(HELLO)
        with pytest.raises(BackendError, match=r"asks to wait 86,400 s"):
            await asked.complete(HELLO)


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after({"Retry-After": "7"}) == 7
    assert retry_after({"retry-after-ms": "250"}) == 0.25
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert (retry_after({"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}) or 0) > 1e7
    for nonsense in ("soon", "-3", "nan", "inf", "", "Wed, 99 Foo 2015"):
        assert retry_after({"Retry-After": nonsense}) is None
    assert retry_after({}) is None


def test_pauses_double_with_jitter_up_to_a_cap() -> None:
    patience = Patience(first=0.5, most=4)
    for tried, top in ((1, 0.5), (2, 1), (3, 2), (4, 4), (50, 4), (5000, 4)):
        pauses = [patience.pause(tried) for _ in range(200)]
        assert top / 2 <= min(pauses) < max(pauses) <= top
    assert min(patience.pause(1, after=10) for _ in range(50)) >= 10


# ---------------------------------------------------------------- faults that do not pass
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.WRONG_KEY, r"asks for a key \(401\): .* put one in NEGO_API_KEY_127_0_0_1 or NEGO_API_KEY"),
        (Fault.NO_MODEL, r"has no model 'stand-in' \(404\): .*/v1/models lists what it has"),
        (Fault.FULL, r"the context of stand-in is full \(400\): .*700 tokens.* shorter --memory"),
        (Fault.REDIRECT, r"redirects to 'http://elsewhere.invalid/v1/chat/completions' \(307\), which is not followed"),
    ],
)
async def test_what_does_not_pass_stops_the_run_at_the_first_call(fault: Fault, words: str) -> None:
    with StandIn(faults=[fault] * 100) as server:
        asked = backend(server)
        failed = await asyncio.gather(*(asked.complete(HELLO) for _ in range(20)), return_exceptions=True)
        assert server.calls == 1  # the others waited for it
        assert {type(e) for e in failed} == {RunError}
        assert len({str(e) for e in failed}) == 1
        with pytest.raises(RunError, match=words) as e:
            raise failed[0]  # type: ignore[misc]
    assert single_line(str(e.value))


async def test_what_does_not_pass_is_not_tried_again_later_either() -> None:
    with StandIn(reply=said("Hello."), faults=[None, Fault.FULL]) as server:
        asked = backend(server)
        await asked.complete(HELLO)
        with pytest.raises(BackendError, match="the context of stand-in is full"):
            await asked.complete(HELLO)
    assert server.calls == 2


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/v1", r"^127\.0\.0\.1:1 refuses connections: is the server running"),
        ("http://no-such-host.invalid/v1", r"^there is no host no-such-host\.invalid: check the spelling"),
    ],
)
async def test_a_server_that_is_not_there_stops_the_run_at_once(url: str, words: str) -> None:
    asked = ChatBackend(f"any@{url}", patience=Patience(first=60))
    with pytest.raises(RunError, match=words):
        await asyncio.wait_for(asked.complete(HELLO), 20)


async def test_a_wrong_path_says_what_a_base_url_looks_like() -> None:
    with StandIn() as server:
        asked = ChatBackend(f"stand-in@http://127.0.0.1:{server.port}/api")
        with pytest.raises(RunError, match=r"/api/chat/completions is not there \(404\).* It usually ends in /v1"):
            await asked.complete(HELLO)


async def test_https_to_a_server_that_speaks_http_is_told() -> None:
    with (
        StandIn() as server,
        pytest.raises(RunError, match=r"no safe connection|the call failed|closed the connection"),
    ):
        await ChatBackend(f"stand-in@https://127.0.0.1:{server.port}/v1,retries=0").complete(HELLO)


async def test_a_redirect_on_the_same_host_is_followed() -> None:
    with StandIn(reply=said("Hello.")) as server:
        asked = ChatBackend(f"stand-in@http://127.0.0.1:{server.port}/old")
        assert (await asked.complete(HELLO)).text == "Hello."


async def test_a_server_that_is_gone_stops_the_run() -> None:
    with StandIn(reply=said("Hello."), faults=[None, *[Fault.BROKEN] * 1000]) as server:
        asked = backend(server, "retries=1")
        await asked.complete(HELLO)
        for _ in range(GIVE_UP - 1):
            with pytest.raises(BackendError, match="500 Internal Server Error: Something broke"):
                await asked.complete(HELLO)
        with pytest.raises(RunError, match=f"{GIVE_UP} calls in a row failed, so the run stops; the last: "):
            await asked.complete(HELLO)


async def test_a_good_answer_in_between_starts_the_count_again() -> None:
    with StandIn(reply=said("Hello."), faults=[None, *[Fault.BROKEN] * 9, None, *[Fault.BROKEN] * 9]) as server:
        asked = backend(server, "retries=0")
        failed = await asyncio.gather(*(asked.complete(HELLO) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(f, BackendError) for f in failed) == 18


def test_a_run_after_the_cause_is_gone_works() -> None:
    with StandIn(reply=said("Hello."), faults=[Fault.WRONG_KEY]) as server:
        asked = backend(server)
        with pytest.raises(RunError):
            asyncio.run(asked.complete(HELLO))
        assert asyncio.run(asked.complete(HELLO)).text == "Hello."


# ---------------------------------------------------------------- what a model says
@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("<think>They want it.</think>\n\nHello. [Accept]", "Hello. [Accept]"),
        ("They want it.\n</think>\nHello.", "Hello."),
        ("<thinking>x</thinking>Hello.", "Hello."),
        ("Hello. <think>is not at the start</think>", "Hello. <think>is not at the start</think>"),
        ("  Hello.\n", "Hello."),
        ("<think>never finished", ""),
    ],
)
def test_thinking_is_not_said(words: str, text: str) -> None:
    assert without_thinking(words)[0] == text


def replying(reply: Any, status: int = 200) -> Any:
    """A `Raw` with this JSON in it."""
    from nego_agents.chat.wire import Raw

    return Raw(status, {}, reply if isinstance(reply, bytes) else json.dumps(reply).encode())


def read(reply: Any, status: int = 200) -> Answer:
    from nego_agents.chat import reply as replies
    from nego_agents.chat.server import Server

    return replies.read(replying(reply, status), Server.at("localhost:1"), "m")


def choice(message: Any, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish}], **more}


def test_replies_as_different_servers_write_them() -> None:
    parts = [{"type": "text", "text": "Hello, "}, {"type": "text", "text": "you."}]
    assert read(choice({"content": parts})).text == "Hello, you."
    assert read(choice({"content": None, "refusal": "I would rather not."})).text == "I would rather not."
    assert read(choice({"content": "Hi.", "reasoning_content": "hm", "tool_calls": [], "new": 1})).text == "Hi."
    assert read(b'{"choices": [{"message": {"content": "half \\ud83d pair"}}]}').text == "half \ud83d pair"
    assert read(b'{"choices": [{"message": {"content": "broken \xff"}}]}').text == "broken \ufffd"
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert read(choice({"content": "Hi."}, usage=usage)).usage == {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "cached_tokens": 8,
        "reasoning_tokens": 3,
    }
    assert read(choice({"content": "Hi."}, usage={"prompt_tokens": "many", "completion_tokens": -1})).usage == {}


@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        (choice({"content": "<think>a"}, "length"), 200, "still thinking when max_tokens ran out"),
        (choice({"content": "", "reasoning_content": "a"}, "length"), 200, "still thinking"),
        (choice({"content": None}, "content_filter"), 200, "content filter"),
        ({"error": {"code": 402, "message": "no credit"}}, 200, r"payment \(402\): no credit"),
        ({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, 429, "payment"),
        ({"error": "model 'm' not found, try pulling it first"}, 404, "no model 'm'"),
        ({"detail": "Server is pinned to '/x'; requested 'm'."}, 400, "no model 'm'"),
        ({"detail": [{"msg": "x"}]}, 422, "refused the request"),
        (
            {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"},
            400,
            "is full",
        ),
        ({"object": "error", "message": "too big"}, 413, "refused the request"),
        (b"<html>welcome</html>", 200, "a web page; is http://localhost:1/v1 the base URL"),
        ([1, 2], 200, "wrong shape"),
        ({}, 200, "without a choice"),
        (b"[" * 100_000, 200, "no JSON|wrong shape"),
        (b"", 200, "no JSON"),
    ],
)
def test_replies_that_are_none(reply: Any, status: int, words: str) -> None:
    from nego_agents.chat.faults import Fault as Trouble

    with pytest.raises(Trouble, match=words) as e:
        read(reply, status)
    assert single_line(str(e.value))
    assert len(str(e.value)) < 500


# ---------------------------------------------------------------- streams
async def test_words_are_watched_as_they_come() -> None:
    seen: list[str] = []
    with StandIn(reply=said("<think>Let me see.</think>\n\nHello, you there.")) as server:
        asked = backend(server, "server=vllm")
        answer = await asked.complete(HELLO, watch=seen.append)
    assert answer == Answer("Hello, you there.", "stop", {"prompt_tokens": 5, "completion_tokens": 6})
    assert "".join(seen) == "Hello, you there."
    assert len(seen) > 1
    assert server.bodies[0]["stream"] is True
    assert server.bodies[0]["stream_options"] == {"include_usage": True}


async def test_a_call_made_again_begins_the_words_anew() -> None:
    seen: list[str] = []
    with StandIn(reply=said("Hello, you there."), cut_streams=1) as server:
        answer = await backend(server, "server=openai").complete(HELLO, watch=seen.append)
    assert (answer.text, answer.tries) == ("Hello, you there.", 2)
    assert seen == ["Hello,", " you", "", "Hello,", " you", " there."]


async def test_thinking_that_only_its_end_gives_away_is_not_for_others() -> None:
    """What a first answer was like tells what may be shown of the next before it is whole."""
    words = iter(["It is worth 9 to me.</think>Hello.", "I will say 3.</think>Two words.", "Good day to you."])
    heard: list[list[str]] = []
    with StandIn(reply=lambda _: next(words)) as server:
        asked = backend(server)
        for _ in range(3):
            seen: list[str] = []
            heard.append(seen)
            await asked.complete(HELLO, watch=seen.append)
    assert heard == [["Hello."], ["Two", " words."], ["Good day to you."]]


async def test_a_first_answer_is_shown_whole_and_those_after_it_as_they_come() -> None:
    heard: list[list[str]] = []
    with StandIn(reply=said("Good day to you.")) as server:
        asked = backend(server)
        for _ in range(2):
            seen: list[str] = []
            heard.append(seen)
            await asked.complete(HELLO, watch=seen.append)
    assert heard == [["Good day to you."], ["Good", " day", " to", " you."]]


async def test_streams_can_be_refused() -> None:
    seen: list[str] = []
    with StandIn(reply=said("Hello, you there.")) as server:
        await backend(server, "stream=no").complete(HELLO, watch=seen.append)
    assert seen == ["Hello, you there."]
    assert "stream" not in server.bodies[0]


async def test_a_key_that_comes_in_parts_is_not_shown_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "nk-two parts-of-one".replace(" ", "")
    monkeypatch.setenv("NEGO_API_KEY", key)
    words = ["You", " sent", f" {key[:6]}", key[6:], " to", " me."]
    seen: list[str] = []
    with StandIn(reply=said("|".join(words)), piece=r"[^|]+") as server:
        answer = await backend(server, "server=openai").complete(HELLO, watch=seen.append)
    assert "".join(seen) == answer.text == "You sent [key] to me."
    assert all("nk-" not in piece for piece in seen)


def test_a_stream_that_ends_early_is_no_answer() -> None:
    from nego_agents.chat.faults import Fault as Trouble
    from nego_agents.chat.reply import Stream
    from nego_agents.chat.server import Server

    event = b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'
    stream = Stream(Server.at("localhost:1"), "m", None)
    assert not stream.feed(event[:11])  # pieces may fall anywhere
    assert not stream.feed(event[11:])
    with pytest.raises(Trouble, match="broke off"):
        stream.answer()
    with pytest.raises(Trouble, match="502 Bad Gateway: upstream"):
        stream.feed(b'data: {"error": {"code": 502, "message": "upstream"}}\n')


# ---------------------------------------------------------------- connections
async def test_calls_in_flight_are_bounded_per_host() -> None:
    with StandIn(reply=said("Hello."), delay=0.02) as server:
        one, two = backend(server, "concurrency=5"), backend(server, "concurrency=5")
        await asyncio.gather(*(b.complete(HELLO) for b in (one, two) for _ in range(30)))
    assert server.calls == 60
    assert server.most_in_flight == 5


@pytest.mark.filterwarnings("error")
def test_each_loop_closes_its_own_connections(recwarn: pytest.WarningsRecorder) -> None:
    with StandIn(reply=said("Hello.")) as server:
        asked = backend(server)
        for _ in range(3):
            assert asyncio.run(asked.complete(HELLO)).text == "Hello."

        async def closed_by_hand() -> None:
            await asked.complete(HELLO)
            await asked.aclose()
            await asked.complete(HELLO)  # opens again

        asyncio.run(closed_by_hand())
    gc.collect()
    assert not recwarn.list


async def test_a_call_that_is_cancelled_frees_its_place() -> None:
    with StandIn(reply=said("Hello."), faults=[None, Fault.HUNG]) as server:
        asked = backend(server, "concurrency=1")
        await asked.complete(HELLO)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked.complete(HELLO), 0.1)
        assert (await asyncio.wait_for(asked.complete(HELLO), 2)).text == "Hello."


# ---------------------------------------------------------------- names
def test_backends_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from chat_support import register

    from nego_env.registry import entry_points

    monkeypatch.syspath_prepend(str(register(tmp_path / "site")))
    entry_points.cache_clear()
    try:
        found = resolve_backend("openai:m@localhost:8000", cache=tmp_path / "kept")
        assert isinstance(found, ChatBackend)
        assert found.name == "m@localhost:8000"
        assert resolve_backend(found) is found
        with pytest.raises(NotFoundError, match="unknown backend 'openia'; did you mean 'openai'"):
            resolve_backend("openia:m")
    finally:
        entry_points.cache_clear()
    with pytest.raises(BackendError, match="has a method complete"):
        resolve_backend(object())  # type: ignore[arg-type]


def test_greedy_is_what_judges_use() -> None:
    assert Sampling(temperature=0) == GREEDY
    assert Message("user", "x").role == "user"
