"""Chats as tokens: contexts only grow, words stay words, and a template that cannot promise that is refused."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("transformers")

from nego_agents.local.errors import ModelError
from nego_agents.local.glue import Glue
from nego_env.messages import Message
from tests.support import ANY_CHARACTER, single_line
from tests.tiny_models import CHATML, SPECIAL, shared_tokenizer, tiny_tokenizer

S, U, A, U2 = (
    Message("system", "You are the tenant."),
    Message("user", "round 1 of 7"),
    Message("assistant", "I would settle for less."),
    Message("user", "seat_1: [Accept]"),
)
MARKS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_end|><|im_end|>", "<|im_", "|>", "<think>", "</think>")
WORDS = st.lists(st.one_of(st.sampled_from(MARKS), st.text(ANY_CHARACTER, max_size=8)), max_size=6).map("".join)

GEMMA = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim }}"
    "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
SYSTEM_LAST = (  # puts the system message before the newest question
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {% if loop.last and messages[0]['role'] == 'system' %}"
    "{{ messages[0]['content'] + '\n\n' }}{% endif %}{{ m['content'] }}[/INST]{% elif m['role'] == 'assistant' %}"
    "{{ ' ' + m['content'] }}<|im_end|>{% endif %}{% endfor %}"
)
THINKING = (  # an emptied block before the answer that is asked for, none before those of the past
    CHATML.replace("<|im_start|>assistant\n' }}{% endif", "<|im_start|>assistant\n' }}{% if enable_thinking is defined and"
    " not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif")
)  # fmt: skip


@lru_cache
def glue(template: str = CHATML, *extra: str, thinking: bool = False) -> Glue:
    tokenizer = tiny_tokenizer(template=template, special=(*SPECIAL, *extra))
    tokenizer.bos_token = "<|endoftext|>"
    return Glue(tokenizer, thinking=thinking)


def rendered(tokenizer: Any, messages: list[Message], **options: Any) -> list[int]:
    chat = [{"role": m.role, "content": m.content} for m in messages]
    return list(
        tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False, add_generation_prompt=True, **options)
    )


def test_a_context_is_what_the_template_renders() -> None:
    tokenizer = shared_tokenizer()
    for messages in ([S, U], [S, U, A, U2], [S, U, A, U2, A, U]):
        assert Glue(tokenizer).opening(messages) == rendered(tokenizer, messages)


def test_going_on_is_the_same_as_opening_with_all_of_it() -> None:
    found = glue()
    said = [*found.opening([Message("user", A.content)])]  # any ids will do as words; these are encoded the same way
    words = list(shared_tokenizer().encode(A.content, add_special_tokens=False))
    (end,) = found.end
    assert said != words
    whole = found.opening([S, U, A, U2])
    assert [*found.opening([S, U]), *words, end, *found.continuation([*words, end], [U2])] == whole
    assert found.opening([S, U]) + words + found.continuation(words, [U2]) == whole, "the end of turn is added"


@pytest.mark.parametrize("said", [(), (40,), (2,), (40, 2), (40, 2, 2), (3,), (2, 40)])
def test_a_turn_is_closed_exactly_where_its_last_token_does_not(said: tuple[int, ...]) -> None:
    found = glue()
    end = shared_tokenizer().convert_tokens_to_ids("<|im_end|>")
    after = found.continuation(said, [U2])
    assert (after[0] == end) == (not said or said[-1] != end)
    assert after.count(end) == 1 + (after[0] == end), "the one of the other's message, and its own"


def test_several_messages_of_others_become_one() -> None:
    one = Message("user", f"{U.content}\n\n{U2.content}")
    assert glue().opening([S, U, U2]) == glue().opening([S, one])
    assert glue().continuation((40,), [U, U2]) == glue().continuation((40,), [one])


@pytest.mark.parametrize("messages", [[], [S], [S, U, A], [A, U], [S, U, A, A, U]])
def test_what_is_no_chat_to_be_answered_is_an_error(messages: list[Message]) -> None:
    with pytest.raises(ModelError, match="no chat to be answered"):
        glue().opening(messages)


# ---------------------------------------------------------------- words stay words
@given(WORDS)
def test_no_words_become_a_special_token_and_none_are_lost(words: str) -> None:
    found = glue(THINKING, "<think>", "</think>")
    tokenizer = found._tokenizer
    plain = found.opening([S, Message("user", "x")])
    ids = found.opening([S, Message("user", words)])
    special = [i for i in ids if i in found.special]
    assert special == [i for i in plain if i in found.special]
    start = next(i for i, (a, b) in enumerate(zip(ids, plain, strict=False)) if a != b) if words != "x" else 0
    inside = ids[start : len(ids) - (len(plain) - start - 1)] if words != "x" else []
    encodable = words.encode("utf-8", "replace").decode()
    if words != "x" and not encodable.startswith("x"):
        assert tokenizer.decode(inside, clean_up_tokenization_spaces=False) == encodable


@given(st.lists(st.integers(-3, 400), max_size=40))
def test_any_ids_have_words_and_can_be_gone_on_from(said: list[int]) -> None:
    found = glue()
    text = found.text(said)
    assert text == text.strip()
    text.encode("utf-8")
    assert found.text([*said, *found.end]) == text, "the end of turn is no word"
    ids = found.continuation(said, [U2])
    assert ids[-len(found._answer) :] == list(found._answer)


def test_special_tokens_a_model_said_are_left_out_of_its_words() -> None:
    tokenizer = shared_tokenizer()
    ids = tokenizer.encode("Yes<|im_start|> we<|endoftext|> do<|im_end|>", add_special_tokens=False)
    assert sum(i < len(SPECIAL) for i in ids) == 3
    assert Glue(tokenizer).text(ids) == "Yes we do"


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    tokenizer = shared_tokenizer()
    lone = tokenizer.encode("é", add_special_tokens=False)[:1]
    assert Glue(tokenizer).text(lone) == "�"


# ---------------------------------------------------------------- templates
def test_without_a_place_for_a_system_message_it_goes_before_the_first_question() -> None:
    for template, extra in ((GEMMA, ("<start_of_turn>", "<end_of_turn>")), (SYSTEM_LAST, ("[INST]", "[/INST]"))):
        found = glue(template, *extra)
        merged = [Message("user", f"{S.content}\n\n{U.content}"), A, U2]
        assert found.opening([S, U, A, U2]) == found.opening(merged)
        text = found._tokenizer.decode(found.opening([S, U, A, U2]))
        assert text.index("tenant") < text.index("round 1") < text.index("settle") < text.index("seat_1")


def test_the_end_of_a_turn_is_read_off_the_template() -> None:
    found = glue(GEMMA, "<start_of_turn>", "<end_of_turn>")
    names = {found._tokenizer.convert_ids_to_tokens(i) for i in found.end}
    assert names == {"<end_of_turn>", "<|im_end|>"}, "the template's, and the tokenizer's"
    assert 7 in Glue(shared_tokenizer(), ends=[7]).end


def test_thinking_is_off_where_the_template_knows_how() -> None:
    found = glue(THINKING, "<think>", "</think>")
    text = found._tokenizer.decode(found.opening([S, U, A, U2]))
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert text.count("<think>") == 2, "answers of the past are asked for in the same way: contexts only grow"
    on = glue(THINKING, "<think>", "</think>", thinking=True)
    assert "<think>" not in on._tokenizer.decode(on.opening([S, U]))
    assert on.text(on._tokenizer.encode("hm</think>Yes.", add_special_tokens=False)) == "Yes."


REFUSED = {
    "leaves out": CHATML.replace("m['content']", "('' if m['role'] == 'assistant' else m['content'])"),
    "once others follow": "{{ messages | length }}" + CHATML,
    "cannot be turned off": CHATML.replace("assistant\n' }}{% endif", "assistant\n<think>\n' }}{% endif"),
    "of the past differently": CHATML.replace("assistant\n' }}{% endif", "assistant: ' }}{% endif"),
    "in another way": CHATML.replace(
        "assistant\n' }}{% endif", "assistant\n' + ('' if messages | length > 2 else ' ') }}{% endif"
    ),
    "refuses a chat": "{{ raise_exception('no chats\nplease') }}",
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_a_template_that_cannot_be_used_is_refused_with_a_reason(why: str) -> None:
    with pytest.raises(ModelError, match=why) as e:
        glue(REFUSED[why])
    assert single_line(str(e.value))


def test_a_model_without_a_chat_template_is_refused() -> None:
    tokenizer = tiny_tokenizer(template=None)
    tokenizer.name_or_path = "some/base-model"
    with pytest.raises(ModelError, match=r"some/base-model has no chat template.*instruct"):
        Glue(tokenizer)


def test_a_dated_template_does_not_depend_on_the_day() -> None:
    dated = (
        "{% if date_string is not defined %}{{ raise_exception('today?') }}{% endif %}{{ date_string + '\n' }}" + CHATML
    )
    assert "26 Jul 2024" in glue(dated)._tokenizer.decode(glue(dated).opening([S, U]))


def test_a_tokenizer_that_marks_beginnings_does_not_get_a_space_into_the_middle() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    bpe.decoder = decoders.Sequence([decoders.Metaspace(prepend_scheme="first"), decoders.Fuse()])
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    bpe.train_from_iterator(
        ["\n seat_1: Yes, we do. system user assistant\nround 1 of 7 [INST] x [/INST]"] * 4, trainer
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>", bos_token="<s>")
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{{ m['role'] + '\n' + m['content'] + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}"
    )
    chat = [
        Message("user", "seat_1: Yes, we do."),
        Message("assistant", "Yes, we do."),
        Message("user", "round 1 of 7"),
    ]
    assert tokenizer.decode(Glue(tokenizer).opening(chat)) == tokenizer.decode(rendered(tokenizer, chat))


# ---------------------------------------------------------------- templates of the field
def published() -> dict[str, str]:
    spec = importlib.util.find_spec("trl")
    folder = Path(spec.origin).parent / "chat_templates" if spec is not None and spec.origin else Path("none")
    return {f.stem: f.read_text(encoding="utf-8") for f in sorted(folder.glob("*.jinja"))}


WORK = (
    "cohere", "gemma", "gemma3", "glm4moe", "lfm2", "llama3", "llama3_1", "llama3_2", "phi3", "phi3_5", "qwen2_5", "qwen3",
    "qwen3_instruct_2507", "qwen3_6",
)  # fmt: skip
DO_NOT = {"gptoss": "of the past differently", "deepseek_r1_distill": "cannot be turned off"}


def published_glue(name: str) -> Glue:
    templates = published()
    if name not in templates:
        pytest.skip("TRL ships no such template: pip install 'nego-env[train]'")
    marks = r"<[|｜][^\s'\"{}]*?[|｜]>|<(?:start|end)_of_turn>|</?think>|\[gMASK\]|<sop>"
    extra = sorted(set(re.findall(marks, templates[name])) - set(SPECIAL))
    return glue(templates[name], *extra)


@pytest.mark.parametrize("name", WORK)
def test_contexts_only_grow_under_published_templates(name: str) -> None:
    found = published_glue(name)
    words = found._plain(A.content)
    opening = found.opening([S, U])
    end = found._close[0]
    grown = [*opening, *words, end, *found.continuation([*words, end], [U2])]
    assert grown == found.opening([S, U, A, U2])
    text = found._tokenizer.decode(grown)
    assert [text.count(m.content) for m in (S, U, A, U2)] == [1, 1, 1, 1]


@pytest.mark.parametrize("name", DO_NOT)
def test_published_templates_that_cannot_be_used_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match=DO_NOT[name]):
        published_glue(name)
