"""The forward of the plainest kind of decoder (Llama, Mistral, Qwen2, Qwen3), written out with few, large operations.

transformers' own forward spends most of a small model's step on wrappers and small operations. This one computes the same;
it is used in float32 only, and only where its logits agree with the model's own (`probe`).

1. Queries, keys and values are one product, gate and up another: small models' weights are copied side by side, and copied
   again as soon as they changed (`prepare`). Large ones are used where they are: their products take all the time anyway.
2. Rotations come from a table by position, made by the model's own rotary embedding.
3. Of the last layer only keys and values are needed for every token, and the rest for the last one alone.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from nego_agents.local.cache import Desk

_KINDS = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Kinds whose angles depend on the position alone, not on how long the context is."""
_SMALL = 1 << 28
"""Bytes of weights up to which they are copied."""


def suits(model: Any) -> bool:
    """Whether a model is of that kind, in float32, and nothing is hooked into it."""
    return (
        type(model).__name__ in _KINDS
        and type(model).__module__.startswith("transformers.models.")
        and model.config.hidden_act == "silu"
        and getattr(model.model.rotary_emb, "rope_type", None) in _ROTATIONS
        and all(p.dtype == torch.float32 for p in model.parameters())
        and not any(m._forward_hooks or m._forward_pre_hooks or hasattr(m, "_hf_hook") for m in model.modules())
        and all(type(m) is torch.nn.Linear for name, m in model.named_modules() if name.endswith("_proj"))
    )


class _Linear(NamedTuple):
    weight: torch.Tensor
    """(out, in)."""
    bias: torch.Tensor | None


class _Norm(NamedTuple):
    floor: torch.Tensor
    """sqrt(E eps) for E entries."""
    scale: torch.Tensor | None
    """(E,) weight times sqrt(E); None where what follows has it in its weights."""


class _Layer(NamedTuple):
    before: _Norm
    qkv: tuple[_Linear, ...]
    """One product, or several whose results are put side by side."""
    each: tuple[_Norm, _Norm] | None
    """Norms of a single head's queries and keys."""
    out: _Linear
    between: _Norm
    gate_up: tuple[_Linear, ...]
    down: _Linear


class Lean:
    """The forward of one model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        at = model.model.layers[0].self_attn
        self._dim: int = at.head_dim
        self._scaling: float = at.scaling
        self._key_heads = at.k_proj.out_features // self._dim
        self._heads = at.q_proj.out_features // self._dim
        self._seen: list[tuple[torch.Tensor, float]] | None = None
        self._table: torch.Tensor | None = None

    def prepare(self, length: int) -> None:
        """To be called before forwards over contexts of up to `length` tokens: takes the weights as they are now."""
        if self._table is None or len(self._table) < length:
            self._table = self._rotations(max(length, 2 * (0 if self._table is None else len(self._table))))
        if not self._current():
            self._take()

    def __call__(
        self, desk: Desk, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """(B, V) logits after the last of (B, T) ids, whose keys and values are written on the desk."""
        assert self._table is not None  # prepared
        rows, steps = ids.shape
        dim, heads, causal = self._dim, self._heads, mask is None and steps > 1
        cos, sin = F.embedding(positions, self._table).view(rows, steps, 2, 1, dim).unbind(2)
        x = F.embedding(ids.reshape(-1), self._embedding)  # (rows * steps, E), added to in place
        for index, layer in enumerate(self._layers):
            qkv = _side_by_side(_norm(x, layer.before), layer.qkv).view(rows, steps, -1, dim)
            if layer.each is not None:
                q, k, v = qkv.split_with_sizes((heads, self._key_heads, self._key_heads), 2)
                qkv = torch.cat((_norm(q, layer.each[0]), _norm(k, layer.each[1]), v), 2)
            qk = qkv.narrow(2, 0, heads + self._key_heads)
            swapped = torch.roll(qk, dim // 2, -1)
            qk.mul_(cos).addcmul_(swapped, sin)
            kv = qkv.narrow(2, heads, 2 * self._key_heads).view(rows, steps, 2, self._key_heads, dim)
            keys, values = desk.write(index, kv.permute(2, 0, 3, 1, 4))
            if layer is self._layers[-1] and steps > 1:
                x, qkv = x.view(rows, steps, -1)[:, -1].contiguous(), qkv[:, -1:]
                mask, causal, steps = mask if mask is None else mask[:, :, -1:], False, 1
            said = self._attend(qkv.narrow(2, 0, heads), keys, values, mask, causal)
            _add(x, said, layer.out)
            gate, up = _side_by_side(_norm(x, layer.between), layer.gate_up).chunk(2, -1)
            _add(x, F.silu(gate).mul_(up), layer.down)
        return F.linear(_norm(x, self._last), *self._head)

    def _attend(
        self, q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, causal: bool
    ) -> torch.Tensor:
        """(rows * steps, heads * dim) from (rows, steps, heads, dim) queries."""
        rows, steps, heads, dim = q.shape
        share = heads // self._key_heads
        if steps == 1:  # all queries of one key head together
            q = q.view(rows, self._key_heads, share, dim)
            out = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, scale=self._scaling)
            return out.reshape(rows, heads * dim)
        if share > 1:
            keys, values = keys.repeat_interleave(share, 1), values.repeat_interleave(share, 1)
        out = F.scaled_dot_product_attention(
            q.transpose(1, 2), keys, values, attn_mask=mask, is_causal=causal, scale=self._scaling
        )
        return out.transpose(1, 2).reshape(rows * steps, heads * dim)

    # ------------------------------------------------------------ what a forward needs of the model
    def _current(self) -> bool:
        """The weights are the ones that were taken. What was seen is held on to: an address that is still in use cannot
        have been given to another weight."""
        now = list(self._model.parameters())
        return (
            self._seen is not None
            and len(now) == len(self._seen)
            and all(
                p.data_ptr() == seen.data_ptr() and _version(p) == version
                for p, (seen, version) in zip(now, self._seen, strict=True)
            )
        )

    def _take(self) -> None:
        weights = list(self._model.parameters())
        copied = sum(p.nbytes for p in weights) <= _SMALL and not any(p.is_inference() for p in weights)
        self._seen = [(p.detach(), _version(p)) for p in weights]
        body = self._model.model
        self._embedding = body.embed_tokens.weight
        self._layers = [_layer(layer, copied) for layer in body.layers]
        self._last, (self._head,) = _joined(body.norm, (self._model.lm_head,), copied)

    def _rotations(self, length: int) -> torch.Tensor:
        """(length, 2 D): cosines, then sines with the sign that a half has when the halves change places."""
        device = self._model.device
        cos, sin = self._model.model.rotary_emb(
            torch.empty(0, dtype=torch.float32, device=device), torch.arange(length, device=device)[None]
        )
        half = self._dim // 2
        return torch.cat((cos[0], -sin[0, :, :half], sin[0, :, half:]), -1)


def _version(weight: torch.Tensor) -> float:
    """Counts what was done to a weight in place. Inference tensors have no such count: nan, so that they are always taken
    anew."""
    return math.nan if weight.is_inference() else weight._version


def _layer(layer: Any, copied: bool) -> _Layer:
    at, mlp = layer.self_attn, layer.mlp
    before, qkv = _joined(layer.input_layernorm, (at.q_proj, at.k_proj, at.v_proj), copied)
    between, gate_up = _joined(layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj), copied)
    each = (_taken(at.q_norm), _taken(at.k_norm)) if hasattr(at, "q_norm") else None
    out, down = (_Linear(p.weight, p.bias) for p in (at.o_proj, mlp.down_proj))
    return _Layer(before, qkv, each, out, between, gate_up, down)


def _joined(norm: Any, parts: tuple[Any, ...], copied: bool) -> tuple[_Norm, tuple[_Linear, ...]]:
    """A norm and the products that follow it; as one product that has the norm's scale in it where weights are copied."""
    taken = _taken(norm)
    if not copied or taken.scale is None:
        return taken, tuple(_Linear(p.weight, p.bias) for p in parts)
    biases = [p.weight.new_zeros(len(p.weight)) if p.bias is None else p.bias for p in parts]
    bias = None if all(p.bias is None for p in parts) else torch.cat(biases)
    return taken._replace(scale=None), (_Linear(torch.cat([p.weight for p in parts]) * taken.scale, bias),)


def _taken(norm: Any) -> _Norm:
    size = len(norm.weight)
    return _Norm(norm.weight.new_tensor(math.sqrt(size * norm.variance_epsilon)), norm.weight * math.sqrt(size))


def _norm(x: torch.Tensor, norm: _Norm) -> torch.Tensor:
    """RMS norm: sqrt(mean x² + eps) is hypot(|x|, sqrt(E eps)) / sqrt(E), which takes half as many operations."""
    x = x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), norm.floor)
    return x if norm.scale is None else x.mul_(norm.scale)


def _side_by_side(x: torch.Tensor, parts: tuple[_Linear, ...]) -> torch.Tensor:
    if len(parts) == 1:
        return F.linear(x, *parts[0])
    return torch.cat([F.linear(x, *p) for p in parts], -1)


def _add(x: torch.Tensor, y: torch.Tensor, layer: _Linear) -> None:
    """x += layer(y)."""
    x.addmm_(y, layer.weight.t())
    if layer.bias is not None:
        x.add_(layer.bias)
