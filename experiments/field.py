"""Policies and scripted negotiators on the held-out suite: the evaluation every experiment shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from experiments.recipe import GRPO, RUNS, SCRIPTED, heldout
from nego_trainers.evaluate import evaluate
from nego_trainers.results import Results


def policy(folder: Path | str, temperature: float) -> Any:
    """A model as an agent at a temperature (0: greedy), with the limits it was trained with."""
    from nego_agents.local.agent import HFAgent
    from nego_agents.local.model import LocalModel
    from nego_agents.local.sampling import Sampling

    sampling = Sampling(temperature=temperature, max_new_tokens=GRPO["max_new_tokens"])
    return HFAgent(
        model=LocalModel.load(str(folder), device="cpu"), sampling=sampling, spec=f"{Path(folder).name}@{temperature:g}"
    )


def measure(models: Mapping[str, Path | str], temperature: float, *, seed: int = 0, **settings: Any) -> Results:
    """Every model against itself, in both seatings of the 500 held-out duels. Resumed by folder name."""
    import torch

    torch.set_num_threads(1)
    entries = {name: policy(folder, temperature) for name, folder in models.items()}
    out = RUNS / "evaluation" / f"T{temperature:g}"
    return evaluate(
        entries, heldout(), seeds=(seed,), out=out, tokens=False, in_flight=128, progress=_Lines(), **settings
    )


def play_all(models: Mapping[str, Path | str], temperatures: Sequence[float], *, at_once: int, **settings: Any) -> None:
    """What `measure` would play, in processes of their own, one thread each; `measure` then reads it."""
    work = [({name: folder}, t) for t in temperatures for name, folder in models.items()]
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(_measured, one, t, settings) for one, t in work]:
            done.result()


def _measured(models: Mapping[str, Path | str], temperature: float, settings: dict[str, Any]) -> None:
    measure(models, temperature, **settings)


def scripted() -> Results:
    """All ordered pairs of the scripted field, and opening with one's best (`premature`), on the same duels."""
    return evaluate(
        [*SCRIPTED, "premature"], heldout(), cross=True, out=RUNS / "evaluation" / "scripted", progress=_Lines()
    )


def pairs(results: Results) -> list[str]:
    """The ordered pairs of the field, self-play included, `premature` left out."""
    return [n for n in results.names if "premature" not in n]


class _Lines:
    """A line when an entry is done."""

    def __call__(self, entry: str, done: int, total: int) -> None:
        if done == total:
            print(f"  {entry}: {total} episodes", flush=True)
