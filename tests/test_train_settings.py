"""Options of a training run: what is refused, what a preset sets, what makes two runs the same."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from support import single_line

from nego_env import cli
from nego_env.errors import NegoError, SettingsError
from nego_trainers.opponents import Opponent, learners, parse_opponent
from nego_trainers.settings import PAPER, GRPOSettings
from nego_trainers.sources import Drawn, Generated, open_source, validation
from nego_trainers.train_command import GRPO


@pytest.mark.parametrize(
    ("changed", "flag"),
    [
        ({"group_size": 1}, "--group-size"),
        ({"groups": 0}, "--groups"),
        ({"lr": 0.0}, "--lr"),
        ({"lr": float("nan")}, "--lr"),
        ({"minutes": -1.0}, "--minutes"),
        ({"temperature": 0.0}, "--temperature"),
        ({"temperature": float("inf")}, "--temperature"),
        ({"top_p": 0.0}, "--top-p"),
        ({"clip_low": 1.5}, "--clip-low"),
        ({"memory": 0}, "--memory"),
        ({"shapes": ("9x9",)}, "shape"),
        ({"shapes": ()}, "--shapes"),
        ({"suite": "generate:heldout"}, "generate:train"),
        ({"seats": "seat_x"}, "--seats"),
        ({"opponent": "boulware"}, "--seats"),
        ({"qlora": True}, "--lora-rank"),
        ({"lora_rank": 4, "opponent": "pool:2", "seats": "alternate"}, "--opponent"),
        ({"train_tokens": "all", "completion": "render"}, "--train-tokens"),
    ],
)
def test_an_option_out_of_range_is_refused_by_the_name_of_its_flag(changed: dict[str, Any], flag: str) -> None:
    with pytest.raises(SettingsError) as e:
        replace(GRPOSettings(), **changed).check()
    assert flag in str(e.value)
    assert single_line(str(e.value))


def test_the_defaults_and_the_paper_hold_together() -> None:
    GRPOSettings().check()
    GRPO(**PAPER).check()


def parsed(*arguments: str) -> GRPO:
    found = cli._parsed(GRPO, "nego train grpo", list(arguments))
    assert isinstance(found, GRPO)
    return found


def test_the_preset_is_what_the_paper_states() -> None:
    """PAPER 1.3 and 1.10: B = 16 as 2 groups of 8, N = 7, two rounds of memory, both samplings, lr, beta, QLoRA, 1,900 steps."""
    p = parsed("--preset", "paper")
    assert (p.groups * p.group_size, p.group_size, p.max_rounds, p.memory) == (16, 8, 7, 2)
    assert (p.temperature, p.top_p, p.completion_temperature, p.completion_top_p) == (0.7, 0.95, 0.1, 0.95)
    assert (p.lr, p.beta, p.steps, p.completion, p.qlora, p.model) == (5e-6, 0.0, 1900, "write", True, "Qwen/Qwen3-14B")
    assert (p.train_tokens, p.token_norm) == ("dialogue", "group")


def test_flags_win_over_the_preset_even_where_they_name_a_default() -> None:
    p = parsed("--groups", str(GRPOSettings().groups), "--preset=paper", "--beta", "0.02", "--seats", "seat_0")
    assert (p.groups, p.beta, p.seats, p.memory) == (GRPOSettings().groups, 0.02, "seat_0", 2)


def test_every_option_has_a_flag_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--help")
    told = capsys.readouterr().out
    for f in fields(GRPO):
        assert f"--{f.name.replace('_', '-')}" in told


def test_what_makes_a_run_another_one() -> None:
    one = GRPOSettings()
    assert replace(one, steps=7, minutes=1.0, save_every=3, device="cpu", eval_every=5).identity() == one.identity()
    for changed in ({"seed": 1}, {"lr": 1e-5}, {"model": "other"}, {"beta": 0.0}, {"memory": 2}):
        assert replace(one, **changed).identity() != one.identity()


def test_the_learning_rate_follows_the_size_of_the_model() -> None:
    assert GRPOSettings().rate(10**6) == 3e-4
    assert GRPOSettings().rate(6 * 10**8) == 1e-6
    assert GRPOSettings(lora_rank=8).rate(6 * 10**8) == 5e-6
    assert GRPOSettings(lr=3e-5).rate(1) == 3e-5


# ---------------------------------------------------------------- opponents
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("self", Opponent("self")),
        ("frozen:20", Opponent("frozen", every=20, size=1)),
        ("pool:3", Opponent("pool", every=10, size=3)),
        ("pool:3:5", Opponent("pool", every=5, size=3)),
        ("boulware", Opponent("agent", agent="boulware")),
        ("my_file.py:agent", Opponent("agent", agent="my_file.py:agent")),
    ],
)
def test_opponents_by_name(text: str, found: Opponent) -> None:
    assert parse_opponent(text) == found


@pytest.mark.parametrize("text", ["frozen", "frozen:0", "frozen:1:2", "pool:", "pool:x", "pool:1:2:3"])
def test_a_malformed_opponent(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_opponent(text)


def test_which_copies_play_a_step() -> None:
    frozen, pool = parse_opponent("frozen:4"), parse_opponent("pool:3:5")
    assert [frozen.copies(s) for s in (0, 3, 4, 11)] == [(0,), (0,), (4,), (8,)]
    assert [pool.copies(s) for s in (0, 4, 5, 14, 20)] == [(0,), (0,), (0, 5), (0, 5, 10), (10, 15, 20)]
    assert [s for s in range(12) if pool.due(s)] == [0, 5, 10]
    drawn = {pool.copy_for(0, 20, g) for g in range(50)}
    assert drawn == {10, 15, 20}
    assert [pool.copy_for(1, 20, g) for g in range(9)] == [pool.copy_for(1, 20, g) for g in range(9)]


def test_whose_words_are_trained() -> None:
    assert learners("both", 3, 5, 1) == (0, 1, 2)
    assert learners("seat_1", 3, 5, 1) == (1,)
    assert [learners("alternate", 2, s, g) for s in (0, 1) for g in (0, 1)] == [(0,), (1,), (1,), (0,)]


# ---------------------------------------------------------------- dilemmas
def test_generated_dilemmas_are_a_function_of_seed_step_and_group() -> None:
    shapes = ("2x3", "3x3")
    one, again, other = Generated(0, shapes), Generated(0, shapes), Generated(1, shapes)
    ids = [one.group(s, g).id for s in range(3) for g in range(4)]
    assert ids == [again.group(s, g).id for s in range(3) for g in range(4)]
    assert len(set(ids)) == 12
    assert set(ids).isdisjoint(other.group(s, g).id for s in range(3) for g in range(4))
    assert {one.group(0, g).counts for g in range(12)} == {(3, 3), (3, 3, 3)}
    assert not any(one.group(0, g).no_zopa for g in range(12))


def test_validation_shares_no_dilemma_with_training_and_no_theme_with_the_held_out() -> None:
    settings = GRPOSettings(eval_scenarios=20)
    found = validation(settings)
    assert [s.id for s in found] == [s.id for s in validation(settings)]
    assert len({s.id for s in found}) == 20
    source = Generated(0, settings.shapes)
    assert {s.content_hash for s in found}.isdisjoint(source.group(0, g).content_hash for g in range(40))


def test_a_suite_is_gone_through_in_a_new_order_each_time() -> None:
    source = open_source(GRPOSettings(suite="open", judge="heuristic", groups=3))
    assert isinstance(source, Drawn)
    count = len(source._ids)
    flat = [source.group(*divmod(i, 3)).id for i in range(2 * count)]
    assert sorted(flat[:count]) == sorted(flat[count:]) == sorted(source._ids)
    assert flat[:count] != flat[count:]
    again = open_source(GRPOSettings(suite="open", judge="heuristic", groups=3))
    assert again.group(1, 2).id == flat[5]
    assert source.group(0, 7).id in source._ids  # a spare of dynamic sampling


def test_open_dilemmas_need_a_judge_that_is_named() -> None:
    with pytest.raises(SettingsError, match="--judge"):
        open_source(GRPOSettings(suite="open"))


@pytest.mark.parametrize("suite", ["no-such-pack", "nowhere/at/all.jsonl"])
def test_an_unknown_suite(suite: str) -> None:
    with pytest.raises(NegoError) as e:
        open_source(GRPOSettings(suite=suite))
    assert single_line(str(e.value))


def test_a_seat_that_a_dilemma_has_not() -> None:
    with pytest.raises(SettingsError, match="seat_5"):
        open_source(GRPOSettings(suite="train", seats="seat_5"))
