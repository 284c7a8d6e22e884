"""How nego-tiny is made: a Llama of about a million parameters, trained on demonstrators' dialogues.

1. **Drills** first (`nego_trainers.tiny.drills`), then dialogues of **clean** demonstrators, then noisier ones: skills
   learned from clean examples survive the noise, and the noise leaves self-play something to find (`Recipe`).
2. The loss is on a seat's own words, with a little on what it reads, which teaches it the language of the table.
3. Muon moves the matrices, AdamW the rest; the learning rate warms up and falls as a cosine.
4. Every step draws its own dialogues from (seed, step): the same recipe gives the same model on one thread.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nego_trainers.tiny.demonstrators import Mix
from nego_trainers.tiny.dialogues import dialogue, draw_scenario
from nego_trainers.tiny.drills import drill
from nego_trainers.tiny.lines import Line
from nego_trainers.tiny.tokenizer import make_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

RECIPE_VERSION = "3"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out."""

    seed: int = 0
    steps: int = 2600
    rows: int = 8
    """Chats per step: both seats of half as many dialogues."""
    lr: float = 4e-3
    warmup: int = 50
    drill_until: float = 0.25
    """Share of the steps with drills only."""
    drill_rows: int = 32
    """Chats per step while drilling: they are short."""
    kept_up: int = 8
    """Drills beside the dialogues of every later step: a skill that is not asked for often enough fades."""
    clean_until: float = 0.6
    """Share of the steps until which demonstrators are clean; they fade out over the next 0.15."""
    mix: Mix = field(default_factory=lambda: Mix())
    context_weight: float = 0.2
    """Weight of a token that was read, beside 1 for one that is said."""
    context_share: float = 0.25
    """Share of the tokens read that count, drawn anew each step: scoring a token is a fifth of what it costs."""
    made_up: float = 0.35
    vocabulary: int = 2048
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    """Keys and values are what a rollout moves through memory: half as many heads for them, twice the speed."""
    inner: int = 352


class Example(NamedTuple):
    """One chat as tokens: (T,) ids, and a weight for each as a target."""

    ids: list[int]
    weights: list[float]


def make_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """The untrained model of a recipe."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.02,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    model: PreTrainedModel = LlamaForCausalLM(config)
    with torch.no_grad():  # matrices keep the scale of what they read; what enters the residual stream enters softly
        for name, p in model.named_parameters():
            if p.ndim == 2 and "embed" not in name:
                soft = "o_proj" in name or "down_proj" in name
                p.normal_(0.0, 0.5 / math.sqrt(recipe.width * recipe.layers) if soft else 1 / math.sqrt(p.shape[1]))
    return model


def encode(
    chats: Sequence[Sequence[Line]], tokenizer: PreTrainedTokenizerFast, read_weight: Callable[[], float] = lambda: 0.0
) -> list[Example]:
    """Chats as tokens; `read_weight()` is the weight of a token that was read. A message is its role's token, its text with
    special tokens off, and the end token; the role's token of an assistant message is given, its words and end are said."""
    backend = tokenizer.backend_tokenizer
    texts = [line.text for chat in chats for line in chat]
    ids = iter(e.ids for e in backend.encode_batch(texts, add_special_tokens=False))
    vocabulary = tokenizer.get_vocab()
    roles = {name: vocabulary[f"<|{name}|>"] for name in ("system", "user", "assistant")}
    end = tokenizer.eos_token_id
    examples = []
    for chat in chats:
        row, weights = [], []
        for role, _ in chat:
            words = next(ids)
            said = role == "assistant"
            row += [roles[role], *words, end]
            weights += [0.0, *(1.0 if said else read_weight() for _ in words), 1.0 if said else 0.0]
        examples.append(Example(row, weights))
    return examples


def batch(recipe: Recipe, step: int, tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """The examples of a step."""
    rng = random.Random(recipe.seed * 1_000_003 + step)
    done = step / recipe.steps
    if done < recipe.drill_until:
        chats = [drill(draw_scenario(rng, made_up=0.0), rng) for _ in range(recipe.drill_rows)]
    else:
        mix = replace(recipe.mix, clean=min(1.0, max(0.0, (recipe.clean_until - done) / 0.15 + 1.0)))
        chats = [c for _ in range(recipe.rows // 2) for c in dialogue(rng, mix, made_up=recipe.made_up).chats]
        chats += [drill(draw_scenario(rng, made_up=0.0), rng) for _ in range(recipe.kept_up)]
    return encode(chats, tokenizer, lambda: recipe.context_weight if rng.random() < recipe.context_share else 0.0)


def accumulate(model: PreTrainedModel, examples: Sequence[Example], parts: int = 2) -> float:
    """The weighted mean cross-entropy of the next token, its gradient added to the model's. Rows of like length go together,
    so that little is padded."""
    ordered = sorted(examples, key=lambda e: len(e.ids))
    size = -(-len(ordered) // parts)
    total = sum(sum(e.weights[1:]) for e in examples)
    value = 0.0
    for i in range(0, len(ordered), size):
        loss = summed_loss(model, ordered[i : i + size]) / total
        loss.backward()  # type: ignore[no-untyped-call]
        value += float(loss.detach())
    return value


def summed_loss(model: PreTrainedModel, examples: Sequence[Example]) -> torch.Tensor:
    """Weighted sum of the cross-entropies. Rows are padded on the right, where a causal model never looks."""
    import torch
    import torch.nn.functional as F

    width = max(len(e.ids) for e in examples)
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    weights = torch.zeros(len(examples), width)
    for i, e in enumerate(examples):
        ids[i, : len(e.ids)] = torch.tensor(e.ids)
        weights[i, : len(e.ids)] = torch.tensor(e.weights)
    hidden = model.base_model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    weights = weights[:, 1:]
    counted = weights > 0
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    losses = F.cross_entropy(head(hidden[counted]), ids[:, 1:][counted], reduction="none")
    return (losses * weights[counted]).sum()


def optimizers(model: PreTrainedModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for matrices, AdamW for the rest (measured: Muon needs a third of the dialogues AdamW does)."""
    import torch

    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.AdamW(rest, lr=recipe.lr, betas=(0.9, 0.98), weight_decay=0.01),
        torch.optim.Muon(matrices, lr=recipe.lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
    ]


def rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step: up over `warmup` steps, then a cosine down to a twentieth."""
    cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.lr * min(1.0, (step + 1) / recipe.warmup) * cosine


def train(
    recipe: Recipe, *, report: Callable[[int, float, float], None] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model and tokenizer of a recipe. `report(step, loss, seconds)` is called after every step."""
    import torch

    tokenizer = make_tokenizer(vocabulary=recipe.vocabulary, seed=recipe.seed)
    model = make_model(recipe, tokenizer)
    model.train()
    steppers = optimizers(model, recipe)
    began = time.perf_counter()
    for step in range(recipe.steps):
        value = accumulate(model, batch(recipe, step, tokenizer))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = rate(recipe, step)
            stepper.step()
        model.zero_grad(set_to_none=True)
        if report is not None:
            report(step, value, time.perf_counter() - began)
    model.eval()  # type: ignore[no-untyped-call]
    return model, tokenizer
