"""Episodes with tokens made up for them: for tests of rows and losses, which need no sampler."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nego_env.rules import StopReason, fail
from nego_env.scenario import Scenario
from nego_env.tokens import EpisodeTokens, TurnTokens
from nego_env.transcript import Transcript, transcript
from tests.support import begin, default_judge, play_out

VOCAB = 384


def episode(
    scenario: Scenario, lines: Sequence[str], *, seed: int = 0, fails: bool = False, **settings: object
) -> Transcript:
    """An episode in which the seats say `lines` in turn; with `fails`, an agent breaks after them."""
    state = begin(scenario, agents=("hf:tiny",) * scenario.n, seed=seed, **settings)
    if fails:
        return transcript(fail(play_out(state, lines)[len(lines)], StopReason.AGENT_ERROR, "it broke"))
    return transcript(play_out(state, lines, default_judge(scenario))[-1])


def tokens_for(t: Transcript, *, seed: int = 0, window: int | None = None, prompt: int = 30) -> EpisodeTokens:
    """Made-up tokens for every utterance: prompts of about `prompt` tokens that a scenario's seat always has in common and a few
    of its own, 1 to 7 tokens said. With a `window`, a seat's context is made anew from its (window + 1)th utterance on."""
    r = random.Random(f"{t.id} {seed}")
    turns, spoken = [], dict.fromkeys(t.scenario.seat_ids, 0)
    for i, u in enumerate(t.utterances):
        continues = spoken[u.seat] > 0 and (window is None or spoken[u.seat] < window) and u.phase == "dialogue"
        spoken[u.seat] += 1
        common = random.Random(f"{t.scenario.content_hash} {u.seat}")
        head = [] if continues else [common.randrange(VOCAB) for _ in range(prompt + common.randrange(20))]
        read = (*head, *(r.randrange(VOCAB) for _ in range(r.randint(1, 9))))
        said = tuple(r.randrange(VOCAB) for _ in range(r.randint(1, 7)))
        logprobs = tuple(-5.0 - r.random() for _ in said)
        turns.append(TurnTokens(i, u.seat, read, said, logprobs, continues, "stop"))
    return EpisodeTokens("nego-tokens/1", t.id, t.attempt, tuple(turns))
