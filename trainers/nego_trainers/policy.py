"""The model that is trained: loaded, wrapped in adapters where wanted, saved, and copied for opponents and the reference."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_env.errors import MissingExtraError, SettingsError
from nego_trainers.settings import GRPOSettings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from nego_agents.local.model import LocalModel


@dataclass(frozen=True)
class Policy:
    """A language model under training."""

    local: LocalModel
    lora: bool

    @property
    def model(self) -> PreTrainedModel:
        """The torch module."""
        return self.local.model

    @property
    def parameters(self) -> int:
        """How many there are, frozen ones included."""
        return sum(p.numel() for p in self.model.parameters())

    def trained(self) -> list[torch.nn.Parameter]:
        """Those that are trained, in the model's order."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def save(self, folder: Path) -> None:
        """Writes the weights (with LoRA: the adapter's) and the tokenizer; `load_policy` reads them again."""
        if not self.lora:
            self.local.save(folder)
            return
        self.model.save_pretrained(str(folder), safe_serialization=True)
        self.local.tokenizer.save_pretrained(str(folder))

    def export(self, folder: Path) -> bool:
        """Writes a model that any agent loads, adapters merged into it. False, and nothing written, where the weights are
        4-bit ones, into which nothing can be merged."""
        if not self.lora:
            self.local.save(folder)
            return True
        if getattr(self.model, "is_loaded_in_4bit", False):
            return False
        from nego_agents.local.model import LocalModel

        merged: Any = copy.deepcopy(self.model)
        local = LocalModel(
            merged.merge_and_unload(), self.local.tokenizer, name=self.local.name, style=self.local.style
        )
        local.save(folder)
        return True

    def reference(self) -> PreTrainedModel | None:
        """A frozen copy of the model as it is now; None with LoRA, where the model without its adapter is the reference."""
        if self.lora:
            return None
        frozen: PreTrainedModel = copy.deepcopy(self.model)
        frozen.requires_grad_(False)
        frozen.train(False)
        return frozen

    def with_model(self, model: PreTrainedModel) -> LocalModel:
        """Another torch module of the same kind, to be talked to in the same way."""
        from nego_agents.local.model import LocalModel

        return LocalModel(model, self.local.tokenizer, name=self.local.name, style=self.local.style)


def load_policy(settings: GRPOSettings, checkpoint: Path | None = None) -> Policy:
    """The model of a run at its start or, given the `model` folder of a checkpoint, as it was there.

    Raises `NegoError` in one line for a model that cannot be had, an extra that is missing, or a machine without what
    `--qlora` needs.
    """
    try:
        from nego_agents.local.model import LocalModel
    except ModuleNotFoundError as e:
        raise MissingExtraError(f"training a language model needs {e.name}: pip install 'nego-env[train]'") from None
    if settings.qlora:
        _need_4bit()
    if not settings.lora_rank:
        local = LocalModel.load(
            settings.model if checkpoint is None else str(checkpoint), device=settings.device, dtype=_dtype(settings)
        )
        return Policy(local, lora=False)
    base = _quantised(settings) if settings.qlora else LocalModel.load(
        settings.model, device=settings.device, dtype=_dtype(settings)
    )  # fmt: skip
    with renames_unsaid():
        adapted = _with_adapter(base.model, settings, checkpoint)
    return Policy(LocalModel(adapted, base.tokenizer, name=base.name, style=base.style), lora=True)


def fresh_policy(settings: GRPOSettings, local: LocalModel) -> Policy:
    """A policy from a model that is in memory already."""
    if not settings.lora_rank:
        return Policy(local, lora=False)
    from nego_agents.local.model import LocalModel

    with renames_unsaid():
        adapted = _with_adapter(local.model, settings, None)
    return Policy(LocalModel(adapted, local.tokenizer, name=local.name, style=local.style), lora=True)


def _dtype(settings: GRPOSettings) -> str:
    """Weights that are trained whole stay in float32: steps of a small learning rate vanish in 16 bits."""
    if settings.dtype == "auto":
        return "auto" if settings.lora_rank else "float32"
    return settings.dtype


@contextmanager
def renames_unsaid() -> Iterator[None]:
    """Without the warnings that libraries give each other about a name that transformers 5 changed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
        yield


def _with_adapter(model: Any, settings: GRPOSettings, checkpoint: Path | None) -> Any:
    try:
        from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
    except ModuleNotFoundError as e:
        raise MissingExtraError(f"--lora-rank needs {e.name}: pip install 'nego-env[llm]'") from None
    import torch

    if settings.qlora:
        model = prepare_model_for_kbit_training(model)  # type: ignore[no-untyped-call]
    if checkpoint is not None:
        return PeftModel.from_pretrained(model, str(checkpoint), is_trainable=True)
    targets = list(settings.lora_targets)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha or 2 * settings.lora_rank,
        lora_dropout=settings.lora_dropout,
        target_modules=targets[0] if targets == ["all-linear"] else targets,
    )
    devices = [p.device for p in model.parameters() if p.device.type == "cuda"]
    with torch.random.fork_rng(devices=[d.index for d in devices[:1] if d.index is not None]):
        torch.manual_seed(settings.seed)  # the adapter's first matrix is drawn
        try:
            return get_peft_model(model, config)
        except ValueError as e:
            raise SettingsError(f"--lora-targets {' '.join(targets)}: {str(e).splitlines()[0]}") from None


def _need_4bit() -> None:
    """Raises where 4-bit weights cannot be held."""
    import importlib.util

    import torch

    if not torch.cuda.is_available():
        raise SettingsError(
            "--qlora holds the weights in 4 bits, which needs a CUDA GPU, and there is none here: leave it out (--lora-rank "
            "alone works on a CPU), or try the recipe with --dry-run"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError("--qlora needs bitsandbytes: pip install bitsandbytes")


def _quantised(settings: GRPOSettings) -> LocalModel:
    """The base model in 4 bits (NF4, double quantisation: Dettmers et al. 2023), computing in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    from nego_agents.local.model import LocalModel

    config = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    device = "cuda" if settings.device == "auto" else settings.device
    try:
        model = AutoModelForCausalLM.from_pretrained(
            settings.model, quantization_config=config, device_map={"": device}
        )
        tokenizer = AutoTokenizer.from_pretrained(settings.model)
    except (OSError, ValueError) as e:
        raise SettingsError(f"--model {settings.model}: {str(e).splitlines()[0]}") from None
    return LocalModel(model, tokenizer, name=settings.model)
