"""Three computations of one loss and its gradient: TRL through the adapter, the plain torch step, and the paper's Eq. 1 as it
stands, one utterance at a time from the token files. They agree within 1e-5.

The batch has two groups with unequal token counts, three seats, pad rows (in TRL), an unscored episode, and in one group a
memory window, so that a seat has several rows.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from nego_trainers.batch import TokenNorm  # noqa: E402
from nego_trainers.forward import can_share  # noqa: E402
from nego_trainers.objective import Objective  # noqa: E402
from nego_trainers.step import StepOptions, grpo_step  # noqa: E402
from tests.gradient_support import Found, Played, assert_equal, batch, by_step, by_trl, flat, weighed  # noqa: E402
from tests.tiny_models import shared_tokenizer, tiny_model  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


# ---------------------------------------------------------------- Eq. 1
def by_hand(
    model: Any, groups: Sequence[Sequence[Played]], objective: Objective, token_norm: TokenNorm, ref: Any
) -> Found:
    """Eq. 1, with nothing of ours but the token files: every utterance is its own forward over what its seat had read."""
    model.zero_grad(set_to_none=True)
    sums, counts = [], []
    for group in groups:
        scored = [(t, tokens) for t, tokens in group if t.rewards is not None]
        rewards = torch.tensor([t.rewards[0] for t, _ in scored if t.rewards is not None], dtype=torch.float64)
        advantages = (rewards - rewards.mean()) / (rewards.std(correction=0) + 1e-6)
        total, count = torch.zeros(()), 0
        for (t, tokens), advantage in zip(scored, advantages.tolist(), strict=True):
            context: dict[str, list[int]] = {}
            for turn in tokens.turns:
                read = context[turn.seat] + list(turn.read) if turn.continues else list(turn.read)
                context[turn.seat] = [*read, *turn.said]
                if t.utterances[turn.utterance].phase == "completion":
                    continue
                total = total + utterance_loss(model, read, turn.said, turn.logprobs, advantage, objective, ref)
                count += len(turn.said)
        sums.append(total)
        counts.append(count)
    if token_norm == "group":
        loss = torch.stack([s / n for s, n in zip(sums, counts, strict=True)]).mean()
    else:
        loss = torch.stack(sums).sum() / sum(counts)
    loss.backward()
    return Found(loss.item(), flat(model))


def utterance_loss(
    model: Any, read: list[int], said: Sequence[int], old: Sequence[float], advantage: float, o: Objective, ref: Any
) -> Any:
    """Sum over the tokens of one utterance."""

    def distribution(of: Any) -> Any:
        logits = of(torch.tensor([[*read, *said]])).logits[0, len(read) - 1 : -1]
        return torch.log_softmax(logits / o.temperature, -1)

    table, tokens = distribution(model), torch.tensor(said)[:, None]
    now = table.gather(1, tokens)[:, 0]
    if o.clip_low is None or o.clip_high is None:
        gain = advantage * torch.exp(now - now.detach())
    else:
        ratio = torch.exp(now - torch.tensor(old))
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - o.clip_low, 1 + o.clip_high) * advantage)
    loss = -gain
    if o.beta:
        with torch.no_grad():
            base = distribution(ref).gather(1, tokens)[:, 0]
        loss = loss + o.beta * (torch.exp(base - now) - (base - now) - 1)
    if o.entropy:
        loss = loss + o.entropy * (table.exp() * table).sum(-1)
    return loss.sum()


# ---------------------------------------------------------------- tests
OBJECTIVES = {
    "on-policy": Objective(),
    "clip": Objective(clip_low=0.2, clip_high=0.3),
    "all": Objective(temperature=0.7, clip_low=0.1, clip_high=0.2, beta=0.05, entropy=0.01),
}


@pytest.fixture
def model(tmp_path: Path) -> Any:
    """With a folder of its own, from which TRL loads the reference again; then moved away from that reference."""
    made = tiny_model("qwen2", hidden=32, heads=4)
    made.save_pretrained(tmp_path / "start")
    made.config._name_or_path = str(tmp_path / "start")
    return made


@pytest.fixture
def ref(model: Any) -> Any:
    kept = copy.deepcopy(model)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(5)
        for p in model.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return kept


@pytest.mark.parametrize("token_norm", ["group", "batch"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_three_ways_agree(name: str, token_norm: TokenNorm, model: Any, ref: Any, tmp_path: Path) -> None:
    groups, objective = batch(), OBJECTIVES[name]
    rows = weighed(groups, token_norm)
    hand = by_hand(model, groups, objective, token_norm, ref)
    assert hand.gradient.norm() > 1e-3
    assert_equal(by_step(model, rows, objective, ref), hand)
    assert_equal(by_step(model, rows, objective, ref, micro_tokens=100, share_prompts=False), hand)
    assert_equal(by_trl(model, rows, objective, token_norm, tmp_path / "run"), hand)


def test_the_batch_is_as_uneven_as_it_says() -> None:
    groups = batch()
    rows = weighed(groups)
    tokens = {g: sum(r.row.tokens for r in rows if r.row.group == g) for g in ("0", "1")}
    assert len(set(tokens.values())) == 2
    assert {r.row.seat for r in rows} == {"seat_0", "seat_1", "seat_2"}
    assert any(t.rewards is None for group in groups for t, _ in group)
    windowed = [r.row for r in rows if r.row.group == "1"]
    assert len(windowed) > len({(r.episode, r.seat) for r in windowed})


@pytest.mark.parametrize("name", ["on-policy", "all"])
@pytest.mark.parametrize("way", ["step", "step, nothing shared", "TRL"])
def test_masked_tokens_have_no_gradient(way: str, name: str, model: Any, ref: Any, tmp_path: Path) -> None:
    """Only hidden states that predict a trained token are projected onto the vocabulary; all others' gradient is exactly 0."""
    rows, objective = weighed(batch()), OBJECTIVES[name]
    trained = sum(r.row.tokens for r in rows if r.advantage or objective.needs_every_row)
    projected, reached = [], []

    def last_hidden(module: Any, args: Any, out: Any) -> None:
        if out.requires_grad:
            out.register_hook(lambda g: reached.append(int((g != 0).any(-1).sum())))

    def head(module: Any, args: Any, out: Any) -> None:
        if out.requires_grad:
            projected.append(len(out))

    model.model.norm.register_forward_hook(last_hidden)
    model.lm_head.register_forward_hook(head)
    if way == "TRL":
        by_trl(model, rows, objective, "group", tmp_path / "run")
    else:
        by_step(model, rows, objective, ref, share_prompts=way == "step")
    assert sum(projected) == sum(reached) == trained


@pytest.mark.parametrize("name", ["on-policy", "all"])
def test_accumulation_changes_nothing(name: str, model: Any, ref: Any, tmp_path: Path) -> None:
    """Four rows at a time, and more pad rows than rows: some micro-batches have nothing to learn from."""
    rows = weighed(batch())
    pads = 40 - len(rows)
    found = by_trl(model, rows, OBJECTIVES[name], "group", tmp_path / "run", pads=pads, micro_rows=4)
    assert_equal(found, by_step(model, rows, OBJECTIVES[name], ref))


def test_gradient_checkpointing_changes_nothing(model: Any, ref: Any, tmp_path: Path) -> None:
    rows = weighed(batch())
    plain = by_step(model, rows, Objective(), None)
    assert_equal(by_trl(model, rows, Objective(), "group", tmp_path / "run", gradient_checkpointing=True), plain)
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    assert not can_share(model)
    assert_equal(by_step(model, rows, Objective(), None), plain)


def test_an_adapters_reference_is_its_base(model: Any, ref: Any, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    rows, objective = weighed(batch()), OBJECTIVES["all"]
    trl = by_trl(copy.deepcopy(ref), rows, objective, "group", tmp_path / "run", peft_config=lora)
    adapted = trl.model
    assert_equal(by_step(adapted, rows, objective, None), trl)
    assert_equal(by_step(adapted, rows, objective, None, share_prompts=False), trl)
    assert_equal(by_step(adapted, rows, objective, ref), trl)


def test_a_step_with_nothing_to_learn_moves_nothing(model: Any, tmp_path: Path) -> None:
    """Not even by an optimizer's momentum or decay, in either engine."""
    from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config

    rows = weighed(batch())
    idle = [dataclasses.replace(r, advantage=0.0) for r in rows]
    by_trl_, by_step_ = copy.deepcopy(model), copy.deepcopy(model)
    optimizer = torch.optim.AdamW(by_step_.parameters(), lr=1e-2, weight_decay=0.1)
    reports = [grpo_step(by_step_, given, optimizer, StepOptions(Objective())) for given in (rows, idle, rows)]
    assert [r.updated for r in reports] == [True, False, True]
    trainer = SelfPlayGRPOTrainer(
        by_trl_,
        lambda step, _: idle if step == 1 else rows,
        selfplay_config(tmp_path / "run", rows=len(rows), max_steps=3, learning_rate=1e-2),
        tokenizer=shared_tokenizer(),
        optimizers=(torch.optim.AdamW(by_trl_.parameters(), lr=1e-2, weight_decay=0.1), None),
    )
    trainer.train()
    for p, q in zip(by_step_.parameters(), by_trl_.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)


def test_reports_agree(model: Any, ref: Any, tmp_path: Path) -> None:
    rows, objective = weighed(batch()), OBJECTIVES["all"]
    step = by_step(model, rows, objective, ref).report
    trl = by_trl(model, rows, objective, "group", tmp_path / "run").report
    assert step is not None
    assert trl is not None
    assert 0 < step.clip_fraction < 1
    assert step.kl > 0
    assert trl.metrics() == pytest.approx(step.metrics(), rel=1e-4)


def test_inner_updates_clip_against_what_was_recorded(model: Any, ref: Any, tmp_path: Path) -> None:
    """Two updates on the same rows, the second off-policy: TRL and the plain step end with the same weights."""
    from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config

    rows, objective, rate = weighed(batch()), Objective(clip_low=0.1, clip_high=0.2), 0.3
    by_trl_, by_step_ = copy.deepcopy(model), copy.deepcopy(model)
    config = selfplay_config(
        tmp_path / "run",
        rows=len(rows),
        objective=objective,
        max_steps=2,
        learning_rate=rate,
        max_grad_norm=0.5,
        num_iterations=2,
    )
    asked: list[int] = []

    def play(step: int, policy: Any) -> list[Any]:
        asked.append(step)
        return rows

    trainer = SelfPlayGRPOTrainer(
        by_trl_,
        play,
        config,
        tokenizer=shared_tokenizer(),
        objective=objective,
        optimizers=(torch.optim.SGD(by_trl_.parameters(), lr=rate), None),
    )
    trainer.train()
    optimizer = torch.optim.SGD(by_step_.parameters(), lr=rate)
    reports = [grpo_step(by_step_, rows, optimizer, StepOptions(objective, max_grad_norm=0.5)) for _ in range(2)]
    assert asked == [0]
    assert reports[0].clip_fraction != reports[1].clip_fraction
    moved = torch.cat(
        [(p - q).detach().flatten() for p, q in zip(by_step_.parameters(), model.parameters(), strict=True)]
    )
    apart = torch.cat(
        [(p - q).detach().flatten() for p, q in zip(by_step_.parameters(), by_trl_.parameters(), strict=True)]
    )
    assert moved.norm() > 0.1
    assert apart.norm() / moved.norm() < 1e-4
