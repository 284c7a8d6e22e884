"""A causal language model with its tokenizer and the glue of its chats."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from nego_agents.local.errors import ModelError, missing_extra
from nego_env.errors import NegoError, NotFoundError, SettingsError, unknown_name
from nego_env.messages import STYLES, Style

try:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
    from transformers.utils import logging as progress
except ImportError as e:
    raise missing_extra(e) from None

from nego_agents.local.glue import Glue
from nego_agents.local.memory import check_memory
from nego_agents.local.options import TINY

log = logging.getLogger("nego_agents")

NOTES = "nego.json"
_LARGE = 500_000_000
"""Bytes of weights from which loading takes long enough to be watched."""
ADAPTER = "adapter_config.json"
"""What a folder of PEFT's holds instead of a model's config."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_SHARED: WeakValueDictionary[tuple[str, str, str, str | None], LocalModel] = WeakValueDictionary()


class Notes(msgspec.Struct, frozen=True):
    """`nego.json` in a model's folder: how the model wants to be talked to. Other fields are ignored."""

    style: Style = "full"


class LocalModel:
    """A causal language model, its tokenizer, and the tokens between the messages of a chat."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, name: str, style: Style | None = None
    ) -> None:
        """`name`: how it is called in transcripts. `style`: how messages are worded (`full` by default). Raises `ModelError`
        where its chat template cannot be used, `NotFoundError` for an unknown style."""
        if style is not None and style not in STYLES:
            raise unknown_name("style", style, STYLES)
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.style: Style = style or "full"
        self.glue = Glue(tokenizer, ends=_ends(model))

    @classmethod
    def load(
        cls, name_or_path: str = TINY, *, device: str = "auto", dtype: str = "auto", revision: str | None = None
    ) -> LocalModel:
        """A model from a local folder, the one shipped with this package (`nego-tiny`), or the Hugging Face hub; only a hub
        name uses the network, and not where `HF_HUB_OFFLINE=1` is set.

        `device`: `auto` (a CUDA device if there is one), `cpu`, `cuda`, `cuda:1`. `dtype`: `auto` (float32 on a CPU, else the
        checkpoint's), `float32`, `bfloat16`, `float16`. `revision`: a hub branch, tag or commit. Weights are read from
        safetensors only, and code from a model's repository is never run. Raises `NotFoundError` for a name that leads
        nowhere and `ModelError` for a model that cannot be used or does not fit into memory.
        """
        where = _device(device)
        if dtype != "auto" and dtype not in DTYPES:
            raise unknown_name("dtype", dtype, ("auto", *DTYPES))
        folder = _folder(name_or_path)
        source = str(folder) if folder is not None else name_or_path
        options: dict[str, Any] = {"revision": revision} if folder is None and revision else {}
        kind: Any = DTYPES.get(dtype, torch.float32 if where.type == "cpu" else "auto")
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
            check_memory(source, name_or_path, kind, where, options)
            with _progress(shown=folder is None or _size(folder) > _LARGE):
                model: Any = AutoModelForCausalLM.from_pretrained(
                    source,
                    dtype=kind,
                    trust_remote_code=False,
                    use_safetensors=True,
                    attn_implementation="sdpa",
                    **options,
                )
            model.to(where)
        except NegoError:
            raise
        except Exception as e:  # of these libraries, and of the formats they read
            raise _unloadable(name_or_path, folder, e) from None
        model.eval()
        return cls(model, tokenizer, name=name_or_path, style=_notes(folder).style)

    @classmethod
    def shared(
        cls, name_or_path: str = TINY, *, device: str = "auto", dtype: str = "auto", revision: str | None = None
    ) -> LocalModel:
        """As `load`, but the same object as long as somebody holds it: for those who do not change the weights."""
        key = (name_or_path, device, dtype, revision)
        if (known := _SHARED.get(key)) is None:
            known = _SHARED[key] = cls.load(name_or_path, device=device, dtype=dtype, revision=revision)
        return known

    def save(self, folder: Path) -> None:
        """Weights (safetensors), tokenizer and `nego.json`, such that `load(str(folder))` gives this model back."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / NOTES).write_text(json.dumps({"style": self.style}) + "\n", encoding="utf-8")

    @property
    def context(self) -> int | None:
        """How many tokens it can read; None where its config names no limit."""
        limit = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        return limit if isinstance(limit, int) and limit > 0 else None


@contextmanager
def _progress(*, shown: bool) -> Iterator[None]:
    """transformers' progress bars, or none."""
    if shown or not progress.is_progress_bar_enabled():
        yield
        return
    progress.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        progress.enable_progress_bar()  # type: ignore[no-untyped-call]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _ends(model: PreTrainedModel) -> Iterable[int]:
    config = getattr(model, "generation_config", None)
    found = getattr(config, "eos_token_id", None)
    return [] if found is None else [found] if isinstance(found, int) else list(found)


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise SettingsError(f"device is {device!r}: expected auto, cpu, cuda or cuda:N") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device is {device!r}, and PyTorch finds no CUDA device here; use cpu")
    return found


def _folder(name: str) -> Path | None:
    """The folder a name means; None for a name on the hub."""
    if name == TINY:
        folder = Path(str(files("nego_agents").joinpath("data", TINY)))
        if not (folder / "config.json").is_file():
            raise NotFoundError(f"{TINY} is missing from this installation; name another model, such as a folder")
        return folder
    path = Path(name).expanduser()
    if path.is_dir():
        if not any((path / file).is_file() for file in ("config.json", ADAPTER)):
            raise NotFoundError(f"model {name!r}: the folder holds no config.json, so no model")
        return path
    looks_local = name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1 or not name
    if looks_local or path.exists():
        raise NotFoundError(f"model {name!r}: no such folder")
    return None


def _notes(folder: Path | None) -> Notes:
    if folder is None:
        return Notes()
    if not (folder / NOTES).is_file():
        return _notes(_base(folder))
    try:
        return msgspec.json.decode((folder / NOTES).read_bytes(), type=Notes)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as e:
        raise ModelError(f"{folder / NOTES}: {e}") from None


def _base(folder: Path) -> Path | None:
    """The folder of the model that a folder's adapter changes, if it is one and that is one."""
    try:
        found = json.loads((folder / ADAPTER).read_bytes())["base_model_name_or_path"]
        return _folder(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotFoundError):
        return None


def _unloadable(name: str, folder: Path | None, e: BaseException) -> ModelError | NotFoundError:
    why = next((line.strip() for line in str(e).splitlines() if line.strip()), type(e).__name__)
    if folder is not None:
        return ModelError(f"model {name!r} cannot be loaded: {why}")
    if isinstance(e, OSError):
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")
        reason = "it is not in the local cache, and HF_HUB_OFFLINE is set" if offline else why
        return NotFoundError(f"model {name!r}: no folder of that name, and the hub gave none: {reason}")
    return ModelError(f"model {name!r} cannot be loaded: {why}")
