"""Whether a model fits, before gigabytes are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from nego_agents.local.errors import ModelError

_TOKENS = 4096
"""The context that must fit beside the weights (or the model's whole, where that is shorter)."""


def check_memory(source: str, name: str, dtype: Any, device: torch.device, options: dict[str, Any]) -> None:
    """Raises `ModelError` where the weights and the keys and values of one context need more than is free; says nothing where
    that cannot be known."""
    free = free_bytes(device)
    if free is None or (Path(source) / "adapter_config.json").is_file():
        return
    config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options)
    weights, cache = needed_bytes(config, dtype)
    if weights + cache > free:
        raise ModelError(
            f"model {name!r} needs about {_gb(weights)} for its weights and {_gb(cache)} for a conversation; "
            f"{_gb(free)} are free on {device}: take a smaller model, or dtype=bfloat16"
        )


def needed_bytes(config: Any, dtype: Any) -> tuple[int, int]:
    """Bytes of the weights, and of the keys and values of one context."""
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    if not isinstance(dtype, torch.dtype):
        dtype = getattr(config, "dtype", None) or torch.float32
    text = config.get_text_config(decoder=True)
    heads = getattr(text, "num_key_value_heads", None) or getattr(text, "num_attention_heads", 1)
    dim = getattr(text, "head_dim", None) or text.hidden_size // getattr(text, "num_attention_heads", 1)
    tokens = min(_TOKENS, getattr(text, "max_position_embeddings", None) or _TOKENS)
    count = sum(p.numel() for p in model.parameters())
    return count * dtype.itemsize, 2 * text.num_hidden_layers * heads * dim * tokens * dtype.itemsize


def free_bytes(device: torch.device) -> int | None:
    """Memory that could be had on a device now; None where that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    known = [x for x in (_available(), _left_in_group()) if x is not None]
    return min(known, default=None)


def _available() -> int | None:
    """What Linux calls available memory."""
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _left_in_group() -> int | None:
    """What the control group (a container's limit) leaves."""
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    return int(limit) - int(used) if limit.isdigit() and used.isdigit() else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
