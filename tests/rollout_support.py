"""What tests of the engine share: nothing is left behind, some episodes are chosen to fail, and an agent keeps its batches."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from face_support import agreeable
from support import single_line

from nego_env.rules import StopReason
from nego_env.transcript import Transcript
from nego_env.view import View


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test leaves a task or future whose error nobody read."""
    yield
    gc.collect()
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio" and r.levelno >= logging.ERROR] == []


def chosen(episode: str) -> bool:
    """About a quarter of all episodes, by their ids."""
    return int(episode, 16) % 4 == 0


def assert_only_the_chosen_failed(played: list[Transcript], stop: StopReason, message: str) -> None:
    """Those episodes ended so, without a reward and with a line that says why; all the others were scored."""
    failed = [t for t in played if chosen(t.id)]
    assert 0 < len(failed) < len(played)
    for t in played:
        if chosen(t.id):
            assert (t.stop, t.rewards, t.outcome.ca) == (stop, None, None)
            assert t.error is not None
            assert message in t.error
            assert single_line(t.error)
        else:
            assert t.scored, t.error


class Batched:
    """Keeps the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def act_batch(self, views: list[View]) -> Any:
        self.sizes.append(len(views))
        return [agreeable(v) for v in views]
