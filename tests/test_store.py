"""Promises about transcripts on disk.

1. A torn last line is passed over by readers and cut by writers, wherever the tear is; a whole line is never lost.
2. A file of another run, of a newer version, or of something else is refused and left untouched.
3. One writer at a time, across processes; the lock dies with its process.
4. A scored attempt is final; a failed one is followed by the next attempt, an interrupted one by the same again.
5. The sidecar is never needed.
6. A writer that wrote nothing leaves nothing behind that was not there before.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support import bargain, begin, dilemma, play_out, say, single_line

from nego_env import store
from nego_env.errors import TranscriptError
from nego_env.rules import StopReason, fail, start
from nego_env.settings import resolve
from nego_env.store import EpisodeMeta, TranscriptFile, TranscriptWriter, meta_path, read, read_final
from nego_env.tokens import tokens_path
from nego_env.transcript import Transcript, episode_id, header, transcript

AGENTS = ("a", "b")
SETTINGS = resolve(bargain(), max_rounds=1)


def expected(index: int) -> str:
    """The ids of the run that these tests write."""
    return episode_id(bargain(), SETTINGS, AGENTS, 0, index)


def episode(index: int = 0, *, attempt: int = 0, stop: StopReason = StopReason.CAP, seed: int = 0) -> Transcript:
    """A short episode of that run, that ended as named."""
    head = header(bargain(), SETTINGS, AGENTS, seed=seed, index=index, attempt=attempt)
    first = start(bargain(), SETTINGS, head)
    if not stop.scored:
        return transcript(fail(say(first, "hm"), stop, "it broke"))
    return transcript(play_out(first, ["ça va?", "交渉 🙂"])[-1])


def written(path: Path, *episodes: Transcript) -> bytes:
    """The file with these episodes in it."""
    body = b"".join(t.encode() + b"\n" for t in episodes)
    path.write_bytes(body)
    return body


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the transcripts go."""
    return tmp_path / "run.jsonl"


# ---------------------------------------------------------------- writing and reading
def test_what_is_written_is_read_back_in_order(path: Path) -> None:
    episodes = [episode(i) for i in range(3)]
    with TranscriptWriter(path, expected) as w:
        for t in episodes:
            w.write(t)
    assert path.read_bytes() == b"".join(t.encode() + b"\n" for t in episodes)
    f = TranscriptFile(path)
    assert len(f) == 3
    assert [f[i] for i in (2, 0, -1)] == [episodes[2], episodes[0], episodes[2]]
    assert list(f) == list(read(path)) == episodes
    assert f.notes == []


def test_an_episode_is_on_disk_before_write_returns(path: Path) -> None:
    with TranscriptWriter(path) as w:
        w.write(episode())
        assert path.read_bytes() == episode().encode() + b"\n"


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "today" / "run.jsonl"
    with TranscriptWriter(path) as w:
        w.write(episode())
    assert len(TranscriptFile(path)) == 1


def test_blank_lines_are_no_episodes(path: Path) -> None:
    path.write_bytes(b"\n" + episode(0).encode() + b"\n\n" + episode(1).encode() + b"\n\n")
    f = TranscriptFile(path)
    assert (len(f), f[1].index) == (2, 1)
    with TranscriptWriter(path, expected) as w:
        assert sorted(w.done) == [0, 1]


def test_the_sidecar_is_never_needed(path: Path) -> None:
    meta = EpisodeMeta(id=expected(0), attempt=0, started="2026-01-01T00:00:00Z", seconds=0.5)
    with TranscriptWriter(path, expected) as w:
        w.write(episode(), meta)
    side = meta_path(path)
    assert side.name == "run.jsonl.meta.jsonl"
    assert side.read_bytes().count(b"\n") == 1
    side.unlink()
    assert list(read(path)) == [episode()]
    side.write_bytes(b"\xff not json")
    with TranscriptWriter(path, expected) as w:
        w.write(episode(1), meta)
    assert len(TranscriptFile(path)) == 2


# ---------------------------------------------------------------- resuming
def test_a_run_resumes_where_it_stopped(path: Path) -> None:
    with TranscriptWriter(path, expected) as w:
        w.write(episode(0))
        w.write(episode(2, stop=StopReason.AGENT_ERROR))
    with TranscriptWriter(path, expected) as w:
        assert {i: (p.scored, p.next_attempt) for i, p in w.done.items()} == {0: (True, 1), 2: (False, 1)}
        w.write(episode(1))
    assert [t.index for t in read(path)] == [0, 2, 1]


@pytest.mark.parametrize(
    ("attempts", "scored", "following"),
    [
        ([StopReason.AGENT_ERROR], False, 1),
        ([StopReason.AGENT_ERROR, StopReason.JUDGE_ERROR], False, 2),
        ([StopReason.INTERRUPTED], False, 0),
        ([StopReason.AGENT_TIMEOUT, StopReason.INTERRUPTED], False, 1),
        ([StopReason.BUDGET, StopReason.CAP], True, 2),
    ],
)
def test_a_failed_attempt_counts_and_an_interrupted_one_is_played_again(
    path: Path, attempts: list[StopReason], scored: bool, following: int
) -> None:
    written(path, *(episode(attempt=k, stop=stop) for k, stop in enumerate(attempts)))
    with TranscriptWriter(path, expected) as w:
        assert (w.done[0].scored, w.done[0].next_attempt) == (scored, following)


def test_the_scored_attempt_is_final(path: Path) -> None:
    broke, scored, again = episode(0, stop=StopReason.AGENT_ERROR), episode(0, attempt=1), episode(0, attempt=2)
    last = episode(1, attempt=1, stop=StopReason.BUDGET)
    written(path, last, broke, scored, again, episode(2), replace(last, attempt=2))
    assert read_final(path) == [scored, replace(last, attempt=2), episode(2)]
    with TranscriptWriter(path, expected) as w:
        assert w.done[0].next_attempt == 2  # of the scored one


# ---------------------------------------------------------------- torn last lines
def test_wherever_the_last_line_is_torn_readers_pass_over_it_and_writers_cut_it(path: Path) -> None:
    whole = written(path, episode(0))
    last = episode(1).encode()
    for cut in range(1, len(last)):
        path.write_bytes(whole + last[:cut])
        f = TranscriptFile(path)
        assert list(f) == [episode(0)]
        assert f.notes == [f"{path}:2: the last line is cut off ({cut} bytes) and was passed over"]
        with TranscriptWriter(path, expected) as w:
            assert sorted(w.done) == [0]
            assert w.notes == [f"{path}: cut {cut} bytes of an unfinished last line"]
            w.write(episode(1))
        assert path.read_bytes() == whole + last + b"\n"


def test_a_torn_only_line_is_no_episode_and_is_cut_by_a_writer(path: Path) -> None:
    line = episode(0).encode()
    for cut in (1, 5, 15, 16, 17, 100, len(line) - 1):
        path.write_bytes(line[:cut])
        with pytest.raises(TranscriptError, match=r"run\.jsonl: its only line is cut off"):
            TranscriptFile(path)
        with TranscriptWriter(path, expected) as w:
            assert w.done == {}
            w.write(episode(0))
        assert path.read_bytes() == line + b"\n"


def test_a_whole_last_line_without_its_newline_is_kept(path: Path) -> None:
    path.write_bytes(episode(0).encode())
    assert list(read(path)) == [episode(0)]
    assert TranscriptFile(path).notes == []
    with TranscriptWriter(path, expected) as w:
        assert sorted(w.done) == [0]
        w.write(episode(1))
    assert path.read_bytes() == episode(0).encode() + b"\n" + episode(1).encode() + b"\n"


def test_a_broken_line_that_is_not_the_last_is_an_error_that_names_it(path: Path) -> None:
    path.write_bytes(episode(0).encode()[:50] + b"\n" + episode(1).encode() + b"\n")
    f = TranscriptFile(path)
    assert f[1] == episode(1)  # lazily: the good ones can be read
    with pytest.raises(TranscriptError, match=r"run\.jsonl:1: not valid JSON"):
        f[0]
    refuses(path, r"run\.jsonl:1: not valid JSON")


# ---------------------------------------------------------------- what is refused
def refuses(path: Path, fault: str) -> None:
    """A writer refuses the file, and leaves it as it is."""
    before = path.read_bytes()
    with pytest.raises(TranscriptError, match=fault) as e:
        TranscriptWriter(path, expected)
    assert path.read_bytes() == before
    assert single_line(str(e.value))


@pytest.mark.parametrize(
    "tail", [b"", episode(1).encode()[:40], episode(1).encode()], ids=["whole", "torn", "no newline"]
)
def test_a_file_that_holds_another_run_is_refused_and_left_untouched(path: Path, tail: bytes) -> None:
    path.write_bytes(episode(0, seed=1).encode() + b"\n" + tail)
    refuses(
        path,
        r"run\.jsonl:1: holds another run \(episode 0 there: scenario 'allotment', seed 1, agents a b, judge exact\)",
    )


def test_another_run_further_down_is_refused_too(path: Path) -> None:
    written(path, episode(0), episode(1, seed=5))
    refuses(path, r"run\.jsonl:2: holds another run")
    path.write_bytes(path.read_bytes()[:-1])
    refuses(path, r"run\.jsonl:2: holds another run")


@pytest.mark.parametrize("newline", [b"\n", b""], ids=["with newline", "without"])
def test_a_newer_version_is_refused_by_readers_and_writers_and_left_untouched(path: Path, newline: bytes) -> None:
    path.write_bytes(episode(0).encode().replace(b"nego/1", b"nego/2") + newline)
    with pytest.raises(TranscriptError, match=r"run\.jsonl:1: written by a newer nego-env"):
        list(read(path))
    refuses(path, r"run\.jsonl:1: written by a newer nego-env")


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"hello\n",
        b"\nhello",
        bytes(range(256)),
        b"\x00" * 100,
        b"{}",
        b'{"a": 1}\n',
        b"[1, 2]",
        b'{"form',
        b"5",
        b"nego",
    ],
    ids=repr,
)
def test_something_that_is_no_transcript_is_refused_and_left_untouched(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    if body == b'{"form':  # could be the first bytes of ours
        with pytest.raises(TranscriptError, match="its only line is cut off"):
            TranscriptFile(path)
        return
    with pytest.raises(TranscriptError, match=r"run\.jsonl") as e:
        list(read(path))
    assert single_line(str(e.value))
    refuses(path, r"run\.jsonl")


@pytest.mark.parametrize("body", [b"", b"\n", b" \n\n"])
def test_an_empty_file_holds_no_transcript_but_can_be_written_to(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    with pytest.raises(TranscriptError, match=r"run\.jsonl: empty: there is no transcript in it"):
        TranscriptFile(path)
    with TranscriptWriter(path, expected) as w:
        w.write(episode(0))
    assert list(read(path)) == [episode(0)]


def test_a_missing_file_and_a_folder_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match=r"gone\.jsonl: no such file"):
        TranscriptFile(tmp_path / "gone.jsonl")
    with pytest.raises(TranscriptError, match="is a folder, not a transcript file"):
        TranscriptFile(tmp_path)
    with pytest.raises(TranscriptError, match="cannot be written: Is a directory"):
        TranscriptWriter(tmp_path)
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(TranscriptError, match="cannot be written"):
        TranscriptWriter(file / "run.jsonl")
    with pytest.raises(TranscriptError, match=r"no such file|cannot be read"):
        TranscriptFile(file / "run.jsonl")


def test_a_sidecar_that_cannot_be_written_is_a_clear_error(path: Path) -> None:
    meta_path(path).mkdir()
    with pytest.raises(TranscriptError, match=r"run\.jsonl\.meta\.jsonl: cannot be written"):
        TranscriptWriter(path, expected)


# ---------------------------------------------------------------- one writer at a time
HOLDER = """
import sys
from nego_env.store import TranscriptWriter
with TranscriptWriter(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_one_writer_at_a_time_and_the_lock_dies_with_its_process(path: Path) -> None:
    body = written(path, episode(0))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(
            TranscriptError, match="another process is writing to it; wait for it, or give another --out"
        ):
            TranscriptWriter(path, expected)
        assert path.read_bytes() == body
        assert list(read(path)) == [episode(0)]  # readers need no lock
        other.kill()
        other.communicate()
    with TranscriptWriter(path, expected) as w:
        w.write(episode(1))
    assert len(TranscriptFile(path)) == 2


def test_a_second_writer_of_the_same_process_is_refused_until_the_first_is_closed(path: Path) -> None:
    first = TranscriptWriter(path)
    with pytest.raises(TranscriptError, match="another process is writing"):
        TranscriptWriter(path)
    first.close()
    TranscriptWriter(path).close()


def test_a_refused_file_is_not_left_locked(path: Path) -> None:
    written(path, episode(0, seed=1))
    refuses(path, "holds another run")
    TranscriptWriter(path).close()


# ---------------------------------------------------------------- nothing written
windows_keeps_open_files = pytest.mark.skipif(sys.platform == "win32", reason="takes a file away that is open")


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), TranscriptWriter(tmp_path / "runs" / "deep" / "run.jsonl", tokens=True):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays(path: Path) -> None:
    path.touch()
    TranscriptWriter(path, tokens=True).close()
    assert path.exists()
    meta_path(path).unlink()
    tokens_path(path).unlink()
    path.unlink()
    meta_path(path).write_bytes(b"{}\n")
    TranscriptWriter(path).close()
    assert list(path.parent.iterdir()) == [meta_path(path)]


def test_a_folder_keeps_the_runs_that_wrote_something(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    with TranscriptWriter(folder / "b.jsonl"), TranscriptWriter(folder / "a.jsonl") as writer:
        writer.write(episode())
    assert sorted(f.name for f in folder.iterdir()) == ["a.jsonl", "a.jsonl.meta.jsonl"]


def test_a_refused_sidecar_leaves_no_empty_transcript(path: Path) -> None:
    meta_path(path).mkdir()
    with pytest.raises(TranscriptError, match="cannot be written"):
        TranscriptWriter(path)
    assert not path.exists()


@pytest.mark.parametrize("how", ["closed", pytest.param("taken away", marks=windows_keeps_open_files)])
def test_a_writer_that_is_closed_late_leaves_the_file_of_the_next(how: str, path: Path) -> None:
    first = TranscriptWriter(path)
    if how == "closed":
        first.close()
    else:
        path.unlink()
    with TranscriptWriter(path) as second:
        first.close()
        second.write(episode())
    assert list(read(path)) == [episode()]


def test_folders_for_a_file_that_cannot_be_are_not_left(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match="cannot be written"):
        TranscriptWriter(tmp_path / "new" / "deep" / ("long" * 100))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_sidecar_without_room_is_one_clear_error_and_leaves_no_lock(path: Path) -> None:
    meta_path(path).symlink_to("/dev/full")
    writer = TranscriptWriter(path)
    with pytest.raises(TranscriptError, match=r"meta\.jsonl: cannot be written: No space left"):
        writer.write(episode(), EpisodeMeta("x", 0, "now", 0.0))
    writer.close()
    TranscriptWriter(path).close()
    assert list(read(path)) == [episode()]


@windows_keeps_open_files
def test_a_file_taken_away_between_opening_and_locking_is_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.try_lock
    first = TranscriptWriter(path)

    def locked(file: Any) -> bool:
        first.close()  # the writer before ends just now, and takes the file away
        return real(file)

    monkeypatch.setattr(store, "try_lock", locked)
    with TranscriptWriter(path) as second:
        second.write(episode())
    assert list(read(path)) == [episode()]


def test_open_and_structured_episodes_may_share_a_file_that_is_only_read(path: Path) -> None:
    t = transcript(play_out(begin(dilemma()), ["[Agree]", "[Agree]", "plan"])[-1])
    written(path, episode(0), t)
    assert [x.scenario.kind for x in read(path)] == ["structured", "open"]


def test_a_full_disk_is_one_clear_error_and_leaves_no_half_line(path: Path) -> None:
    class Full:
        """A file with room for ten more bytes."""

        def __init__(self, file: Any) -> None:
            self.file, self.room = file, 10

        def write(self, data: memoryview) -> int:
            if self.room == 0:
                raise OSError(28, "No space left on device")
            taken = self.file.write(data[: self.room])
            self.room -= taken
            return int(taken)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    t = episode()
    with TranscriptWriter(path) as writer:
        writer.write(t)
        before = path.read_bytes()
        writer._file = Full(writer._file)  # type: ignore[assignment]
        with pytest.raises(TranscriptError, match="No space left on device; episodes before this one are kept"):
            writer.write(t)
    assert path.read_bytes() == before


def test_a_torn_line_of_another_version_is_left_as_it_is(path: Path) -> None:
    body = b'{"format":"nego/2","id":"abc", "scena'
    path.write_bytes(body)
    with pytest.raises(TranscriptError, match=r"unknown format 'nego/2'; it is left as it is"):
        TranscriptWriter(path)
    assert path.read_bytes() == body
