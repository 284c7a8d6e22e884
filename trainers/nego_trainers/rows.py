"""Training rows: what a seat read and said, token by token, computed from a transcript and its token file alone.

1. A row is a maximal run of one seat's utterances whose context only grew: prompt, own words, what was heard, own words, ...
   With the whole dialogue in memory that is one row per episode and seat; with a memory window a row ends where the
   context was made anew.
2. `mask` is 1 exactly on the tokens the seat sampled in the dialogue, verbatim as sampled. What others said, the template's
   glue and the completion are context (arXiv 2603.10476, sec. 3.2.2: the loss is over dialogue tokens).
3. The reward is the transcript's, so a run that was judged again is trained on with its new rewards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nego_env.errors import SettingsError, TranscriptError
from nego_env.store import read_final
from nego_env.tokens import EpisodeTokens, TurnTokens, read_tokens
from nego_env.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence to train on. `completion_ids`, `mask` and `logprobs` have one length and end on a token whose mask is 1."""

    prompt_ids: tuple[int, ...]
    """What the seat read before it first spoke; at least one token."""
    completion_ids: tuple[int, ...]
    mask: tuple[int, ...]
    """1 on tokens that carry gradient, else 0."""
    logprobs: tuple[float, ...]
    """As recorded while sampling, of the temperature-scaled, untruncated distribution; 0.0 where the mask is 0."""
    episode: str
    attempt: int
    group: str
    """Episodes of one group are compared with each other."""
    seat: str
    reward: float | None
    """The seat's; None for an unscored episode."""

    @property
    def tokens(self) -> int:
        """How many tokens carry gradient."""
        return sum(self.mask)


def rows_of(
    t: Transcript,
    tokens: EpisodeTokens,
    *,
    seats: Collection[str] | None = None,
    group: str | None = None,
    completion_tokens: bool = False,
) -> list[Row]:
    """The rows of an episode: seats in their order, each seat's rows in the order it spoke.

    `seats` are those that train (all with tokens, by default); `group` defaults to the scenario's content hash, which covers
    the personas. `completion_tokens` puts the completion's tokens under the mask too (an ablation: the paper leaves them out).
    Raises `TranscriptError` where the tokens are not this transcript's, `SettingsError` for a seat that is none.
    """
    wanted = _wanted(t, seats)
    _check(t, tokens)
    name = t.scenario.content_hash if group is None else group
    rows: list[Row] = []
    for i, seat in enumerate(t.scenario.seat_ids):
        if seat not in wanted:
            continue
        draft: _Draft | None = None
        for turn in tokens.turns:
            if turn.seat != seat:
                continue
            if draft is None or not turn.continues:
                if draft is not None:
                    rows += draft.rows(t, name, i)
                draft = _Draft(turn.read)
            else:
                draft.read(turn.read)
            draft.say(turn, trained=completion_tokens or t.utterances[turn.utterance].phase == "dialogue")
        if draft is not None:
            rows += draft.rows(t, name, i)
    return rows


def read_rows(
    path: str | Path,
    *,
    seats: Collection[str] | None = None,
    group: str | None = None,
    completion_tokens: bool = False,
) -> Iterator[Row]:
    """The rows of a saved run: of each episode the scored attempt where there is one, else the last, by index.

    Raises `TranscriptError` where the file has no token file, or one of another run.
    """
    tokens = read_tokens(path)
    for t in read_final(path):
        found = tokens.get((t.id, t.attempt))
        if found is None:
            raise TranscriptError(f"{path}: episode {t.id}, attempt {t.attempt}: the token file does not have it")
        yield from rows_of(t, found, seats=seats, group=group, completion_tokens=completion_tokens)


def grouped(rows: Iterable[Row]) -> list[list[list[Row]]]:
    """Rows by group, in it by episode, each in the order first seen."""
    groups: dict[str, dict[tuple[str, int], list[Row]]] = {}
    for row in rows:
        groups.setdefault(row.group, {}).setdefault((row.episode, row.attempt), []).append(row)
    return [list(episodes.values()) for episodes in groups.values()]


class _Draft:
    """A row in the making."""

    def __init__(self, prompt: tuple[int, ...]) -> None:
        self.prompt = prompt
        self.ids: list[int] = []
        self.mask: list[int] = []
        self.logprobs: list[float] = []

    def read(self, ids: tuple[int, ...]) -> None:
        self.ids += ids
        self.mask += [0] * len(ids)
        self.logprobs += [0.0] * len(ids)

    def say(self, turn: TurnTokens, *, trained: bool) -> None:
        if not trained:
            self.read(turn.said)
            return
        self.ids += turn.said
        self.mask += [1] * len(turn.said)
        self.logprobs += turn.logprobs

    def rows(self, t: Transcript, group: str, seat: int) -> list[Row]:
        """The row, without what follows its last trained token; none where nothing is trained."""
        end = len(self.mask)
        while end and not self.mask[end - 1]:
            end -= 1
        if not end:
            return []
        return [
            Row(
                self.prompt,
                tuple(self.ids[:end]),
                tuple(self.mask[:end]),
                tuple(self.logprobs[:end]),
                t.id,
                t.attempt,
                group,
                t.scenario.seat_ids[seat],
                None if t.rewards is None else t.rewards[seat],
            )
        ]


def _wanted(t: Transcript, seats: Collection[str] | None) -> Collection[str]:
    ids = t.scenario.seat_ids
    for seat in seats or ():
        if seat not in ids:
            raise SettingsError(f"no seat {seat!r} in {t.scenario.id!r}; seats: {', '.join(ids)}")
    return ids if seats is None else seats


def _check(t: Transcript, tokens: EpisodeTokens) -> None:
    where = f"episode {t.id}, attempt {t.attempt}"
    if (tokens.id, tokens.attempt) != (t.id, t.attempt):
        raise TranscriptError(f"{where}: the tokens are of episode {tokens.id}, attempt {tokens.attempt}")
    last = -1
    begun: set[str] = set()
    for i, turn in enumerate(tokens.turns):
        at = f"{where}: tokens of turns[{i}]"
        if not last < turn.utterance < len(t.utterances):
            raise TranscriptError(
                f"{at}: utterance {turn.utterance}, after {last}, of {len(t.utterances)}: out of order"
            )
        if (speaker := t.utterances[turn.utterance].seat) != turn.seat:
            raise TranscriptError(f"{at}: by {turn.seat}, but utterances[{turn.utterance}] is by {speaker}")
        if len(turn.logprobs) != len(turn.said):
            raise TranscriptError(f"{at}: {len(turn.logprobs)} log-probs for {len(turn.said)} tokens")
        if turn.continues and turn.seat not in begun:
            raise TranscriptError(f"{at}: continues a context that {turn.seat} does not have")
        if not turn.continues and not turn.read:
            raise TranscriptError(f"{at}: a context of no tokens")
        last = turn.utterance
        begun.add(turn.seat)
