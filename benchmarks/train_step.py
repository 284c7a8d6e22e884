"""What a GRPO update costs through TRL, beside the same update written by hand in torch.

At nego-tiny's size (about a million parameters), two kinds of rows: the whole dialogue in memory, one row per episode and
seat; and the paper preset's memory of 2 rounds, where contexts are made anew and the number of rows varies, so that TRL's
fixed number of rows is mostly pad rows. The hand-written step gets the real rows only: padded on the right, sorted by length,
the vocabulary projected at trained tokens alone. Rollouts are not timed. The target: through TRL at most 1.15 times that.

    python -m benchmarks.train_step
"""

from __future__ import annotations

import os
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.record import Spread, as_dict, interleaved, machine, ratio, versions, write
from nego_trainers.batch import WeightedRow, weigh
from nego_trainers.packing import feed
from nego_trainers.rows import Row, grouped

TARGET = 1.15
VOCAB = 2048
ROUNDS = 7
LR = 1e-4


@dataclass(frozen=True)
class TrainStep:
    """Time one update, the slow way and the fast ways."""

    groups: int = 2
    """Scenarios a step; 2 groups of 8 are the paper's batch of 16."""
    episodes: int = 8
    """Episodes a group."""
    rounds: int = 5
    steps: int = 2
    """Updates through TRL a round of the benchmark; the first is not counted."""
    out: Path | None = None
    """Where the result goes; by default `benchmarks/results/train_step.json`."""

    def run(self) -> None:
        os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        warnings.filterwarnings("ignore", category=FutureWarning)  # other people's, about each other
        import torch

        torch.set_num_threads(1)
        cases = {
            "whole dialogue in memory": (self.rows(window=None), self.groups * self.episodes * 2),
            "memory of 2 rounds": (self.rows(window=2), self.groups * self.episodes * 2 * (ROUNDS - 1)),
        }
        result: dict[str, Any] = {
            "machine": machine(),
            "versions": versions("nego-env", "torch", "transformers", "trl"),
            "unit": "CPU seconds an update, one thread, rollout not counted",
            "cases": {},
        }
        met = True
        for name, (rows, bound) in cases.items():
            case = self.measure(rows, bound)
            result["cases"][name] = case
            worst = case["ratios to the hand-written step"]["through TRL"]["median"]
            met = met and worst <= TARGET
            print(f"{name}: {case['rows']}")
            for contender, spread in case["seconds"].items():
                print(f"  {contender:34s} {Spread(**spread)} s")
            for contender, spread in case["ratios to the hand-written step"].items():
                print(f"  {contender:34s} {Spread(**spread)} x by hand")
        result["target"] = {"through TRL / by hand": TARGET, "met": met}
        print(f"-> {write('train_step', result, self.out).name}")

    def measure(self, rows: list[WeightedRow], bound: int) -> dict[str, Any]:
        """All contenders on one batch."""
        contenders = {
            "by hand": by_hand(rows),
            "grpo_step": plain_step(rows, share=True),
            "grpo_step, nothing shared": plain_step(rows, share=False),
            "through TRL": self.through_trl(rows, bound, share=True),
            "through TRL, nothing shared": self.through_trl(rows, bound, share=False),
        }
        seconds = interleaved(contenders, self.rounds)
        fed = [feed(r.row) for r in rows]
        return {
            "rows": {
                "real": len(rows),
                "of TRL, pad rows counted": bound,
                "tokens fed": sum(len(f.ids) for f in fed),
                "tokens trained": sum(len(f.scored) for f in fed),
            },
            "seconds": {name: as_dict(Spread.of(values)) for name, values in seconds.items()},
            "ratios to the hand-written step": {
                name: as_dict(ratio(values, seconds["by hand"]))
                for name, values in seconds.items()
                if name != "by hand"
            },
        }

    def rows(self, window: int | None) -> list[WeightedRow]:
        """Rows of made-up tokens and of the lengths that nego-tiny's have: prompts of 220 to 280 tokens that a group's
        episodes share but for what was heard, utterances of 8 to 24, and 20 to 40 heard in between."""
        r, made = random.Random(0), []
        for g in range(self.groups):
            systems = [ids(r, r.randint(220, 280)) for _ in range(2)]
            for e in range(self.episodes):
                spoken, reward = r.randint(1, ROUNDS), 5.0 * r.random()
                for seat, system in enumerate(systems):
                    made += seat_rows(r, system, spoken, window, f"{g}.{e}", str(g), seat, reward)
        return weigh(grouped(made))

    def through_trl(self, rows: list[WeightedRow], bound: int, *, share: bool) -> Callable[[], float]:
        """Seconds from one rollout to the next: TRL's preparation, loss, backward, optimizer and log."""

        def timed() -> float:
            from nego_trainers.trl_adapter import SelfPlayGRPOTrainer, selfplay_config

            clock: list[float] = []

            def play(step: int, model: Any) -> Sequence[WeightedRow]:
                clock.append(time.process_time())
                return rows

            with tempfile.TemporaryDirectory() as folder:
                config = selfplay_config(folder, rows=bound, learning_rate=LR, max_steps=self.steps + 1)
                made = model()
                trainer = SelfPlayGRPOTrainer(
                    made, play, config, tokenizer=tokenizer(), share_prompts=share, optimizers=(adamw(made), None)
                )
                trainer.train()
            return (clock[-1] - clock[1]) / (len(clock) - 2)

        return timed


def ids(r: random.Random, n: int) -> tuple[int, ...]:
    return tuple(r.randrange(3, VOCAB) for _ in range(n))


def seat_rows(
    r: random.Random,
    system: tuple[int, ...],
    spoken: int,
    window: int | None,
    episode: str,
    group: str,
    seat: int,
    reward: float,
) -> list[Row]:
    """A seat's rows in an episode in which it speaks `spoken` times. With a window its context is made anew from the round
    after the window is full: system, then the rounds still remembered."""
    made, prompt, completion, mask, past = [], (*system, *ids(r, 20)), [], [], []

    def close() -> None:
        logprobs = (0.0,) * len(mask)
        made.append(Row(prompt, tuple(completion), tuple(mask), logprobs, episode, 0, group, f"seat_{seat}", reward))

    for u in range(spoken):
        if u and window is not None and u >= window:
            close()
            prompt, completion, mask = (*system, *(t for said in past[-window:] for t in said)), [], []
        elif u:
            heard = ids(r, r.randint(20, 40))
            completion, mask = [*completion, *heard], [*mask, *(0 for _ in heard)]
        said = ids(r, r.randint(8, 24))
        completion, mask = [*completion, *said], [*mask, *(1 for _ in said)]
        past.append((*said, *ids(r, 30)))
    close()
    return made


# ---------------------------------------------------------------- the models and the steps
def model() -> Any:
    """A Llama of about a million parameters, always the same."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=128,
            intermediate_size=344,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
        )
    )


def tokenizer() -> Any:
    """TRL wants one, to decode completions for its log."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<eos>": 1, "<unk>": 2, **{f"w{i}": i for i in range(3, VOCAB)}}
    level = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=level, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def adamw(of: Any) -> Any:
    import torch

    return torch.optim.AdamW(of.parameters(), lr=LR, weight_decay=0.0, fused=True)


def plain_step(rows: list[WeightedRow], *, share: bool) -> Callable[[], float]:
    """Seconds of `grpo_step`."""
    from nego_trainers.step import StepOptions, grpo_step

    policy = model()
    optimizer = adamw(policy)

    def timed() -> float:
        began = time.process_time()
        grpo_step(policy, rows, optimizer, StepOptions(share_prompts=share))
        return time.process_time() - began

    return timed


def by_hand(rows: list[WeightedRow], tokens: int = 4096) -> Callable[[], float]:
    """Seconds of a step that somebody would write for these rows: nothing of ours but the rows."""
    import torch

    policy = model()
    optimizer = adamw(policy)

    def batches() -> list[list[WeightedRow]]:
        made: list[list[WeightedRow]] = [[]]
        for row in sorted(rows, key=length):
            if made[-1] and (len(made[-1]) + 1) * length(row) > tokens:
                made.append([])
            made[-1].append(row)
        return made

    def timed() -> float:
        began = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        for batch in batches():
            width = max(map(length, batch))
            ids, own = (
                torch.zeros(len(batch), width, dtype=torch.long),
                torch.zeros(len(batch), width, dtype=torch.bool),
            )
            for i, r in enumerate(batch):
                ids[i, : length(r)] = torch.tensor(r.row.prompt_ids + r.row.completion_ids)
                own[i, len(r.row.prompt_ids) : length(r)] = torch.tensor(r.row.mask, dtype=torch.bool)
            hidden = policy.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
            logits = policy.lm_head(hidden[own[:, 1:]])
            logprobs = torch.log_softmax(logits, -1).gather(1, ids[own][:, None])[:, 0]
            per_row = torch.tensor([r.advantage * r.weight for r in batch])
            loss = -(torch.exp(logprobs - logprobs.detach()) * per_row[:, None].expand_as(own)[own]).sum()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        return time.process_time() - began

    return timed


def length(r: WeightedRow) -> int:
    return len(r.row.prompt_ids) + len(r.row.completion_ids)


if __name__ == "__main__":
    tyro.cli(TrainStep).run()
