"""Where a server is, which key goes where, and how requests are worded for it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from chat_support import HELLO, clean_environment
from support import single_line

from nego_agents.chat.dialect import DIALECTS, dialect
from nego_agents.chat.options import Options
from nego_agents.chat.server import Secrets, Server
from nego_env.backend import Sampling
from nego_env.errors import AgentError, NotFoundError, SettingsError

__all__ = ["clean_environment"]

KEY = "not-a-real-key-0123456789"


@pytest.mark.parametrize(
    ("argument", "model", "url"),
    [
        ("gpt-4o-mini", "gpt-4o-mini", ""),
        ("qwen3:8b@localhost:11434/v1", "qwen3:8b", "localhost:11434/v1"),
        ("Qwen/Qwen3-0.6B@http://127.0.0.1:8000/v1", "Qwen/Qwen3-0.6B", "http://127.0.0.1:8000/v1"),
        ("@cf/meta/llama@https://host/v1", "@cf/meta/llama", "https://host/v1"),
        ("@cf/meta/llama@host.example", "@cf/meta/llama", "host.example"),
        ("@cf/meta/llama", "@cf/meta/llama", ""),
    ],
)
def test_names(argument: str, model: str, url: str) -> None:
    options = Options.parse(f"{argument},temperature=0.7,guidance=no,max_tokens=20,reasoning=off")
    assert (options.model, options.url) == (model, url)
    assert options.sampling == Sampling(temperature=0.7, max_tokens=20, reasoning="off")
    assert options.completion_sampling == options.sampling
    assert options.guidance is False


def test_the_final_answer_has_a_temperature_of_its_own() -> None:
    options = Options.parse("m,temperature=0.7,top_p=0.95,completion_temperature=0.1")
    assert options.completion_sampling == Sampling(temperature=0.1, top_p=0.95, max_tokens=1024)


@pytest.mark.parametrize(
    ("argument", "error", "words"),
    [
        ("", AgentError, "openai needs a model: openai:MODEL@BASE_URL"),
        ("m,temprature=1", NotFoundError, "unknown option of openai 'temprature'; did you mean"),
        ("m,temperature=hot", AgentError, "temperature is 'hot', expected a number"),
        ("m,stream=perhaps", AgentError, "stream is 'perhaps', expected yes or no"),
        ("m,retries=-1", SettingsError, "retries is -1, it must be at least 0"),
        ("m,timeout=nan", SettingsError, "timeout is nan"),
        (f"m,api_key={KEY}", AgentError, "keys come from the environment only"),
    ],
)
def test_names_that_are_none(argument: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as e:
        Options.parse(argument)
    assert KEY not in str(e.value)
    assert single_line(str(e.value))


@pytest.mark.parametrize(
    ("option", "value"), [("temperature", "-1"), ("top_p", "0"), ("top_p", "1.1"), ("max_tokens", "0")]
)
def test_sampling_out_of_range(option: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{option} is "):
        _ = Options.parse(f"m,{option}={value}").sampling


@pytest.mark.parametrize(
    ("given", "url", "host"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1/chat/completions", "localhost:8000"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1/chat/completions", "localhost:8000"),
        ("localhost:8000", "http://localhost:8000/v1/chat/completions", "localhost:8000"),
        ("127.0.0.1:8000/api/v1", "http://127.0.0.1:8000/api/v1/chat/completions", "127.0.0.1:8000"),
        ("[::1]:8000", "http://[::1]:8000/v1/chat/completions", "[::1]:8000"),
        ("api.example.com", "https://api.example.com/v1/chat/completions", "api.example.com"),
        ("https://Example.com/v1/chat/completions", "https://example.com/v1/chat/completions", "example.com"),
        ("https://a.example/x?api-version=2", "https://a.example/x/chat/completions?api-version=2", "a.example"),
        ("", "https://api.openai.com/v1/chat/completions", "api.openai.com"),
    ],
)
def test_base_urls(given: str, url: str, host: str) -> None:
    server = Server.at(given, {})
    assert (server.url, server.host) == (url, host)


def test_the_environment_names_the_usual_server() -> None:
    assert Server.at("", {"OPENAI_BASE_URL": "http://localhost:1/v1"}).host == "localhost:1"
    assert Server.at("other:2", {"OPENAI_BASE_URL": "http://localhost:1/v1"}).host == "other:2"


@pytest.mark.parametrize(
    "url",
    ["ftp://host/v1", "http://", "http://host:99999/v1", "http://[::1/v1", "two words", f"http://me:{KEY}@host/v1",
     f"https://host/v1?key={KEY}", "///"],
)  # fmt: skip
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(SettingsError) as e:
        Server.at(url, {})
    assert KEY not in str(e.value)
    assert single_line(str(e.value))


# ---------------------------------------------------------------- keys
@pytest.mark.parametrize(
    ("url", "environment", "variable"),
    [
        ("", {"OPENAI_API_KEY": KEY}, "OPENAI_API_KEY"),
        ("", {"OPENAI_API_KEY": "x", "NEGO_API_KEY_API_OPENAI_COM": KEY}, "NEGO_API_KEY_API_OPENAI_COM"),
        ("localhost:8000", {"NEGO_API_KEY": KEY, "OPENAI_API_KEY": "x"}, "NEGO_API_KEY"),
        ("http://10.0.0.7:8000", {"NEGO_API_KEY_10_0_0_7": KEY, "NEGO_API_KEY": "x"}, "NEGO_API_KEY_10_0_0_7"),
        ("", {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://host:1/v1"}, "OPENAI_API_KEY"),
        ("https://host.example/v1", {"OPENAI_API_KEY": "openai's own"}, ""),
        ("https://api.openai.com/v1", {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "http://host:1/v1"}, ""),
        ("localhost:8000", {}, ""),
    ],
)
def test_each_key_goes_to_its_own_host(url: str, environment: dict[str, str], variable: str) -> None:
    server = Server.at(url, environment)
    assert server.key_from == variable
    assert server.headers().get("Authorization") == (f"Bearer {KEY}" if variable else None)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "ключ"])
def test_a_key_that_is_none(key: str) -> None:
    with pytest.raises(SettingsError, match="NEGO_API_KEY holds no key") as e:
        Server.at("localhost:1", {"NEGO_API_KEY": key})
    assert key not in str(e.value)


def test_secrets_show_nowhere() -> None:
    server = Server.at("localhost:1", {"NEGO_API_KEY": KEY})
    for shown in (repr(server), str(server), repr(server.secrets), repr(vars(server))):
        assert KEY not in shown
    assert server.secrets.scrub(f"you sent {KEY}!") == "you sent [key]!"
    assert server.secrets.scrub("you sent sk-proj-abcdefghijklmnop1234") == "you sent [key]"
    assert server.secrets.conceal("sk-proj-abcdefghijklmnop1234") == "sk-proj-abcdefghijklmnop1234"
    for write in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            write(Secrets(KEY))


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://host.example", {"https_proxy": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        ("http://host.example", {"https_proxy": "http://proxy.example:3128"}, None),
        ("https://host.example", {"https_proxy": "http://p:1", "no_proxy": "host.example"}, None),
        ("http://localhost:8000", {"http_proxy": "http://p:1"}, None),
        ("http://127.0.0.1:8000", {"http_proxy": "http://p:1"}, None),
        ("https://host.example", {"all_proxy": "http://p:1"}, "http://p:1"),
    ],
)
def test_proxies(url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Server.at(url, {}).proxy == proxy


def test_a_proxys_password_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://me:{KEY}@proxy.example:3128")
    server = Server.at("https://host.example", {})
    assert KEY not in server.secrets.scrub(f"proxy {server.proxy}")
    assert KEY not in repr(server)


# ---------------------------------------------------------------- dialects
@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://localhost:11434/v1", "ollama"),
        ("http://localhost:1234/v1", "lmstudio"),
        ("http://localhost:8000/v1", "other"),
        ("https://gateway.example/v1", "other"),
    ],
)
def test_a_server_is_told_from_its_url(url: str, name: str) -> None:
    assert dialect("", url).name == name
    assert dialect("vllm", url).name == "vllm"


def test_an_unknown_server() -> None:
    with pytest.raises(NotFoundError, match="unknown server 'vlm'; did you mean 'vllm'"):
        dialect("vlm", "http://localhost")


@pytest.mark.parametrize(
    ("server", "reasoning", "sent"),
    [
        ("openai", "off", {"reasoning_effort": "none"}),
        ("openai", "low", {"reasoning_effort": "low"}),
        ("ollama", "off", {"reasoning_effort": "none"}),
        ("vllm", "off", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("llama.cpp", "on", {"chat_template_kwargs": {"enable_thinking": True}}),
        ("transformers", "off", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("vllm", "high", {"reasoning_effort": "high"}),
        ("openrouter", "off", {"reasoning": {"enabled": False}}),
        ("openrouter", "high", {"reasoning": {"effort": "high"}}),
    ],
)
def test_thinking_is_switched_in_each_servers_way(server: str, reasoning: str, sent: dict[str, Any]) -> None:
    body = DIALECTS[server].body("m", HELLO, Sampling(reasoning=reasoning), stream=False)
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == sent


def test_a_server_without_such_a_switch_says_so() -> None:
    with pytest.raises(SettingsError, match="lmstudio has no such setting"):
        DIALECTS["lmstudio"].body("m", HELLO, Sampling(reasoning="off"), stream=False)


def test_openai_calls_the_limit_something_else() -> None:
    body = DIALECTS["openai"].body("m", HELLO, Sampling(max_tokens=9), stream=True)
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body
    assert body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in DIALECTS["transformers"].body("m", HELLO, Sampling(), stream=True)
