"""What a replay shows, as data, text and files. `NEGO_UPDATE_GOLDEN=1 pytest tests/test_replay.py` rewrites the goldens."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from replay_samples import AGREED, CAPPED, DILEMMA, FAILED, HARBOUR, NO_ZOPA, OPEN, SAMPLES, SIX, WALKED
from replay_samples import episode as play
from rich.console import Console

from nego_env import accounting
from nego_env.cli import main
from nego_env.errors import NegoError, NotFoundError
from nego_env.replay.export import rendered
from nego_env.replay.frames import Episode, as_json, ending, episode, private, seat_number
from nego_env.replay.plain import story
from nego_env.replay.render import bar
from nego_env.rules import StopReason
from nego_env.scenario import Option, Scenario, Seat
from nego_env.transcript import Transcript
from nego_env.verdict import Verdict

GOLDEN = Path(__file__).parent / "golden" / "replay"


def text(t: Transcript, width: int = 100, seat: int | None = None) -> str:
    return rendered(".txt", story(episode(t), seat=seat), width=width)


def figures(ep: Episode) -> dict[str, str]:
    return {f.name: f.value for f in ep.ending.figures}


# ---------------------------------------------------------------- frames
def test_a_step_for_the_start_each_utterance_and_the_end() -> None:
    for t in SAMPLES.values():
        frames = episode(t).frames
        assert [f.number for f in frames] == list(range(len(t.utterances) + 2))
        assert [f.kind for f in frames] == ["start", *["utterance"] * len(t.utterances), "end"]
        assert [f.utterance.text for f in frames if f.utterance] == [u.text for u in t.utterances]


def test_the_table_follows_the_rules() -> None:
    frames = episode(AGREED).frames
    assert [f.table.deal if f.table else None for f in frames] == [
        None, None, None, ("A1", "B2", "C1"), ("A1", "B2", "C1"), ("A2", "B2", "C2"), ("A2", "B2", "C2"),
        ("A2", "B2", "C2"),
    ]  # fmt: skip
    assert [f.fresh for f in frames] == [False, False, False, True, False, True, False, False]
    assert [f.accepted for f in frames[3:7]] == [(True, False), (True, False), (True, False), (True, True)]
    assert {f.by for f in frames[3:]} == {"seat_0"}


def test_figures_of_a_deal_worked_by_hand() -> None:
    """HARBOUR, deal A2 B2 C2: the harbour master scores 5 + 3 + 2 = 10, its best is 8 + 6 + 4 = 18, without a deal 6:
    gain (10 - 6) / (18 - 6) = 1/3. The guild scores 4 + 5 + 3 = 12, best 17, without a deal 5: 7/12."""
    table = episode(AGREED).frames[-1].table
    assert table is not None
    assert table.scores == (10.0, 12.0)
    assert table.gains == (0.333333, 0.583333)
    assert table.labels == ("two years", "shared storage", "half and half")
    assert table.ca is not None
    # G = sqrt(0.4 * 0.625) = 0.5; the best deal, A2 B3 C3, has gains 5/12 and 7/12: sqrt(0.475 * 0.625) = 0.544862.
    assert table.ca == pytest.approx(5 * 0.5 / 0.544862, abs=1e-4)
    assert table.below_best == pytest.approx(5 - table.ca)


@pytest.mark.parametrize("name", [n for n, t in SAMPLES.items() if t.scenario.issues])
def test_figures_are_those_of_the_accounting(name: str) -> None:
    t = SAMPLES[name]
    for frame in episode(t).frames:
        if frame.table is not None:
            report = accounting.report(t.scenario, t.scenario.deal(frame.table.deal))
            assert (frame.table.scores, frame.table.gains) == (report.scores, report.gains)
            assert frame.table.reached == report.thresholds_met
            assert (frame.table.ca or 0.0) == report.ca


def test_acts_in_words() -> None:
    assert [f.did for f in episode(AGREED).frames[1:-1]] == [
        "asks what A (length of the lease) is worth to the others",
        "publishes its scores for A (length of the lease): A1 0, A2 4, A3 6",
        "proposes A1 B2 C1",
        "",  # the tag was not the last thing said
        "proposes A2 B2 C2",
        "accepts the deal on the table",
    ]
    assert episode(WALKED).frames[-2].did == "walks away"
    assert [f.did for f in episode(DILEMMA).frames[3:6]] == ["consents to the plan"] * 2 + ["writes the final plan"]
    again = play(HARBOUR, ["[Propose: A1 B1 C1]", "[Propose: A1 B1 C1]"])
    assert episode(again).frames[2].did == "repeats the deal on the table, which accepts it"
    assert not episode(again).frames[2].fresh


@pytest.mark.parametrize(
    ("t", "words", "good"),
    [
        (AGREED, "Agreement after 3 rounds", True),
        (CAPPED, "No agreement: 2 rounds ran out", False),
        (WALKED, "No agreement: the harbour master walked away after 2 rounds", False),
        (FAILED, "Not scored: an agent failed", None),
        (NO_ZOPA, "Agreement after 1 round", True),
    ],
)
def test_stop_reasons_in_words(t: Transcript, words: str, good: bool | None) -> None:
    end = episode(t).ending
    assert (end.words, end.good) == (words, good)


def test_every_stop_reason_has_words() -> None:
    for stop in StopReason:
        rewards = (0.0, 0.0) if stop.scored else None
        t = replace(FAILED, stop=stop, rewards=rewards)
        assert len(ending(t).words) > 8


def test_a_figure_that_is_no_ca_never_passes_for_one() -> None:
    heuristic = figures(episode(DILEMMA))
    assert heuristic == {"heuristic (not CA)": "5.00 of 5", "reward": "5.00 each"}
    shown = text(DILEMMA)
    assert "from heuristic (not CA)" in shown
    assert "CA" not in shown.replace("heuristic (not CA)", "")

    assert figures(episode(NO_ZOPA))["CA"] == "none"
    assert figures(episode(CAPPED))["CA"] == "0.00 of 5"
    assert figures(episode(CAPPED))["CA of the plan"] == "4.59 of 5"
    assert figures(episode(FAILED)) == {}

    other = Verdict("score", "panel", 4.0, reason="fair")  # some other judge's CA stands beside the exact one
    assert ending(replace(AGREED, verdicts=(other,))).figures[0] == ("CA", "4.00 of 5", "judge panel: fair")


def test_bonus_and_acceptance_rule_stand_beside_the_score() -> None:
    assert figures(episode(SIX))["passed"] == "yes"
    assert figures(episode(SIX))["seat_0 score"] == "24"  # 4 + 2 + 6 + 2, and 10 since all six gain


def test_the_best_deal_is_shown_for_comparison() -> None:
    best = episode(AGREED).ending.best
    assert best is not None
    assert best.ca == 5.0
    assert episode(NO_ZOPA).ending.best is None
    assert episode(DILEMMA).ending.best is None


def test_private_view_holds_the_seats_own_stakes() -> None:
    mine = private(AGREED, 1)
    assert mine.persona == HARBOUR.seats[1].persona
    assert mine.walk_away == 5
    assert [o.id for _, options in mine.issues for o in options if o.best] == ["A3", "B2", "C3"]


def test_private_rendering_shows_one_persona_and_one_worth() -> None:
    shown = text(AGREED, seat=1)
    talk = shown.partition("Agreement after")[0]
    assert HARBOUR.seats[1].persona in talk
    assert HARBOUR.seats[0].persona not in talk
    assert "worth 12, gain 0.58" in talk
    assert "0.33" not in talk
    assert "CA" not in talk
    assert "the tag did not count" in talk
    assert "the tag did not count" not in text(AGREED, seat=0)


def test_public_rendering_shows_no_persona() -> None:
    for t in SAMPLES.values():
        assert not any(s.persona in text(t, 1000) for s in t.scenario.seats)


@pytest.mark.parametrize(("wanted", "found"), [("seat_1", 1), ("1", 1), ("0", 0)])
def test_seats_by_name_or_number(wanted: str, found: int) -> None:
    assert seat_number(HARBOUR, wanted) == found


@pytest.mark.parametrize("wanted", ["seat_2", "2", "", "harbour", "-1"])
def test_unknown_seat(wanted: str) -> None:
    with pytest.raises(NotFoundError, match="seats: seat_0, seat_1"):
        seat_number(HARBOUR, wanted)


@pytest.mark.parametrize(
    ("fraction", "drawn"), [(0, "────"), (1, "━━━━"), (0.5, "━━──"), (0.6, "━━╸─"), (-3, "────"), (7, "━━━━")]
)
def test_bar(fraction: float, drawn: str) -> None:
    assert bar(fraction, 4, "", "").plain == drawn


# ---------------------------------------------------------------- goldens
@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("name", [*SAMPLES, "agreed-seat_1"])
def test_golden(name: str, width: int) -> None:
    sample, _, seat = name.partition("-seat_")
    shown = text(SAMPLES[sample], width, int(seat) if seat else None)
    path = GOLDEN / f"{name}.{width}.txt"
    if os.environ.get("NEGO_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("width", [20, 40, 80, 160])
def test_no_line_is_longer_than_the_screen(name: str, width: int) -> None:
    from rich.cells import cell_len

    for line in text(SAMPLES[name], width).splitlines():
        assert cell_len(line) <= width, line


# ---------------------------------------------------------------- text is text
CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
OTHERS = "\u00ad\u200b\u2028\u2029\ufeff\ufff9\ufffd\ufffe\U000e0041\ue000"
SEQUENCES = "\x1b[2J\x1b]0;owned\x07\x1b]8;;https://example.org\x1b\\click\x1b]8;;\x1b\\\x9b31m\x1bP1$r\x1b\\"
HOSTILE = (
    f"{CONTROLS}{BIDI}{OTHERS}{SEQUENCES}[bold red]x[/] [link=file:///etc]y[/link] <script>alert(1)</script> &amp;"
)


def hostile(words: str) -> Transcript:
    """An episode with these words in every place that somebody writes."""
    words = f"a{words}"  # names and tasks are not blank
    seats = tuple(Seat(f"{i} {words}", words, s.stakes) for i, s in enumerate(HARBOUR.seats))
    issues = tuple(
        replace(i, name=words, text=words, options=tuple(Option(o.id, words, words) for o in i.options))
        for i in HARBOUR.issues
    )
    s = Scenario("hostile", words, seats, issues, tags=(words,), meta={"source": words})
    lines = [f"{words} [Reveal: A]", f"{words} [Propose: A1 B1 C1]", f"{words} [Accept: {words}]", words]
    return replace(play(s, lines, agents=(words, words)), error=words)


def hostile_open(words: str) -> Transcript:
    """The same on an open dilemma, with a judge whose every word is hostile."""
    words = f"a{words}"
    s = Scenario("hostile", words, tuple(Seat(f"{i} {words}", words) for i in range(2)))
    t = play(s, [f"{words} [Agree]", f"{words} [Agree]", words], agents=(words, words))
    return replace(t, verdicts=tuple(replace(v, judge=words, label=words, reason=words, raw=words) for v in t.verdicts))


def forbidden(shown: str) -> set[str]:
    """Characters that may not reach a screen or a file."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return {c for c in shown if unicodedata.category(c) in hidden} - {"\n", "\u200c", "\u200d"}


def on_a_terminal(t: Transcript) -> str:
    """What a terminal in colour gets, without the colours themselves."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system="truecolor", _environ={})
    for seat in (None, 0):
        for part in story(episode(t), seat=seat):
            console.print(part)
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())


class Visible(HTMLParser):
    """The text of a page, and the elements it is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.elements = "", set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("make", [hostile, hostile_open])
def test_nothing_an_agent_wrote_is_obeyed(make: object) -> None:
    t = make(HOSTILE)  # type: ignore[operator]
    assert forbidden(on_a_terminal(t)) == set()
    for suffix in (".txt", ".svg", ".html"):
        shown = rendered(suffix, story(episode(t), seat=0), width=100, title=HOSTILE)
        assert forbidden(shown) == set(), suffix
    assert as_json(episode(t)).isascii()
    assert as_json(episode(t)).isprintable()


def test_markup_is_text() -> None:
    t = hostile("[bold red]x[/] <script>alert(1)</script>")
    assert "[bold red]x[/] <script>alert(1)</script>" in text(t, 200)
    page = Visible(rendered(".html", story(episode(t)), width=200, title="<script>"))
    assert "[bold red]x[/] <script>alert(1)</script>" in page.words
    assert page.elements <= {"html", "head", "meta", "title", "style", "body", "pre", "span"}
    picture = ElementTree.fromstring(rendered(".svg", story(episode(t)), width=200, title="<script>"))
    assert {e.tag.partition("}")[2] for e in picture.iter()} == {"svg", "title", "style", "rect", "g", "text"}
    assert "<script>alert(1)</script>" in "".join(picture.itertext())


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_said_can_be_shown(words: str) -> None:
    for t in (hostile(words.replace("\r", "")), hostile_open(words)):
        assert forbidden(on_a_terminal(t)) == set()
        assert forbidden(rendered(".txt", story(episode(t)), width=60)) == set()
        ElementTree.fromstring(rendered(".svg", story(episode(t)), width=60, title=words))
        assert forbidden(rendered(".html", story(episode(t)), width=60, title=words)) == set()


def test_a_very_long_utterance_is_cut_on_screen_with_a_note() -> None:
    t = play(HARBOUR, ["x" * 250_000, ""], max_chars=300_000)
    shown = text(t)
    assert "(… 150,000 more characters)" in shown


# ---------------------------------------------------------------- exports
def test_exports_fetch_nothing_and_hold_the_dialogue() -> None:
    for suffix in (".svg", ".html"):
        for theme in ("dark", "light"):
            shown = rendered(suffix, story(episode(SIX)), width=80, title="six", theme=theme)  # type: ignore[arg-type]
            assert re.findall(r"https?://[^\"'\s<]+", shown) in ([], ["http://www.w3.org/2000/svg"])
            assert "url(" not in shown
            assert "@import" not in shown
            assert "それなら賛成です。" in shown


def test_double_width_text_keeps_its_cells_in_a_picture() -> None:
    picture = ElementTree.fromstring(rendered(".svg", story(episode(SIX)), width=80))
    lengths = {e.text: float(e.attrib["textLength"]) for e in picture.iter() if e.tag.endswith("}text")}
    assert lengths["それなら賛成です。"] == pytest.approx(9 * 2 * 8.4)
    assert lengths["Meadow drains."] == pytest.approx(14 * 8.4)


def test_the_same_episode_gives_the_same_file() -> None:
    for suffix in (".svg", ".html", ".txt"):
        assert rendered(suffix, story(episode(SIX)), width=90) == rendered(suffix, story(episode(SIX)), width=90)


# ---------------------------------------------------------------- the command
@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(t.encode() + b"\n" for t in SAMPLES.values()))
    return path


def test_a_pipe_gets_text(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(run_file)]) == 0
    out, err = capsys.readouterr()
    assert "Agreement after 3 rounds" in out
    assert "episode 1 of 7" in out
    assert "episode 2 of 7" not in out
    assert f"6 more: nego replay {run_file} --plain --episode 2 (to 7, or an id)" in out
    assert err == ""


def test_a_few_episodes_are_all_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "few.jsonl"
    path.write_bytes(b"".join(t.encode() + b"\n" for t in (AGREED, WALKED, DILEMMA)))
    assert main(["replay", str(path), "--plain"]) == 0
    out = capsys.readouterr().out
    assert all(f"episode {i} of 3" in out for i in (1, 2, 3))
    assert "more:" not in out


@pytest.mark.parametrize("wanted", ["2", SIX.id, SIX.id[:12]])
def test_an_episode_by_number_or_id(run_file: Path, capsys: pytest.CaptureFixture[str], wanted: str) -> None:
    assert main(["replay", str(run_file), "--plain", "--episode", wanted, "--width", "120"]) == 0
    assert "the night-shift nurses" in capsys.readouterr().out


def test_json_is_one_object_per_episode(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(run_file), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["id"] for r in rows] == [t.id for t in SAMPLES.values()]
    assert rows[0]["frames"][5]["table"]["deal"] == ["A2", "B2", "C2"]
    assert rows[0]["ending"]["stop"] == "agreement"


@pytest.mark.parametrize("suffix", ["svg", "html", "txt", "SVG"])
def test_export(run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    out = tmp_path / f"picture.{suffix}"
    for _ in range(2):  # a second time replaces the file
        assert main(["replay", str(run_file), "--export", str(out), "--episode", "2"]) == 0
    assert "saved 1 episode of 7" in capsys.readouterr().out
    assert "それなら賛成です。" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--export", "x.pdf"], r"'\.pdf' is no format; end the name in \.svg, \.html, \.txt"),
        (["--export", "x"], "no suffix is no format"),
        (["--export", "/no/such/folder/x.svg"], "cannot be written"),
        (["--episode", "8"], "no episode '8'; it holds 7: 1 to 7, or an id"),
        (["--episode", "0"], "no episode '0'"),
        (["--episode", "zzz"], "no episode 'zzz'"),
        (["--episode", ""], "no episode ''"),
        (["--seat", "seat_2"], "no seat 'seat_2'; seats: seat_0, seat_1"),
        (["--width", "3"], r"--width is 3, it must lie in \[20, 1000\]"),
        (["--json", "--plain"], "--json goes with neither"),
    ],
)
def test_mistakes(run_file: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str) -> None:
    assert main(["replay", str(run_file), *args]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"\n\n", "empty"),
        (bytes(range(256)) * 4, "not valid JSON"),
        (b'{"format": "nego/9"}\n', "written by a newer nego-env"),
        (AGREED.encode()[:400], "cut off"),
        (AGREED.encode().replace(b'"seat":"seat_1"', b'"seat":"seat_0"', 1), "it is not its turn"),
    ],
)
def test_broken_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str) -> None:
    path = tmp_path / "broken.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert main(["replay", str(path)]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_torn_last_line_is_noted_and_the_rest_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "torn.jsonl"
    path.write_bytes(AGREED.encode() + b"\n" + SIX.encode()[:500])
    assert main(["replay", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "Agreement after 3 rounds" in out
    assert "the last line is cut off" in err


def test_errors_are_ours() -> None:
    odd = replace(AGREED, utterances=AGREED.utterances[1:])
    with pytest.raises(NegoError, match="not its turn"):
        episode(odd)


def _piped(args: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "nego_env.cli", "replay", *args],
        capture_output=True, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


def test_a_terminal_that_knows_little_gets_question_marks(run_file: Path) -> None:
    done = _piped([str(run_file), "--plain", "--episode", "2"], PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_the_command_is_cheap_to_import() -> None:
    heavy = "import sys, nego_env.commands.replay; print(sorted({'rich', 'textual'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_open_dilemmas_have_no_gains() -> None:
    assert OPEN.issues == ()
    assert all(f.table is None for f in episode(DILEMMA).frames)
    assert "gain" not in text(DILEMMA)
