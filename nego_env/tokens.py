"""The token file: what a language model read and sampled, beside a transcript file, for training.

`FILE.tokens.jsonl` holds one line per episode, written before the episode's transcript: a transcript that is there has its
tokens. With the transcript it is all a trainer needs (`Transcript.rewards` scores what was sampled), so any saved run can
be scored again and trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from nego_env.errors import TranscriptError

TOKEN_FORMAT: Literal["nego-tokens/1"] = "nego-tokens/1"


class TurnTokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The tokens of one utterance."""

    utterance: int
    """Position in the transcript's utterances."""
    seat: str
    read: tuple[int, ...]
    """The whole context or, where it `continues`, what came after the tokens this seat last said."""
    said: tuple[int, ...]
    """Sampled, verbatim."""
    logprobs: tuple[float, ...]
    """One per sampled token, of the temperature-scaled, untruncated distribution."""
    continues: bool = False
    finish: str | None = None
    """`stop` at the end-of-turn token, `length` at the limit."""


class EpisodeTokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the token file."""

    format: Literal["nego-tokens/1"]
    id: str
    """The episode's id."""
    attempt: int
    turns: tuple[TurnTokens, ...] = ()
    """Of the seats a model played, in the order of the utterances."""


def tokens_path(path: str | Path) -> Path:
    """`FILE.tokens.jsonl`."""
    path = Path(path)
    return path.with_name(path.name + ".tokens.jsonl")


def read_tokens(path: str | Path) -> dict[tuple[str, int], EpisodeTokens]:
    """The tokens of a transcript file's episodes, by (id, attempt); of several lines for one attempt (it was interrupted and
    played again) the last. A torn last line is passed over. Raises `TranscriptError` naming file and line."""
    path = tokens_path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise TranscriptError(f"{path}: no such file: the run it belongs to recorded no tokens") from None
    except OSError as e:
        raise TranscriptError(f"{path}: cannot be read: {e.strerror}") from None
    found: dict[tuple[str, int], EpisodeTokens] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            episode = msgspec.json.decode(line, type=EpisodeTokens)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            if number == len(lines):  # without its newline: cut off in the middle of a write
                break
            raise TranscriptError(f"{path}:{number}: {e}") from None
        found[episode.id, episode.attempt] = episode
    return found
