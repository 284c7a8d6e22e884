"""The command line: a mistake is one clear line and exit code 2, `--json` parses, every command explains itself."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nego_env.cli import main
from nego_env.registry import entry_points, load_entry_point
from nego_env.store import read_final

ROOT = Path(__file__).parent.parent
ALLOTMENT = str(ROOT / "examples" / "allotment.toml")
PLAY = ["play", "--scenario", ALLOTMENT, "--agents", "revealer", "conceder"]

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test plays in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mistake(said: Said, *args: str) -> str:
    """The one line on stderr that a mistake gets, without its prefix."""
    assert main(list(args)) == 2
    out, err = said.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    assert err.startswith("nego: error: ")
    return err.removeprefix("nego: error: ").rstrip("\n")


def played(out: str = "run.jsonl", *more: str) -> Path:
    """A file with two episodes in it."""
    assert main([*PLAY, "--episodes", "2", "--out", out, *more]) == 0
    return Path(out)


def nego(*args: str, stdin: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "nego_env.cli", *args]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


# ---------------------------------------------------------------- names that are not there
@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["paly"], "unknown command 'paly'; did you mean 'play'"),
        (
            ["zzzz"],
            "unknown command 'zzzz'; known: agents, demo, evaluate, play, pretrain, rejudge, replay, scenarios, train",
        ),
        (["play", "--scenario", "thesis-deadlin"], "unknown scenario 'thesis-deadlin'; did you mean 'thesis-deadline'"),
        (
            ["play", "--scenario", "zzzz"],
            "unknown scenario 'zzzz'; packs: duels, duels-validation, heldout, open, train (nego scenarios list shows",
        ),
        (["play", "--scenario", "no/such.toml"], "no file or folder no/such.toml"),
        (["play", "--agents", "bulware"], "unknown agent 'bulware'; did you mean 'boulware'"),
        (["play", "--judge", "exakt"], "unknown judge 'exakt'; did you mean 'exact'"),
        (["scenarios", "shwo"], "unknown command nego scenarios 'shwo'; did you mean 'show'?"),
        (["scenarios", "show", "thesis-deadlin"], "did you mean 'thesis-deadline'"),
        (["scenarios", "list", "heldoud"], "unknown pack or path 'heldoud'; did you mean 'heldout'"),
        (["replay", "nothing.jsonl"], "nothing.jsonl: no such file"),
    ],
)
def test_unknown_names(args: list[str], told: str, capsys: Said) -> None:
    assert told in mistake(capsys, *args)


# ---------------------------------------------------------------- wrong values
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--episodes", "0"], "--episodes is 0, it must be at least 1"),
        (["--episodes", "-3"], "--episodes is -3, it must be at least 1"),
        (["--episodes", "many"], "--episodes: expected INT, found 'many' (nego play --help tells more)"),
        (["--episodes"], "Missing value for argument '--episodes'"),
        (["--episdoes", "3"], "did you mean --episodes?"),
        (["--seed", "-1"], "--seed is -1, it must be at least 0"),
        (["--seed", "1.5"], "invalid literal for int() with base 10: '1.5'"),
        (["--max-rounds", "0"], "--max-rounds is 0, it must be at least 1"),
        (["--memory", "0"], "--memory is 0, it must be at least 1"),
        (["--selfishness", "1.5"], "--selfishness is 1.5, it must lie in [0, 1]"),
        (["--selfishness", "nan"], "--selfishness is nan, it must lie in [0, 1]"),
        (["--in-flight", "0"], "--in-flight is 0, it must be at least 1"),
        (["--redraws", "-1"], "--redraws is -1, it must be at least 0"),
        (["--timeout", "0"], "--timeout is 0, it must be above 0"),
        (["--completion", "sing"], "invalid choice 'sing' for argument '--completion'"),
        (["--agents", "revealer", "conceder", "micro"], "3 agents for the 2 seats of 'allotment': give at most 2"),
        (["--agents"], "no agents given"),
    ],
)
def test_wrong_values(flags: list[str], told: str, capsys: Said) -> None:
    assert told in mistake(capsys, "play", "--scenario", ALLOTMENT, *flags)
    assert list(Path().iterdir()) == [], "a call that never was one leaves nothing behind"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--selfishness", "0.5"], "is an open dilemma: nobody has private scores, so selfishness must be 0"),
        (["--judge", "exact"], "is an open dilemma: it has no scores for the exact judge"),
        (["--completion", "render"], "is an open dilemma: there is no deal to render"),
    ],
)
def test_settings_that_do_not_fit_an_open_dilemma(flags: list[str], told: str, capsys: Said) -> None:
    assert told in mistake(capsys, "play", "--scenario", "thesis-deadline", "--agents", "mediator", *flags)


def test_an_agent_that_plays_no_open_dilemmas_is_refused_before_the_run(capsys: Said) -> None:
    told = mistake(capsys, "play", "--scenario", "thesis-deadline", "--agents", "boulware")
    assert told == "agent 'boulware' plays structured dilemmas only; 'thesis-deadline' is open"


# ---------------------------------------------------------------- agents of one's own
GOOD = "def mine(view):\n    return 'Let us see. [Reveal: A]' if view.round < 3 else 'Fine. [Accept]'\n"


def test_an_agent_from_a_file_plays(capsys: Said) -> None:
    Path("my_file.py").write_text(GOOD)
    assert main(["play", "--scenario", ALLOTMENT, "--agents", "my_file.py:mine", "boulware", "--json"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["agents"] == ["my_file.py:mine", "boulware"]
    assert row["scored"] is True


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("my_file.py:yours", "unknown agent in my_file.py 'yours'; known: mine"),
        ("other.py:mine", "agent 'other.py:mine': no file other.py"),
        ("broken.py:mine", "does not run: ZeroDivisionError: division by zero"),
        ("typo.py:mine", "typo.py:1 does not run: SyntaxError"),
        ("no_such_module:mine", "no module 'no_such_module' (a file needs its .py: no_such_module.py:NAME)"),
        ("json:nothing_of_the_kind", "unknown agent in json 'nothing_of_the_kind'"),
        ("my_file.py:NUMBER", "expected a callable or an object with act(view), found int"),
        ("boulware:lots", "boulware"),
        ("", "unknown agent ''"),
        (":", "agent"),
    ],
)
def test_agents_that_cannot_be_had(spec: str, told: str, capsys: Said) -> None:
    Path("my_file.py").write_text(GOOD + "NUMBER = 7\n")
    Path("broken.py").write_text("x = 0\ny = 1 / x\n")
    Path("typo.py").write_text("def mine(view) return 'x'\n")
    assert told in mistake(capsys, "play", "--scenario", ALLOTMENT, "--agents", spec, "conceder")


# ---------------------------------------------------------------- files
def _missing(path: Path) -> None:
    return


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _noise(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(4000))


def _text(path: Path) -> None:
    path.write_text("Dear diary,\nnothing happened today.\n")


def _newer(path: Path) -> None:
    played(str(path))
    path.write_text(path.read_text().replace('"format":"nego/1"', '"format":"nego/9"'))


def _folder(path: Path) -> None:
    path.mkdir()


def _wrong_type(path: Path) -> None:
    played(str(path))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1].replace('"attempt":0', '"attempt":"none"')]) + "\n")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_missing, "f.jsonl: no such file"),
        (_empty, "f.jsonl: empty"),
        (_noise, "f.jsonl"),
        (_text, "f.jsonl:1: not valid JSON"),
        (_newer, "f.jsonl:1: written by a newer nego-env (format nego/9; this one reads nego/1): upgrade"),
        (_folder, "f.jsonl: is a folder"),
    ],
)
def test_replay_of_a_bad_file(spoil: Callable[[Path], None], told: str, capsys: Said) -> None:
    spoil(Path("f.jsonl"))
    capsys.readouterr()
    assert told in mistake(capsys, "replay", "f.jsonl", "--plain")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_noise, "f.jsonl"),
        (_text, "f.jsonl:1: not valid JSON"),
        (_newer, "written by a newer nego-env"),
        (_folder, "f.jsonl: cannot be written"),
        (_wrong_type, "f.jsonl:2: Expected `int`, got `str` - at `$.attempt`"),
    ],
)
def test_out_that_is_no_file_of_ours_is_left_as_it_is(spoil: Callable[[Path], None], told: str, capsys: Said) -> None:
    path = Path("f.jsonl")
    spoil(path)
    capsys.readouterr()
    before = path.read_bytes() if path.is_file() else None
    assert told in mistake(capsys, *PLAY, "--out", "f.jsonl")
    assert (path.read_bytes() if path.is_file() else None) == before


def test_out_that_holds_another_run_is_refused(capsys: Said) -> None:
    path = played("run.jsonl")
    before = path.read_bytes()
    capsys.readouterr()
    told = mistake(capsys, *PLAY, "--seed", "1", "--out", "run.jsonl")
    assert "run.jsonl:1: holds another run" in told
    assert "give another --out" in told
    assert path.read_bytes() == before


def test_out_in_a_place_that_cannot_be(capsys: Said) -> None:
    Path("a_file").write_text("")
    assert "cannot be written" in mistake(capsys, *PLAY, "--out", "a_file/run.jsonl")


def test_a_half_cut_file_is_shown_and_resumed(capsys: Said) -> None:
    path = played("run.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    capsys.readouterr()
    assert main(["replay", "run.jsonl", "--plain"]) == 0
    out, err = capsys.readouterr()
    assert "Ruta" in out
    assert "run.jsonl:2: the last line is cut off" in err
    assert "Traceback" not in err
    played("run.jsonl")
    assert path.read_bytes() == whole


def test_the_same_run_again_plays_nothing(capsys: Said) -> None:
    before = played("run.jsonl").read_bytes()
    capsys.readouterr()
    played("run.jsonl")
    assert "nego: resuming run.jsonl: 2 of 2 episodes are there\n" in capsys.readouterr().err
    assert Path("run.jsonl").read_bytes() == before


# ---------------------------------------------------------------- for programs, and for help
def test_json_is_one_object_per_episode_and_nothing_else(capsys: Said) -> None:
    assert main([*PLAY, "--episodes", "3", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["index"] for r in rows] == [0, 1, 2]
    for r in rows:
        assert r["scenario"] == "allotment"
        assert r["ca"] is None or 0 <= r["ca"] <= 5


@pytest.mark.parametrize(
    "args",
    [
        ["agents", "--json"],
        ["scenarios", "list", "open", "--json"],
        ["scenarios", "show", ALLOTMENT, "--json"],
        ["scenarios", "show", ALLOTMENT, "--all", "--json"],
        ["demo", "--scripted", "--quick", "--json"],
    ],
    ids=" ".join,
)
def test_other_json_parses_too(args: list[str], capsys: Said) -> None:
    assert main(args) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert all(isinstance(json.loads(line), dict) for line in out.splitlines())


def _commands() -> list[list[str]]:
    found = []
    for name, entry in sorted(entry_points("nego_env.commands").items()):
        group = getattr(load_entry_point(entry), "commands", {})
        found += [[name, inner] for inner in group] if group else [[name]]
    return found


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_has_help_with_examples(command: list[str], capsys: Said) -> None:
    with pytest.raises(SystemExit) as e:
        main([*command, "--help"])
    assert e.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"usage: nego {' '.join(command)}" in out
    assert "Examples:" in out
    assert f"\n  nego {' '.join(command)}" in out


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["scenarios"], ["scenarios", "--help"]], ids=" ".join)
def test_the_overview_lists_commands_and_examples(args: list[str], capsys: Said) -> None:
    assert main(args) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "commands:" in out
    assert "examples:\n  nego" in out
    assert "not available" not in out
    inner = (
        ["list", "show", "generate", "validate"]
        if args[:1] == ["scenarios"]
        else list(entry_points("nego_env.commands"))
    )
    for name in inner:
        assert f"\n  {name} " in out


def test_the_version(capsys: Said) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("nego-env 0.")


@pytest.mark.parametrize("width", ["20", "40", "80", "200"])
def test_a_parsing_fault_is_one_line_at_any_width(width: str, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert "--episodes: expected INT, found 'many'" in mistake(capsys, "play", "--episodes", "many")


def test_what_a_name_holds_is_shown_not_obeyed(capsys: Said) -> None:
    told = mistake(capsys, "play", "--agents", "\x1b[31mred\x07")
    assert "\x1b" not in told
    assert "\\x1b" in told


# ---------------------------------------------------------------- pipes and people
def test_a_reader_that_goes_away_is_no_error() -> None:
    """`nego scenarios list | head -1`, with more to say than a pipe holds."""
    command = [sys.executable, "-m", "nego_env.cli", "scenarios", "list", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["pack"]
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_person_who_leaves_has_the_episode_on_disk() -> None:
    """Ctrl-D on the second turn: the words said so far are kept, and the run ends without a fuss."""
    done = nego(
        "play", "--scenario", ALLOTMENT, "--agents", "human", "conceder", "--out", "mine.jsonl", stdin="Good morning.\n"
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (t,) = read_final("mine.jsonl")
    assert t.stop.value == "interrupted"
    assert t.rewards is None
    assert t.utterances[0].text == "Good morning."
    assert len(t.utterances) == 2


def test_one_who_leaves_at_once_is_no_error_either() -> None:
    done = nego("play", "--scenario", ALLOTMENT, "--agents", "human", "conceder", "--out", "mine.jsonl")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_an_agent_that_fails_costs_its_own_episodes_only(capsys: Said) -> None:
    Path("moody.py").write_text(
        "def mine(view):\n    if view.rng.random() < 0.4:\n        raise ValueError('not today')\n    return 'Hm.'\n"
    )
    args = ["play", "--scenario", ALLOTMENT, "--agents", "moody.py:mine", "conceder", "--episodes", "20"]
    assert main([*args, "--max-rounds", "1", "--redraws", "0", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {r["stop"] for r in rows} == {"agent_error", "cap"}
    assert all(("not today" in (r["error"] or "")) == (r["stop"] == "agent_error") for r in rows)


def test_why_agents_failed_is_told_most_frequent_first(capsys: Said) -> None:
    Path("moody.py").write_text(
        "n = 0\n"
        "def mine(view):\n"
        "    global n\n"
        "    n += 1\n"
        "    raise ValueError('often\x1b' if n <= 5 else f'once, {n}')\n"
    )
    args = ["play", "--scenario", ALLOTMENT, "--agents", "moody.py:mine", "--episodes", "11", "--redraws", "0"]
    assert main(args) == 1
    out = capsys.readouterr().out
    first, *others = [line for line in out.splitlines() if " x " in line]
    assert first == r"  5 x moody.py:mine at seat_0: ValueError: often\x1b (moody.py:5)"
    assert len(others) == 4
    assert all(line.startswith("  1 x moody.py:mine at seat_0: ValueError: once, ") for line in others)
    assert "\n  and 2 other errors, each in its transcript\n" in out


def test_what_an_agent_prints_does_not_get_between_lines_of_json(capsys: Said) -> None:
    Path("chatty.py").write_text("print('loaded')\ndef mine(view):\n    print('thinking')\n    return 'Hm.'\n")
    assert main(["play", "--scenario", ALLOTMENT, "--agents", "chatty.py:mine", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["agents"] for line in out.splitlines()] == [["chatty.py:mine"] * 2]
    assert "loaded" in err
    assert "thinking" in err


@pytest.mark.parametrize(
    ("scenario", "agents"),
    [("thesis-deadline", ["mediator", "sycophant"]), ("open", ["mediator", "sycophant"])]
    + [(s, ["boulware", "conceder"]) for s in (ALLOTMENT, "heldout")],
)
def test_who_plays_where_nobody_is_named(scenario: str, agents: list[str], capsys: Said) -> None:
    assert main(["play", "--scenario", scenario, "--episodes", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agents"][:2] == agents


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
@pytest.mark.parametrize("flags", [[], ["--out", "mine.jsonl"]], ids=["no --out", "--out"])
def test_a_batch_that_is_interrupted_says_what_is_kept_and_goes_on(flags: list[str], capsys: Said) -> None:
    """Three episodes of five are over when Ctrl-C comes in the middle of the fourth."""
    Path("slow.py").write_text(
        "import asyncio\nfrom pathlib import Path\n"
        "class Slow:\n"
        "    said = 0\n"
        "    def act(self, view):\n"
        "        raise NotImplementedError\n"
        "    async def aact(self, view):\n"
        "        self.said += 1\n"
        "        if self.said == 8 and not Path('waiting').exists():\n"
        "            Path('waiting').touch()\n"
        "            await asyncio.sleep(600)\n"
        "        return 'Hm.'\n"
        "slow = Slow()\n"
    )
    play = ["play", "--scenario", ALLOTMENT, "--agents", "slow.py:slow", "--episodes", "5", "--max-rounds", "1"]
    command = [sys.executable, "-m", "nego_env.cli", *play, "--in-flight", "1", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not Path("waiting").exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    (file,) = [p for p in Path().rglob("*.jsonl") if not p.name.endswith(".meta.jsonl")]
    assert err == (
        f"nego: interrupted: 3 of 5 episodes are scored and saved in {file}; "
        f"the same command with --out {file} goes on\n"
    )
    assert main([*play, "--out", str(file)]) == 0
    told = f"nego: resuming {file}: 3 of 5 episodes are there, 1 that was interrupted is played again\n"
    assert capsys.readouterr().err == told
    assert [(t.index, t.scored) for t in read_final(file)] == [(i, True) for i in range(5)]


def test_a_file_with_episodes_that_failed_says_that_they_are_played_again(capsys: Said) -> None:
    Path("moody.py").write_text("def mine(view):\n    raise ValueError('not today')\n")
    args = ["play", "--scenario", ALLOTMENT, "--agents", "moody.py:mine", "--episodes", "2", "--out", "run.jsonl"]
    assert main(args) == 1
    capsys.readouterr()
    assert main(args) == 1
    told = "nego: resuming run.jsonl: 0 of 2 episodes are there, 2 that failed are played again\n"
    assert capsys.readouterr().err == told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "args", [["--help"], ["play", "--help"], ["scenarios", "list", "--json"], [*PLAY, "--json"]], ids=" ".join
)
def test_a_full_disk_is_one_line(args: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "nego_env.cli", *args]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    told = "nego: error: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_the_demo_table_fits_forty_columns(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["demo", "--scripted", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "a wider screen shows their 95 % intervals" in " ".join(out.split())
    table = out[out.index("20 dilemmas for each agent") : out.index("One agent in every seat")]
    assert "…" not in table
    assert all(len(line) <= 40 for line in table.splitlines())
    assert [row.split()[0] for row in table.splitlines()[3:] if row.split()][-2:] == ["revealer", "optimum"]


def test_nothing_heavy_is_imported_to_show_the_overview() -> None:
    code = (
        "import sys; from nego_env.cli import main; main(['--help'])\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'textual', 'aiohttp', 'rich'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
