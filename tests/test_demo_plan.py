"""How the demo sizes its training: from what a probe measured, so that everything ends in time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nego_env.errors import SettingsError
from nego_trainers.demo_plan import (
    CLOSING,
    CLOSING_SHARE,
    ENOUGH_STEPS,
    FILE,
    FULL,
    LEAST_GROUPS,
    LEAST_SCENARIOS,
    LEAST_SECONDS,
    PROBE_GROUPS,
    QUICK,
    Plan,
    Size,
    Speed,
    identity,
    plan,
    read_plan,
    save_json,
    table_size,
    write_plan,
)
from nego_trainers.settings import GRPOSettings

BASE = GRPOSettings(groups=12)
WANTED = identity("nego-tiny", quick=False, seed=0)


def speed(step: float, episode: float = 0.01) -> Speed:
    return Speed(step=step, episode=episode, tokens_per_second=1000.0)


def test_the_sizes_keep_what_the_help_promises() -> None:
    assert FULL.seconds <= 300
    assert QUICK.seconds < 120


def test_training_gets_what_is_left() -> None:
    """300 - 40 - 20 - closing seconds; a group takes 0.25 s, so an update of 12 takes 3."""
    found = plan(BASE, Size(300, 100), speed(0.25 * PROBE_GROUPS), scenarios=100, spent=40, reserved=20)
    assert found.minutes * 60 == pytest.approx(240 - CLOSING)
    assert found.groups == 12
    assert found.steps == int((240 - CLOSING) / 3)
    assert found.scenarios == 100
    slow = plan(BASE, Size(300, 100), speed(1.0), scenarios=100, spent=100, reserved=20)
    assert slow.minutes * 60 == pytest.approx(180 - CLOSING_SHARE * 100)


def test_a_slow_machine_makes_smaller_updates_so_that_there_are_enough() -> None:
    found = plan(BASE, Size(300, 100), speed(1.5 * PROBE_GROUPS), scenarios=50, spent=40, reserved=20)
    assert LEAST_GROUPS <= found.groups < 12
    assert found.steps >= ENOUGH_STEPS


@pytest.mark.parametrize("step", [1e-4, 0.1, 1.0, 10.0, 500.0])
@pytest.mark.parametrize("spent", [10.0, 290.0, 5000.0])
def test_whatever_was_measured_something_is_trained(step: float, spent: float) -> None:
    found = plan(BASE, Size(300, 100), speed(step), scenarios=20, spent=spent, reserved=20)
    assert found.minutes * 60 >= LEAST_SECONDS
    assert LEAST_GROUPS <= found.groups <= 12
    assert found.steps >= 1
    settings = found.settings(BASE)
    settings.check()
    assert (settings.minutes, settings.groups, settings.total_steps) == (found.minutes, found.groups, None)


def test_updates_are_never_larger_than_the_options_say() -> None:
    found = plan(GRPOSettings(groups=2), Size(300, 100), speed(1.0), scenarios=20, spent=0, reserved=0)
    assert found.groups == 2


@pytest.mark.parametrize(
    ("episode", "dilemmas"), [(0.0, 100), (0.01, 100), (1.0, LEAST_SCENARIOS), (60.0, LEAST_SCENARIOS)]
)
def test_the_table_shrinks_on_a_slow_machine(episode: float, dilemmas: int) -> None:
    assert table_size(Size(300, 100), speed(1.0, episode)) == dilemmas


def test_a_plan_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    assert read_plan(tmp_path / "new", WANTED) is None
    write_plan(tmp_path / "demo", WANTED, None)
    assert read_plan(tmp_path / "demo", WANTED) is None
    made = Plan(minutes=3.25, groups=8, steps=40, scenarios=60, speed=speed(1.25))
    write_plan(tmp_path / "demo", WANTED, made)
    assert read_plan(tmp_path / "demo", WANTED) == made


def test_folders_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    write_plan(tmp_path / "demo", WANTED, None)
    with pytest.raises(SettingsError, match=r"holds another demo.*seed 0 there, 1 here"):
        read_plan(tmp_path / "demo", identity("nego-tiny", quick=False, seed=1))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(SettingsError, match="holds no demo"):
        read_plan(tmp_path / "thesis", WANTED)


@pytest.mark.parametrize("held", ["{", "[]", "{}", '{"format": "nego-demo/9"}', json.dumps({"format": "nego-demo/1"})])
def test_a_damaged_file_is_one_line(held: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(held)
    with pytest.raises(SettingsError, match=FILE):
        read_plan(tmp_path, WANTED)


def test_json_is_written_whole(tmp_path: Path) -> None:
    save_json(tmp_path / "a" / "b.json", {"x": 1})
    assert json.loads((tmp_path / "a" / "b.json").read_text()) == {"x": 1}
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.json"]
