"""How many tokens a second a language model samples at the table, beside one `generate` call per utterance.

At nego-tiny's size (a million parameters; two seats, seven rounds), with the whole dialogue in memory and with a memory of
two rounds, where contexts are made anew. The baseline plays one episode after another, and for every utterance calls
transformers' `generate` on the whole context. Ours is `hf` with 16 episodes in flight (and with more, for the record). Both
render the same messages, sample at temperature 1 and are counted in sampled tokens per CPU second of one thread, engine and
tokenizer included.

1. `even`: untrained weights of nego-tiny's shape, so that nobody agrees; every utterance has 16 tokens.
2. `ragged`: the same, but one token in 16 ends the utterance (48 at most): most rows of a batch are over long before the last.
3. `nego-tiny`: as it plays. It agrees after a few utterances.
4. Dialogues of 2 to 28 rounds: what a further round costs. Every token is fed once; what grows is attention alone.

The targets are of 1 to 3, each.

    python -m benchmarks.rollout_speed
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import tyro

from benchmarks.record import Spread, as_dict, interleaved, machine, ratio, versions, write
from nego_env.agents import Reply
from nego_env.messages import Conversation
from nego_env.packs import LooseScenarios
from nego_env.rollout import play
from nego_env.view import View

TARGETS = {None: 5.0, 2: 2.4}
"""Least ratio to one `generate` per utterance, by memory."""
LENGTHS = (2, 7, 14, 28)
"""Rounds of a dialogue."""


@dataclass(frozen=True)
class RolloutSpeed:
    """Time every contender, in turns."""

    rounds: int = 5
    episodes: int = 2
    """Episodes the baseline plays a round; ours plays more of them, so that there are as many in flight most of the time."""
    many: int = 96
    """Episodes in flight of a third contender; 0 leaves it out."""
    out: Path | None = None
    """Where the result goes; by default `benchmarks/results/rollout_speed.json`."""

    def run(self) -> None:
        os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        import torch

        torch.set_num_threads(1)
        models = {"even": untrained(), "ragged": untrained(one_in=16), "nego-tiny": trained()}
        limits = {"even": 16, "ragged": 48, "nego-tiny": 48}
        result: dict[str, Any] = {
            "machine": machine(),
            "versions": versions("nego-env", "torch", "transformers"),
            "unit": "sampled tokens per CPU second, one thread",
            "cases": {},
        }
        for name, model in models.items():
            for memory in TARGETS:
                case = self.measure(model, limits[name], memory)
                result["cases"][_case(name, memory)] = case
                print(f"{_case(name, memory)}: {case['tokens an utterance']} tokens an utterance", flush=True)
                for contender, spread in case["tokens a second"].items():
                    print(f"  {contender:28s} {Spread(**spread)}")
                for contender, spread in case["ratio to generate"].items():
                    print(f"  {contender:28s} {Spread(**spread)} times", flush=True)
        result["targets"] = {f"memory {m or 'whole'}": t for m, t in TARGETS.items()}
        result["met"] = all(
            result["cases"][_case(name, m)]["ratio to generate"]["16 in flight"]["median"] >= t
            for name in models
            for m, t in TARGETS.items()
        )
        result["length"] = self.lengths(models["even"])
        print(f"targets {'met' if result['met'] else 'missed'}; wrote {write('rollout_speed', result, self.out)}")

    def measure(self, model: Any, limit: int, memory: int | None) -> dict[str, Any]:
        """Tokens a second of every contender on one model."""
        counts: list[int] = []
        contenders: dict[str, Callable[[], float]] = {
            "generate per utterance": Timed(Generate(model, limit), self.episodes, 1, memory).rate,
            "16 in flight": Timed(ours(model, limit), 48, 16, memory, counts).rate,
        }
        if self.many:
            contenders[f"{self.many} in flight"] = Timed(ours(model, limit), 2 * self.many, self.many, memory).rate
        measured = interleaved(contenders, self.rounds)
        base = measured["generate per utterance"]
        return {
            "tokens an utterance": as_dict(Spread.of(counts)),
            "tokens a second": {name: as_dict(Spread.of(x, 0)) for name, x in measured.items()},
            "ratio to generate": {name: as_dict(ratio(x, base)) for name, x in measured.items() if x is not base},
        }

    def lengths(self, model: Any) -> dict[str, Any]:
        """Milliseconds that a further round costs an episode, after so many."""
        timed = {n: Timed(ours(model, 16), 16, 16, None, max_rounds=n) for n in LENGTHS}
        measured = interleaved({f"{n} rounds": t.seconds for n, t in timed.items()}, self.rounds)
        found = {}
        for fewer, more in pairwise(LENGTHS):
            ends = zip(measured[f"{fewer} rounds"], measured[f"{more} rounds"], strict=True)
            spread = Spread.of([1000 * (long - short) / (more - fewer) / 16 for short, long in ends], 2)
            found[f"rounds {fewer + 1} to {more}"] = as_dict(spread)
            print(f"  {f'rounds {fewer + 1} to {more}':28s} {spread} ms a round and episode")
        context = {f"{n} rounds": t.context for n, t in timed.items()}
        return {
            "unit": "CPU milliseconds a further round, of one episode of 16",
            "spread": found,
            "tokens read": context,
        }


def _case(name: str, memory: int | None) -> str:
    return f"{name}, memory {memory or 'whole'}"


class Timed:
    """An agent on generated dilemmas, against the clock."""

    def __init__(
        self, agent: Any, episodes: int, in_flight: int, memory: int | None, counts: list[int] | None = None,
        max_rounds: int = 7,
    ) -> None:  # fmt: skip
        from nego_scenarios.duels import duels

        self.agent, self.episodes, self.memory, self.in_flight = agent, episodes, memory, in_flight
        self.counts, self.max_rounds, self.seed, self.context = counts, max_rounds, 0, 0
        self.suite = LooseScenarios("duels", duels(32, shapes=("3x3",)))
        act_batch = agent.act_batch

        def counting(views: Sequence[View]) -> list[Reply]:
            replies: list[Reply] = act_batch(views)
            for reply in replies:
                self.said += len(reply.token_ids)
                self.context = max(self.context, reply.usage["prompt_tokens"] + len(reply.token_ids))
                if self.counts is not None:
                    self.counts.append(len(reply.token_ids))
            return replies

        agent.act_batch = counting
        self.said = 0

    def rate(self) -> float:
        """Sampled tokens a second."""
        seconds = self._play()
        return self.said / seconds

    def seconds(self) -> float:
        """What all episodes took."""
        return self._play()

    def _play(self) -> float:
        self.said = 0
        self.seed += 1  # other dialogues each time, and the same for every contender
        if hasattr(self.agent, "reset"):
            self.agent.reset()  # as after an update: nothing of the last round is left
        began = time.process_time()
        play(
            self.suite, self.agent, episodes=self.episodes, in_flight=self.in_flight, memory=self.memory,
            max_rounds=self.max_rounds, seed=self.seed,
        )  # fmt: skip
        return time.process_time() - began


class Generate:
    """One `generate` call per utterance, on the whole context."""

    spec = "generate"

    def __init__(self, model: Any, limit: int) -> None:
        self.model, self.limit = model, limit
        self._seats: dict[tuple[str, str], tuple[Conversation, list[int], list[int]]] = {}

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """One after the other."""
        return [self._act(view) for view in views]

    def ended(self, episode: str) -> None:
        """Forget it."""
        self._seats = {key: seat for key, seat in self._seats.items() if key[0] != episode}

    def _act(self, view: View) -> Reply:
        import torch

        glue, model = self.model.glue, self.model.model
        key = (view.episode, view.seat)
        chat, context, said = self._seats.get(key, (Conversation(self.model.style), [], []))
        turn = chat.observe(view)
        read = glue.continuation(said, turn.fresh) if turn.continues else glue.opening(turn.messages)
        context = [*context, *said, *read] if turn.continues else read
        ids = torch.tensor([context])
        torch.manual_seed(int(view.rng.integers(2**31)))
        with torch.no_grad():
            found = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                max_new_tokens=self.limit, eos_token_id=sorted(glue.end), pad_token_id=0,
            )  # fmt: skip
        said = found[0, len(context) :].tolist()
        text = glue.text(said)
        chat.said(text)
        self._seats[key] = chat, context, said
        usage = {"prompt_tokens": len(context)}
        return Reply(text, prompt_ids=tuple(read), continues=turn.continues, token_ids=tuple(said), usage=usage)


def trained() -> Any:
    """nego-tiny."""
    from nego_agents.local.model import LocalModel

    return LocalModel.load("nego-tiny", device="cpu")


def untrained(one_in: int | None = None) -> Any:
    """A model of nego-tiny's shape and tokenizer that nobody taught anything; `one_in` so many tokens ends a turn."""
    import torch
    from transformers import AutoModelForCausalLM

    from nego_agents.local.model import LocalModel

    tiny = trained()
    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_config(tiny.model.config, attn_implementation="sdpa").eval()
    local = LocalModel(model, tiny.tokenizer, name="untrained", style="brief")
    if one_in:  # here, and not in the model's config: these tokens are still words when others say them
        local.glue.end |= frozenset(range(7, tiny.model.config.vocab_size, one_in))
    return local


def ours(model: Any, limit: int) -> Any:
    """The agent this package seats as `hf`."""
    from nego_agents.local import HFAgent, Sampling

    return HFAgent(model=model, sampling=Sampling(max_new_tokens=limit))


if __name__ == "__main__":
    tyro.cli(RolloutSpeed).run()
