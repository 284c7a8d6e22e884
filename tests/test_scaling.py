"""Several processes: the configurations of configs/ parse, and two processes on this CPU (gloo) make the update of one.

Every rollout is on disk, so one process can put together the rows that two processes trained on, take the same steps in
plain torch, and compare losses, gradient norms and weights.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from safetensors.torch import load_file  # noqa: E402

from nego_env.errors import SettingsError  # noqa: E402
from nego_env.store import read  # noqa: E402
from nego_env.tokens import read_tokens  # noqa: E402
from nego_trainers.advantages import group_advantages  # noqa: E402
from nego_trainers.batch import WeightedRow, weigh  # noqa: E402
from nego_trainers.distributed import train_distributed  # noqa: E402
from nego_trainers.dry_run import KNOWN, memory  # noqa: E402
from nego_trainers.metrics import read_metrics  # noqa: E402
from nego_trainers.objective import Objective  # noqa: E402
from nego_trainers.policy import load_policy  # noqa: E402
from nego_trainers.processes import Shifted, joined  # noqa: E402
from nego_trainers.rows import rows_of  # noqa: E402
from nego_trainers.selfplay import SelfPlay  # noqa: E402
from nego_trainers.settings import PAPER, GRPOSettings  # noqa: E402
from nego_trainers.step import StepOptions, StepReport, grpo_step  # noqa: E402
from tests.gradient_support import Found, assert_equal, batch, by_step, weighed  # noqa: E402
from tests.scaling_program import settings  # noqa: E402
from tests.tiny_models import tiny_model  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "configs"
PROGRAM = Path(__file__).with_name("scaling_program.py")
TOLERANCE = 1e-5


# ---------------------------------------------------------------- configurations
def launched(name: str, *more: str) -> Any:
    """The launcher's arguments once it has read a configuration."""
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    path = str(CONFIGS / "accelerate" / name)
    config = load_config_from_file(path)  # refuses keys it does not know
    args = launch_command_parser().parse_args(["--config_file", path, *more, "-m", "nego_trainers.distributed"])
    for key, value in {**config.fsdp_config, **config.deepspeed_config}.items():
        assert hasattr(args, key), f"{name}: accelerate launch has no --{key}"
        setattr(args, key, value)
    return config


@pytest.mark.parametrize(
    ("name", "kind", "processes", "precision"),
    [
        ("one_gpu.yaml", "NO", 1, "bf16"),
        ("many_gpus.yaml", "MULTI_GPU", 4, "bf16"),
        ("fsdp.yaml", "FSDP", 4, "bf16"),
        ("zero3.yaml", "DEEPSPEED", 4, None),
    ],
)
def test_accelerate_reads_its_configurations(name: str, kind: str, processes: int, precision: str | None) -> None:
    config = launched(name)
    assert (config.distributed_type.value, config.num_processes, config.mixed_precision) == (kind, processes, precision)
    assert config.num_machines == 1
    assert not config.use_cpu


def test_every_configuration_is_tested_and_documented() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    names = {str(p.relative_to(ROOT)) for p in CONFIGS.rglob("*") if p.is_file()}
    assert names == {
        "configs/accelerate/fsdp.yaml",
        "configs/accelerate/many_gpus.yaml",
        "configs/accelerate/one_gpu.yaml",
        "configs/accelerate/zero3.yaml",
        "configs/deepspeed_zero3.json",
    }
    assert all(name in page for name in names)


def fsdp_environment() -> dict[str, str]:
    """What `accelerate launch` would set for fsdp.yaml."""
    config = launched("fsdp.yaml").fsdp_config
    return {"ACCELERATE_USE_FSDP": "true"} | {key.upper(): str(value).lower() for key, value in config.items()}


def test_fsdp_is_what_the_trainer_counts_on() -> None:
    config = launched("fsdp.yaml").fsdp_config
    assert config["fsdp_version"] == 2  # whole_weights knows no other
    assert config["fsdp_state_dict_type"] == "FULL_STATE_DICT"
    assert config["fsdp_cpu_ram_efficient_loading"] is False  # else other processes start from empty weights
    assert config["fsdp_activation_checkpointing"] is False  # the trainer has its own, and both are refused


def test_deepspeed_is_what_the_trainer_counts_on() -> None:
    named = ROOT / launched("zero3.yaml").deepspeed_config["deepspeed_config_file"]
    config = json.loads(named.read_text(encoding="utf-8"))
    zero = config["zero_optimization"]
    assert zero["stage"] == 3
    assert zero["stage3_gather_16bit_weights_on_model_save"] is True  # else there is no model to save
    filled_in_by_the_trainer = {k for k, v in {**config, **zero}.items() if v == "auto"}
    assert {
        "gradient_clipping",
        "gradient_accumulation_steps",
        "train_micro_batch_size_per_gpu",
    } <= filled_in_by_the_trainer
    assert config["bf16"] == {"enabled": "auto"}


def test_memory_in_the_docs_is_what_the_estimate_says() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    paper = GRPOSettings(**PAPER)
    parts = [f"{x:.1f}" for x in memory(paper, KNOWN[paper.model]).values()]
    total = sum(memory(paper, KNOWN[paper.model]).values())
    assert f"| {' | '.join(parts)} | {total:.1f} |" in page
    small = memory(replace(paper, micro_tokens=2048), KNOWN[paper.model])
    assert f"takes {small['update']:.1f} and the sum is {sum(small.values()):.1f}." in page
    half = memory(replace(paper, qlora=False), KNOWN[paper.model])
    assert f"make the sum {sum(half.values()):.1f}." in page


# ---------------------------------------------------------------- another sampler
class StandIn:
    """In the place of TRL's vLLM: the same call, answered by the model itself, one token at a time."""

    temperature, top_p, max_completion_length = 1.0, 1.0, 1

    def __init__(self, model: Any) -> None:
        self.model, self.calls = model, 0

    def generate(self, prompts: list[list[int]], images: None, num_generations: int) -> tuple[Any, ...]:
        assert num_generations == 1
        self.calls += 1
        ids, logprobs = [], []
        for prompt in prompts:
            context = list(prompt)
            said: list[list[float]] = []
            for _ in range(self.max_completion_length):
                with torch.no_grad():
                    logits = self.model(input_ids=torch.tensor([context])).logits[0, -1] / self.temperature
                table = torch.log_softmax(logits, -1)
                context.append(int(torch.multinomial(table.exp(), 1)))
                said.append([float(table[context[-1]])])
                if context[-1] == self.model.config.eos_token_id:
                    break
            ids.append(context[len(prompt) :])
            logprobs.append(said)
        return prompts, ids, logprobs, None


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_vllm_sampler_of_the_docs_feeds_the_trainer(tmp_path: Path) -> None:
    from train_support import JUDGE, OneDilemma, options, policy

    from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config

    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    s = options(temperature=0.8, max_rounds=2, suite="open")
    trained = policy(s)
    selfplay = SelfPlay(s, trained, OneDilemma(), tmp_path, JUDGE)
    objective = Objective(temperature=s.temperature)
    trainer = SelfPlayGRPOTrainer(
        trained.model,
        lambda step, model: selfplay.weighed(selfplay.play(step).groups),
        selfplay_config(tmp_path / "trl", rows=s.groups * s.group_size * 2, objective=objective, max_steps=1),
        tokenizer=trained.local.tokenizer,
        objective=objective,
    )
    trainer.vllm_generation = StandIn(trained.model)
    selfplay.agent._decoder = names["VLLMSampler"](trainer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trainer.train()
    assert trainer.vllm_generation.calls > 2
    assert trainer.report.drift < TOLERANCE
    assert trainer.report.grad_norm > 1e-3


# ---------------------------------------------------------------- two processes
@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that two processes do, in one start of them: most of the time goes into imports."""
    from train_support import options, policy

    out = tmp_path_factory.mktemp("two")
    policy(options()).save(out / "start")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    env = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    with (out / "said").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, *launcher, str(PROGRAM), str(out), json.dumps(fsdp_environment())],
            env={**os.environ, **env}, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout=240)
        except subprocess.TimeoutExpired:
            code = -1
            os.killpg(process.pid, signal.SIGKILL)  # the launcher and what it started
            process.wait()
        said.seek(0)
        assert code == 0, said.read()[-4000:]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_group_in_each_process_is_both_in_one(norm: Any, both: Path) -> None:
    """Groups of 3 and 2 seats, unequal token counts, a memory window, an unscored episode: the gradient itself."""
    two = load_file(both / f"adapter-{norm}.safetensors")
    model = tiny_model("qwen2", hidden=32, heads=4)
    objective = Objective(clip_low=0.2, clip_high=0.3, entropy=0.01)
    one = by_step(model, weighed(batch(), norm), objective, None)
    assert one.gradient.norm() > 1e-3
    assert_equal(Found(two["loss"].item(), two["gradient"]), one)


def rows_of_step(s: GRPOSettings, out: Path, step: int) -> list[WeightedRow]:
    """From the transcripts and token files of both processes, weighed as one batch."""
    groups = []
    for process in (0, 1):
        path = out / f"process-{process:02d}" / "rollouts" / f"step-{step:06d}.jsonl"
        tokens = read_tokens(path)
        episodes = sorted((t for t in read(path) if t.scored), key=lambda t: t.index)
        for g in range(s.groups // 2):
            own = [t for t in episodes if t.index // s.group_size == g]
            groups.append([rows_of(t, tokens[t.id, t.attempt], group=f"{process}.{g}") for t in own])
    assert len({sum(r.tokens for e in g for r in e) for g in groups}) > 1, "unequal groups would show a wrong weight"
    return weigh(groups, advantage=lambda r: group_advantages(r, normalise=s.normalise), token_norm=s.token_norm)


def by_one(s: GRPOSettings, out: Path) -> tuple[list[StepReport], Mapping[str, Any]]:
    """The same run in one process and plain torch: the report of each step's last update, and the weights at the end."""
    policy = load_policy(s)
    ref = policy.reference() if s.beta else None
    clipped = s.updates > 1
    objective = Objective(
        s.temperature, s.clip_low if clipped else None, s.clip_high if clipped else None, s.beta, s.entropy
    )
    optimizer = torch.optim.AdamW(policy.trained(), s.lr, betas=(0.9, s.adam_beta2), eps=s.adam_eps, weight_decay=0.0)
    reports = []
    for step in range(1, (s.steps or 0) + 1):
        rows = rows_of_step(s, out, step)
        for _ in range(s.updates):
            report = grpo_step(policy.model, rows, optimizer, StepOptions(objective, s.max_grad_norm), ref)
        reports.append(report)
    return reports, policy.model.state_dict()


def assert_same_run(s: GRPOSettings, out: Path) -> None:
    reports, weights = by_one(s, out)
    records = read_metrics(out / "metrics.jsonl")
    assert [r["step"] for r in records] == list(range(1, len(reports) + 1))
    for record, report in zip(records, reports, strict=True):
        for name in ("loss", "policy_loss", "grad_norm"):
            assert record[name] == pytest.approx(getattr(report, name), rel=TOLERANCE, abs=1e-7), name
        assert record["grad_norm"] > 1e-3
        assert (record["tokens"], record["rows"]) == (report.tokens, report.rows)
    assert records[0]["drift"] < TOLERANCE or s.updates > 1
    ours = load_file(out / "final" / "model.safetensors")
    moved = load_file(out.parent / "start" / "model.safetensors")
    assert ours.keys() == moved.keys()
    assert any(float((ours[name] - moved[name]).abs().max()) > 1e-4 for name in ours)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "all"])
def test_two_processes_train_as_one(name: str, both: Path) -> None:
    assert_same_run(settings(name, both), both / name)


@pytest.mark.slow
def test_sharded_weights_train_as_whole_ones(both: Path) -> None:
    """FSDP2 with the options of configs/accelerate/fsdp.yaml, in float32, on the CPU."""
    assert_same_run(settings("sharded", both), both / "sharded")
    last, final = (both / "sharded" / name / "model.safetensors" for name in ("models/step-000002", "final"))
    assert all(torch.equal(a, b) for a, b in zip(load_file(last).values(), load_file(final).values(), strict=True))
    assert json.loads((final.parent / "config.json").read_text())["architectures"] == ["Qwen3ForCausalLM"]


# ---------------------------------------------------------------- what processes cannot share
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 5.0}, "no common clock"),
        ({"eval_every": 5}, "nego evaluate"),
        ({"seats": "seat_0", "opponent": "pool:4"}, "one process only"),
    ],
)
def test_what_needs_one_process_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        train_distributed(GRPOSettings(**options), tmp_path / "out")


def test_adapters_on_shards_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(SettingsError, match="many_gpus"):
        train_distributed(GRPOSettings(lora_rank=4), tmp_path / "out")


def test_processes_play_different_dilemmas() -> None:
    class Numbers:
        name = "numbers"

        def group(self, step: int, group: int) -> Any:
            return step, group

        def bounds(self) -> tuple[int, int]:
            return 2, 7

    drawn = [Shifted(Numbers(), rank * 2, 2, 6 + rank * 3).group(5, g) for rank in range(3) for g in range(5)]
    assert sorted(drawn) == [(5, g) for g in range(15)]


def test_figures_are_put_together() -> None:
    nan = float("nan")
    assert joined("loss", [0.25, -0.5]) == -0.25
    assert joined("reward", [1.0, nan, 3.0]) == 2.0
    assert joined("drift", [1e-6, 2e-6]) == 2e-6
    assert joined("ca", [nan, nan]) is None
