"""The plain step and what it is made of: log-probs with shared prompts, layout, loss terms, reports, refusals."""

from __future__ import annotations

import copy
import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from nego_env.agents import NamedAgent  # noqa: E402
from nego_env.errors import SettingsError  # noqa: E402
from nego_env.rollout import rollout, run_blocking  # noqa: E402
from nego_env.run import Run  # noqa: E402
from nego_trainers.batch import WeightedRow  # noqa: E402
from nego_trainers.forward import can_share, token_scores  # noqa: E402
from nego_trainers.objective import Objective, kl_k3, policy_loss  # noqa: E402
from nego_trainers.packing import Fed, feed, plan  # noqa: E402
from nego_trainers.rows import Row, rows_of  # noqa: E402
from nego_trainers.step import StepOptions, grpo_step  # noqa: E402
from tests.gradient_support import batch, by_step, weighed  # noqa: E402
from tests.support import bargain  # noqa: E402
from tests.tiny_models import tiny_model  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def fed_rows() -> list[Fed]:
    return [feed(r.row) for r in weighed(batch())]


# ---------------------------------------------------------------- log-probs
FAMILIES = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "mistral": {"sliding_window": 8},
    "gemma3": {"sliding_window": 8},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
}


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("family", FAMILIES)
def test_log_probs_are_those_of_a_plain_forward(family: Any, temperature: float) -> None:
    model = tiny_model(family, **FAMILIES[family])
    rows = fed_rows()
    with torch.no_grad():
        found = token_scores(model, rows, temperature=temperature, budget=200)
        expected, entropies = [], []
        for row in rows:
            table = torch.log_softmax(model(torch.from_numpy(row.ids)[None]).logits[0] / temperature, -1)
            expected += [table[t - 1, row.ids[t]] for t in row.scored]
            entropies += [-(table[t - 1].exp() * table[t - 1]).sum() for t in row.scored]
    assert float((found.logprobs - torch.stack(expected)).abs().max()) < 1e-5
    assert float((found.entropies - torch.stack(entropies)).abs().max()) < 1e-4


@pytest.mark.parametrize(
    ("family", "shares"), [("llama", True), ("qwen2", True), ("qwen3", True), ("mistral", False), ("gemma3", False)]
)
def test_who_can_share_prompts(family: Any, shares: bool) -> None:
    model = tiny_model(family, **FAMILIES[family])
    assert can_share(model) is shares
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    assert not can_share(model)


def test_shared_prompts_give_the_same_log_probs_and_gradient() -> None:
    """At the size of a small policy, within 2e-6; and they are shared: fewer tokens are fed."""
    model = tiny_model("llama", vocab=2048, hidden=128, layers=4, kv_heads=4, initializer_range=0.02)
    rows = fed_rows()
    counts = {}
    gradients = {}
    for share in (True, False):
        seen: list[int] = []
        hook = model.model.embed_tokens.register_forward_hook(
            lambda m, a, out, seen=seen: seen.append(out.shape[0] * out.shape[1])
        )
        scores = token_scores(model, rows, share=share)
        hook.remove()
        model.zero_grad()
        scores.logprobs.sum().backward()
        gradients[share] = torch.cat([p.grad.flatten() for p in model.parameters()]), scores.logprobs.detach()
        counts[share] = sum(seen)
    assert counts[True] < 0.7 * counts[False]
    assert float((gradients[True][1] - gradients[False][1]).abs().max()) < 2e-6
    assert float((gradients[True][0] - gradients[False][0]).norm() / gradients[False][0].norm()) < 1e-5


# ---------------------------------------------------------------- layout
@st.composite
def layouts(draw: st.DrawFn) -> list[Fed]:
    r = random.Random(draw(st.integers(0, 10**6)))
    stems = [[r.randrange(3) for _ in range(r.randint(1, 60))] for _ in range(3)]
    rows = []
    for _ in range(draw(st.integers(1, 20))):
        stem = r.choice(stems)
        ids = stem[: r.randint(1, len(stem))] + [r.randrange(3) for _ in range(r.randint(0, 5))]
        first = len(ids)
        ids += [r.randrange(3) for _ in range(r.randint(1, 40))]
        scored = sorted({len(ids) - 1, *(r.randrange(first, len(ids)) for _ in range(5))})
        rows.append(Fed(np.array(ids), np.array(scored)))
    return rows


@given(layouts(), st.integers(10, 400), st.booleans())
def test_every_row_is_fed_once_whole_and_within_the_budget(rows: list[Fed], budget: int, share: bool) -> None:
    blocks = plan(rows, budget=budget, share=share)
    assert sorted(i for b in blocks for p in b.parts for i in p.rows) == list(range(len(rows)))
    for block in blocks:
        lengths = [len(p) for p in block.prefixes]
        assert len(lengths) <= 1 or len(lengths) * max(lengths) <= budget
        for part in block.parts:
            begin = [lengths[k] for k in part.prefix] or [0] * len(part.rows)
            rest = [len(rows[i].ids) - b for i, b in zip(part.rows, begin, strict=True)]
            assert len(rest) == 1 or len(rest) * max(rest) <= budget
            for i, k in zip(part.rows, part.prefix, strict=bool(part.prefix)):
                prefix = block.prefixes[k]
                assert (rows[i].ids[: len(prefix)] == prefix).all()
                assert len(prefix) < rows[i].scored[0]  # the token before a scored one is fed with the row
    if not share:
        assert not any(b.prefixes for b in blocks)


# ---------------------------------------------------------------- the loss by hand
def test_clip_by_hand() -> None:
    # ratios 1.5 and 0.5 under a clip to [0.8, 1.3], advantages +1 and -1, weights 1/4 each
    logprobs = torch.log(torch.tensor([1.5, 0.5, 1.5, 0.5])).requires_grad_()
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    o = Objective(clip_low=0.2, clip_high=0.3)
    found = policy_loss(logprobs, advantages, torch.full((4,), 0.25), o, old=torch.zeros(4))
    # min(1.5, 1.3) + min(0.5, 0.8) + min(-1.5, -1.3) + min(-0.5, -0.8) = 1.3 + 0.5 - 1.5 - 0.8
    assert found.loss.item() == pytest.approx(0.5 / 4)
    assert int(found.clipped) == 2
    found.loss.backward()
    assert logprobs.grad.tolist() == pytest.approx([0, -0.125, 0.375, 0])  # -w A ratio where the clip does not hold


def test_on_policy_the_gradient_is_that_of_the_log_prob() -> None:
    logprobs = torch.tensor([-1.0, -2.0], requires_grad=True)
    found = policy_loss(logprobs, torch.tensor([3.0, -1.0]), torch.tensor([0.5, 0.25]), Objective())
    assert found.loss.item() == pytest.approx(-(1.5 - 0.25))
    found.loss.backward()
    assert logprobs.grad.tolist() == [-1.5, 0.25]


def test_kl_and_entropy_by_hand() -> None:
    logprobs, ref = torch.tensor([-1.0]), torch.tensor([-2.0])
    k3 = float(np.exp(-1.0)) + 1 - 1  # q/p - log(q/p) - 1 with log(q/p) = -1
    assert kl_k3(logprobs, ref).tolist() == pytest.approx([k3])
    assert kl_k3(ref, ref).tolist() == [0.0]
    zero = torch.zeros(1)
    found = policy_loss(
        logprobs, zero, torch.tensor([0.5]), Objective(beta=0.1, entropy=0.2), ref=ref, entropies=torch.tensor([3.0])
    )
    assert float(found.loss) == pytest.approx(0.5 * (0.1 * k3 - 0.2 * 3.0))


# ---------------------------------------------------------------- a step
def test_a_step_makes_good_tokens_likelier_and_bad_ones_less_likely() -> None:
    model = tiny_model()
    rows = weighed(batch())
    before = token_scores(model, [feed(r.row) for r in rows]).logprobs.detach()
    report = grpo_step(model, rows, torch.optim.SGD(model.parameters(), lr=0.05))
    after = token_scores(model, [feed(r.row) for r in rows]).logprobs.detach()
    per_token = torch.tensor([r.advantage * r.weight for r in rows for _ in range(r.row.tokens)])
    assert float((per_token * (after - before)).sum()) > 0
    assert report.updated
    assert report.tokens == len(before)


def test_rows_without_advantage_are_left_out_where_nothing_acts_on_them() -> None:
    model = tiny_model()
    rows = weighed(batch())
    with_zeros = [dataclasses.replace(r, advantage=0.0) if i % 3 == 0 else r for i, r in enumerate(rows)]
    found = by_step(model, with_zeros, Objective(), None)
    kept = by_step(model, [r for r in with_zeros if r.advantage], Objective(), None)
    assert found.report is not None
    assert found.report.skipped_rows == len(range(0, len(rows), 3))
    assert found.loss == kept.loss
    assert (found.gradient == kept.gradient).all()
    assert by_step(model, with_zeros, Objective(entropy=0.1), None).report.skipped_rows == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", ["none", "no advantage"])
def test_nothing_to_learn_is_no_step(rows: str) -> None:
    model = tiny_model()
    before = copy.deepcopy(model.state_dict())
    given = [] if rows == "none" else [dataclasses.replace(r, advantage=0.0) for r in weighed(batch())]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    report = grpo_step(model, given, optimizer)
    assert not report.updated
    assert (report.loss, report.grad_norm, report.drift) == (0.0, 0.0, 0.0)
    assert all((before[name] == value).all() for name, value in model.state_dict().items())


def test_drift_shows_a_sampler_that_saw_something_else() -> None:
    """Rows recorded by this very model have none; with a token changed in one prompt, they have."""
    model = tiny_model()
    rows = weighed(batch())
    scores = token_scores(model, [feed(r.row) for r in rows]).logprobs.tolist()
    left = iter(scores)
    recorded = [
        dataclasses.replace(
            r, row=dataclasses.replace(r.row, logprobs=tuple(next(left) if own else 0.0 for own in r.row.mask))
        )
        for r in rows
    ]
    assert grpo_step(model, recorded, torch.optim.SGD(model.parameters(), lr=0)).drift < 1e-5
    prompt = recorded[0].row.prompt_ids
    other = dataclasses.replace(recorded[0].row, prompt_ids=(*prompt[:-1], prompt[-1] ^ 1))
    changed = [WeightedRow(other, 1.0, 0.1), *recorded[1:]]
    assert grpo_step(model, changed, torch.optim.SGD(model.parameters(), lr=0)).drift > 1e-3


@pytest.mark.parametrize("memory", [None, 2])
def test_what_a_model_said_is_what_is_trained(memory: int | None) -> None:
    """From an agent at the table through the token records to the step: log-probs of every token are those it was sampled with,
    whether contexts grew or were made anew."""
    from nego_agents.local.agent import HFAgent
    from nego_agents.local.model import LocalModel
    from nego_agents.local.sampling import Sampling
    from tests.tiny_models import shared_tokenizer

    local = LocalModel(tiny_model(initializer_range=0.1), shared_tokenizer(), name="tiny", style="brief")
    agent = NamedAgent(
        "hf:tiny", HFAgent(model=local, sampling=Sampling(temperature=0.8, top_p=0.9, max_new_tokens=12))
    )
    rows: list[Row] = []

    async def played() -> None:
        run = Run(bargain(), (agent, agent), memory=memory, max_rounds=5)
        async for _ in rollout(run, 3, on_tokens=lambda t, tokens: rows.extend(rows_of(t, tokens))):
            pass

    run_blocking(played())
    per_seat = {(r.episode, r.seat) for r in rows}
    assert (len(rows) > len(per_seat)) is (memory is not None)
    given = [WeightedRow(r, 1.0, 1e-3) for r in rows]
    options = StepOptions(Objective(temperature=0.8))
    assert grpo_step(local.model, given, torch.optim.SGD(local.model.parameters(), lr=0), options).drift < 1e-5


def test_the_gradient_is_clipped_to_its_norm() -> None:
    model = tiny_model()
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    rows = weighed(batch())
    report = grpo_step(model, rows, torch.optim.SGD(model.parameters(), lr=1.0), StepOptions(max_grad_norm=0.01))
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert report.grad_norm > 0.01
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-2)


def test_the_model_comes_back_in_the_mode_it_was_in() -> None:
    """And dropout is off in between."""
    rows = weighed(batch())
    model = tiny_model("qwen2", attention_dropout=0.5).train()
    losses = {by_step(model, rows, Objective(clip_low=0.2, clip_high=0.2), None).loss for _ in range(2)}
    assert model.training
    assert len(losses) == 1


def test_autocast_is_near() -> None:
    rows = weighed(batch())
    model = tiny_model(initializer_range=0.05)
    exact = by_step(model, rows, Objective(), None)
    near = by_step(model, rows, Objective(), None, autocast="bfloat16")
    assert 0 < float((near.gradient - exact.gradient).norm() / exact.gradient.norm()) < 0.1


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("figures", "fault"),
    [
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"clip_low": 0.2}, "clip_low and clip_high come together"),
        ({"clip_low": 1.2, "clip_high": 0.2}, r"clip_low is 1.2, it must be in \[0, 1\]"),
        ({"beta": -0.1}, "beta is -0.1, it must be at least 0"),
        ({"entropy": float("nan")}, "entropy is nan"),
    ],
)
def test_figures_out_of_range(figures: dict[str, float], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        Objective(**figures)


def test_a_reference_that_is_not_there() -> None:
    model, rows = tiny_model(), weighed(batch())
    with pytest.raises(SettingsError, match="pass the reference model as `ref`"):
        grpo_step(model, rows, torch.optim.SGD(model.parameters(), lr=0), StepOptions(Objective(beta=0.1)))
    with pytest.raises(SettingsError, match="autocast is 'float16'"):
        grpo_step(model, rows, torch.optim.SGD(model.parameters(), lr=0), StepOptions(autocast="float16"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_what_the_adapter_refuses(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config
    from tests.tiny_models import shared_tokenizer

    with pytest.raises(SettingsError, match="micro_rows is 3, it must divide the 8 rows"):
        selfplay_config(tmp_path, rows=8, micro_rows=3)
    with pytest.raises(SettingsError, match="loss_type: set by the adapter"):
        selfplay_config(tmp_path, rows=8, loss_type="grpo")
    with pytest.raises(SettingsError, match="the objective needs a clip"):
        selfplay_config(tmp_path, rows=8, num_iterations=2)
    rows, model = weighed(batch()), tiny_model()

    def trainer(configured: Objective, objective: Objective) -> Any:
        made = selfplay_config(tmp_path, rows=4, max_steps=1, objective=configured)
        return SelfPlayGRPOTrainer(model, lambda *_: rows, made, tokenizer=shared_tokenizer(), objective=objective)

    with pytest.raises(SettingsError, match="rows were played, the configuration allows 4"):
        trainer(Objective(), Objective()).train()
    with pytest.raises(SettingsError, match="made for another objective"):
        trainer(Objective(temperature=0.5), Objective())
    with pytest.raises(SettingsError, match="save the model first"):
        trainer(Objective(beta=0.5), Objective(beta=0.5))
