"""Random models of a few thousand parameters with a byte-level tokenizer and a chat template, made in memory."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|pad|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")
TEXT = (
    "You are the tenant, with the owner. Keep the tap for the seedlings.",
    "A the tap: A1 mornings; A2 always; A3 weekdays B the shed: B1 mine; B2 yours; B3 half",
    "A1 0 A2 4 A3 2 B1 2 B2 0 B3 1 walk 2 round 1 of 7 table A2 B1 by seat_0 worth 6 gain 100",
    "seat_0: I would settle for less. [Propose: A1 B2] seat_1: [Accept] [Reveal: A] [Ask: B] [Walk]",
)

Family = Literal["llama", "qwen2", "qwen3", "mistral", "gemma3", "gpt2"]


def tiny_tokenizer(vocab: int = 384, template: str | None = CHATML, special: Iterable[str] = SPECIAL) -> Any:
    """A byte-level BPE tokenizer of at most `vocab` tokens; end of turn `<|im_end|>`. Every call makes a new one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXT * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<|pad|>", eos_token="<|im_end|>", padding_side="left"
    )
    if template is not None:
        fast.chat_template = template
    return fast


@lru_cache
def shared_tokenizer() -> Any:
    """One tokenizer for many tests; not to be changed."""
    return tiny_tokenizer()


def tiny_model(
    family: Family = "llama",
    *,
    vocab: int = 384,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    positions: int = 4096,
    seed: int = 0,
    **config: Any,
) -> Any:
    """A model with random weights, wide enough that what it says depends on what it read."""
    import torch
    import transformers

    config = {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "max_position_embeddings": positions,
        "tie_word_embeddings": True,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "pad_token_id": 0,
        "eos_token_id": 2,
        **config,
    }
    names = {
        "llama": "Llama",
        "qwen2": "Qwen2",
        "qwen3": "Qwen3",
        "mistral": "Mistral",
        "gemma3": "Gemma3",
        "gpt2": "GPT2",
    }
    kind = f"{names[family]}TextConfig" if family == "gemma3" else f"{names[family]}Config"
    model = {"gpt2": "GPT2LMHeadModel"}.get(family, f"{names[family]}ForCausalLM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = getattr(transformers, model)(getattr(transformers, kind)(**config))
    return made.eval()
