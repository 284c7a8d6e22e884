"""Packs: scenarios on disk, listed and loaded lazily, found by name or path.

A pack is a directory:

    scenarios.jsonl   one canonical JSON scenario a line, sorted by id
    index.jsonl       one `Entry` a line, in the same order: what can be listed without loading a scenario
    pack.json         `PackInfo`: name, version, count, SHA-256 of scenarios.jsonl, the shape every scenario fits in

A directory of TOML files (one hand-written scenario each) is a pack too, and so are a single `.toml`, a `.jsonl` of
scenarios without an index, and any folder an importer recognises. A frozen suite is a pack whose hash is in its tests.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import msgspec

from nego_env.errors import NegoError, NotFoundError, ScenarioError, unknown_name
from nego_env.registry import entry_points, load_entry_point
from nego_env.scenario import Scenario, decode_scenario, encode_scenario, read_toml

PACK_FORMAT = "nego-pack/1"
KEPT_DECODED = 512


class Shape(msgspec.Struct, frozen=True):
    """The padding that every scenario of a suite fits in, so that they share observation and action spaces."""

    seats: int
    options: tuple[int, ...]
    """The most options of any scenario, by issue position; empty for open dilemmas."""

    @classmethod
    def of(cls, counted: Iterable[tuple[int, tuple[int, ...]]]) -> Shape:
        """The smallest shape around (seats, options per issue) pairs."""
        seats, options = 0, ()
        for n, counts in counted:
            seats = max(seats, n)
            width = max(len(options), len(counts))
            padded = [(*c, *(0,) * (width - len(c))) for c in (options, counts)]
            options = tuple(max(a, b) for a, b in zip(*padded, strict=True))
        return cls(seats, options)

    def holds(self, scenario: Scenario) -> bool:
        """The scenario fits."""
        counts = scenario.counts
        return (
            scenario.n <= self.seats
            and len(counts) <= len(self.options)
            and all(c <= most for c, most in zip(counts, self.options, strict=False))
        )


class Entry(msgspec.Struct, frozen=True):
    """What a listing tells of a scenario."""

    id: str
    kind: Literal["structured", "open"]
    seats: int
    issues: tuple[int, ...] = ()
    """Options per issue."""
    tags: tuple[str, ...] = ()
    at: int = 0
    """Byte offset of the scenario's line."""
    size: int = 0
    """Its length in bytes, newline excluded."""


class PackInfo(msgspec.Struct, frozen=True):
    """`pack.json`."""

    format: str
    name: str
    version: int
    title: str
    description: str
    count: int
    sha256: str
    """Of scenarios.jsonl."""
    shape: Shape


class Importer(Protocol):
    """Turns a public format into scenarios; registered under `nego_env.importers`."""

    name: str

    def sniff(self, path: Path) -> bool:
        """Whether the path looks like this format. Cheap: reads no more than a listing and the opening of files."""
        ...

    def load(self, path: Path) -> list[Scenario]:
        """Every scenario at the path. Raises `ScenarioError` naming file and line."""
        ...


class Pack:
    """Scenarios by id, read one at a time from an indexed directory; the last few hundred are kept decoded."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.info = _read_info(self.directory / "pack.json")
        self._decoded: OrderedDict[str, Scenario] = OrderedDict()

    def __deepcopy__(self, memo: object) -> Pack:
        return self  # read-only: copies of a running match share it

    @property
    def name(self) -> str:
        """The pack's name."""
        return self.info.name

    @property
    def shape(self) -> Shape:
        """What every scenario of the pack fits in."""
        return self.info.shape

    def entries(self) -> Iterator[Entry]:
        """Every scenario's listing, streamed: no scenario is loaded."""
        path = self.directory / "index.jsonl"
        decoder = msgspec.json.Decoder(Entry)
        with _opened(path) as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as e:
                    raise ScenarioError(f"{path}:{number}: {e}") from None

    @cached_property
    def _index(self) -> dict[str, Entry]:
        return {e.id: e for e in self.entries()}

    def ids(self) -> list[str]:
        """Every id, sorted."""
        return list(self._index)

    def __len__(self) -> int:
        return self.info.count

    def __iter__(self) -> Iterator[Scenario]:
        path = self.directory / "scenarios.jsonl"
        return read_jsonl(path)

    def __contains__(self, id: object) -> bool:
        return id in self._index

    def get(self, id: str) -> Scenario:
        """One scenario. Raises `NotFoundError` with the closest ids."""
        if id in self._decoded:
            self._decoded.move_to_end(id)
            return self._decoded[id]
        if id not in self._index:
            raise unknown_name(f"scenario in pack {self.name!r}", id, self._index)
        entry, path = self._index[id], self.directory / "scenarios.jsonl"
        with _opened(path) as f:
            f.seek(entry.at)
            found = decode_scenario(f.read(entry.size), f"{path} ({id})")
        if found.id != id:
            raise ScenarioError(f"{path}: the index says {id!r} where {found.id!r} stands: write the pack anew")
        self._decoded[id] = found
        if len(self._decoded) > KEPT_DECODED:
            self._decoded.popitem(last=False)
        return self._decoded[id]

    def verify(self) -> None:
        """Raises `ScenarioError` when scenarios.jsonl is not the file pack.json was written for."""
        path = self.directory / "scenarios.jsonl"
        with _opened(path) as f:
            found = hashlib.sha256(f.read()).hexdigest()
        if found != self.info.sha256:
            raise ScenarioError(
                f"{path}: content hash {found[:12]}... is not the {self.info.sha256[:12]}... of pack.json"
            )


class LooseScenarios:
    """Scenarios that come without an index: a TOML file or a folder of them, a plain JSONL, an import. Held in memory."""

    def __init__(self, name: str, scenarios: Iterable[Scenario]) -> None:
        self.name = name
        self._by_id: dict[str, Scenario] = {}
        for s in scenarios:
            if s.id in self._by_id:
                raise ScenarioError(f"{name}: two scenarios have the id {s.id!r}")
            self._by_id[s.id] = s

    def __deepcopy__(self, memo: object) -> LooseScenarios:
        return self

    @property
    def shape(self) -> Shape:
        """What every scenario fits in."""
        return Shape.of((s.n, s.counts) for s in self._by_id.values())

    def entries(self) -> Iterator[Entry]:
        """Every scenario's listing."""
        return (Entry(s.id, s.kind, s.n, s.counts, s.tags) for s in self._by_id.values())

    def ids(self) -> list[str]:
        """Every id."""
        return list(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Scenario]:
        return iter(self._by_id.values())

    def __contains__(self, id: object) -> bool:
        return id in self._by_id

    def get(self, id: str) -> Scenario:
        """One scenario. Raises `NotFoundError` with the closest ids."""
        if id not in self._by_id:
            raise unknown_name(f"scenario in {self.name}", id, self._by_id)
        return self._by_id[id]


Suite = Pack | LooseScenarios
"""Scenarios under one name, with one shape."""


def write_pack(
    directory: str | Path,
    scenarios: Iterable[Scenario],
    *,
    name: str,
    title: str,
    description: str,
    version: int = 1,
) -> PackInfo:
    """Write a pack directory; each file appears whole or not at all. Raises `ScenarioError` for a repeated id."""
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    ordered = sorted(scenarios, key=lambda s: s.id)
    lines, index, at = [], [], 0
    for before, s in zip([None, *ordered], ordered, strict=False):
        if before is not None and before.id == s.id:
            raise ScenarioError(f"{target}: two scenarios have the id {s.id!r}")
        line = encode_scenario(s)
        lines.append(line + b"\n")
        index.append(msgspec.json.encode(Entry(s.id, s.kind, s.n, s.counts, s.tags, at, len(line))) + b"\n")
        at += len(line) + 1
    body = b"".join(lines)
    info = PackInfo(
        format=PACK_FORMAT,
        name=name,
        version=version,
        title=title,
        description=description,
        count=len(ordered),
        sha256=hashlib.sha256(body).hexdigest(),
        shape=Shape.of((s.n, s.counts) for s in ordered),
    )
    _write(target / "scenarios.jsonl", body)
    _write(target / "index.jsonl", b"".join(index))
    _write(target / "pack.json", msgspec.json.format(msgspec.json.encode(info), indent=1) + b"\n")
    return info


def _write(path: Path, body: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(body)
    os.replace(part, path)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None


def _read_info(path: Path) -> PackInfo:
    try:
        info = msgspec.json.decode(path.read_bytes(), type=PackInfo)
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ScenarioError(f"{path}: {e}") from None
    if info.format != PACK_FORMAT:
        raise ScenarioError(f"{path}: unknown format {info.format!r}; this reads {PACK_FORMAT}")
    return info


def read_jsonl(path: Path) -> Iterator[Scenario]:
    """The scenarios of a JSONL file, one a line. Raises `ScenarioError` naming file and line."""
    with _opened(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield decode_scenario(line, f"{path}:{number}")


def open_path(path: str | Path) -> Suite:
    """The scenarios at a path: a pack, a TOML file or a folder of them, a JSONL, or anything an importer knows."""
    p = Path(path)
    if not os.path.exists(p):  # unlike Path.exists, no error for a name that is too long for a path
        raise NotFoundError(f"no file or folder {p}")
    if p.is_dir() and (p / "pack.json").is_file():
        return Pack(p)
    if p.suffix == ".toml":
        return LooseScenarios(p.stem, [read_toml(p)])
    if p.suffix == ".jsonl":
        return _some(LooseScenarios(p.stem, read_jsonl(p)), p)
    for name, entry in sorted(entry_points("nego_env.importers").items()):
        importer: Importer = load_entry_point(entry)()
        if importer.sniff(p):
            return LooseScenarios(f"{name}:{p.name}", importer.load(p))
    if p.is_dir() and (tomls := sorted(p.glob("*.toml"))):
        return LooseScenarios(p.name, [read_toml(t) for t in tomls])
    known = ", ".join(sorted(entry_points("nego_env.importers")))
    raise ScenarioError(f"{p}: no pack (pack.json), .toml, .jsonl or format an importer knows ({known})")


def _some(suite: LooseScenarios, path: Path) -> LooseScenarios:
    if not len(suite):
        raise ScenarioError(f"{path}: no scenarios in it")
    return suite


def open_pack(name: str) -> Suite:
    """A registered pack by name. Raises `NotFoundError` with the known ones, or `ScenarioError` naming the entry point of
    one that cannot be loaded, whatever it raised."""
    known = entry_points("nego_env.packs")
    if name not in known:
        raise unknown_name("pack", name, known)
    where = f"pack {name!r} ({known[name].value}) cannot be loaded"
    try:
        suite: object = load_entry_point(known[name])()
    except (Exception, SystemExit) as e:
        told = str(e) if isinstance(e, NegoError) else f"{type(e).__name__}: {e}"
        raise ScenarioError(f"{where}: {' '.join(told.split())}") from e
    if not isinstance(suite, Pack | LooseScenarios):
        raise ScenarioError(f"{where}: it made {type(suite).__name__}, expected Pack or LooseScenarios")
    return suite


def pack_names() -> list[str]:
    """Every registered pack, by name."""
    return sorted(entry_points("nego_env.packs"))


def open_suite(name_or_path: str | Path) -> Suite:
    """A registered pack, or whatever is at a path. A name wins over a path of that name."""
    if str(name_or_path) in entry_points("nego_env.packs"):
        return open_pack(str(name_or_path))
    if os.path.exists(name_or_path):
        return open_path(name_or_path)
    raise unknown_name("pack or path", str(name_or_path), pack_names())


def find(name_or_path: str | Path) -> Scenario | Suite:
    """A scenario by id or `pack/id`, a pack by name, or whatever is at a path (one scenario there counts as itself).

    Raises `NotFoundError` with the closest known ids, or `ScenarioError` for a pack or path that does not hold together.
    An id is looked for in every pack that can be opened; the others are named only when it is in none.
    """
    name = str(name_or_path)
    if name in entry_points("nego_env.packs"):
        return open_pack(name)
    pack, slash, id = name.partition("/")
    if slash and pack in entry_points("nego_env.packs"):
        return open_pack(pack).get(id)
    if os.path.exists(name) and _looks_like_path(name):
        suite = open_path(name)
        return next(iter(suite)) if len(suite) == 1 else suite
    ids: list[str] = []
    passed_over: list[str] = []
    for known in pack_names():
        try:
            suite = open_pack(known)
            ids += suite.ids()
        except NegoError as e:
            passed_over.append(str(e))
            continue
        if name in suite:
            return suite.get(name)
    if os.path.exists(name):
        suite = open_path(name)
        return next(iter(suite)) if len(suite) == 1 else suite
    if _looks_like_path(name):
        raise NotFoundError(f"no file or folder {name}")
    raise _unknown_scenario(name, ids, passed_over)


def _unknown_scenario(name: str, ids: list[str], passed_over: list[str]) -> NotFoundError:
    """The closest ids; where none is close, the packs, because hundreds of ids would tell nobody anything."""
    packs = pack_names()
    close = difflib.get_close_matches(name, [*packs, *ids], n=3, cutoff=0.5)
    told = f"did you mean {' or '.join(map(repr, close))}?" if close else f"packs: {', '.join(packs)}"
    skipped = "".join(f"; passed over: {fault}" for fault in passed_over)
    return NotFoundError(f"unknown scenario {name!r}; {told} (nego scenarios list shows what there is){skipped}")


def _looks_like_path(name: str) -> bool:
    """Ids have no slash and no such ending: what has is a path, whatever the packs hold."""
    return "/" in name or os.sep in name or name.endswith((".toml", ".jsonl"))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """One scenario by id, `pack/id` or path. Raises `NotFoundError` where the name stands for several."""
    found = find(name_or_path)
    if isinstance(found, Scenario):
        return found
    first = ", ".join(found.ids()[:3])
    raise NotFoundError(f"{name_or_path} holds {len(found)} scenarios ({first}, ...): name one")
