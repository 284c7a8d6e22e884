"""A recipe tried without its model and its judge: a small random Qwen3 with a tokenizer made on the spot, a scripted judge,
a few steps. It shows that every option fits together, and says what the real run needs; its figures mean nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nego_env.verdict import Case, Verdict
from nego_trainers.settings import GRPOSettings

if TYPE_CHECKING:
    from nego_agents.local.model import LocalModel

STEPS = 3
TOKENS = 8
"""Of an utterance and of the plan: a random model has nothing to say."""
VOCABULARY = 512
IM_START, IM_END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


class ScriptedJudge:
    """Decides by a checksum of what was said: the same words, the same verdict, and no meaning at all."""

    name = "scripted-dry-run"
    label = "scripted (dry run, not CA)"

    def judge(self, case: Case) -> Verdict:
        """Agreement about every third round; a figure in {0, ..., 5}."""
        if case.kind == "agreement":
            told = "\n".join(text for _, text in case.lines[-case.scenario.n :])
            return Verdict("agreement", self.name, float(_checksum(told) % 3 == 0), label=self.label)
        return Verdict("score", self.name, float(_checksum(case.completion) % 6), label=self.label)


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def dry(settings: GRPOSettings) -> GRPOSettings:
    """The same recipe, small enough to be tried anywhere."""
    return replace(
        settings,
        model="random-qwen3",
        steps=min(STEPS, settings.steps or STEPS),
        minutes=None,
        max_new_tokens=TOKENS,
        completion_max_new_tokens=TOKENS,
        qlora=False,
        dtype="float32",
        device="cpu",
        threads=1,
        save_every=STEPS,
        eval_every=0,
    )


def random_model(texts: Iterable[str], seed: int = 0) -> LocalModel:
    """A Qwen3 of 60 k parameters with random weights and a byte-level BPE made from `texts`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    from nego_agents.local.model import LocalModel

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, IM_START, IM_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=IM_END, pad_token=PAD)  # type: ignore[no-untyped-call]
    tokenizer.chat_template = CHATML
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    return LocalModel(model, tokenizer, name="random-qwen3")


@dataclass(frozen=True)
class ModelShape:
    """What memory depends on."""

    parameters: float
    layers: int
    hidden: int
    kv: int
    """Key-value heads x head size."""
    intermediate: int
    vocabulary: int


KNOWN = {"Qwen/Qwen3-14B": ModelShape(14.77e9, 40, 5120, 8 * 128, 17408, 151936)}
"""Models whose memory can be told without fetching anything."""
CONTEXT = 1500
"""Tokens of a context with a window of two rounds: rules, personas, four utterances."""
NF4 = 0.52
"""Bytes a weight in 4 bits, with its scales."""


def needs(settings: GRPOSettings) -> list[str]:
    """What the real run needs, one line each. Memory is an estimate from shapes, not a measurement."""
    lines = []
    shape = KNOWN.get(settings.model)
    if shape is not None:
        parts = memory(settings, shape)
        told = ", ".join(f"{name} {value:.0f}" for name, value in parts.items())
        lines.append(f"GPU memory, estimated: {sum(parts.values()):.0f} GB ({told})")
    else:
        lines.append(f"GPU memory: not known for {settings.model} without fetching it")
    if settings.qlora:
        lines.append("a CUDA GPU and bitsandbytes, for 4-bit weights")
    judge = settings.judge or "none is named: --judge my_file.py:MyJudge (the paper's is GPT-4o-mini)"
    lines.append(f"a judge of agreement and Collective Agency; {judge}")
    lines.append(
        f"{settings.total_steps or 'as many steps as fit'} steps of {settings.groups} x {settings.group_size} episodes; the "
        "paper reports about 110 h for 1,900 on one RTX PRO 6000 (96 GB)"
    )
    return lines


def memory(settings: GRPOSettings, shape: ModelShape) -> dict[str, float]:
    """Gigabytes by what they hold, for a step of the plain engine."""
    embeddings = 2.0 * shape.vocabulary * shape.hidden
    weight = NF4 if settings.qlora else 2.0 if settings.lora_rank else 4.0
    weights = (shape.parameters - embeddings) * weight + embeddings * (2.0 if settings.lora_rank else 4.0)
    widths = 4 * shape.hidden + 2 * (shape.hidden + shape.kv) + 3 * (shape.hidden + shape.intermediate)
    trained = settings.lora_rank * shape.layers * widths if settings.lora_rank else shape.parameters
    optimizer = trained * 12.0 + (trained * 4.0 if settings.lora_rank else 0.0)
    cache = settings.groups * settings.group_size * 2 * CONTEXT * 2 * shape.layers * shape.kv * 2.0
    tokens = settings.micro_tokens
    update = tokens * shape.hidden * shape.layers * 2.0 + tokens * (3 * shape.intermediate + 8 * shape.hidden) * 2.0
    logits = 0.3 * tokens * shape.vocabulary * 12.0
    parts = {"weights": weights, "gradients and AdamW": optimizer, "KV cache": cache, "update": update + logits}
    return {name: value / 1e9 for name, value in parts.items()}


def texts_of(source: Any, groups: int) -> list[str]:
    """Words of the dilemmas of a source's first step."""
    found = []
    for scenario in (source.group(0, g) for g in range(groups)):
        found += [scenario.task, *(seat.persona for seat in scenario.seats)]
    return found
