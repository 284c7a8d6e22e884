"""What holds for every test.

1. Hypothesis draws the same examples every time, so that a run is repeatable; `NEGO_HYPOTHESIS=explore` draws new ones.
2. A key stands in the environment, and what the whole run wrote and said is searched for it (`key_search`).
3. Torch has one thread, in processes that tests start too: on busy cores two of them wait for each other (a test of 17 seconds
   took more than 600).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from key_search import KEY, Search

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded
settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("default"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("NEGO_HYPOTHESIS", "default"))

_SEARCH = Search()


@pytest.fixture(scope="session", autouse=True)
def no_key_anywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails the run, after its last test, where the key was seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEGO_API_KEY", KEY)
        _SEARCH.listen(patch)
        yield
    _SEARCH.files(tmp_path_factory.getbasetemp())
    if _SEARCH.found:
        pytest.fail("the test key was written or printed:\n" + "\n".join(dict.fromkeys(_SEARCH.found)), pytrace=False)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread: sums come out the same on every machine, and small models are faster."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What a test printed and logged."""
    for title, words in report.sections:
        _SEARCH.words(words, f"{report.nodeid}: {title}")
