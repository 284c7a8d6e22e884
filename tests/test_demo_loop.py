"""The demo with a language model, from end to end on a miniature: a random model of a few thousand weights.

1. It plays, trains, plays again, and says what was measured, whatever that is.
2. Interrupted anywhere it says where everything is, and the same command goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny_models import tiny_model, tiny_tokenizer

from nego_agents.local.model import LocalModel
from nego_env.cli import main
from nego_env.errors import MissingExtraError
from nego_env.store import read_final
from nego_trainers import demo_loop, demo_plan
from nego_trainers.curves import save_png
from nego_trainers.demo_loop import DILEMMA, SCRIPTED
from nego_trainers.demo_plan import Size
from nego_trainers.demo_show import verdict
from nego_trainers.grpo import Outcome
from nego_trainers.metrics import read_metrics
from nego_trainers.records import EpisodeRecord
from nego_trainers.results import Results
from nego_trainers.settings import GRPOSettings

pytestmark = pytest.mark.usefixtures("one_thread")

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random model."""
    folder = tmp_path_factory.mktemp("models") / "novice"
    LocalModel(tiny_model(), tiny_tokenizer(), name="novice", style="brief").save(folder)
    return folder


@pytest.fixture(autouse=True)
def miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three dilemmas in the table, a second of training, an empty folder, a narrow screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(demo_plan, "QUICK", Size(1.0, 3))
    monkeypatch.setattr(demo_plan, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(demo_plan, "LEAST_STEPS", 1)
    small = partial(GRPOSettings, groups=2, group_size=2, max_rounds=2, max_new_tokens=4, save_every=2)
    monkeypatch.setattr(demo_loop, "GRPOSettings", small)
    monkeypatch.setattr("nego_trainers.curves.save_png", _no_picture)
    return tmp_path


def _no_picture(*_: Any) -> Path:
    raise MissingExtraError("no matplotlib here")


def demo(said: Said, model: Path, *args: str, code: int = 0) -> tuple[str, str]:
    assert main(["demo", "--quick", "--model", str(model), *args]) == code
    return said.readouterr()


# ---------------------------------------------------------------- the whole of it
def test_before_training_after_and_the_table(model: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nego_trainers.curves.save_png", save_png)
    out, err = demo(capsys, model, "--out", "d")
    flat = " ".join(out.split())
    assert "novice is a language model of" in flat
    parts = ["1. Before", "2. Training", "3. After", "4. On average", "What next?"]
    assert re.findall("|".join(re.escape(p) for p in parts), out) == parts
    for name in (*SCRIPTED, "novice, before", "novice, after", "exact optimum"):
        assert re.search(rf"^\s*{name} +.*\d", out, re.MULTILINE), name
    assert "3 held-out dilemmas, both seatings" in flat
    assert "Measured on this machine" in flat
    assert "update" in flat
    assert "step 1 " in err, "a pipe gets lines while it trains"
    assert "\x1b" not in out
    assert all(len(line) <= 80 for line in out.splitlines() if "nego " not in line)
    assert "…" not in out

    folder = Path("d")
    assert {"demo.json", "before.jsonl", "after.jsonl", "training", "evaluation", "results.json"} <= {
        p.name for p in folder.iterdir()
    }
    for name, agent in (("before", f"hf:{model}"), ("after", "hf:d/training/final")):
        (t,) = read_final(folder / f"{name}.jsonl")
        assert (t.scenario.id, t.seed, set(t.agents)) == (DILEMMA, 0, {agent})
        assert f"nego replay d/{name}.jsonl" in flat
    assert "nego play --scenario observatory-d3233dc7b75a --agents human hf:d/training/final" in flat
    assert Path("d/training/curves.png").exists()
    assert LocalModel.load("d/training/final").style == "brief"


def test_what_it_prints_is_what_was_measured(model: Path, capsys: Said) -> None:
    out, _ = demo(capsys, model, "--json", "--out", "d")
    found = json.loads(out)
    assert found == json.loads(Path("d/results.json").read_text())
    rows = {r["entry"]: r for r in found["rows"]}
    assert set(rows) == {"novice, before", "novice, after", "optimum", *SCRIPTED}
    assert found["suite"]["dilemmas"] == 3
    assert all(r["episodes"] == 6 and r["unscored"] == 0 for r in rows.values())
    change = found["change"]["ca"]
    assert change["mean"] == pytest.approx(
        rows["novice, after"]["ca"]["mean"] - rows["novice, before"]["ca"]["mean"], abs=1e-5
    )
    assert found["training"]["step"] == len(read_metrics("d/training/metrics.jsonl"))
    for name in ("before", "after"):
        (t,) = read_final(f"d/{name}.jsonl")
        assert found["dilemma"][name]["agreed"] == t.outcome.agreed


def test_a_finished_demo_is_shown_again_and_nothing_is_trained(model: Path, capsys: Said) -> None:
    demo(capsys, model, "--out", "d")
    kept = ("before.jsonl", "after.jsonl", "training/metrics.jsonl", "training/final/model.safetensors", "demo.json")
    before = {name: Path("d", name).read_bytes() for name in kept}
    demo(capsys, model, "--out", "d")
    assert {name: Path("d", name).read_bytes() for name in kept} == before


def test_a_folder_of_its_own_under_runs() -> None:
    folder = demo_loop._new_folder()
    assert re.fullmatch(r"runs/demo-\d{8}-\d{6}", folder.as_posix())
    folder.mkdir(parents=True)
    assert demo_loop._new_folder() != folder


# ---------------------------------------------------------------- interruptions
class InterruptedAfter:
    """A watcher whose user presses Ctrl-C after so many updates."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def note(self, text: str) -> None: ...

    def playing(self, step: int, done: int, episodes: int) -> None:
        if step > self.steps:
            raise KeyboardInterrupt

    def step(self, records: list[Any], share: float, seconds_left: float | None) -> None: ...

    def __enter__(self) -> InterruptedAfter:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_interrupted_while_training_it_goes_on(model: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as m:
        m.setattr("nego_trainers.panel.watcher", lambda title: InterruptedAfter(1))
        out, err = demo(capsys, model, "--out", "d", code=130)
    assert "3. After" not in out
    assert err.startswith("nego: interrupted after 1 update: ")
    assert f"demo --out d --model {model} --quick goes on" in err
    first = read_metrics("d/training/metrics.jsonl")
    assert len(first) == 1
    demo(capsys, model, "--out", "d")
    records = read_metrics("d/training/metrics.jsonl")
    assert records[:1] == first
    assert [r["step"] for r in records] == list(range(1, len(records) + 1))


@pytest.mark.parametrize("where", ["nego_trainers.demo_loop.probe", "nego_trainers.evaluate.evaluate"])
def test_interrupted_elsewhere_it_goes_on(
    where: str, model: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(where, interrupted)
        _, err = demo(capsys, model, "--out", "d", code=130)
    assert "nego: interrupted: what was played and learnt is in d; " in err
    before = Path("d/before.jsonl").read_bytes()
    demo(capsys, model, "--out", "d", "--json")
    assert Path("d/before.jsonl").read_bytes() == before


def test_a_probe_that_is_interrupted_leaves_nothing(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stopped: Callable[..., Outcome] = lambda settings, out: _interrupted(out)  # noqa: E731
    monkeypatch.setattr("nego_trainers.grpo.train", stopped)
    with pytest.raises(KeyboardInterrupt):
        demo_plan.probe(GRPOSettings())
    assert list(tmp_path.iterdir()) == []


def _interrupted(out: Path) -> Outcome:
    from nego_trainers.checkpoint import Progress

    out.mkdir()
    return Outcome(Progress(), [], [], True, out, None)


# ---------------------------------------------------------------- mistakes
def test_another_demo_and_other_things_are_left_alone(model: Path, capsys: Said) -> None:
    demo_plan.write_plan(Path("d"), demo_plan.identity(str(model), quick=True, seed=4), None)
    _, err = demo(capsys, model, "--out", "d", code=2)
    assert "--out d holds another demo (seed 4 there, 0 here); nothing was changed" in err
    _, err = demo(capsys, Path("no/such/model"), "--out", "e", code=2)
    assert err.count("\n") == 1
    assert not Path("e").exists()


# ---------------------------------------------------------------- in words
def results(before: list[float], after: list[float], other: float = 3.0) -> Results:
    """One seating of scenarios whose CA is given, before and after."""

    def run(values: list[float]) -> tuple[tuple[EpisodeRecord, ...], ...]:
        return (
            tuple(
                EpisodeRecord(
                    f"s{i}", "3x3", "given", 0, "agreement", True, {"ca": x, "agreement": 1.0, "premature": 0.25}
                )
                for i, x in enumerate(values)
            ),
        )

    return Results(
        suite="s",
        sha256="0" * 64,
        scenarios=tuple((f"s{i}", "3x3") for i in range(len(before))),
        seatings=("given",),
        runs={"before": run(before), "after": run(after), "revealer": run([other] * len(before))},
        agents={n: (n,) for n in ("before", "after", "revealer")},
    )


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ([4.0] * 20, "Training raised held-out CA by 2.00"),
        (
            [1.0] * 20,
            "Training lowered held-out CA by 1.00 (one run; 95 % interval of the change over dilemmas -1.00 to -1.00)",
        ),
        ([1.0, 3.1] * 10, "no change can be told from chance"),
    ],
)
def test_the_verdict_follows_the_interval(after: list[float], told: str) -> None:
    (said,) = verdict(results([2.0] * 20, after), "before", "after")
    assert told in said
    above = 1 if sum(after) / 20 > 3 else 0
    assert f"stands above {above} of the 1 scripted negotiators; the best of them, revealer, has 3.00" in said
    assert "Premature compromise: 25 % of its deals before, 25 % after." in said


def test_speed_is_what_the_probe_measured(model: Path) -> None:
    found = demo_plan.probe(demo_loop.GRPOSettings(model=str(model)))
    assert found.step > 0
    assert found.tokens_per_second > 0
    assert 0 < found.episode < found.step
