"""The forward written out: the same logits as the model's own, whatever kind it is and whatever happens to its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import nego_agents.local.lean as lean  # noqa: E402
from nego_agents.local.agent import HFAgent  # noqa: E402
from nego_agents.local.cache import Desk, Layout  # noqa: E402
from nego_agents.local.model import LocalModel  # noqa: E402
from nego_agents.local.probe import examine  # noqa: E402
from nego_agents.local.sampling import Sampling  # noqa: E402
from nego_env.rollout import play  # noqa: E402
from tests.support import bargain  # noqa: E402
from tests.tiny_models import shared_tokenizer, tiny_model  # noqa: E402

IDS = torch.tensor([[5, 9, 7, 5, 11, 6, 8, 10], [6, 6, 9, 5, 8, 7, 5, 9]])


def made(family: Any = "llama", **config: Any) -> Any:
    model = tiny_model(family, **{"initializer_range": 0.15, **config})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bias") or "norm" in name:  # they begin as 0 and 1, which hides them
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model


def layout(model: Any) -> Layout:
    at = model.model.layers[0].self_attn
    heads = at.k_proj.out_features // at.head_dim
    return Layout(len(model.model.layers), heads, at.head_dim, torch.float32, torch.device("cpu"), None)


def difference(model: Any, quick: lean.Lean) -> float:
    """Of the logits, after six tokens at once and two more one by one."""
    worst = 0.0
    with torch.no_grad():
        quick.prepare(8)
        desk = Desk(layout(model))
        desk.lay(2, 8)
        for begin, stop in ((0, 6), (6, 7), (7, 8)):
            desk.focus(slice(0, 2), 0, begin)
            positions = torch.arange(begin, stop).expand(2, -1)
            found = quick(desk, IDS[:, begin:stop], positions, None)
            worst = max(worst, float((found - model(IDS[:, :stop]).logits[:, -1]).abs().max()))
    return worst


@pytest.mark.parametrize("small", [1 << 28, 0], ids=["copied", "in place"])
@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("llama", {}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 10000.0}}),
        ("qwen2", {}),
        ("qwen3", {}),
        ("mistral", {}),
    ],
)
def test_it_gives_the_models_own_logits(
    family: Any, config: dict[str, Any], small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lean, "_SMALL", small)
    model = made(family, **config)
    assert difference(model, lean.Lean(model)) < 1e-4, "of logits of about 10"
    assert examine(model, lambda cache, ids, positions, mask: model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
    ).logits[:, -1]).lean is not None  # fmt: skip


def test_angles_that_depend_on_the_length_are_left_to_the_model() -> None:
    model = made(rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0})
    assert not lean.suits(model)
    assert lean.suits(made())


def shaken(model: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(2)
    return {k: v + 0.1 * torch.randn(v.shape, generator=generator) for k, v in model.state_dict().items()}


def optimizer_step(model: Any) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(IDS).logits.logsumexp(-1).sum().backward()
    optimizer.step()


def loaded(model: Any) -> None:
    model.load_state_dict(shaken(model))


def assigned(model: Any) -> None:
    model.load_state_dict(shaken(model), assign=True)


def other_data(model: Any) -> None:
    values = shaken(model)
    for name, p in model.named_parameters():
        p.data = values[name]


@pytest.mark.parametrize("change", [optimizer_step, loaded, assigned, other_data])
@pytest.mark.parametrize("small", [1 << 28, 0], ids=["copied", "in place"])
def test_changed_weights_are_seen(change: Callable[[Any], None], small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "_SMALL", small)
    model = made()
    quick = lean.Lean(model)
    assert difference(model, quick) < 1e-4
    before = model(IDS).logits.detach()
    change(model)
    assert (model(IDS).logits - before).abs().max() > 0.1
    assert difference(model, quick) < 1e-4


def test_unchanged_weights_are_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, taken = made(), 0
    quick = lean.Lean(model)
    take = quick._take

    def counting() -> None:
        nonlocal taken
        taken += 1
        take()

    monkeypatch.setattr(quick, "_take", counting)
    assert difference(model, quick) < 1e-4
    assert difference(model, quick) < 1e-4
    assert taken == 1


def test_a_model_that_played_can_be_trained_and_plays_on() -> None:
    model = made()
    who = HFAgent(
        model=LocalModel(model, shared_tokenizer(), name="tiny", style="brief"), sampling=Sampling(max_new_tokens=4)
    )
    assert play(bargain(), who, max_rounds=2, seed=1).scored
    assert who._decoder._lean is not None
    optimizer_step(model)
    assert play(bargain(), who, max_rounds=2, seed=2).scored, "what is kept of ended episodes may be written again"
    assert all(p.grad is not None for p in model.parameters())
