"""nego-tiny's tokenizer: byte-level BPE over talk of the training themes, with a chat template of four special tokens.

Words are split so that an option id (` A1`), a number up to 100, a bracket with its keyword (` [Propose:`) and a mark of
punctuation are each one token: a small model reads a table only where its cells are tokens.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nego_trainers.tiny.demonstrators import Mix
from nego_trainers.tiny.dialogues import dialogue

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPLIT = (
    r" ?seat_\d| ?\[[A-Za-z]+:?|\]| ?[A-H][1-9](?![A-Za-z0-9])| ?\d{1,3}(?!\w)| ?[^\s\[\]\d.,;:!?]+| ?\d| ?[.,;:!?]|\s"
    r"|[\s\S]"
)


def corpus(seed: int, count: int) -> Iterator[str]:
    """Texts to learn a vocabulary from: chats of demonstrators, and every number and option id as often as it takes."""
    rng = random.Random(seed)
    table = " ".join(f"{issue}{option} {n}" for issue in "ABCD" for option in range(1, 6) for n in range(101))
    for _ in range(20):
        yield table
        yield "\n".join(f"{issue}{option}" for issue in "ABCD" for option in range(1, 6))
    for _ in range(count):
        for chat in dialogue(rng, Mix(), made_up=0.15).chats:
            for line in chat:
                yield line.text


def make_tokenizer(*, vocabulary: int = 2048, texts: int = 3000, seed: int = 0) -> PreTrainedTokenizerFast:
    """The tokenizer. The same arguments give the same one."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus(seed, texts), trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, pad_token=PAD, eos_token=END, padding_side="left"
    )
    fast.chat_template = TEMPLATE
    return fast
