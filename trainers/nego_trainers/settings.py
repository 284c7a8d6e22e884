"""Every option of a GRPO run, in one place: the flags of `nego train grpo` are derived from it.

Defaults are those of a small model on a CPU (nego-tiny). `PRESETS` holds the other sets; `paper` is every value that
*Learning to Negotiate* (arXiv 2603.10476, sec. 4.1) states, and `PAPER_SILENT` says what was chosen where it states none.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from nego_env.errors import SettingsError
from nego_scenarios.duels import read_shape

if TYPE_CHECKING:
    from nego_trainers.learner import Learner

GENERATE = "generate:"
"""Opens the name of a suite that is generated while it is played: `generate:train`."""
DEFAULT_STEPS = 120
SMALL = 20_000_000
"""Parameters; a model below it is trained with the learning rate that suits tiny ones."""
LR_SMALL, LR_FULL, LR_LORA = 3e-4, 1e-6, 5e-6


@dataclass(frozen=True)
class GRPOSettings:
    """What is trained, on what, how."""

    algorithm: ClassVar[str] = "grpo"
    title: ClassVar[str] = "GRPO self-play"
    own: ClassVar[tuple[str, ...]] = ()
    """Options that only this algorithm has."""
    shown: ClassVar[tuple[str, ...]] = ()
    """Figures worth telling in the end that others do not have."""
    smallest_group: ClassVar[int] = 2

    model: str = "nego-tiny"
    """A model folder, a hub name, or nego-tiny."""
    suite: str = "generate:train"
    """Dilemmas: a pack, an id or a path; or `generate:train`, fresh two-seat ones over the training themes."""
    shapes: tuple[str, ...] = ("2x3", "3x3", "3x4", "4x4")
    """Issues x options of generated dilemmas, drawn evenly."""

    seats: str = "both"
    """Whose words are trained: both (every seat), alternate (one, by turns), or one of seat_0, seat_1, ..."""
    opponent: str = "self"
    """Who plays the other seats: self (the policy as it is now), frozen:K (a copy renewed every K steps), pool:N (a copy
    drawn from the last N kept; pool:N:K keeps one every K steps), or any agent."""
    group_size: int = 8
    """G: episodes of one scenario whose rewards are compared."""
    groups: int = 16
    """Scenarios a step."""
    memory: int | None = None
    """Rounds of talk a seat sees; default everything."""
    max_rounds: int | None = None
    """Cap on rounds; default as the scenario says (7)."""
    selfishness: float = 0.0
    """0 rewards the shared score alone, 1 each seat's own gain."""
    judge: str | None = None
    """Who judges. Default: exact on structured dilemmas; open ones need one that is named."""
    completion: Literal["write", "render"] | None = None
    """Whether the final plan is written by the policy or rendered from the deal. Default: rendered where there are issues."""

    temperature: float = 1.0
    """Of the dialogue; log-probabilities are of the distribution at this temperature."""
    top_p: float = 1.0
    """Nucleus of the dialogue. Log-probabilities are untruncated whatever it is."""
    max_new_tokens: int = 96
    """Most tokens of an utterance."""
    completion_temperature: float | None = None
    """Of the written plan; default that of the dialogue."""
    completion_top_p: float | None = None
    """Of the written plan; default that of the dialogue."""
    completion_max_new_tokens: int | None = None
    """Most tokens of the written plan; default that of an utterance."""

    lr: float | None = None
    """Learning rate. Default by size: 3e-4 below 20 M parameters, else 1e-6, or 5e-6 with LoRA."""
    schedule: Literal["constant", "linear"] = "linear"
    """`linear` falls to zero over --steps or --minutes, whichever is nearer its end."""
    warmup: int = 5
    """Steps over which the rate rises first."""
    updates: int = 1
    """Passes over a step's rows; with 1 every update is on-policy and nothing is clipped."""
    clip_low: float = 0.2
    """The ratio is clipped below at 1 - this."""
    clip_high: float = 0.2
    """The ratio is clipped above at 1 + this; larger than clip_low is "clip higher"."""
    beta: float = 0.02
    """Weight of the divergence from the model at the start (k3 estimate)."""
    entropy: float = 0.0
    """Weight of the entropy bonus."""
    normalise: Literal["population", "sample", "none"] = "none"
    """Advantages are centred in their group, then divided by this standard deviation."""
    token_norm: Literal["group", "batch"] = "group"
    """A token weighs one over the dialogue tokens of its group (the paper), or of the whole batch (stock TRL)."""
    train_tokens: Literal["dialogue", "all"] = "dialogue"
    """`all` also trains the tokens of the written plan: an ablation."""
    dynamic_sampling: int = 0
    """Groups a step may draw anew because all their rewards were equal; 0 keeps such groups."""
    redraws: int = 2
    """How often an episode that failed (not: that ended without a deal) is played again."""
    weight_decay: float = 0.0
    adam_beta2: float = 0.99
    """AdamW's second decay rate."""
    adam_eps: float = 1e-5
    """AdamW's epsilon: weights whose gradient is far below it hardly move. With 1e-8 rarely used embeddings take full steps
    of pure noise (Huang et al. 2022, "The 37 implementation details of PPO", detail 3)."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are shortened to it."""

    engine: Literal["torch", "trl"] = "torch"
    """The plain step of this package, or the same rows through TRL's GRPOTrainer."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, ..."""
    dtype: str = "auto"
    """`auto` (float32 on a CPU), `float32`, `bfloat16`."""
    threads: int | None = 1
    """CPU threads of torch; 1 makes a run repeatable bit for bit and never collapses on shared cores."""
    micro_tokens: int = 8192
    """Tokens that are in memory together during the update."""
    in_flight: int | None = None
    """Episodes played at once; default all of a step."""
    lora_rank: int = 0
    """Above 0, train low-rank adapters of this rank instead of every weight."""
    lora_alpha: int | None = None
    """Default twice the rank."""
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ("all-linear",)
    """Modules that get an adapter."""
    qlora: bool = False
    """Hold the frozen weights in 4 bits; needs a CUDA GPU, bitsandbytes, and a LoRA rank."""

    seed: int = 0
    """Same seed, one thread: the same transcripts and weights."""
    steps: int | None = None
    """Updates in all. Default 120 where no --minutes are given."""
    minutes: float | None = None
    """Time budget, evaluation and saving included; no step is begun that would overrun it."""
    save_every: int = 10
    """Steps between checkpoints."""
    keep: int = 2
    """Checkpoints kept, the best one beside them."""
    keep_rollouts: int | None = None
    """Steps whose transcripts and tokens are kept on disk; default all."""
    eval_every: int = 0
    """Steps between looks at the validation set, by which the best checkpoint is chosen; 0 looks never."""
    eval_scenarios: int = 48
    """Dilemmas in the validation set: training themes, seeds of their own."""

    def check(self) -> None:
        """Raises `SettingsError` for a value out of range or two that contradict each other, by the name of the flag."""
        for name, least in {**_LEAST, "group_size": self.smallest_group}.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= least):
                raise SettingsError(f"--{_flag(name)} is {value:g}, it must be at least {least:g}")
        for name in ("lr", "minutes", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SettingsError(f"--{_flag(name)} is {value:g}, it must be above 0")
        for name in ("top_p", "completion_top_p"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise SettingsError(f"--{_flag(name)} is {value:g}, it must lie in (0, 1]")
        for name in ("selfishness", "lora_dropout", "adam_beta2", "clip_low"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"--{_flag(name)} is {getattr(self, name):g}, it must lie in [0, 1]")
        if self.temperature == 0:
            raise SettingsError("--temperature is 0: greedy episodes of one scenario are all alike; it must be above 0")
        if not self.shapes:
            raise SettingsError("--shapes is empty; name at least one: --shapes 3x3")
        for shape in self.shapes:
            read_shape(shape)
        if self.suite.startswith(GENERATE) and self.suite != "generate:train":
            raise SettingsError(f"--suite is {self.suite!r}; what is generated for training is generate:train")
        if not re.fullmatch(r"both|alternate|seat_\d+", self.seats):
            raise SettingsError(f"--seats is {self.seats!r}; it is both, alternate, or one seat: seat_0")
        if self.opponent != "self" and self.seats == "both":
            raise SettingsError(
                f"--opponent {self.opponent} has no seat to play: every seat is trained; name one with --seats seat_0, "
                "or take turns with --seats alternate"
            )
        if self.qlora and self.lora_rank == 0:
            raise SettingsError("--qlora trains adapters over 4-bit weights: give their rank too, --lora-rank 16")
        if self.lora_rank and self.opponent.partition(":")[0] in ("frozen", "pool"):
            raise SettingsError(
                "--opponent frozen and pool copy the whole model, which LoRA is there to avoid: use self"
            )
        if self.train_tokens == "all" and self.completion == "render":
            raise SettingsError("--train-tokens all trains the written plan, and --completion render writes none")

    @property
    def total_steps(self) -> int | None:
        """Updates in all; None where only the clock ends the run."""
        return DEFAULT_STEPS if self.steps is None and self.minutes is None else self.steps

    def rate(self, parameters: int) -> float:
        """The learning rate for a model of so many parameters."""
        if self.lr is not None:
            return self.lr
        return LR_LORA if self.lora_rank else LR_SMALL if parameters < SMALL else LR_FULL

    @property
    def samples_start(self) -> bool:
        """Episodes are sampled from the model at the start, not from the policy as it is."""
        return False

    def learner(self) -> Learner:
        """What makes rows with an advantage of a step's episodes."""
        from nego_trainers.learner import Learner

        return Learner(self)

    def identity(self) -> dict[str, Any]:
        """The options that make a run what it is, as JSON would have them: a folder with others is another run. How long
        it goes on, where it is computed and what is kept are not among them."""
        names = [f.name for f in fields(GRPOSettings) if f.name not in _FREE]
        found = {"algorithm": self.algorithm} | {name: getattr(self, name) for name in (*names, *self.own)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Every option, as JSON would have it."""
        found = asdict(self)
        return {name: found[name] for name in (*(f.name for f in fields(GRPOSettings)), *self.own)}


_LEAST: dict[str, float] = {
    "group_size": 2, "groups": 1, "memory": 1, "max_rounds": 1, "temperature": 0, "max_new_tokens": 1,
    "completion_temperature": 0, "completion_max_new_tokens": 1, "warmup": 0, "updates": 1, "clip_high": 0,
    "beta": 0, "entropy": 0, "adam_eps": 0, "dynamic_sampling": 0, "redraws": 0, "weight_decay": 0, "threads": 1,
    "micro_tokens": 1,
    "in_flight": 1, "lora_rank": 0, "lora_alpha": 1, "seed": 0, "steps": 1, "save_every": 1, "keep": 1,
    "keep_rollouts": 1, "eval_every": 0, "eval_scenarios": 1,
}  # fmt: skip

_FREE = {
    "steps", "minutes", "save_every", "keep", "keep_rollouts", "eval_every", "eval_scenarios", "device", "threads",
    "micro_tokens", "in_flight",
}  # fmt: skip

PAPER: dict[str, Any] = {
    "model": "Qwen/Qwen3-14B",
    "suite": "open",
    "group_size": 8,
    "groups": 2,
    "memory": 2,
    "max_rounds": 7,
    "temperature": 0.7,
    "top_p": 0.95,
    "completion": "write",
    "completion_temperature": 0.1,
    "completion_top_p": 0.95,
    "lr": 5e-6,
    "beta": 0.0,
    "normalise": "population",
    "token_norm": "group",
    "seats": "both",
    "opponent": "self",
    "qlora": True,
    "steps": 1900,
    "max_new_tokens": 256,
    "completion_max_new_tokens": 512,
    "schedule": "constant",
    "warmup": 0,
    "adam_beta2": 0.999,
    "adam_eps": 1e-8,
    "lora_rank": 16,
    "lora_alpha": 32,
    "save_every": 50,
    "dtype": "bfloat16",
}
PRESETS: dict[str, dict[str, Any]] = {"paper": PAPER}

PAPER_SILENT: tuple[tuple[str, str], ...] = (
    (
        "dilemmas",
        "its 1,100 prompts and 50 personas are not published; --suite open holds ours, in the same three strata",
    ),
    ("judge", "GPT-4o-mini there, its prompt ours to write: name one with --judge"),
    ("prompts", "the negotiation and completion prompts are not printed; ours are used"),
    ("whose tokens", "Eq. 1 sums over the dialogue, the text calls one agent frozen: both seats are trained (--seats)"),
    ("memory", '"two most recent turns" is read as two rounds, four utterances'),
    ("standard deviation", "population or sample is not said: population, epsilon 1e-6 (--normalise)"),
    ("clip", "not given for this run: 0.2 either way, and nothing is clipped at one update a step"),
    ("utterance length", "not given: 256 tokens, and 512 for the plan (its printed utterances have 82 to 96 words)"),
    ("adapters", "rank, alpha and targets are not given: 16, 32, all linear layers"),
    (
        "optimiser",
        "not given: AdamW (0.9, 0.999; epsilon 1e-8), no weight decay, constant rate, no warm-up, gradients cut at norm 1",
    ),
    ("updates", "inner passes over a batch are not given: one"),
    ("seeds", "not given; one run"),
)
"""(what, what is not stated and what is done)."""


def _flag(name: str) -> str:
    return name.replace("_", "-")
