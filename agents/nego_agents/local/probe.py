"""What can be found out about a model by trying: the shape of its cache, and whether it can be worked on a `Desk`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from nego_agents.local.cache import Desk, Layout
from nego_agents.local.lean import Lean, suits

log = logging.getLogger("nego_agents")

Forward = Callable[[Cache, torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Cache, (B, T) ids, (B, T) positions, an additive (B, 1, T, columns) mask or None -> (B, V) logits after the last id."""

_IDS = (5, 9, 7, 5, 11, 6, 8, 10)


class Found(NamedTuple):
    """How a model can be worked."""

    layout: Layout | None
    """The layout of its keys and values; None for a model that cannot be worked on a desk: one with another kind of cache or
    attention, or whose logits there are not those of its plain forward."""
    lean: Lean | None
    """A quicker forward that gives the same logits, if there is one."""


def examine(model: Any, forward: Forward) -> Found:
    """What kind of model it is. Warns of one that cannot be worked on a desk."""
    with torch.no_grad():
        return _examine(model, forward)


def _examine(model: Any, forward: Forward) -> Found:
    try:
        layout = _layout(model, forward)
        if layout is not None and suits(model):
            lean = Lean(model)
            lean.prepare(len(_IDS))
            if _agrees(layout, model, forward, lean):
                return Found(layout, lean)
        if layout is not None and _agrees(layout, model, forward, forward):
            return Found(layout, None)
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError, KeyError, NotImplementedError) as e:
        log.debug("trying %s on a desk failed: %s", type(model).__name__, e)
    log.warning(
        "%s: its cache is not kept between turns; whole contexts are fed, which is slower", type(model).__name__
    )
    return Found(None, None)


def additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask to be added to scores, from a boolean one. The least number, not -inf: a row that sees nothing is not nan."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, torch.finfo(dtype).min)


def _layout(model: Any, forward: Forward) -> Layout | None:
    if getattr(model.config, "_attn_implementation", "") not in ("sdpa", "eager"):
        return None
    layers: list[Any] = DynamicCache(config=model.config).layers
    if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return None
    windows = [layer.sliding_window for layer in layers if isinstance(layer, DynamicSlidingWindowLayer)]
    cache = DynamicCache(config=model.config)
    _plain(model, forward, cache, len(_IDS))
    filled: list[Any] = cache.layers
    kept = [x for layer in filled for x in (layer.keys, layer.values)]
    one = kept[0]
    if one is None or any(
        x is None or (x.shape, x.dtype, x.device) != (one.shape, one.dtype, one.device) for x in kept
    ):
        return None
    return Layout(len(cache.layers), one.shape[1], one.shape[3], one.dtype, one.device, min(windows, default=None))


def _plain(model: Any, forward: Forward, cache: Cache, count: int) -> torch.Tensor:
    """Logits (1, V) after the first `count` ids."""
    ids = torch.tensor([_IDS[:count]], device=model.device)
    return forward(cache, ids, torch.arange(count, device=model.device)[None], None)


def _agrees(layout: Layout, model: Any, forward: Forward, tried: Callable[..., torch.Tensor]) -> bool:
    """Two rows on a desk, one with a past of five tokens and three new ones, one with two new ones and a hole before them,
    have the logits they have alone."""
    cache = DynamicCache(config=model.config)
    wanted = [_plain(model, forward, cache, 8), _plain(model, forward, DynamicCache(config=model.config), 2)]
    desk = Desk(layout)
    desk.lay(2, 8)
    layers: list[Any] = cache.layers
    for i, layer in enumerate(layers):
        desk.whole[2 * i, 0, :, :5], desk.whole[2 * i + 1, 0, :, :5] = layer.keys[0, :, :5], layer.values[0, :, :5]
    desk.focus(slice(0, 2), 0, 5)
    ids = torch.tensor([_IDS[5:], (0, *_IDS[:2])], device=layout.device)
    positions = torch.tensor([[5, 6, 7], [0, 0, 1]], device=layout.device)
    columns, steps = torch.arange(8, device=layout.device), torch.arange(3, device=layout.device)
    visible = (columns <= 5 + steps[:, None]) & (columns >= torch.tensor([0, 6], device=layout.device)[:, None, None])
    found = tried(desk, ids, positions, additive(visible, layout.dtype)[:, None])
    expected = torch.cat(wanted).float()
    # Half precision rounds differently for other shapes; a wrong mask or position changes the logits altogether.
    allowed = (1e-3 if layout.dtype == torch.float32 else 0.2) * max(1.0, float(expected.std()))
    return bool((found.float() - expected).abs().max() < allowed)
