"""The tokens of a chat, such that a context only ever grows: what a model read and said is never encoded again.

1. The model's own template is rendered once with marks in place of the words. What stands between the marks is the glue:
   the opening, the way from a question to the answer, the way from an answer to the next question.
2. Glue is encoded with its special tokens. Words are encoded without: `<|im_end|>` in somebody's mouth is seven characters.
3. A model's own words are the ids it sampled, verbatim. The glue after them is the template's, with the end-of-turn token
   added where the model did not get to it.
4. A template that rewrites what went before, or leaves words out, cannot be used this way, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nego_agents.local.errors import ModelError
from nego_env.messages import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    Tokenizer = PreTrainedTokenizerBase

_MARKS = ("qSYSTEMq", "qFIRSTq", "qREPLYq", "qSECONDq", "qANSWERq", "qTHIRDq")
_ROLES = ("system", "user", "assistant", "user", "assistant", "user")


@dataclass(frozen=True)
class _Pieces:
    """What stands between the words of a chat."""

    system: str | None
    """Before the system message; None where the template has no place for one."""
    first: str
    """Before the first question, after the system message if there is a place for one."""
    bare: str
    """Before the first question of a chat without a system message."""
    answer: str
    """Between a question and its answer: the generation prompt."""
    question: str
    """Between an answer and the next question, end of turn included."""


class Glue:
    """Contexts as token ids for one tokenizer and its chat template."""

    def __init__(self, tokenizer: Tokenizer, *, thinking: bool = False, ends: Iterable[int] = ()) -> None:
        """`ends`: further ids that end a turn (a model's generation config may name some). Raises `ModelError`."""
        self._tokenizer, self._thinking = tokenizer, thinking
        found = _pieces(_renderer(tokenizer, thinking), _name(tokenizer), thinking)
        self._merged = found.system is None
        eos = {i for i in (tokenizer.eos_token_id, *ends) if isinstance(i, int)}
        known = tokenizer.added_tokens_decoder
        # Some vocabularies hold line breaks as added tokens, which are ordinary text.
        added = {i for i, token in known.items() if not token.content.isspace()}
        flagged = {i for i in added if known[i].special}
        self._system = self._glue(found.system or "")
        self._first, self._bare = self._glue(found.first), self._glue(found.bare)
        self._answer, question = self._glue(found.answer), self._glue(found.question)
        at = _first_of(question, eos) if _first_of(question, eos) is not None else _first_of(question, added)
        self._close: tuple[int, ...] = () if at is None else (question[at],)
        self._next = question if at is None else question[at + 1 :]
        self.end: frozenset[int] = frozenset({*eos, *self._close})
        """Ids that end a turn of the model's."""
        in_glue = {*self._system, *self._first, *self._bare, *self._answer, *question} & added
        self.special: frozenset[int] = frozenset({*tokenizer.all_special_ids, *flagged, *self.end, *in_glue})
        """Ids that no words encode to, and that are left out of the words a model said."""
        self._size = len(tokenizer)
        self._thought = tokenizer.convert_tokens_to_ids("</think>")
        self._forbidden = _matcher(tokenizer.convert_ids_to_tokens(i) for i in sorted(self.special) if i < self._size)
        self._anchors = self._find_anchors()
        self._words = lru_cache(maxsize=4096)(self._encode)

    def opening(self, messages: Sequence[Message]) -> list[int]:
        """A whole context, generation prompt included. `messages`: perhaps a system message, then questions and answers, a
        question last; several questions in a row become one. Raises `ModelError` for anything else."""
        system, rest = _shape(messages)
        if system is not None and self._merged:
            system, rest = None, [Message("user", f"{system}\n\n{rest[0].content}"), *rest[1:]]
        ids = [*self._bare] if system is None else [*self._system, *self._words(system), *self._first]
        for message in rest:
            ids += self._words(message.content)
            ids += self._answer if message.role == "user" else (*self._close, *self._next)
        return ids

    def continuation(self, said: Sequence[int], fresh: Sequence[Message]) -> list[int]:
        """What follows the ids a model sampled: the end of its turn where it is missing, the new messages, and the generation
        prompt. Raises `ModelError` where they are no questions."""
        _, rest = _shape(fresh)
        if len(rest) != 1:
            raise ModelError("a context goes on with what others said, not with the model's own words")
        closed = bool(self._close) and bool(said) and said[-1] == self._close[0]
        return [*(() if closed else self._close), *self._next, *self._words(rest[0].content), *self._answer]

    def answer(self, text: str) -> list[int]:
        """Words as if the model had sampled them: their ids, and the end of its turn."""
        return [*self._words(text), *self._close]

    def text(self, said: Sequence[int]) -> str:
        """The words of sampled ids: special tokens left out, bytes that are no UTF-8 as U+FFFD."""
        if self._thinking:
            said = said[len(said) - next((n for n, i in enumerate(reversed(said)) if i == self._thought), len(said)) :]
        ids = [i for i in said if 0 <= i < self._size and i not in self.special]
        text = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)  # one sequence was given
        return (text.rpartition("</think>")[2] if self._thinking else text).strip()

    def _glue(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False)) if text else ()

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def _encode(self, text: str) -> tuple[int, ...]:
        """Words as ids, none of them special. Not every tokenizer heeds `split_special_tokens`, and none for added tokens that
        are not flagged as special, so a token that stands in the text is encoded in two halves."""
        text = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is an error to every tokenizer
        ids: list[int] = []
        for part in _split_inside(text, self._forbidden):
            ids += self._anchored(part)
        if not self.special.isdisjoint(ids):
            ids = [i for character in text for i in self._plain(character) if i not in self.special]
        return tuple(ids)

    def _anchored(self, text: str) -> list[int]:
        for anchor in self._anchors if text else "":
            ids, before = self._plain(anchor + text), self._plain(anchor)
            if ids[: len(before)] == before:
                return ids[len(before) :]
        return self._plain(text) if text else []

    def _find_anchors(self) -> str:
        """What to put before words so that a tokenizer (SentencePiece) does not take them for the beginning of a text, which it
        marks with a space; empty where none does that. Several, because one may merge with what follows."""
        return "" if self._plain("\na")[len(self._plain("\n")) :] == self._plain("a") else "\n]:|"


def _shape(messages: Sequence[Message]) -> tuple[str | None, list[Message]]:
    """The system message, and questions and answers in turn."""
    system = messages[0].content if messages and messages[0].role == "system" else None
    rest: list[Message] = []
    for message in messages[system is not None :]:
        if rest and rest[-1].role == message.role == "user":
            message = Message("user", f"{rest.pop().content}\n\n{message.content}")
        rest.append(message)
    wanted = [("user", "assistant")[i % 2] for i in range(len(rest))]
    if not rest or rest[-1].role != "user" or [m.role for m in rest] != wanted:
        raise ModelError(f"no chat to be answered: {', '.join(m.role for m in messages) or 'no messages'}")
    return system, rest


def _first_of(ids: Sequence[int], wanted: Collection[int]) -> int | None:
    return next((at for at, i in enumerate(ids) if i in wanted), None)


def _matcher(tokens: Iterable[Any]) -> re.Pattern[str] | None:
    words = sorted({t for t in tokens if isinstance(t, str) and t}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


def _split_inside(text: str, forbidden: re.Pattern[str] | None) -> list[str]:
    """The text, cut after the first character of every match, until no part matches."""
    if forbidden is None:
        return [text]
    parts, rest = [], text
    while (match := forbidden.search(rest)) is not None and len(match.group()) > 1:
        parts.append(rest[: match.start() + 1])
        rest = rest[match.start() + 1 :]
    return [*parts, rest]


# ---------------------------------------------------------------- what a template says
def _name(tokenizer: Tokenizer) -> str:
    return str(getattr(tokenizer, "name_or_path", "") or "this model")


def _renderer(tokenizer: Tokenizer, thinking: bool) -> Callable[[Sequence[tuple[str, str]]], str]:
    """The template as a function of (role, content) pairs. Raises `ModelError` where there is none."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise ModelError(
            f"{_name(tokenizer)} has no chat template: it is not a model to talk with; take its instruct or chat version"
        )
    switches = ("enable_thinking", "thinking")
    options: dict[str, Any] = {name: thinking for name in switches if re.search(rf"\b{name}\b", template)}
    if re.search(r"\bdate_string\b", template):
        options["date_string"] = "26 Jul 2024"  # Llama's own default: with today's, an episode would differ every day

    def render(messages: Sequence[tuple[str, str]]) -> str:
        chat = [{"role": role, "content": content} for role, content in messages]
        text = tokenizer.apply_chat_template(
            chat, chat_template=template, tokenize=False, add_generation_prompt=True, **options
        )
        assert isinstance(text, str)  # it was asked not to tokenise
        return text

    return render


def _pieces(render: Callable[[Sequence[tuple[str, str]]], str], name: str, thinking: bool) -> _Pieces:
    """The glue, with a system message if the template has a place for one. Raises `ModelError`."""
    reasons = []
    for skip in (0, 1):
        found = _read_off(render, _MARKS[skip:], _ROLES[skip:])
        if isinstance(found, _Pieces):
            if not thinking and found.answer.rfind("<think>") > found.answer.rfind("</think>"):
                raise ModelError(
                    f"{name}: its chat template starts every answer with thinking that cannot be turned off"
                )
            return found
        reasons.append(found)
    raise ModelError(f"{name}: its chat template cannot be used: {reasons[-1]}")


def _read_off(
    render: Callable[[Sequence[tuple[str, str]]], str], marks: Sequence[str], roles: Sequence[str]
) -> _Pieces | str:
    """The glue of a template, or why there is none, from chats of one, two and three questions."""
    heads = len(marks) - 4  # marks up to the first question: the system message and it, or it alone
    cuts: list[list[str]] = []
    for count in (heads, heads + 2, heads + 4):
        try:
            text = render(list(zip(roles[:count], marks[:count], strict=True)))
        except Exception as e:  # a template may raise whatever it likes
            return f"it refuses a chat of {count} messages ({str(e).splitlines()[0] if str(e) else type(e).__name__})"
        cut = _cut(text, marks[:count])
        if cut is None:
            return "it leaves out, repeats or reorders messages"
        cuts.append(cut)
    one, two, three = cuts
    answer, question = one[-1], two[heads + 1]
    if two[:heads] != one[:heads] or three[:heads] != one[:heads] or three[heads + 1] != question:
        return "it renders a message differently once others follow"
    if two[-1] != answer or three[-1] != answer:
        return "it asks for the second answer in another way than for the first"
    if three[heads + 3] != question or not all(
        _prompts(answer, x) for x in (two[heads], three[heads], three[heads + 2])
    ):
        return "it renders an answer of the past differently from one it asks for"
    if heads == 1:
        return _Pieces(None, one[0], one[0], answer, question)
    bare = _read_off(render, marks[1:], roles[1:])
    return _Pieces(one[0], one[1], bare.first if isinstance(bare, _Pieces) else one[0] + one[1], answer, question)


def _prompts(answer: str, past: str) -> bool:
    """What stands before an answer in the past is what asks for it, but for an emptied thinking block or a space."""
    return answer.startswith(past) or (past.startswith(answer) and past[len(answer) :].isspace())


def _cut(text: str, marks: Sequence[str]) -> list[str] | None:
    """The text between the marks; None unless each is there once, in order."""
    if any(text.count(m) != 1 for m in marks):
        return None
    pieces, rest = [], text
    for mark in marks:
        before, found, rest = rest.partition(mark)
        if not found:
            return None
        pieces.append(before)
    return [*pieces, rest]
