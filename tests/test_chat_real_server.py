"""One real server: `transformers serve` with a tiny model, played through end to end.

Opt-in, since it needs more than the test tools and takes a minute:

    pip install 'transformers[serving]'        # fastapi, uvicorn and openai, which the server wants
    NEGO_REAL_SERVER=1 python -m pytest tests/test_chat_real_server.py
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from chat_support import clean_environment

from nego_agents.chat.agent import ChatAgent
from nego_env.errors import NegoError, RunError
from nego_env.rollout import play
from nego_env.store import read_final
from nego_env.view import View

__all__ = ["clean_environment"]

pytestmark = [
    pytest.mark.skipif(not os.environ.get("NEGO_REAL_SERVER"), reason="opt-in: NEGO_REAL_SERVER=1 (docs/endpoints.md)"),
    pytest.mark.skipif(
        not all(find_spec(m) for m in ("fastapi", "uvicorn", "openai", "torch")),
        reason="needs fastapi, uvicorn and openai: pip install 'transformers[serving]'",
    ),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nego-tiny as a folder; where it is not there, a random model of its shape."""
    from nego_agents.local.model import LocalModel

    folder = tmp_path_factory.mktemp("model")
    try:
        LocalModel.load("nego-tiny").save(folder)
    except NegoError:
        from tiny_models import shared_tokenizer, tiny_model

        LocalModel(tiny_model(), shared_tokenizer(), name="tiny").save(folder)
    return folder


@pytest.fixture(scope="module")
def url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the server."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = (tmp_path_factory.mktemp("log") / "serve.txt").open("w")
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model), "--port", str(port)]
    process = subprocess.Popen([*command, "--host", "127.0.0.1"], stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 900
        while time.monotonic() < deadline:
            assert process.poll() is None, Path(log.name).read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{base}/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"{base}/v1"
    finally:
        process.terminate()
        process.wait(120)
        log.close()


def test_episodes_against_transformers_serve(url: str, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    seated = ChatAgent(f"{model}@{url},server=transformers,style=brief,max_tokens=48,temperature=0", spec="served")
    play("train", [seated, "boulware"], episodes=2, max_rounds=3, out=out, in_flight=1)
    found = read_final(out)
    assert [t.index for t in found] == [0, 1]
    assert all(t.scored for t in found), [t.error for t in found]
    assert seated.backend.spent.completion_tokens > 0  # type: ignore[attr-defined]


def test_words_come_piece_by_piece(url: str, model: Path) -> None:
    said: list[list[str]] = []

    def watch(view: View, piece: str) -> None:
        if piece == "":
            said.append([])
        else:
            said[-1].append(piece)

    seated = ChatAgent(
        f"{model}@{url},server=transformers,style=brief,max_tokens=24,temperature=0,repairs=0", watch=watch
    )
    t = play("theatre-2d764a7cd1b4", [seated, "boulware"], max_rounds=2)
    first, second = said
    assert ["".join(first), "".join(second)] == [u.text for u in t.utterances if u.seat == "seat_0"]
    assert len(first) == 1  # held back until it was clear that it was no thinking
    assert len(second) > 1


def test_a_model_it_does_not_have(url: str) -> None:
    with pytest.raises(RunError, match="has no model 'no-such/model'"):
        play("theatre-2d764a7cd1b4", [ChatAgent(f"no-such/model@{url},retries=0")])
