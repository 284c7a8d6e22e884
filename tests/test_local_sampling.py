"""Drawing tokens: the distribution that was meant, and its log-probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nego_agents.local.options import Options, completion_of  # noqa: E402
from nego_agents.local.sampling import Drawer, Sampling  # noqa: E402
from nego_env.errors import AgentError, NotFoundError, SettingsError  # noqa: E402

PROBS = (0.5, 0.25, 0.125, 0.125)
CPU = torch.device("cpu")


def draw(sampling: Sampling, uniforms: np.ndarray, probs: tuple[float, ...] = PROBS) -> tuple[list[int], list[float]]:
    """One token per uniform number."""
    logits = torch.tensor(probs).log().expand(len(uniforms), -1)
    tokens, logps = Drawer([sampling] * len(uniforms), CPU).draw(logits, torch.tensor(uniforms))
    return tokens.tolist(), logps.tolist()


def counts(sampling: Sampling) -> list[int]:
    """How often each token is drawn with 1600 evenly spread numbers."""
    tokens, _ = draw(sampling, (np.arange(1600) + 0.5) / 1600)
    return np.bincount(tokens, minlength=4).tolist()


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    assert counts(Sampling()) == [800, 400, 200, 200]


def test_temperature_divides_the_logits() -> None:
    # At 0.5 the probabilities are squared: 16, 4, 1, 1 of 22.
    assert np.allclose(counts(Sampling(0.5)), [1600 * x / 22 for x in (16, 4, 1, 1)], atol=1)

    assert counts(Sampling(0.0)) == [1600, 0, 0, 0]


def test_top_p_keeps_the_token_that_crosses_it() -> None:
    assert counts(Sampling(top_p=0.5)) == [1600, 0, 0, 0]
    assert np.allclose(counts(Sampling(top_p=0.51)), [1067, 533, 0, 0], atol=1)
    assert counts(Sampling(top_p=0.875)) in ([914, 457, 229, 0], [915, 457, 228, 0], [914, 457, 228, 1])
    assert counts(Sampling(top_p=1.0)) == counts(Sampling())


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.7), Sampling(top_p=0.6), Sampling(0.7, 0.6)])
def test_the_log_probability_is_of_the_scaled_distribution_untruncated(sampling: Sampling) -> None:
    tokens, logps = draw(sampling, np.linspace(0, 0.999, 40))
    scaled = [p ** (1 / sampling.temperature) for p in PROBS]
    assert logps == pytest.approx([math.log(scaled[t] / sum(scaled)) for t in tokens], abs=1e-6)


def test_greedy_records_the_log_probability_at_temperature_1() -> None:
    assert draw(Sampling(0.0), np.array([0.99])) == ([0], [pytest.approx(math.log(0.5))])


def test_what_cannot_be_is_never_drawn() -> None:
    tokens, _ = draw(Sampling(), np.array([0.0, 0.5, 1 - 2**-53]), (0.0, 0.5, 0.5, 0.0))
    assert tokens == [1, 2, 2]


def test_rows_are_sampled_each_in_its_own_way() -> None:
    logits = torch.tensor(PROBS).log().expand(3, -1)
    drawer = Drawer([Sampling(), Sampling(0.0), Sampling(top_p=0.4)], CPU)
    high = torch.full((3,), 0.99, dtype=torch.float64)
    assert drawer.draw(logits, high)[0].tolist() == [3, 0, 0]
    drawer.keep(torch.tensor([2, 0]))
    assert drawer.draw(logits[:2], high[:2])[0].tolist() == [0, 3]


@pytest.mark.parametrize(
    "change", [{"temperature": -1.0}, {"temperature": math.nan}, {"top_p": 0.0}, {"top_p": 1.1}, {"max_new_tokens": 0}]
)
def test_values_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(change))):
        Sampling(**change)  # type: ignore[arg-type]


# ---------------------------------------------------------------- on a command line
def test_options_follow_the_name_of_the_model() -> None:
    found = Options.parse("Qwen/Qwen3-0.6B,temperature=0.7,top_p=0.95,max_new_tokens=64,device=cpu,revision=main")
    assert (found.model, found.device, found.revision) == ("Qwen/Qwen3-0.6B", "cpu", "main")
    assert found.sampling == Sampling(0.7, 0.95, 64)
    assert found.completion_sampling == Sampling(0.7, 0.95, 256)
    assert Options.parse("m,completion_temperature=0").completion_sampling.temperature == 0
    assert Options.parse("") == Options()
    assert Options.parse(",temperature=0").model == "nego-tiny"
    assert completion_of(Sampling(0.3, max_new_tokens=5)) == Sampling(0.3, max_new_tokens=20)


def test_a_wrong_option_says_which_there_are() -> None:
    with pytest.raises(NotFoundError, match=r"unknown option of hf 'temprature'; did you mean 'temperature'"):
        Options.parse("m,temprature=1")
    for wrong in ("m,temperature=warm", "m,max_new_tokens=1.5", "m,top_p"):
        with pytest.raises(AgentError, match="expected a number"):
            Options.parse(wrong)
