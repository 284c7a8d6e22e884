"""The forward of the plainest kind of decoder (Llama, Mistral, Qwen2, Qwen3), written out.

transformers' own forward spends half of a small model's step on wrappers. This one computes the same from the same modules,
weights as they are now; it is used in float32 only, and only where its logits agree with the model's own (`probe`).
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F

from nego_agents.local.cache import Desk

_KINDS = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


def suits(model: Any) -> bool:
    """Whether a model is of that kind, in float32, and nothing is hooked into it."""
    return (
        type(model).__name__ in _KINDS
        and type(model).__module__.startswith("transformers.models.")
        and model.config.hidden_act == "silu"
        and all(p.dtype == torch.float32 for p in model.parameters())
        and not any(m._forward_hooks or m._forward_pre_hooks or hasattr(m, "_hf_hook") for m in model.modules())
        and all(type(m) is torch.nn.Linear for name, m in model.named_modules() if name.endswith("_proj"))
    )


def lean_forward(
    model: Any, desk: Desk, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """(B, V) logits after the last of (B, T) ids, whose keys and values are written on the desk."""
    body = model.model
    x_BTE = F.embedding(ids, body.embed_tokens.weight)
    cos, sin = (a[:, None] for a in body.rotary_emb(x_BTE, positions))  # (B, 1, T, D)
    for index, layer in enumerate(body.layers):
        h = _norm(x_BTE, layer.input_layernorm)
        x_BTE = x_BTE + _attend(layer.self_attn, h, cos, sin, desk, index, mask)
        h, mlp = _norm(x_BTE, layer.post_attention_layernorm), layer.mlp
        x_BTE = x_BTE + _linear(F.silu(_linear(h, mlp.gate_proj)) * _linear(h, mlp.up_proj), mlp.down_proj)
    return _linear(_norm(x_BTE[:, -1], body.norm), model.lm_head)


def _attend(
    at: Any, h: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, desk: Desk, index: int, mask: torch.Tensor | None
) -> torch.Tensor:
    rows, steps, dim = h.shape[0], h.shape[1], at.head_dim
    q, k, v = (_linear(h, p).view(rows, steps, -1, dim) for p in (at.q_proj, at.k_proj, at.v_proj))
    if hasattr(at, "q_norm"):
        q, k = _norm(q, at.q_norm), _norm(k, at.k_norm)
    heads = q.shape[2]
    qk = torch.cat((q, k), 2).transpose(1, 2)
    half = dim // 2
    qk = qk * cos + torch.cat((-qk[..., half:], qk[..., :half]), -1) * sin
    q = qk[:, :heads]
    keys, values = desk.update(qk[:, heads:], v.transpose(1, 2), index)
    share = heads // keys.shape[1]
    if steps == 1:  # all queries of one key head together
        q = q.reshape(rows, keys.shape[1], share, dim)
    elif share > 1:
        keys, values = (a.repeat_interleave(share, 1) for a in (keys, values))
    out = F.scaled_dot_product_attention(
        q, keys, values, attn_mask=mask, is_causal=mask is None and steps > 1, scale=at.scaling
    )
    return _linear(out.reshape(rows, heads, steps, dim).transpose(1, 2).reshape(rows, steps, -1), at.o_proj)


def _linear(x: torch.Tensor, layer: Any) -> torch.Tensor:
    return F.linear(x, layer.weight, layer.bias)


def _norm(x: torch.Tensor, layer: Any) -> torch.Tensor:
    return F.rms_norm(x, layer.weight.shape, cast(torch.Tensor, layer.weight), layer.variance_epsilon)
