"""Whole runs against a server that misbehaves, a process that is killed, and keys that must show nowhere."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from chat_support import agent, clean_environment, register
from key_search import KEY
from stand_in import PASSING, Fault, StandIn
from support import single_line

from nego_agents.chat.agent import ChatAgent
from nego_agents.chat.tape import Recorded
from nego_env.rollout import play
from nego_env.store import TranscriptFile, read, read_final
from nego_env.transcript import Transcript

__all__ = ["clean_environment"]

QUICK = tuple(f for f in PASSING if f not in (Fault.ENDLESS, Fault.HUGE))
"""Those that cost no second."""


def test_three_in_ten_replies_faulty_and_the_rewards_are_those_of_a_good_day(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    with StandIn() as server:
        play("train", [agent(server, repairs=0)], episodes=100, out=good)
    with StandIn(share=0.3, kinds=QUICK, slow=0.01) as server:
        play("train", [agent(server, repairs=0)], episodes=100, out=bad)
        assert server.answered == len([u for t in read(bad) for u in t.utterances])  # no answer was thrown away
        assert server.calls > 1.3 * server.answered
    rewards = {t.id: t.rewards for t in read_final(good)}
    found = read_final(bad)
    assert [t.index for t in found] == list(range(100))
    assert Counter(t.id for t in read(bad) if t.scored).most_common(1)[0][1] == 1
    scored = [t for t in found if t.scored]
    assert len(scored) >= 99
    assert all(t.rewards == rewards[t.id] for t in scored)
    assert all(t.error for t in found if not t.scored)


def calls_of(t: Transcript) -> int:
    """How often a seat spoke."""
    return len(t.utterances)


RUN = """
import sys
from nego_agents.chat.agent import ChatAgent
from nego_env.rollout import play
play("train", [ChatAgent(f"stand-in@{sys.argv[1]}", spec="stand-in", repairs=0)], episodes=60, out=sys.argv[2], in_flight=8)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_killed_in_the_middle_and_resumed_no_call_of_a_finished_episode_is_paid_again(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    with StandIn(delay=0.01) as server:
        command = [sys.executable, "-c", RUN, server.url, str(out)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 200
        while not (out.exists() and out.read_bytes().count(b"\n") >= 10) and time.monotonic() < deadline:
            time.sleep(0.02)
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        time.sleep(0.3)  # what was in flight arrives
        finished = list(TranscriptFile(out))
        assert 10 <= len(finished) < 60
        server.calls = 0
        subprocess.run(command, check=True, timeout=300)
        again = server.calls
    whole = read_final(out)
    assert [t.index for t in whole] == list(range(60))
    assert again == sum(calls_of(t) for t in whole) - sum(calls_of(t) for t in finished)
    kept = {t.id: t.encode() for t in whole}
    assert all(kept[t.id] == t.encode() for t in finished)


# ---------------------------------------------------------------- keys
def test_a_key_shows_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Against a server that repeats the key it was sent, in answers and errors: every file and every word of output."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("NEGO_API_KEY", KEY)
    faults = [None, *(f for f in QUICK for _ in range(2)), *[Fault.BROKEN] * 40]
    with StandIn(key=KEY, echo_key=True, faults=faults) as server:
        seated = agent(server, cache=tmp_path / "cache")
        seated.sampling = seated.completion_sampling = type(seated.sampling)(temperature=0)
        seated.backend = Recorded(seated.backend, tmp_path / "tape.jsonl")
        play("train", [seated], episodes=6, out=tmp_path / "run.jsonl", in_flight=3, redraws=0)
        assert server.keys == {f"Bearer {KEY}"}
        told = [t.error for t in read(tmp_path / "run.jsonl") if t.error]
        assert any("[key]" in t for t in told)
        monkeypatch.setenv("NEGO_API_KEY", KEY[:-1] + "!")
        with pytest.raises(Exception, match=r"does not accept the key in NEGO_API_KEY \(401\)") as e:
            play("train", [agent(server)], episodes=10, out=tmp_path / "refused.jsonl")
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert {f.suffix for f in files} >= {".jsonl", ".json"}
    assert any(b"[key]" in f.read_bytes() for f in files)
    written = b"\n".join(f.read_bytes() for f in files)
    captured = capfd.readouterr()
    for where in (
        written.decode(),
        captured.out,
        captured.err,
        caplog.text,
        repr(seated.backend),
        str(e.value),
        repr(e.value),
    ):
        assert KEY[:-1] not in where


# ---------------------------------------------------------------- command line
def nego(site: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line, with the chat agents registered."""
    return subprocess.run(
        [sys.executable, "-c", "import sys; from nego_env.cli import main; sys.exit(main())", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": str(site), **environment},
    )


def test_a_run_by_name_gives_json_and_nothing_else(tmp_path: Path) -> None:
    site = register(tmp_path / "site")
    with StandIn(key=KEY) as server:
        done = nego(
            site,
            "play",
            "--scenario",
            "thesis-deadline",
            "--agents",
            f"openai:stand-in@{server.url}",
            "--json",
            NEGO_API_KEY=KEY,
        )
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (row["scored"], row["stop"]) == (True, "agreement")
    assert row["agents"] == [f"openai:stand-in@{server.url}"] * 2
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("agent_of", "words"),
    [
        (lambda url: "openai:stand-in@http://127.0.0.1:1/v1", "127.0.0.1:1 refuses connections: is the server running"),
        (lambda url: f"openai:gpt-5@{url}", "has no model 'gpt-5' (404)"),
        (lambda url: f"chat:stand-in@{url}", "asks for a key (401)"),
    ],
    ids=["refused", "model", "key"],
)
def test_mistakes_are_one_line(tmp_path: Path, agent_of: object, words: str, as_json: bool) -> None:
    site = register(tmp_path / "site")
    with StandIn(key=KEY) as server:
        name = agent_of(server.url)  # type: ignore[operator]
        flags = ["--json"] if as_json else []
        environment = {} if name.startswith("chat") else {"NEGO_API_KEY": KEY}
        done = nego(site, "play", "--scenario", "train", "--episodes", "200", "--agents", name, *flags, **environment)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert single_line(done.stderr.strip())
    assert server.calls <= 1
    assert not (tmp_path / "runs").exists()  # nothing came of it, and nothing is left


def test_a_missing_extra_names_its_install_command(tmp_path: Path) -> None:
    site = register(tmp_path / "site")
    (site / "aiohttp").mkdir()
    (site / "aiohttp" / "__init__.py").write_text("raise ModuleNotFoundError('no', name='aiohttp')")
    done = nego(site, "play", "--agents", "openai:m@localhost:1")
    assert done.returncode == 2
    assert done.stderr.strip() == "nego: error: chat servers need aiohttp: pip install 'nego-env[chat]'"


def test_naming_an_agent_loads_neither_torch_nor_a_client() -> None:
    code = (
        "import sys, nego_agents.chat.agent, nego_agents.chat.tape, nego_env.backend;"
        "print([m for m in ('torch', 'transformers', 'aiohttp', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_agent_answers_to_both_names() -> None:
    assert ChatAgent("m@localhost:1").spec == "openai:m@localhost:1"
