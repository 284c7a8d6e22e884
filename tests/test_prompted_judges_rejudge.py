"""`nego rejudge`: saved transcripts scored again, and how far two judges agree. The arithmetic is worked by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_support import clean_environment  # noqa: F401  # an autouse fixture
from hypothesis import given
from hypothesis import strategies as st
from stand_in import StandIn

from nego_agents.judging.commands import Rejudge
from nego_agents.judging.concordance import concordance, levels
from nego_agents.judging.judge import PromptedJudge
from nego_agents.judging.rejudging import Rejudgement, rejudge
from nego_env.errors import BackendError, BudgetError, NotFoundError, RunError, SettingsError, TranscriptError
from nego_env.judges import ExactJudge, Judge
from nego_env.rollout import run_blocking
from nego_env.store import TranscriptWriter
from nego_env.transcript import Transcript
from tests.judge_samples import Model, rule_follower
from tests.support import FixedJudge, bargain, dilemma, play

PLANS = ("We will wait.", "We will wait and will share.", "We wait.", "We will wait, will share and will pay.")


def open_episodes() -> list[Transcript]:
    """Four agreed ones, scored 3 by the fixed judge, and one that reached the cap."""
    judge = FixedJudge(3.0)
    agreed = [play(dilemma(), "Let us wait.", "Fine. [Agree]", p, judge=judge) for p in PLANS]
    return [*agreed, play(dilemma(max_rounds=1), "No.", "No.", judge=FixedJudge(agreed=False))]


def structured_episodes() -> list[Transcript]:
    """Deals of different worth, and a walk-away."""
    deals = ("A2 B2", "A1 B1", "A3 B3", "A2 B1")
    played = [play(bargain(), f"[Propose: {d}]", "[Accept]") for d in deals]
    return [*played, play(bargain(), "Hm.", "[Walk]")]


def saved(path: Path, episodes: list[Transcript]) -> Path:
    with TranscriptWriter(path) as writer:
        for i, t in enumerate(episodes):
            writer.write(numbered(t, i))
    return path


def numbered(t: Transcript, i: int) -> Transcript:
    from msgspec.structs import replace

    return replace(t, index=i, id=f"{i:024x}")


def again(episodes: list[Transcript], judge: Judge, **options: int) -> Rejudgement:
    return run_blocking(rejudge([numbered(t, i) for i, t in enumerate(episodes)], judge, **options))


# ---------------------------------------------------------------- statistics
def test_the_figures_worked_by_hand() -> None:
    """a = 0 1 2 5, b = 0 2 2 4. Differences 0 1 0 1: exact 2/4, within one 4/4.

    sum w O = 0 + 1 + 0 + 1 = 2. sum w E = (1/4) sum over all 16 pairs of (a_i - b_j)^2:
    a = 0: 0 4 4 16 = 24; a = 1: 1 1 1 9 = 12; a = 2: 4 0 0 4 = 8; a = 5: 25 9 9 1 = 44; together 88, over 4 is 22.
    kappa = 1 - 2/22 = 10/11. Means 2 and 2; covariance (0 + 2 + 4 + 20)/4 - 4 = 2.5; variances 7.5 - 4 = 3.5 and 6 - 4 = 2;
    r = 2.5 / sqrt(7).
    """
    found = concordance([0, 1, 2, 5], [0, 2, 2, 4])
    assert (found.n, found.exact, found.within_one, found.first_mean, found.second_mean) == (4, 0.5, 1.0, 2.0, 2.0)
    assert found.kappa == pytest.approx(10 / 11)
    assert found.pearson == pytest.approx(2.5 / 7**0.5)


def test_a_sample_with_the_figures_of_the_papers_table_7() -> None:
    """Scores that GPT-5.2 (columns 1 to 4) may have given where GPT-4o-mini gave 2, 3, 4, 5: 2, 18, 40 and 40 dialogues."""
    counts = {2: (0, 2, 0, 0), 3: (0, 6, 2, 10), 4: (0, 7, 9, 24), 5: (0, 6, 5, 29)}
    pairs = [(a, b) for a, row in counts.items() for b, k in enumerate(row, 1) for _ in range(k)]
    found = concordance(*zip(*pairs, strict=True))
    assert (found.n, found.exact, found.within_one) == (100, 0.28, 0.82)
    assert (round(found.first_mean or 0, 2), round(found.second_mean or 0, 2)) == (4.18, 3.42)
    assert (round(found.pearson or 0, 2), round(found.kappa or 0, 2)) == (0.24, 0.17)


def test_the_ends_of_kappa() -> None:
    assert concordance([0, 5, 3], [0, 5, 3]).kappa == 1.0
    assert concordance([0, 5], [5, 0]).kappa == -1.0
    assert concordance([0, 0, 5, 5], [0, 5, 0, 5]).kappa == 0.0
    flat = concordance([4, 4, 4], [4, 4, 4])
    assert (flat.exact, flat.kappa, flat.pearson) == (1.0, None, None)
    assert concordance([4, 4, 4], [4, 3, 5]).kappa == 0.0
    assert concordance([], []) == (0, None, None, None, None, None, None)


def test_what_scores_may_be() -> None:
    assert levels([0.49, 0.5, 1.5, 2.5, 4.999]).tolist() == [0, 1, 2, 3, 5]
    for bad in (5.1, -0.1, float("nan")):
        with pytest.raises(SettingsError, match=r"lies in \[0, 5\]"):
            concordance([bad], [1])
    with pytest.raises(SettingsError, match="must be of the same items"):
        concordance([1, 2], [1])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_kappa_is_symmetric_and_equals_its_moment_form(pairs: list[tuple[int, int]]) -> None:
    a, b = zip(*pairs, strict=True)
    found, turned = concordance(a, b), concordance(b, a)
    n = len(a)
    crossed = sum((x - y) ** 2 for x in a for y in b) / n
    expected = None if crossed == 0 else 1 - sum((x - y) ** 2 for x, y in pairs) / crossed
    assert (found.kappa is None) == (expected is None)
    if found.kappa is not None and turned.kappa is not None:
        assert found.kappa == pytest.approx(expected)
        assert turned.kappa == pytest.approx(found.kappa)
        assert -1.0 - 1e-9 <= found.kappa <= 1.0


# ---------------------------------------------------------------- scoring again
def test_every_completion_is_scored_again_and_others_are_counted() -> None:
    found = again(open_episodes(), PromptedJudge(Model(reply=rule_follower)))
    assert [(e.old and e.old.value, e.new and e.new.value, e.difference) for e in found.episodes] == [
        (3.0, 1.0, -2.0),
        (3.0, 2.0, -1.0),
        (3.0, 0.0, -3.0),
        (3.0, 3.0, 0.0),
    ]
    assert (found.judged, found.failed, found.without_completion) == (4, 0, 1)
    ((key, figures),) = found.by_old_judge().items()
    assert key == ("fixed", "CA")
    assert (figures.n, figures.exact, figures.within_one, figures.kappa) == (4, 0.25, 0.5, 0.0)


def test_the_exact_judge_agrees_with_itself() -> None:
    found = again(structured_episodes(), ExactJudge())
    (figures,) = found.by_old_judge().values()
    assert (found.judged, found.without_completion) == (4, 1)
    assert len({e.new.value for e in found.episodes if e.new}) > 1
    assert (figures.exact, figures.kappa) == (1.0, 1.0)


def test_unlike_figures_are_not_mixed() -> None:
    found = again([*open_episodes(), *structured_episodes()], PromptedJudge(Model(reply=lambda messages: "2")))
    assert [(key, f.n) for key, f in found.by_old_judge().items()] == [(("exact", "CA"), 4), (("fixed", "CA"), 4)]


def test_a_judge_that_fails_on_one_loses_that_one() -> None:
    found = again(open_episodes(), PromptedJudge(Model("4", BackendError("half a reply"), "5", "3")), in_flight=1)
    assert [e.new and e.new.value for e in found.episodes] == [4.0, None, 5.0, 3.0]
    assert (found.judged, found.failed) == (3, 1)
    assert "half a reply" in (found.episodes[1].error or "")
    ((_, figures),) = found.by_old_judge().items()
    assert figures.n == 3
    assert again(open_episodes(), ExactJudge()).failed == 4  # no deals to score


def test_a_spent_budget_keeps_what_there_is() -> None:
    found = again(open_episodes(), PromptedJudge(Model("4", BudgetError("the budget is spent"))), in_flight=1)
    assert [e.new and e.new.value for e in found.episodes] == [4.0, None, None, None]
    assert (found.judged, found.failed, found.stopped) == (1, 0, "the budget is spent")


def test_what_would_fail_every_time_stops_at_once() -> None:
    model = Model(reply=lambda messages: (_ for _ in ()).throw(RunError("wrong key")))
    with pytest.raises(RunError, match="wrong key"):
        again(open_episodes(), PromptedJudge(model), in_flight=1)
    assert len(model.asked) == 1


def test_an_unscored_completion_has_no_old_score() -> None:
    class Broken(FixedJudge):
        def judge(self, case: object) -> object:  # type: ignore[override]
            found = super().judge(case)  # type: ignore[arg-type]
            return None if found.kind == "score" else found

    from nego_env import play as engine

    lines = iter(["Let us wait.", "Fine. [Agree]", "We will wait."])
    t = engine(dilemma(), lambda view: next(lines), judge=Broken(), redraws=0)
    found = again([t], PromptedJudge(Model("4")))
    assert (found.episodes[0].old, found.judged, found.by_old_judge()) == (None, 1, {})


# ---------------------------------------------------------------- the command
@pytest.fixture
def server() -> Iterator[StandIn]:
    """Scores a plan by its 'will's, as a function of the request."""
    from nego_env.messages import Message

    def reply(messages: list[dict[str, str]]) -> str:
        return rule_follower([Message(m["role"], m["content"]) for m in messages])  # type: ignore[arg-type]

    with StandIn(reply=reply) as standing_in:
        yield standing_in


def judge_file(tmp_path: Path, server: StandIn) -> str:
    path = tmp_path / "mine.py"
    path.write_text(
        "from nego_agents.chat.backend import ChatBackend\n"
        "from nego_agents.judging.judge import PromptedJudge\n"
        f"judge = PromptedJudge(ChatBackend('stand-in@{server.url}', cache=True))\n"
        "print('a judge that prints')\n"
    )
    return f"{path}:judge"


def test_the_command_shows_both_scores(tmp_path: Path, server: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(tmp_path / "run.jsonl", open_episodes())
    before = file.read_bytes()
    assert Rejudge(file, judge_file(tmp_path, server)).run() == 0
    out = capsys.readouterr().out
    assert "4 of 4 completions scored again; 1 episode without a completion left out" in out
    row = next(line for line in out.splitlines() if "last-ferry" in line)
    assert [cell.strip() for cell in row.split("│")[1:6]] == ["2", "last-ferry", "3", "0", "-3"]  # differs most
    assert "agreement; old: fixed" in out
    assert "50 %" in out  # within one
    assert file.read_bytes() == before
    assert Rejudge(file, judge_file(tmp_path, server), rows=1).run() == 0
    assert "3 more, which differ less" in capsys.readouterr().out
    assert server.calls == 4  # the second time from the cache


def test_json_is_one_object_and_nothing_else(
    tmp_path: Path, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path / "run.jsonl", open_episodes())
    assert Rejudge(file, judge_file(tmp_path, server), json=True).run() == 0
    out = capsys.readouterr().out
    found = json.loads(out)
    assert out.count("\n") == 1
    assert [(e["index"], e["old"]["value"], e["new"]["value"], e["new"]["raw"]) for e in found["episodes"]] == [
        (0, 3.0, 1.0, "1"), (1, 3.0, 2.0, "2"), (2, 3.0, 0.0, "0"), (3, 3.0, 3.0, "3"),
    ]  # fmt: skip
    assert (found["judged"], found["failed"], found["without_completion"], found["stopped"]) == (4, 0, 1, None)
    assert found["judge"].startswith("prompted:stand-in@127.0.0.1")
    assert found["agreement"] == [
        {"old_judge": "fixed", "old_label": "CA", "n": 4, "exact": 0.25, "within_one": 0.5, "pearson": None, "kappa": 0.0,
         "first_mean": 3.0, "second_mean": 1.5}
    ]  # fmt: skip


def test_the_exact_judge_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(tmp_path / "run.jsonl", structured_episodes())
    assert Rejudge(file, "exact", episodes=2, json=True).run() == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["judged"], found["without_completion"]) == (2, 0)
    assert Rejudge(file, "exact").run() == 0
    assert "statistics are of scores rounded to whole points" in capsys.readouterr().out


def test_nothing_judged_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(tmp_path / "run.jsonl", open_episodes())
    assert Rejudge(file, "exact").run() == 1
    assert "0 of 4 completions scored again; 4 without a verdict" in capsys.readouterr().out
    capped = saved(tmp_path / "capped.jsonl", open_episodes()[4:])
    assert Rejudge(capped, "exact", json=True).run() == 1
    assert json.loads(capsys.readouterr().out)["episodes"] == []


def test_what_agents_and_judges_wrote_is_shown_and_not_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from nego_env import Verdict\n"
        "class Rude:\n"
        "    name = 'rude[red]\\x1b[2J'\n"
        "    def judge(self, case):\n"
        "        return Verdict('score', self.name, 4.0, reason='[bold]\\x1b[31mred')\n"
    )
    file = saved(tmp_path / "run.jsonl", open_episodes())
    assert Rejudge(file, f"{path}:Rude").run() == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]\\x1b[31mred" in out


def test_mistakes_are_told(tmp_path: Path) -> None:
    file = saved(tmp_path / "run.jsonl", open_episodes())
    with pytest.raises(TranscriptError, match="no such file"):
        Rejudge(tmp_path / "none.jsonl", "exact").run()
    with pytest.raises(SettingsError, match="say who judges: --judge exact"):
        Rejudge(file).run()
    with pytest.raises(NotFoundError, match="exakt"):
        Rejudge(file, "exakt").run()
    for wrong in ({"episodes": 0}, {"rows": -1}, {"in_flight": 0}):
        with pytest.raises(SettingsError, match="must be at least"):
            Rejudge(file, "exact", **wrong).run()  # type: ignore[arg-type]
