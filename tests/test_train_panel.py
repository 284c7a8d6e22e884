"""What a person sees: the curve in block characters, the panel, the lines, the picture."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from nego_env.errors import MissingExtraError
from nego_trainers.curves import chart, save_png
from nego_trainers.metrics import Record
from nego_trainers.panel import Lines, Panel, averages, clock, watcher


def records(count: int) -> list[Record]:
    return [
        {
            "step": i + 1, "reward": i / count, "agreement": 0.5, "rounds": 3.0, "regret": None, "premature": 0.25,
            "zero_variance": 0.125, "tokens_per_second": 1234.5, "kl": 0.01, "entropy": 1.0, "grad_norm": 0.3,
        }
        for i in range(count)
    ]  # fmt: skip


def test_a_rising_curve_rises() -> None:
    lines = chart([0.0, 1.0, 2.0, 3.0], 11, 2)
    # Levels of 16 eighths: 1, 6, 11, 16.
    assert lines == ["  ▃█   3.00", "▁▆██   0.00"]


def test_a_curve_with_more_steps_than_columns_shows_means() -> None:
    lines = chart([1.0, 3.0] * 50, 17, 1)
    assert lines == ["▁▁▁▁▁▁▁▁▁▁   2.00"]


@pytest.mark.parametrize("values", [[], [None, None], [float("nan")]])
def test_nothing_to_draw(values: list[float | None]) -> None:
    assert chart(values, 20, 3) == [" " * 20] * 3


def test_a_gap_in_a_curve() -> None:
    assert chart([1.0, None, 2.0], 10, 1) == ["▁ █   2.00"]


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_panel_fits_and_tells(width: int) -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    panel = Panel("GRPO self-play: nego-tiny", console)
    panel.step(records(30), 0.5, 125.0)
    panel.playing(31, 10, 96)
    console.print(panel.render(width))
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in out.splitlines())
    told = " ".join(out.split())
    for words in ("agreement 50%", "premature 25%", "regret -", "time left 2:05", "10 of 96 episodes"):
        assert words in told
    assert "█" in out


def test_a_live_panel_begins_and_ends() -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with Panel("[bold]a name[/bold]", console) as panel:
        panel.note("going on [with] it")
        panel.step(records(3), 1.0, None)
    assert "going on [with] it" in console.file.getvalue()  # type: ignore[attr-defined]


def test_lines_are_few_and_the_last_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with watcher("a run") as told:
        assert isinstance(told, Lines)
        for n in range(1, 6):
            told.step(records(n), n / 5, 1.0)
    err = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in err] == ["1", "5"]
    assert "reward 0.80" in err[-1]


def test_averages_are_over_the_last_steps() -> None:
    assert averages(records(40))["reward"] == pytest.approx(sum(range(30, 40)) / 400)
    assert averages([])["reward"] is None


def test_clocks() -> None:
    assert [clock(x) for x in (None, -1.0, 5.4, 245.0, 3723.0)] == ["-", "0:00", "0:05", "4:05", "1:02:03"]


def test_the_picture(tmp_path: Path) -> None:
    found = save_png(records(30), [{"step": 10, "reward": 1.0, "regret": 2.0}], tmp_path / "a" / "curves.png", "a run")
    assert found.read_bytes().startswith(b"\x89PNG")


def test_no_picture_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"nego-env\[train\]"):
        save_png(records(3), [], tmp_path / "curves.png", "a run")
