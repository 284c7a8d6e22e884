"""`nego evaluate` and its Python face: seatings, paired seeds, resuming, what counts in which figure, tables."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from nego_env.agents import Reply
from nego_env.errors import AgentError, MissingExtraError, NegoError, NotFoundError, SettingsError, TranscriptError
from nego_env.moves import Move
from nego_env.scenario import Acceptance, Protocol, Scenario, Stakes
from nego_env.store import TranscriptFile
from nego_env.view import View
from nego_scenarios.duels import SHAPES, duel, duels, heldout_two_seat, shape_of, suite_hash, validation_two_seat
from nego_scenarios.themes import theme_names
from nego_trainers.evaluate import evaluate, transcripts
from nego_trainers.evaluate_command import Evaluate
from nego_trainers.model_specs import is_model, with_temperatures
from nego_trainers.references import Premature
from nego_trainers.results import Results
from nego_trainers.seatings import seated
from nego_trainers.tables import print_tables
from nego_trainers.token_counts import token_counts
from tests.support import bargain, dilemma, play, quorum

SUITE = duels(12, split="heldout", shapes=SHAPES, seed=7)


def impossible() -> Scenario:
    """One issue: A1 is worth 3 and 0, A2 0 and 3; both walk away below 2, so every deal is a loss for somebody."""
    scenario = bargain()
    rows = ((3.0, 0.0), (0.0, 3.0))
    return msgspec.structs.replace(
        scenario,
        id="impossible",
        issues=(msgspec.structs.replace(scenario.issues[0], options=scenario.issues[0].options[:2]),),
        seats=tuple(
            msgspec.structs.replace(s, stakes=Stakes((r,), 2)) for s, r in zip(scenario.seats, rows, strict=True)
        ),
    )


class Fixed:
    """Proposes one deal and accepts anything; counts its calls."""

    def __init__(self, deal: str, name: str) -> None:
        self.deal, self.spec, self.calls = deal, name, 0

    def act(self, view: View) -> Move:
        """Accept what others put forward, else propose."""
        self.calls += 1
        return Move.accept() if view.legal.accept else Move.propose(self.deal)


class Talker:
    """Says one thing first, with the tokens it would have taken; then accepts."""

    spec = "talker"

    def act_batch(self, views: list[View]) -> list[Reply]:
        """Three tokens a reply."""
        return [
            Reply("[Accept]" if v.legal.accept else "[Propose: A2 B2]", (1, 2), False, (7, 8, 9), (-0.1, -0.1, -0.1))
            for v in views
        ]


# ---------------------------------------------------------------- duels
def test_duels_are_frozen_by_hash() -> None:
    suite = heldout_two_seat()
    assert len(suite) == 500
    assert suite_hash(suite) == "18e9ece3d83fc3a788a35b934a9e036b0efe30e34e8d396a1439c4496cf1a18a"
    assert suite_hash(validation_two_seat()) == "2500b2985f1dab0945dde7ee147ecd7e03e700aa8d46dbd2096eb12e51add51d"
    assert {shape_of(s) for s in suite} == set(SHAPES)
    assert {s.meta["theme"] for s in suite} == set(theme_names("heldout"))
    for s in suite:
        assert s.n == 2
        assert len({x.stakes.best for x in s.seats if x.stakes}) == 2
        assert s.no_zopa == ("no_zopa" in s.tags)
    assert 0 < sum(s.no_zopa for s in suite) < 50


def test_ranges_of_duels_that_do_not_meet_share_none() -> None:
    first, second = duels(8, shapes=SHAPES, seed=0), duels(8, shapes=SHAPES, seed=8)
    assert not {s.id for s in first} & {s.id for s in second}
    assert duels(8, shapes=SHAPES, seed=4)[:4] == first[4:]
    assert [shape_of(s) for s in first[:4]] == list(SHAPES)
    assert duel(3, split="train", shape="3x4") == duels(1, shapes=("3x4",), seed=3)[0]
    assert not any(s.no_zopa for s in duels(60, shapes=("2x3",), zopa_only=True))


@pytest.mark.parametrize("shape", ["3", "3x", "x3", "1x3", "3x9", "3 x 4", "", "three", "6x2"])
def test_a_shape_that_is_none(shape: str) -> None:
    with pytest.raises(SettingsError, match="ISSUESxOPTIONS, 2 to 5 issues and 2 to 5 options"):
        duel(0, shape=shape)


def test_shapes_in_words() -> None:
    assert (shape_of(bargain()), shape_of(dilemma()), shape_of(quorum())) == ("2x3", "open", "1x3")


# ---------------------------------------------------------------- seatings
def test_reversing_twice_gives_the_same_game() -> None:
    scenario = SUITE[0]
    back = seated(seated(scenario, "reversed"), "reversed")
    assert (back.seats, back.issues, back.protocol, back.task) == (
        scenario.seats, scenario.issues, scenario.protocol, scenario.task,
    )  # fmt: skip
    assert seated(scenario, "given") is scenario
    assert seated(scenario, "reversed").seats == scenario.seats[::-1]
    assert seated(scenario, "reversed").id == f"{scenario.id}.reversed"


def test_vetoes_and_bonuses_stay_with_their_personas() -> None:
    found = seated(quorum(), "reversed").protocol
    assert found == Protocol(acceptance=Acceptance(3, (3,)), bonus={"seat_3": 10})


# ---------------------------------------------------------------- what is played
def test_paired_seeds_are_equal() -> None:
    """Two entries of one agent under two names play the same words: scenario, seating, seed and generator are the same."""
    seen: dict[str, list[tuple[int, ...]]] = {"one": [], "two": []}

    class Dice:
        def __init__(self, name: str) -> None:
            self.spec = name

        def act(self, view: View) -> Move:
            seen[self.spec].append((view.round, view.index, int(view.rng.integers(1000))))
            options = [i.options[int(view.rng.integers(len(i.options)))].id for i in view.scenario.issues]
            return Move.propose(options)

    found = evaluate({"one": Dice("one"), "two": Dice("two")}, SUITE[:4], seeds=(3, 4), in_flight=1)
    assert seen["one"] == seen["two"]
    for r1, r2 in zip(found.runs["one"], found.runs["two"], strict=True):
        assert r1 == r2
    assert found.runs["one"][0] != found.runs["one"][1]
    assert found.difference("one", "two", "ca")[:3] == (0.0, 0.0, 0.0)


def test_every_scenario_in_every_seating() -> None:
    both = evaluate(["conceder"], SUITE)
    assert both.array("conceder", "rounds").shape == (1, 12, 2)
    given, turned = (evaluate(["conceder"], SUITE, seating=s) for s in ("given", "reversed"))  # type: ignore[arg-type]
    assert [e.seating for e in given.runs["conceder"][0]] == ["given"] * 12
    assert np.array_equal(both.array("conceder", "ca")[0, :, 0], given.array("conceder", "ca")[0, :, 0], equal_nan=True)
    assert turned.seatings == ("reversed",)
    alone = play(seated(bargain(), "reversed"), "[Propose: A1 B1]", "[Accept]")
    assert alone.outcome.scores == (2.0, 2.0)  # A1 B1 is worth 2 to both, whoever opens


def test_the_order_and_number_in_flight_do_not_matter() -> None:
    one, many = (evaluate(["random", "micro"], SUITE, in_flight=n) for n in (1, 50))
    assert one.runs == many.runs


def test_cross_play_seats_every_ordered_pair() -> None:
    fair, greedy = Fixed("A2 B2", "fair"), Fixed("A2 B1", "greedy")
    entries = {"optimum": "optimum", "fair": fair, "greedy": greedy, "table": [fair, greedy]}
    found = evaluate(entries, [bargain()], seating="given", cross=True)
    assert found.names == ("optimum", "fair", "greedy", "table", "fair vs greedy", "greedy vs fair")
    assert found.agents["greedy vs fair"] == ("greedy", "fair")
    ca = {n: float(found.array(n, "ca")[0, 0, 0]) for n in found.names}
    assert ca == {"optimum": 5, "fair": 5, "greedy": 0, "table": 5, "fair vs greedy": 5, "greedy vs fair": 0}
    assert found.estimate("greedy vs fair", "capitulation_1").value == 1.0
    assert found.median(["fair", "greedy", "table"], "ca").value == 5.0


# ---------------------------------------------------------------- what counts where
def test_failed_negotiations_count_and_impossible_ones_stand_apart() -> None:
    stubborn = Premature()  # in `bargain` it holds out for 6 against 0: nobody can accept
    found = evaluate({"premature": stubborn, "optimum": "optimum"}, [bargain(), impossible()])
    assert found.estimate("premature", "ca")[:1] == (0.0,)
    assert found.estimate("premature", "regret").value == 5.0
    assert found.estimate("premature", "regret").n == 2
    assert found.estimate("premature", "agreement").n == 2
    assert found.estimate("premature", "least_gain").value == 0.0
    assert found.estimate("premature", "no_zopa_deals") == (0.0, 0.0, 0.0, 2)
    assert found.estimate("premature", "premature").n == 0  # of deals: there was none
    assert found.estimate("optimum", "ca").value == 5.0
    assert found.estimate("optimum", "least_gain").value == 0.5
    assert found.estimate("optimum", "rounds").n == 0
    eager = evaluate({"eager": Fixed("A1", "eager")}, [impossible()])
    assert eager.estimate("eager", "no_zopa_deals").value == 1.0
    assert "ca" not in eager.metrics


def test_unscored_episodes_are_counted_and_in_no_figure(caplog: pytest.LogCaptureFixture) -> None:
    def broken(view: View) -> Move:
        if view.scenario.id.endswith(".reversed"):
            raise RuntimeError("no")
        return Move.accept() if view.legal.accept else Move.propose("A2 B2")

    found = evaluate({"broken": broken}, [bargain()], redraws=0)
    assert found.counts("broken") == (2, 1, {"agent_error": 1, "agreement": 1})
    assert found.estimate("broken", "ca") == (5.0, 5.0, 5.0, 1)
    assert "broken: 1 of 2 episodes failed" in found.table()


def test_premature_opens_with_its_best_and_takes_what_is_no_loss() -> None:
    t = play(bargain(), "[Propose: A2 B1]")
    assert t.deal is None
    found = evaluate(
        {"premature": "premature", "mixed": ["premature", Fixed("A2 B3", "f")]}, [bargain()], seating="given"
    )
    assert found.estimate("mixed", "own_best").value == 1.0
    assert found.estimate("mixed", "premature").value == 1.0
    with pytest.raises(AgentError, match="structured"):
        evaluate(["premature"], [dilemma()], judge="heuristic")


def test_open_dilemmas_need_a_judge_that_is_named() -> None:
    with pytest.raises(SettingsError, match="'last-ferry' is an open dilemma"):
        evaluate(["mediator"], [dilemma()])
    found = evaluate(["mediator"], [dilemma()], judge="heuristic")
    assert set(found.metrics) == {"agreement", "rounds", "judged"}
    assert "judged" in found.table(80)


# ---------------------------------------------------------------- files
def test_resuming_reads_what_is_there(tmp_path: Path) -> None:
    agent = Fixed("A2 B2", "fixed")
    first = evaluate({"fixed": agent}, [bargain()], out=tmp_path, seeds=(0, 1))
    assert agent.calls > 0
    agent.calls = 0
    again = evaluate({"fixed": agent}, [bargain()], out=tmp_path, seeds=(0, 1))
    assert agent.calls == 0
    assert again.runs == first.runs
    path = tmp_path / "fixed.seed1.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])  # one episode lost
    assert evaluate({"fixed": agent}, [bargain()], out=tmp_path, seeds=(0, 1)).runs == first.runs
    assert agent.calls == 2
    assert len(list(transcripts(again, "fixed"))) == 4
    with pytest.raises(TranscriptError, match="holds another run"):
        evaluate({"fixed": agent}, SUITE[:1], out=tmp_path)
    with pytest.raises(SettingsError, match="were not kept"):
        next(transcripts(evaluate({"fixed": agent}, [bargain()]), "fixed"))


def test_a_folder_goes_on_with_more_scenarios_or_fewer(tmp_path: Path) -> None:
    agent = Fixed("A2 B2", "fixed")
    suite = [bargain(), bargain(max_rounds=3)]
    suite[1] = msgspec.structs.replace(suite[1], id="short")
    evaluate({"fixed": agent}, suite, out=tmp_path, scenarios=1)
    calls = agent.calls
    more = evaluate({"fixed": agent}, suite, out=tmp_path)
    assert agent.calls == 2 * calls
    assert more.counts("fixed")[0] == 4
    fewer = evaluate({"fixed": agent}, suite, out=tmp_path, scenarios=1)
    assert agent.calls == 2 * calls
    assert fewer.runs["fixed"][0] == more.runs["fixed"][0][:2]
    assert len(list(transcripts(fewer, "fixed"))) == 2


def test_names_that_are_no_file_names(tmp_path: Path) -> None:
    names = ["a/b", "a b", "../up", "é", "x" * 300]
    found = evaluate({n: Fixed("A2 B2", n) for n in names}, [bargain()], out=tmp_path, seating="given")
    files = [f for n in names for f in found.files[n]]
    assert len(set(files)) == 5
    assert all(f.parent == tmp_path and f.is_file() for f in files)


@pytest.mark.parametrize("kept", [True, False])
def test_tokens_are_counted_also_when_resumed(tmp_path: Path, kept: bool) -> None:
    found = evaluate({"talker": Talker()}, [bargain()], out=tmp_path, tokens=kept, seating="given")
    assert found.estimate("talker", "tokens").value == 6.0  # two replies of three tokens
    again = evaluate({"talker": Talker()}, [bargain()], out=tmp_path, tokens=kept, seating="given")
    assert again.estimate("talker", "tokens").n == (1 if kept else 0)  # no token file, and no usage in the sidecar


def test_tokens_from_the_sidecar(tmp_path: Path) -> None:
    class Endpoint:
        spec = "endpoint"

        def act(self, view: View) -> Reply:
            return Reply("[Accept]" if view.legal.accept else "[Propose: A2 B2]", usage={"completion_tokens": 5})

    evaluate({"endpoint": Endpoint()}, [bargain()], out=tmp_path, seating="given")
    path = tmp_path / "endpoint.seed0.jsonl"
    assert list(token_counts(path).values()) == [10]
    with Path(f"{path}.meta.jsonl").open("ab") as f:
        f.write(b'{"id":"torn')
    assert list(token_counts(path).values()) == [10]
    assert (
        evaluate({"endpoint": Endpoint()}, [bargain()], out=tmp_path, seating="given")
        .estimate("endpoint", "tokens")
        .value
        == 10.0
    )


# ---------------------------------------------------------------- results
@pytest.fixture(scope="module")
def field() -> Results:
    """A small field."""
    return evaluate(["optimum", "premature", "revealer", "random"], SUITE, seeds=(0, 1), resamples=200)


def test_pooled_entries_are_the_runs_of_one(field: Results) -> None:
    pooled = field.pooled({"both": ["revealer", "random"], "optimum": ["optimum"]})
    assert pooled.array("both", "ca").shape == (4, 12, 2)
    expected = (field.estimate("revealer", "ca").value + field.estimate("random", "ca").value) / 2
    assert pooled.estimate("both", "ca").value == pytest.approx(expected)
    assert pooled.agents["both"] == ("revealer", "random")
    with pytest.raises(NotFoundError, match="unknown entry 'revealr'; did you mean 'revealer'"):
        field.pooled({"x": ["revealr"]})
    with pytest.raises(NotFoundError):
        field.array("nobody", "ca")


def test_a_difference_is_one_of_the_figures(field: Results) -> None:
    found = field.difference("revealer", "random", "ca")
    ca = field.intervals("ca")
    assert found.value == pytest.approx(ca["revealer"].value - ca["random"].value)
    assert 0 < found.low < found.value < found.high
    assert field.difference("random", "revealer", "ca").high == pytest.approx(-found.low)


def test_by_shape(field: Results) -> None:
    assert field.shapes == tuple(shape_of(s) for s in SUITE[:4])
    part = field.where("3x3")
    assert len(part.scenarios) == 3
    assert part.estimate("revealer", "ca").value == field.by_shape("revealer")["3x3"].value
    with pytest.raises(SettingsError, match="no scenario has the shape '9x9'"):
        field.where("9x9")


def test_regret_by_round_and_of_deals(field: Results) -> None:
    curve = field.regret_by_round("revealer")
    assert len(curve) == 7
    assert curve[0] == 5.0
    assert curve[-1] == pytest.approx(field.estimate("revealer", "regret").value)
    deals = field.regret_of_deals("revealer")
    assert sum(n for _, n in deals.values()) == field.estimate("revealer", "premature").n
    assert field.regret_by_round("optimum") == []


def test_json_is_plain_and_complete(field: Results) -> None:
    found = json.loads(json.dumps(field.to_json(), allow_nan=False))
    assert found["format"] == "nego-evaluation/1"
    assert found["sha256"] == suite_hash(SUITE)
    assert found["seeds"] == [0, 1]
    revealer = found["entries"]["revealer"]
    assert (revealer["runs"], revealer["episodes"], revealer["unscored"]) == (2, 48, 0)
    assert {"agreement", "ca", "regret", "least_gain", "rounds", "premature", "uninformed", "own_best"} <= set(
        revealer["figures"]
    )
    assert set(revealer["figures"]["ca"]) == {"mean", "low", "high", "n", "iqm"}
    assert set(revealer["ca_by_shape"]) == set(SHAPES)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_tables_fit_and_tell(field: Results, width: int) -> None:
    text = field.table(width)
    assert all(len(line) <= width for line in text.splitlines())
    for word in ("optimum", "premature", "revealer", "CA", "regret", "own best", "gave in", "12 dilemmas"):
        assert word in text or width == 60
    assert "5.00" in text
    lines = [line.split()[0] for line in text.splitlines() if line.split()[:1]]
    assert lines.index("optimum") < lines.index("revealer") < lines.index("random")


def test_names_are_printed_as_text() -> None:
    from rich.console import Console

    name = "[bold]x[/bold]\x1b[31m"
    found = evaluate({name: Fixed("A2 B2", "fixed")}, [bargain()], resamples=10)
    out = io.StringIO()
    print_tables(found, Console(file=out, width=160, color_system=None))
    assert "[bold]x[/bold]\\x1b[31m" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_mistakes_before_anything_is_played() -> None:
    for entries, suite, options, error, message in (
        ([], SUITE, {}, SettingsError, "no entries"),
        ("boulware", SUITE, {}, SettingsError, "one name"),
        (["boulwar"], SUITE, {}, NotFoundError, "did you mean 'boulware'"),
        (["boulware"], [], {}, SettingsError, "empty"),
        (["boulware"], SUITE, {"seeds": ()}, SettingsError, "at least one"),
        (["boulware"], SUITE, {"seeds": (1, 1)}, SettingsError, "each once"),
        (["boulware"], SUITE, {"scenarios": 0}, SettingsError, "at least 1"),
        ({"three": ["micro"] * 3}, SUITE, {}, AgentError, "at most 2"),
        (["boulware"], SUITE, {"max_rounds": 0}, SettingsError, "max_rounds"),
    ):
        arguments: Any = (entries, suite)
        with pytest.raises(error, match=message):
            evaluate(*arguments, **options)  # type: ignore[arg-type]


# ---------------------------------------------------------------- language models by name
def test_temperatures_multiply_models_that_name_none() -> None:
    found = with_temperatures(["hf:m", "conceder", "hf:m,temperature=0.3", "hf:m,top_p=0.9"], [1.0, 0.7, 0])
    assert found == [
        "hf:m,temperature=1", "hf:m,temperature=0.7", "hf:m,temperature=0", "conceder", "hf:m,temperature=0.3",
        "hf:m,top_p=0.9,temperature=1", "hf:m,top_p=0.9,temperature=0.7", "hf:m,top_p=0.9,temperature=0",
    ]  # fmt: skip
    assert with_temperatures(["hf:m", "hf:m", "hf"], []) == ["hf:m", "hf"]
    assert with_temperatures(["hf"], [0.7]) == ["hf:nego-tiny,temperature=0.7"]
    assert [is_model(n) for n in ("hf", "hf:a/b", "hfx", "micro")] == [True, True, False, False]


# ---------------------------------------------------------------- the command
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = Evaluate(agents=("optimum", "revealer", "premature"), scenarios=5, out=tmp_path, pairs=True, resamples=50)
    assert command.run() == 0
    out = capsys.readouterr().out
    assert "revealer" in out
    assert "saved:" in out
    assert "consistent wins" in out
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found["entries"]) == {"optimum", "revealer", "premature"}
    assert len(found["pairs"]) == 1  # the optimum wrote no completions
    assert len(TranscriptFile(tmp_path / "revealer.seed0.jsonl")) == 10
    assert replace(command, json=True).run() == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == found
    assert err == ""


def test_the_command_draws_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    command = Evaluate(agents=("optimum", "micro"), scenarios=3, out=tmp_path, plot=True, json=True, resamples=20)
    assert command.run() == 0
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_extra_is_named_before_anything_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    command = Evaluate(agents=("micro",), scenarios=1, out=tmp_path / "x", plot=True)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'nego-env[train]'")):
        command.run()
    assert not (tmp_path / "x").exists()


def test_a_language_model_at_two_temperatures(tmp_path: Path) -> None:
    """Both entries play the same episodes with the same model; what they sampled is counted."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from nego_agents.local.agent import HFAgent
    from nego_agents.local.model import LocalModel
    from nego_agents.local.sampling import Sampling
    from tests.tiny_models import shared_tokenizer, tiny_model

    torch.set_num_threads(1)
    model = LocalModel(tiny_model(), shared_tokenizer(), name="tiny")
    agents = {
        f"t={t:g}": HFAgent(model=model, sampling=Sampling(t, max_new_tokens=6), spec=f"tiny,t={t:g}")
        for t in (1.0, 0.0)
    }
    found = evaluate(agents, SUITE[:2], out=tmp_path, max_rounds=2, resamples=10)
    assert found.counts("t=0")[:2] == (4, 0)
    assert 0 < found.estimate("t=1", "tokens").value <= 4 * 6
    again = evaluate(agents, SUITE[:2], out=tmp_path, max_rounds=2, resamples=10)
    assert again.runs == found.runs  # counted anew from the sidecar


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"scenarios": 0}, "--scenarios is 0"),
        ({"in_flight": 0}, "--in-flight is 0"),
        ({"seeds": (-1,)}, "--seeds is -1"),
        ({"resamples": 1}, "--resamples is 1"),
        ({"temperature": (-0.5,)}, "--temperature is -0.5"),
        ({"temperature": (0.7,)}, "none is among --agents"),
        ({"timeout": 0.0}, "--timeout is 0"),
        ({"suite": "nowhere-at-all"}, "unknown scenario"),
        ({"suite": "open"}, "judge"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, flags: dict[str, Any], message: str) -> None:
    with pytest.raises(NegoError, match=message) as e:
        Evaluate(**{"agents": ("mediator",), "out": tmp_path / "x", **flags}).run()
    assert "\n" not in str(e.value)
    assert not (tmp_path / "x").exists()


def test_nothing_scored_is_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bad.py"
    file.write_text("def bad(view):\n    raise RuntimeError('no')\n")
    command = Evaluate(agents=(f"{file}:bad",), scenarios=1, out=tmp_path / "x", redraws=0, resamples=10)
    assert command.run() == 1


def test_ctrl_c_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nego_trainers.evaluate.evaluate", stop)
    assert Evaluate(agents=("micro",), out=tmp_path).run() == 130
    assert f"the same command with --out {tmp_path} goes on" in capsys.readouterr().err
