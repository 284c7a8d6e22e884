"""Skill probes: what a freshly trained nego-tiny can do, on held-out themes whose words it has never seen.

A release is gated on them (`GATES`): a model that cannot copy its scores, find its own best deal or the best for both, or tell a
good offer from a bad one has nothing for self-play to make more of.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nego_env.accounting import collective_agency
from nego_env.moves import parse
from nego_env.rules import Header, State, StopReason, pending, start, utter
from nego_env.scenario import Scenario
from nego_env.settings import resolve
from nego_env.wording import added_shares
from nego_scenarios.generator import generate
from nego_trainers.tiny.demonstrators import Demonstrator, Heard, Mix, Skill
from nego_trainers.tiny.dialogues import chats, play_demonstrators
from nego_trainers.tiny.lines import Line
from nego_trainers.tiny.pretrain import encode

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

OPEN = Skill(reveals=9, words=0.0, haggles=False, uses=True, slip=0.0, line=0.2, wobble=0.0, talk=0.0)
CLOSED = OPEN._replace(reveals=0)

GATES = {"copying": 0.9, "own_best": 0.85, "joint_best": 0.7, "acceptance": 0.75, "revealing_pays": 0.1}
"""Least value of each probe for a release."""


@dataclass(frozen=True)
class Probes:
    """Shares in [0, 1], but for `revealing_pays`, which is in CA."""

    copying: float
    """Own scores said in words that are right, the words before them given."""
    own_best: float
    """Issues on which an uninformed proposal picks the option that is best for oneself."""
    joint_best: float
    """Issues on which a fully informed proposal picks the option with the highest sum of both seats' shares."""
    acceptance: float
    """Probability that of two offers the one accepted sooner is worth more to the accepter (area under the ROC curve)."""
    revealing_pays: float
    """Mean CA of demonstrators who reveal minus that of those who do not (a property of the data, not of the model)."""

    def failed(self) -> list[str]:
        """Which gates are missed, in words."""
        return [
            f"{name} {getattr(self, name):.2f} < {least:.2f}"
            for name, least in GATES.items()
            if getattr(self, name) < least
        ]


def probe(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, count: int = 150, seed: int = 77) -> Probes:
    """All probes; a minute on one core. Leaves the model in evaluation mode."""
    model.eval()  # type: ignore[no-untyped-call]
    return Probes(
        copying=copying(model, tokenizer, count, seed),
        own_best=proposals(model, tokenizer, count, seed, CLOSED),
        joint_best=proposals(model, tokenizer, count, seed, OPEN),
        acceptance=acceptance(model, tokenizer, count, seed),
        revealing_pays=revealing_pays(4 * count, seed),
    )


def copying(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, count: int, seed: int) -> float:
    """Share of own scores the model has most likely next, in statements of a whole issue."""
    import torch

    chat_rows, spans = [], []
    for scenario in _scenarios(count, seed):
        rows = scenario.seats[0].stakes
        assert rows is not None
        pairs = " ".join(f"{o.id} {x:g}" for o, x in zip(scenario.issues[0].options, rows.scores[0], strict=True))
        (first, *_), _ = chats(utter(_begin(scenario), f"For me {pairs}.")), 0
        chat_rows.append(first)
        spans.append(len(rows.scores[0]))
    right = total = 0
    vocabulary = tokenizer.get_vocab()
    numbers = {vocabulary[key] for n in range(101) if (key := f"Ġ{n}") in vocabulary}
    for e, options in zip(encode(chat_rows, tokenizer), spans, strict=True):
        said = [i for i, (t, w) in enumerate(zip(e.ids, e.weights, strict=True)) if w == 1.0 and t in numbers]
        with torch.no_grad():
            best = model(input_ids=torch.tensor([e.ids])).logits[0].argmax(-1)
        right += sum(int(best[i - 1]) == e.ids[i] for i in said)
        total += options
    return right / total


def proposals(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, count: int, seed: int, skill: Skill) -> float:
    """Share of issues on which a forced proposal picks the option with the highest known sum. Both seats have `skill`."""
    contexts, tables = [], []
    for scenario in _scenarios(count, seed):
        state, speaker = _until(scenario, skill, lambda s, seat: seat.proposes_next(s))
        if state is None or speaker is None:
            continue
        contexts.append(_context(state))
        tables.append(speaker.table())
    prompts = [[*ids, *_forced(tokenizer)] for ids in _ids(contexts, tokenizer)]
    right = total = 0
    for words, rows in zip(_generate(model, tokenizer, prompts, new=8, sample=False), tables, strict=True):
        picked = words.replace("]", " ").split()
        for option, row in zip(picked[: len(rows)], rows, strict=False):
            number = option[1:]
            right += number.isdigit() and 0 < int(number) <= len(row) and row[int(number) - 1] >= max(row) - 1e-9
        total += len(rows)
    return right / total


def acceptance(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, count: int, seed: int) -> float:
    """Area under the ROC curve of accepting (sampled at temperature 1) by the offer's gain; 0.5 is blind."""
    rng = random.Random(seed)
    contexts, gains, scenarios = [], [], []
    for scenario in _scenarios(2 * count, seed):
        stakes = scenario.seats[1].stakes
        assert stakes is not None
        deal = tuple(rng.randrange(c) for c in scenario.counts)
        state = utter(_begin(scenario), f"How about this? [Propose: {' '.join(scenario.ids(deal))}]")
        worth = sum(row[j] for row, j in zip(stakes.scores, deal, strict=True))
        contexts.append(_context(state))
        gains.append((worth - stakes.walk_away) / (stakes.best - stakes.walk_away))
        scenarios.append(scenario)
    said = _generate(model, tokenizer, _ids(contexts, tokenizer), new=28, sample=True, seed=seed)
    acts = [parse(words, s).act for words, s in zip(said, scenarios, strict=True)]
    yes = np.array([a is not None and a.kind == "accept" for a in acts])
    worths = np.array(gains)
    if yes.all() or not yes.any():
        return 0.5
    return float(np.mean(worths[yes][:, None] > worths[~yes][None, :]))


def revealing_pays(count: int, seed: int) -> float:
    """Mean CA of demonstrators who all reveal, minus the mean CA of those who never do."""
    means = []
    for share in (1.0, 0.0):
        rng = random.Random(seed)
        mix = replace(Mix(), reveal=share)
        values = []
        for scenario in _scenarios(count, seed):
            last = play_demonstrators(scenario, rng, mix)
            agreed = last.outcome is StopReason.AGREEMENT and last.standing is not None
            if not scenario.no_zopa:
                values.append(collective_agency(scenario, last.standing.deal) if agreed and last.standing else 0.0)
        means.append(float(np.mean(values)))
    return means[0] - means[1]


class _Speaker(Demonstrator):
    """A demonstrator whose next move can be looked at."""

    def proposes_next(self, state: State) -> bool:
        """Nothing is left to reveal and there is nothing to accept."""
        everything = len(self.told) >= min(self.skill.reveals, len(self.scores))
        heard = {i for seat, i in self.heard.scores if seat != self.seat}
        return everything and (self.skill.reveals == 0 or len(heard) == len(self.scores)) and state.standing is None

    def table(self) -> Sequence[Sequence[float]]:
        """What each option is to be judged by: both tables where it knows them, else its own."""
        theirs = [self.heard.scores.get((1 - self.seat, i)) for i in range(len(self.scores))]
        known = [row for row in theirs if row is not None]
        if self.skill.uses and len(known) == len(self.scores):
            return added_shares([self.scores, known])
        return self.scores


def _until(
    scenario: Scenario, skill: Skill, stop: Callable[[State, _Speaker], bool]
) -> tuple[State | None, _Speaker | None]:
    rng, heard, state = random.Random(1), Heard(), _begin(scenario)
    skill = skill._replace(reveals=min(skill.reveals, len(scenario.issues)))
    seats = [_Speaker(scenario, i, skill, rng, heard) for i in range(scenario.n)]
    while (due := pending(state)) is not None and due.what == "utterance":
        if stop(state, seats[due.seat]):
            return state, seats[due.seat]
        state = utter(state, seats[due.seat].say(state))
    return None, None


def _scenarios(count: int, seed: int) -> list[Scenario]:
    rng = random.Random(seed)
    return [
        generate(
            rng.randrange(2**40), split="heldout", seats=2, issues=rng.choice((2, 3, 4)), options=rng.choice((3, 4))
        )
        for _ in range(count)
    ]


def _begin(scenario: Scenario) -> State:
    return start(scenario, resolve(scenario, judge="exact"), Header("probe", 0, 0, 0, ("a", "b")))


def _context(state: State) -> list[Line]:
    """The chat of the seat whose turn it is, up to where it speaks."""
    return list(chats(utter(state, "-"))[state.seat])[:-1]


def _ids(contexts: Sequence[Sequence[Line]], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    assistant = tokenizer.get_vocab()["<|assistant|>"]
    return [[*e.ids, assistant] for e in encode(contexts, tokenizer)]


def _forced(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    ids: list[int] = tokenizer.backend_tokenizer.encode("How about this? [Propose:", add_special_tokens=False).ids
    return ids


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Sequence[int]],
    *,
    new: int,
    sample: bool,
    seed: int = 0,
) -> list[str]:
    import torch

    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, p in enumerate(prompts):
        ids[i, width - len(p) :] = torch.tensor(p)
        mask[i, width - len(p) :] = 1
    options: dict[str, Any] = {"do_sample": True, "temperature": 1.0, "top_k": 0} if sample else {"do_sample": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        out = model.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=mask, max_new_tokens=new, pad_token_id=0, **options
        )
    words: list[str] = tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
    return words


__all__ = ["GATES", "Probes", "probe"]
