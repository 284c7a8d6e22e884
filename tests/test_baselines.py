"""The other language trainers: what each makes of the same rewards, and that their runs are runs like GRPO's.

1. Advantages and weights by worked arithmetic.
2. Off-line fine-tuning samples from the model at the start; REINFORCE remembers its baselines; cloning is a likelihood.
3. Fine-tuning on a file: anybody's words become rows of a model, and its own stay as it sampled them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace as altered
from safetensors.torch import load_file
from support import bargain, single_line
from test_train_grpo import timeless
from train_support import JUDGE, OneDilemma, policy
from train_support import options as grpo_options

from nego_env import cli
from nego_env.errors import SettingsError, TranscriptError
from nego_env.store import read, read_final
from nego_env.tokens import read_tokens
from nego_trainers.batch import WeightedRow
from nego_trainers.chat_rows import chat_rows, tokens_as
from nego_trainers.checkpoint import checkpoint_path, load_learner
from nego_trainers.dry_run import random_model
from nego_trainers.grpo import Outcome, train
from nego_trainers.metrics import read_metrics
from nego_trainers.reinforce import ReinforceSettings, RoleBaselines
from nego_trainers.rft import BestOfGroup, RFTSettings
from nego_trainers.rloo import RLOOSettings
from nego_trainers.rows import Row, rows_of
from nego_trainers.selfplay import rollout_path
from nego_trainers.settings import GRPOSettings
from nego_trainers.sft import FileTraining, SFTSettings, file_rows, finetune
from nego_trainers.train_command import RFT, SFT, Train
from tests.token_samples import episode

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),  # transformers, of its own names
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


# ---------------------------------------------------------------- arithmetic
def row(group: str, number: int, reward: float | None, tokens: int = 1, seat: int = 0) -> Row:
    ids = tuple(range(tokens))
    return Row((1,), ids, (1,) * tokens, (-1.0,) * tokens, f"{group}-{number}", 0, group, f"seat_{seat}", reward)


def group_of(name: str, *rewards: float | None) -> list[list[Row]]:
    return [[row(name, i, r)] for i, r in enumerate(rewards)]


def advantages(found: Sequence[WeightedRow]) -> list[float]:
    return [w.advantage for w in found]


def test_leave_one_out() -> None:
    """Means of the others: of 1, 2, 6 they are 4, 3.5, 1.5; an unscored episode is nobody's other; 5 alone has none."""
    learner = RLOOSettings().learner()
    groups = [group_of("a", 1.0, 2.0, None, 6.0), group_of("b", 5.0), group_of("c", 2.0, 2.0)]
    assert advantages(learner.weighed(groups, ["g"] * 3)) == pytest.approx([-3.0, -1.5, 4.5, 0.0, 0.0, 0.0])


def test_leave_one_out_is_centring_times_g_over_g_minus_1() -> None:
    groups = [group_of("a", 0.0, 3.0, 3.5, 5.0)]
    ours = advantages(RLOOSettings().learner().weighed(groups, ["g"]))
    centred = advantages(GRPOSettings(normalise="none").learner().weighed(groups, ["g"]))
    assert ours == pytest.approx([4 / 3 * a for a in centred])


def test_baselines_by_role() -> None:
    """d = 0.5. Step 1: seat_0 earns 1 and 3, mean 2, which is its baseline; seat_1 earns 5. Step 2: seat_0 earns 4, 2 more
    than its baseline, which moves to 0.5 * 2 + 0.5 * 4 = 3; a seat_0 of three is another role."""
    learner = RoleBaselines(ReinforceSettings(baseline_decay=0.5))
    first = [[[row("a", 0, 1.0), row("a", 0, 5.0, seat=1)], [row("a", 1, 3.0)], [row("a", 2, None)]]]
    for _ in range(2):  # weighing again is not learning again
        assert advantages(learner.weighed(first, ["structured-2"])) == [-1.0, 0.0, 1.0]
    assert learner.state() == {"baselines": {}}
    learner.updated()
    assert learner.state() == {"baselines": {"structured-2/seat_0": 2.0, "structured-2/seat_1": 5.0}}
    second = [group_of("b", 4.0), group_of("c", 1.0, 2.0)]
    assert advantages(learner.weighed(second, ["structured-2", "structured-3"])) == [2.0, -0.5, 0.5]
    learner.updated()
    expected = {"structured-2/seat_0": 3.0, "structured-2/seat_1": 5.0, "structured-3/seat_0": 1.5}
    assert learner.state() == {"baselines": expected}
    again = RoleBaselines(ReinforceSettings())
    again.restore(json.loads(json.dumps(learner.state())))
    assert again.figures() == {f"baseline {role}": value for role, value in expected.items()}


def test_an_episode_of_many_rows_counts_once_in_a_baseline() -> None:
    """Mean of 0 and 3, not of 0, 0, 0 and 3."""
    learner = RoleBaselines(ReinforceSettings())
    group = [[row("a", 0, 0.0)] * 3, [row("a", 1, 3.0)]]
    assert advantages(learner.weighed([group], ["g"])) == [-1.5, -1.5, -1.5, 1.5]


def test_the_best_of_each_group() -> None:
    """Two reach 4; a group of equals and one without a reward have none. Weights: 2 groups are left, of 3 + 1 and 2 tokens."""
    learner = BestOfGroup(RFTSettings())
    groups = [
        [[row("a", 0, 4.0, 3)], [row("a", 1, 1.0, 9)], [row("a", 2, 4.0, 1)], [row("a", 3, None, 5)]],
        group_of("b", 2.0, 2.0, 2.0),
        group_of("c", None, None),
        [[row("d", 0, 0.0, 7)], [row("d", 1, 0.5, 2)]],
    ]
    found = learner.weighed(groups, ["g"] * 4)
    assert [w.row.episode for w in found] == ["a-0", "a-2", "d-1"]
    assert advantages(found) == [1.0, 1.0, 1.0]
    assert [w.weight for w in found] == pytest.approx([1 / 8, 1 / 8, 1 / 4])
    assert learner.figures() == {"cloned": pytest.approx(3 / 11)}
    by_batch = BestOfGroup(RFTSettings(token_norm="batch")).weighed(groups, ["g"] * 4)
    assert [w.weight for w in by_batch] == pytest.approx([1 / 6] * 3)


def test_the_best_of_each_seat_where_seats_earn_differently() -> None:
    group = [[row("a", 0, 1.0), row("a", 0, 4.0, seat=1)], [row("a", 1, 2.0), row("a", 1, 3.0, seat=1)]]
    found = BestOfGroup(RFTSettings()).weighed([group], ["g"])
    assert [(w.row.episode, w.row.seat) for w in found] == [("a-0", "seat_1"), ("a-1", "seat_0")]
    assert BestOfGroup(RFTSettings()).weighed([group_of("b", 1.0, 1.0)], ["g"]) == []


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        (RLOOSettings(normalise="population"), "--normalise"),
        (RFTSettings(normalise="sample"), "--normalise"),
        (RFTSettings(offline=True, lora_rank=4), "LoRA"),
        (RFTSettings(offline=True, opponent="frozen:4", seats="alternate"), "--opponent"),
        (RFTSettings(engine="trl", updates=2), "--updates"),
        (ReinforceSettings(baseline_decay=1.0), "--baseline-decay"),
        (ReinforceSettings(dynamic_sampling=2), "--dynamic-sampling"),
        (ReinforceSettings(group_size=0), "--group-size"),
        (SFTSettings(batch_rows=0), "--batch-rows"),
        (SFTSettings(engine="trl"), "--engine"),
    ],
)
def test_what_does_not_go_together(settings: GRPOSettings, flag: str) -> None:
    with pytest.raises(SettingsError) as e:
        settings.check()
    assert flag in str(e.value)
    assert single_line(str(e.value))


def test_another_algorithm_is_another_run() -> None:
    identities = [s.identity() for s in (GRPOSettings(), RLOOSettings(), ReinforceSettings(), RFTSettings())]
    identities += [RFTSettings(offline=True).identity(), ReinforceSettings(baseline_decay=0.5).identity()]
    assert all(a != b for i, a in enumerate(identities) for b in identities[:i])
    ReinforceSettings(group_size=1).check()  # where nothing is compared in a group


# ---------------------------------------------------------------- runs of self-play
def run_options(kind: type[GRPOSettings], **changed: Any) -> Any:
    return kind(**{**{k: v for k, v in grpo_options().to_json().items() if k != "shapes"}, **changed})


def trained(settings: GRPOSettings, out: Path, **more: Any) -> Outcome:
    return train(settings, out, policy=policy(settings), source=OneDilemma(), judge=JUDGE, **more)


def weights(out: Path) -> Mapping[str, torch.Tensor]:
    return load_file(out / "final" / "model.safetensors")


def assert_equal(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor], tolerance: float = 0.0) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=tolerance)


def said(out: Path, step: int) -> list[str]:
    return sorted(u.text for t in read(rollout_path(out, step)) for u in t.utterances)


def test_offline_episodes_are_of_the_model_at_the_start(tmp_path: Path) -> None:
    """A policy that moved far and one that did not move at all give the same episodes, though not the same weights."""
    settings = run_options(RFTSettings, offline=True, steps=2, schedule="constant", lr=0.05, groups=3)
    far, still = tmp_path / "far", tmp_path / "still"
    found, online = trained(settings, far), trained(replace(settings, offline=False), tmp_path / "online")
    trained(replace(settings, lr=1e-12), still)
    assert {a for t in read(rollout_path(far, 2)) for a in t.agents} == {"policy@0"}
    assert {a for t in read(rollout_path(tmp_path / "online", 2)) for a in t.agents} == {"policy@1"}
    assert said(far, 2) == said(still, 2) != said(tmp_path / "online", 2)
    assert found.metrics[0]["updated"]
    assert found.metrics[0]["drift"] < 1e-5 < 1e-2 < found.metrics[1]["drift"]
    assert online.metrics[1]["drift"] < 1e-5
    assert [r["reward"] for r in found.metrics][:1] == [r["reward"] for r in online.metrics][:1]


def test_offline_goes_on_from_a_checkpoint_with_the_model_at_the_start(tmp_path: Path) -> None:
    settings = run_options(RFTSettings, offline=True, steps=3, schedule="constant", lr=0.05)
    trained(settings, tmp_path / "whole")
    trained(replace(settings, steps=2), tmp_path / "part")
    trained(settings, tmp_path / "part")
    assert said(tmp_path / "part", 3) == said(tmp_path / "whole", 3)
    assert_equal(weights(tmp_path / "part"), weights(tmp_path / "whole"))


def test_the_loss_of_cloning_is_a_likelihood(tmp_path: Path) -> None:
    """On-line it is the mean of the recorded log-probs of the best episodes, over each group's tokens, then over groups."""
    settings = run_options(RFTSettings, groups=4)
    record = trained(settings, tmp_path).metrics[0]
    tokens = read_tokens(rollout_path(tmp_path, 1))
    groups: dict[int, list[list[Row]]] = {}
    for t in read_final(rollout_path(tmp_path, 1)):
        groups.setdefault(t.index // 3, []).append(rows_of(t, tokens[t.id, t.attempt]))
    means = []
    for episodes in groups.values():
        rewards = [rows[0].reward or 0.0 for rows in episodes]
        best = [rows for rows, r in zip(episodes, rewards, strict=True) if r == max(rewards) > min(rewards)]
        own = [p for rows in best for r in rows for p, m in zip(r.logprobs, r.mask, strict=True) if m]
        means += [-sum(own) / len(own)] if own else []
    assert means
    assert record["loss"] == pytest.approx(sum(means) / len(means), rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (RFTSettings, {"offline": True, "beta": 0.1, "entropy": 0.01, "memory": 1}),
        (RLOOSettings, {"updates": 2}),
        (ReinforceSettings, {"group_size": 1, "groups": 6, "token_norm": "batch"}),
    ],
)
def test_both_engines_make_the_same_updates(tmp_path: Path, kind: Any, changed: dict[str, Any]) -> None:
    plain = trained(run_options(kind, steps=2, lr=0.01, **changed), tmp_path / "torch")
    trl = trained(run_options(kind, steps=2, lr=0.01, engine="trl", **changed), tmp_path / "trl")
    assert plain.metrics[0]["updated"]
    assert_equal(weights(tmp_path / "torch"), weights(tmp_path / "trl"), 2e-6)
    for one, other in zip(plain.metrics, trl.metrics, strict=True):
        for name in ("reward", "tokens", "loss", "kl", "entropy", "grad_norm"):
            assert one[name] == pytest.approx(other[name], rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize("engine", ["torch", "trl"])
def test_a_step_with_nothing_to_clone_changes_nothing(tmp_path: Path, engine: str) -> None:
    class Bargain(OneDilemma):
        def group(self, step: int, group: int) -> Any:
            return bargain()

    settings = run_options(RFTSettings, judge=None, completion=None, engine=engine, beta=0.0)
    start = policy(settings)
    before = {name: x.clone() for name, x in start.model.state_dict().items()}
    found = train(settings, tmp_path, policy=start, source=Bargain())
    assert found.metrics[0]["rows"] == 0
    assert not found.metrics[0]["updated"]
    assert_equal(start.model.state_dict(), before)


def test_reinforce_goes_on_with_its_baselines(tmp_path: Path) -> None:
    settings = run_options(ReinforceSettings, steps=3, schedule="constant", lr=0.01)
    whole = trained(settings, tmp_path / "whole")
    trained(replace(settings, steps=2), tmp_path / "part")
    first, second = whole.metrics[:2]
    assert first["baseline open-2/seat_0"] == pytest.approx(first["reward"], rel=1e-5)
    moved = 0.9 * first["reward"] + 0.1 * second["reward"]
    kept = load_learner(checkpoint_path(tmp_path / "part", 2))["baselines"]
    assert kept == pytest.approx({"open-2/seat_0": moved, "open-2/seat_1": moved}, rel=1e-4)
    again = trained(settings, tmp_path / "part")
    assert timeless(again.metrics[2:]) == timeless(whole.metrics[2:])
    assert_equal(weights(tmp_path / "part"), weights(tmp_path / "whole"))


def test_the_command_of_the_experiments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--dry-run", "--groups", "2", "--group-size", "2", "--max-rounds", "2"]
    command = cli._parsed(RFT, "nego train rft", [*quick, "--offline", "--json", "--out", str(tmp_path / "r")])
    assert command.run() == 0
    told = json.loads(capsys.readouterr().out)
    assert told["step"] == 3
    assert told["model"] == str(tmp_path / "r" / "final")
    assert set(Train.commands) == {"grpo", "rloo", "reinforce", "rft", "sft"}


# ---------------------------------------------------------------- a file of transcripts
LINES = ["I need it.", "So do I.", "Good for both? [Propose: A2 B2]", "Yes. [Accept]"]
OTHER = ["[Propose: A1 B2]", "No.", "Then this. [Propose: A1 B1]", "[Accept]"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Six episodes of two seats: three deals of 5, three of less."""
    episodes = [episode(bargain(), LINES if i % 2 else OTHER, seed=i) for i in range(6)]
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(t.encode() + b"\n" for t in episodes))
    return path


def model() -> Any:
    return random_model([bargain().task, *LINES, *OTHER, "You may speak, propose, accept or walk away."])


def sft(file: Path, **changed: Any) -> SFTSettings:
    quick: dict[str, Any] = {"transcripts": str(file), "warmup": 0, "threads": None, "beta": 0.0, "batch_rows": 5}
    return SFTSettings(**(quick | changed))


def test_other_peoples_words_are_rows_of_a_model() -> None:
    t, local = episode(bargain(), LINES), model()
    rows = chat_rows(t, local)
    assert [r.seat for r in rows] == ["seat_0", "seat_1"]
    for i, r in enumerate(rows):
        own = [t for t, m in zip(r.completion_ids, r.mask, strict=True) if m]
        assert sum(token in local.glue.end for token in own) == 2
        cut = own.index(next(iter(local.glue.end))) + 1
        assert [local.glue.text(own[:cut]), local.glue.text(own[cut:])] == LINES[i::2]
        context = local.tokenizer.decode([*r.prompt_ids, *r.completion_ids])
        heard = LINES[0] if i else LINES[1]
        assert heard in context
    assert chat_rows(t, local, seats=["seat_1"]) == rows[1:]


def test_a_memory_window_cuts_rows_as_it_cuts_what_was_seen() -> None:
    rows = chat_rows(episode(bargain(), ["Hm.", "Well."] * 2 + LINES, memory=1), model(), seats=["seat_0"])
    assert len(rows) > 1


def test_own_words_stay_as_they_were_sampled(tmp_path: Path) -> None:
    """On a run of its own the rows are those of the token file, ids and log-probs; to another model they are text."""
    settings = run_options(RLOOSettings)
    start = policy(settings)
    train(settings, tmp_path, policy=start, source=OneDilemma(), judge=JUDGE)
    path = rollout_path(tmp_path, 1)
    tokens = read_tokens(path)
    for t in read_final(path):
        recorded = tokens[t.id, t.attempt]
        assert tokens_as(t, start.local, recorded) == recorded
        assert chat_rows(t, start.local, recorded) == rows_of(t, recorded)
        foreign = tokens_as(t, model(), recorded)
        assert [x.utterance for x in foreign.turns] == [x.utterance for x in recorded.turns]
        assert {x for turn in foreign.turns for x in turn.logprobs} == {0.0}


def test_the_likelihood_rises(tmp_path: Path, file: Path) -> None:
    settings = sft(file, epochs=6, lr=0.01)
    found = finetune(settings, tmp_path / "run", policy=policy(settings))
    losses = [r["loss"] for r in found.metrics]
    assert len(losses) == 18  # 12 rows in batches of 5, six times
    assert losses[-1] < 0.6 * losses[0]
    assert [r["rows"] for r in found.metrics[:3]] == [5, 5, 2]
    assert found.metrics[2]["epoch"] == 1.0
    assert found.metrics[0]["drift"] is None
    assert found.model == tmp_path / "run" / "final"


def test_fine_tuning_goes_on_where_it_stopped(tmp_path: Path, file: Path) -> None:
    settings = sft(file, epochs=2, lr=0.01, schedule="constant")
    whole = finetune(settings, tmp_path / "whole", policy=policy(settings))
    finetune(replace(settings, steps=4), tmp_path / "part", policy=policy(settings))
    again = finetune(settings, tmp_path / "part", policy=policy(settings))
    assert [r["step"] for r in read_metrics(tmp_path / "part" / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    assert [r["loss"] for r in again.metrics[4:]] == [r["loss"] for r in whole.metrics[4:]]
    assert_equal(weights(tmp_path / "part"), weights(tmp_path / "whole"))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:4]))
    with pytest.raises(SettingsError, match="another run"):
        finetune(settings, tmp_path / "part", policy=policy(settings))


def test_each_row_once_an_epoch(tmp_path: Path, file: Path) -> None:
    settings = sft(file, seed=3)
    rows, notes = file_rows(settings, model())
    assert notes == []
    batches = FileTraining.__new__(FileTraining)
    seen = []
    batches.settings, batches._rows, batches._size, batches._batches = settings, rows, 5, 3
    for step in range(6):
        batches.progress = replace(_fresh(), step=step)
        batch = batches.rows()
        assert sum(w.weight * w.row.tokens for w in batch) == pytest.approx(1.0)
        seen.append([(w.row.episode, w.row.seat) for w in batch])
    first, second = (list(chain(*seen[i : i + 3])) for i in (0, 3))
    assert sorted(first) == sorted(second) == sorted((r.episode, r.seat) for r in rows)
    assert first != second


def _fresh() -> Any:
    from nego_trainers.checkpoint import Progress

    return Progress()


def test_what_is_left_out_is_told(tmp_path: Path, file: Path) -> None:
    broken = altered(episode(bargain(), LINES[:2], seed=9, fails=True), index=6)
    with file.open("ab") as f:
        f.write(broken.encode() + b"\n")
    local = model()
    rows, notes = file_rows(sft(file, least_reward=5.0), local)
    assert {r.reward for r in rows} == {5.0}
    assert len(rows) == 6
    assert [n.partition(": ")[2] for n in notes] == [
        "1 episodes without a reward left out",
        "6 rows below --least-reward 5 left out",
    ]
    with pytest.raises(TranscriptError, match="12 rows below --least-reward 9"):
        file_rows(sft(file, least_reward=9.0), local)
    local.model.config.max_position_embeddings = 20
    with pytest.raises(TranscriptError, match="longer than the model's 20 tokens"):
        file_rows(sft(file), local)
    with pytest.raises(TranscriptError, match="nowhere"):
        file_rows(sft(tmp_path / "nowhere.jsonl"), local)


def test_fine_tuning_from_the_command_line(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model().save(tmp_path / "model")
    arguments = [str(file), "--model", str(tmp_path / "model"), "--epochs", "1", "--json", "--out", str(tmp_path / "o")]
    command = cli._parsed(
        SFT, "nego train sft", [*arguments, "--eval-every", "1", "--eval-scenarios", "1", "--max-new-tokens", "4"]
    )
    assert command.run() == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["step"] == 1
    assert told["first"]["loss"] > 0
    assert told["validation"]["step"] == 1
    assert "loss" in err
