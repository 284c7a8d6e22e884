"""Log-probs of sampled tokens under a causal language model, with gradient: the hot path of training.

1. Only scored tokens are projected onto the vocabulary; a row is fed up to the last of them.
2. A beginning that rows share is encoded once; its keys and values, with gradient, serve every row (`nego_trainers.packing`).
   In self-play all episodes of a group give a seat the same rules and persona: most of its prompt.
3. Rows are padded on the right, where no real token sees the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nego_trainers.packing import Block, Fed, Ints, Part, plan

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Prefixes = list[tuple[Tensor, Tensor]]
"""Keys and values of a block's prefixes, by layer, each (prefixes, heads, length, head size)."""


class TokenScores(NamedTuple):
    """Of the scored tokens of some rows, row by row: (N,) each, float32."""

    logprobs: Tensor
    entropies: Tensor
    """Of the next-token distribution, in nats; without gradient unless it was asked for."""


def token_scores(
    model: PreTrainedModel,
    rows: Sequence[Fed],
    *,
    temperature: float = 1.0,
    entropy_gradient: bool = False,
    share: bool = True,
    budget: int = 4096,
) -> TokenScores:
    """Log-probs and entropies of all rows' scored tokens, in the order of the rows.

    They are of the distribution `softmax(logits / temperature)`. `share` encodes common beginnings once, where the model
    can (`can_share`); `budget` bounds the padded tokens of one forward.
    """
    found: list[TokenScores] = [TokenScores(torch.empty(0), torch.empty(0))] * len(rows)
    for block in plan(rows, budget=budget, share=share and can_share(model)):
        prefixes = encode_prefixes(model, block)
        for part in block.parts:
            scores = part_scores(model, rows, block, part, prefixes, temperature, entropy_gradient)
            counts = [len(rows[i].scored) for i in part.rows]
            apart = zip(torch.split(scores.logprobs, counts), torch.split(scores.entropies, counts), strict=True)
            for i, of_row in zip(part.rows, apart, strict=True):
                found[i] = TokenScores(*of_row)
    return TokenScores(torch.cat([s.logprobs for s in found]), torch.cat([s.entropies for s in found]))


def can_share(model: PreTrainedModel) -> bool:
    """Whether prefixes can be encoded apart: full attention in every layer, a cache, and no gradient checkpointing (which
    transformers runs without a cache)."""
    inner = backbone_owner(model)
    config = inner.config.get_text_config()
    layers = getattr(config, "layer_types", None)
    sliding = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    if (layers is None and sliding) or any(kind != "full_attention" for kind in layers or ()):
        return False
    if getattr(config, "_attn_implementation", "sdpa") not in ("sdpa", "eager"):
        return False
    return not checkpointed(inner) and bool(getattr(inner, "_supports_sdpa", False))


def checkpointed(model: PreTrainedModel) -> bool:
    """Whether gradient checkpointing is on."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def encode_prefixes(model: PreTrainedModel, block: Block) -> Prefixes:
    """Keys and values of a block's prefixes, with gradient. Empty where it has none."""
    if not block.prefixes:
        return []
    from transformers import DynamicCache

    ids = _padded(block.prefixes, _device(model))
    cache = DynamicCache()
    _backbone(model)(input_ids=ids, past_key_values=cache, use_cache=True)
    layers: list[Any] = cache.layers
    return [(layer.keys, layer.values) for layer in layers]


def part_scores(
    model: PreTrainedModel,
    rows: Sequence[Fed],
    block: Block,
    part: Part,
    prefixes: Prefixes,
    temperature: float = 1.0,
    entropy_gradient: bool = False,
) -> TokenScores:
    """The scores of a part's rows, in its order."""
    device = _device(model)
    begin = [len(block.prefixes[k]) for k in part.prefix] or [0] * len(part.rows)
    fed = [rows[i].ids[b:-1] for i, b in zip(part.rows, begin, strict=True)]
    ids = _padded(fed, device)
    context = _context(block, part, prefixes, fed, begin, device) if prefixes else {"use_cache": False}
    at = np.concatenate([r * ids.shape[1] + rows[i].scored - begin[r] - 1 for r, i in enumerate(part.rows)])
    targets = torch.from_numpy(np.concatenate([rows[i].ids[rows[i].scored] for i in part.rows])).to(device)
    logits = _logits(model, ids, torch.from_numpy(at).to(device), context)
    logits = logits.float() if temperature == 1.0 else logits.float() / temperature
    table = torch.log_softmax(logits, -1)
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        entropies = -(table.exp() * table).sum(-1)
    return TokenScores(table.gather(1, targets[:, None])[:, 0], entropies)


def _context(
    block: Block, part: Part, prefixes: Prefixes, fed: Sequence[Ints], begin: Sequence[int], device: torch.device
) -> dict[str, Any]:
    """What a part's forward needs to go on from its prefixes: their keys and values, and which of them are real."""
    from transformers import DynamicCache

    longest, width = max(begin), max(map(len, fed))
    starts = torch.tensor(begin, device=device)[:, None]
    which = torch.tensor(part.prefix, device=device)
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prefixes):
        cache.update(keys[which, :, :longest], values[which, :, :longest], layer)
    real = torch.arange(longest + width, device=device)[None] < starts
    real[:, longest:] = True  # a row's own padding lies after it, where causality hides it
    return {
        "past_key_values": cache,
        "use_cache": True,
        "attention_mask": real.long(),
        "position_ids": starts + torch.arange(width, device=device)[None],
    }


def _logits(model: PreTrainedModel, ids: Tensor, at: Tensor, context: dict[str, Any]) -> Tensor:
    """Logits (N, vocabulary) at flat positions `at` of `ids`."""
    inner = backbone_owner(model)
    if _plain_head(inner):
        hidden = _backbone(model)(input_ids=ids, **context).last_hidden_state
        head: torch.nn.Module = inner.get_output_embeddings()  # type: ignore[no-untyped-call]
        found: Tensor = head(hidden.flatten(0, 1)[at])
        return found
    logits: Tensor = inner(input_ids=ids, **context).logits
    return logits.flatten(0, 1)[at]


def _plain_head(model: PreTrainedModel) -> bool:
    """The logits are the output embedding of the last hidden state, with nothing done to them after."""
    config = model.config.get_text_config()
    odd = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier", "lm_head_multiplier")
    return not any(getattr(config, name, None) for name in odd)


def backbone_owner(model: PreTrainedModel) -> PreTrainedModel:
    """The causal language model under a PEFT wrapper, whose adapter stays in force; any other model itself."""
    unwrap: Any = getattr(model, "get_base_model", None)
    base: PreTrainedModel = unwrap() if unwrap is not None else model
    return base


def _backbone(model: PreTrainedModel) -> torch.nn.Module:
    found: torch.nn.Module = backbone_owner(model).base_model
    return found


def _device(model: PreTrainedModel) -> torch.device:
    return backbone_owner(model).device


def _padded(rows: Sequence[Ints], device: torch.device) -> Tensor:
    """Rows (R,) of ids as (R, longest), padded on the right with token 0."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for r, row in enumerate(rows):
        ids[r, : len(row)] = row
    return torch.from_numpy(ids).to(device)
