"""Sampling with a whole context fed for every reply: for models whose cache is not keys and values of all tokens.

Rows are batched only where their contexts have the same length, so that no model sees padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from nego_agents.local.request import Request, Sampled
from nego_agents.local.sampling import Drawer


def sample_plain(model: Any, requests: Sequence[Request], end: frozenset[int]) -> list[Sampled]:
    """A reply to each request, in order."""
    lengths: dict[int, list[int]] = {}
    for at, request in enumerate(requests):
        lengths.setdefault(len(request.context), []).append(at)
    found: dict[int, Sampled] = {}
    for group in lengths.values():
        found.update(zip(group, _sample_equal(model, [requests[i] for i in group], end), strict=True))
    return [found[i] for i in range(len(requests))]


def _sample_equal(model: Any, requests: Sequence[Request], end: frozenset[int]) -> list[Sampled]:
    device = model.device
    cache = DynamicCache(config=model.config)
    ids = torch.tensor([r.context for r in requests], device=device)
    length, most = ids.shape[1], max(r.limit for r in requests)
    uniforms = torch.tensor([[*r.uniforms[: r.limit], *[0.0] * (most - r.limit)] for r in requests], device=device)
    drawer = Drawer([r.sampling for r in requests], device)
    said: list[list[int]] = [[] for _ in requests]
    logprobs: list[list[float]] = [[] for _ in requests]
    open_rows = set(range(len(requests)))
    for t in range(most):
        seen = torch.ones((len(requests), length + t), dtype=torch.long, device=device)
        out = model(input_ids=ids, attention_mask=seen, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        tokens, logps = drawer.draw(out.logits[:, -1], uniforms[:, t])
        for row in tuple(open_rows):
            said[row].append(int(tokens[row]))
            logprobs[row].append(float(logps[row]))
            if said[row][-1] in end or t + 1 == requests[row].limit:
                open_rows.discard(row)
        if not open_rows:
            break
        ids = tokens[:, None]
    return [Sampled(*x) for x in zip(said, logprobs, strict=True)]
