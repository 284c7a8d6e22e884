"""The `nego scenarios` commands: list, show, generate, validate."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from nego_env.packs import Entry, Pack, Suite
    from nego_env.scenario import Deal, Scenario, Stakes


@dataclass(frozen=True)
class List:
    """List the packs that are installed, or the scenarios of a pack or path."""

    examples: ClassVar[str] = """
  nego scenarios list
  nego scenarios list open
  nego scenarios list heldout --seats 4 --json
  nego scenarios list path/to/pack
"""

    packs: tuple[str, ...]
    """Packs by name, or paths: a pack, a .toml or a folder of them, a .jsonl, a folder an importer knows. Default: what packs
    there are; with a filter or --json, the scenarios of all of them."""
    kind: Literal["structured", "open"] | None = None
    """Only this kind."""
    seats: int | None = None
    """Only those with so many seats."""
    tag: str | None = None
    """Only those with this tag."""
    json: bool = False
    """One JSON object a line: id, pack, kind, seats, issues (options per issue), tags."""

    def run(self) -> int:
        """Prints entries as they are read; an indexed pack is listed without loading a scenario. Returns 0, or 1 for none."""
        suites = self._suites()
        if not (self.packs or self.json or self.kind or self.seats is not None or self.tag is not None):
            return _list_packs(suites)
        found = 0
        for name, suite in suites:
            if not self.json:
                print(_shown(_heading(name, suite)))
            for entry in filter(self._wanted, suite.entries()):
                found += 1
                print(_entry_json(name, entry) if self.json else _clipped(_entry_line(entry)))
        if not found:
            print("nego: no scenario like that", file=sys.stderr)
        return 0 if found else 1

    def _suites(self) -> Iterator[tuple[str, Suite]]:
        """The suites asked for, by the name they go under. Of all that are installed, one that cannot be loaded costs a
        note; of those that were named, an error."""
        from nego_env.errors import ScenarioError
        from nego_env.packs import open_pack, open_suite, pack_names

        installed = pack_names()
        for name in self.packs:
            suite = open_suite(name)
            yield name if name in installed else suite.name, suite
        for name in () if self.packs else installed:
            try:
                yield name, open_pack(name)
            except ScenarioError as e:
                print(f"nego: note: {_shown(str(e))}", file=sys.stderr)

    def _wanted(self, entry: Entry) -> bool:
        return (
            (self.kind is None or entry.kind == self.kind)
            and (self.seats is None or entry.seats == self.seats)
            and (self.tag is None or self.tag in entry.tags)
        )


def _entry_json(pack: str, entry: Entry) -> str:
    facts = {
        "id": entry.id,
        "pack": pack,
        "kind": entry.kind,
        "seats": entry.seats,
        "issues": entry.issues,
        "tags": entry.tags,
    }
    return json.dumps(facts)


def _entry_line(entry: Entry) -> str:
    issues = " x ".join(map(str, entry.issues)) or "open"
    return _shown(f"  {entry.id:<26} {entry.seats} seats  {issues:<17} {', '.join(entry.tags)}")


def _heading(name: str, suite: Suite) -> str:
    info = getattr(suite, "info", None)
    return f"{name} ({len(suite)}){f': {info.title}' if info is not None and info.title else ''}"


def _list_packs(suites: Iterator[tuple[str, Suite]]) -> int:
    """A line for each pack, and how to list one."""
    rows = [(name, _kinds(suite), str(len(suite)), _about(name, suite)) for name, suite in suites]
    if not rows:
        print("nego: no packs are installed", file=sys.stderr)
        return 1
    table = [("pack", "kind", "scenarios", "what it is"), *rows]
    name_width, kind_width, count_width = (max(len(row[i]) for row in table) for i in range(3))
    for name, kind, count, about in table:
        print(_clipped(_shown(f"{name:<{name_width}}  {kind:<{kind_width}}  {count:>{count_width}}  {about}")))
    print(f"\nList the scenarios of one: nego scenarios list {_shown(rows[0][0])}")
    return 0


def _kinds(suite: Suite) -> str:
    return " and ".join(sorted({entry.kind for entry in suite.entries()}))


def _about(name: str, suite: Suite) -> str:
    """The title of a registered pack or, where it has none, what its factory says of itself."""
    from nego_env.registry import entry_points, load_entry_point

    info = getattr(suite, "info", None)
    if info is not None and info.title:
        return str(info.title)
    doc = (load_entry_point(entry_points("nego_env.packs")[name]).__doc__ or "").strip()
    return doc.split("\n")[0]


def _shown(text: str) -> str:
    from nego_env.safe_text import visible

    return visible(text, newlines=False).rstrip()


def _clipped(line: str) -> str:
    """A line that fits the terminal, where there is one; a pipe gets it whole."""
    if not sys.stdout.isatty():
        return line
    import shutil

    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"


@dataclass(frozen=True)
class Show:
    """Show a scenario: what everybody sees, what one seat sees, or everything."""

    examples: ClassVar[str] = """
  nego scenarios show thesis-deadline
  nego scenarios show examples/allotment.toml --seat seat_1
  nego scenarios show examples/allotment.toml --all
"""

    scenario: str
    """A scenario id, pack/id, or path."""
    seat: str | None = None
    """Add the private side of one seat (seat_1, or just 1): its persona and scores."""
    all: bool = False
    """Add every private side, the best deal, the Nash point and the size of the Pareto set."""
    json: bool = False
    """One JSON object."""

    def run(self) -> int:
        """Prints the scenario; returns 0."""
        from nego_env.errors import SettingsError
        from nego_env.packs import load_scenario
        from nego_env.replay.frames import seat_number

        if self.all and self.seat is not None:
            raise SettingsError("--all shows every seat's private side: leave out --seat")
        scenario = load_scenario(self.scenario)
        private = range(scenario.n) if self.all else () if self.seat is None else (seat_number(scenario, self.seat),)
        if self.json:
            print(json.dumps(_facts(scenario, tuple(private), exact=self.all)))
            return 0
        from rich.console import Console

        _print_scenario(Console(highlight=False), scenario, tuple(private), exact=self.all)
        return 0


def _facts(scenario: Scenario, private: tuple[int, ...], *, exact: bool) -> dict[str, Any]:
    """What may be shown, as plain data in the fields of a scenario file; `exact` adds what accounting knows."""
    import msgspec

    whole: dict[str, Any] = msgspec.to_builtins(scenario)
    for i, seat in enumerate(whole["seats"]):
        if i not in private:
            seat.pop("persona", None)
            seat.pop("stakes", None)
    facts = {"kind": scenario.kind, **whole}
    if not exact:
        facts.pop("tags", None)
        facts.pop("meta", None)
    elif scenario.issues:
        facts["exact"] = _exact(scenario)
    return facts


def _exact(scenario: Scenario) -> dict[str, Any]:
    from nego_env.accounting import report

    table = scenario.table
    nash = table.nash_index
    return {
        "deals": scenario.n_deals,
        "no_zopa": scenario.no_zopa,
        "reach_every_walk_away": int(table.met.all(axis=0).sum()),
        "pass": int(table.passes.sum()),
        "pareto": int(table.pareto.sum()),
        "best": None if scenario.no_zopa else report(scenario, table.best_deal)._asdict(),
        "nash": None if nash is None else report(scenario, table.deal(nash))._asdict(),
    }


def _print_scenario(console: Console, s: Scenario, private: tuple[int, ...], *, exact: bool) -> None:
    import textwrap

    from rich.padding import Padding
    from rich.text import Text

    from nego_env.safe_text import visible

    def section(title: str, *body: RenderableType) -> None:
        console.print(Text(f"\n{title}", style="bold"))
        for part in body:
            console.print(Padding(part, (0, 0, 0, 2), expand=False))

    def prose(text: str) -> Text:
        return Text(visible(textwrap.dedent(text).strip()))

    console.print(Text(f"{s.id}  ({s.kind}, {s.n} seats)", style="bold"))
    console.print(prose(s.task))
    section("At the table", *(prose(f"{name}  {seat.name}") for name, seat in zip(s.seat_ids, s.seats, strict=True)))
    if s.issues:
        title = "To settle" if not private else "To settle, and what each option is worth"
        section(title, _issues_table(s, private))
    for i in private:
        stakes = s.seats[i].stakes
        lines = [prose(s.seats[i].persona)]
        if stakes is not None:
            lines.append(prose(_outside(stakes)))
        section(f"Private to {s.seat_ids[i]}, {visible(s.seats[i].name, newlines=False)}", *lines)
    section("Protocol", prose(_protocol(s)))
    if exact and s.issues:
        section("Exact account", *(prose(line) for line in _exact_lines(s)))
    if exact and (s.tags or s.meta):
        about = [", ".join(s.tags), *(f"{k}: {v}" for k, v in sorted(s.meta.items()))]
        section("About", *(prose(line) for line in about if line))


def _issues_table(s: Scenario, private: tuple[int, ...]) -> Table:
    """A row per option: id, label and, for each seat in `private`, its score."""
    from rich.table import Table
    from rich.text import Text

    from nego_env.safe_text import visible

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(private))
    table.add_column("")
    table.add_column("", ratio=None)
    for i in private:
        table.add_column(s.seat_ids[i], justify="right", no_wrap=True)
    for k, issue in enumerate(s.issues):
        name = Text(visible(_described(issue.name, issue.text), newlines=False), style="bold")
        table.add_row(Text(issue.id, style="bold"), name)
        for j, option in enumerate(issue.options):
            label = Text(visible(_described(option.label, option.text), newlines=False))
            table.add_row(Text(option.id), label, *(_score(s, i, k, j) for i in private))
    return table


def _described(label: str, text: str) -> str:
    return f"{label} ({text})" if text else label


def _score(s: Scenario, seat: int, issue: int, option: int) -> str:
    from nego_env.wording import number

    stakes = s.seats[seat].stakes
    return "" if stakes is None else number(stakes.scores[issue][option])


def _outside(stakes: Stakes) -> str:
    from nego_env.wording import number

    return f"Without a deal it has {number(stakes.walk_away)}; its favourite deal is worth {number(stakes.best)}."


def _protocol(s: Scenario) -> str:
    from nego_env.view import acceptance_text

    p = s.protocol
    agreed = acceptance_text(s) if s.issues else "A judge says after each round whether one plan was agreed."
    bonus = "".join(f" {name} gets {extra:g} more when nobody loses." for name, extra in sorted(p.bonus.items()))
    return f"At most {p.max_rounds} rounds. {agreed} {s.seat_ids[p.finalizer]} writes the final plan.{bonus}"


def _exact_lines(s: Scenario) -> Iterator[str]:
    from nego_env.accounting import report

    table = s.table
    reached = int(table.met.all(axis=0).sum())
    yield f"{s.n_deals} deals; {reached} leave nobody below the walk-away value; {int(table.pareto.sum())} are Pareto-optimal."
    if s.no_zopa:
        yield "No zone of possible agreement: every deal costs somebody more than it brings, and CA is 0."
        return
    yield f"Best: {_deal_line(s, table.best_deal)}, CA 5, gains {_gains(report(s, table.best_deal).gains)}"
    nash = table.nash_index
    if nash is not None:
        about = report(s, table.deal(nash))
        yield f"Nash: {_deal_line(s, table.deal(nash))}, CA {about.ca:.2f}, gains {_gains(about.gains)}"


def _deal_line(s: Scenario, deal: Deal) -> str:
    return f"{' '.join(s.ids(deal))} ({'; '.join(s.labels(deal))})"


def _gains(gains: tuple[float, ...]) -> str:
    return " / ".join(f"{g:.2f}" for g in gains)


@dataclass(frozen=True)
class Generate:
    """Write a pack of structured dilemmas made by seed: the same flags, the same pack."""

    examples: ClassVar[str] = """
  nego scenarios generate --out mine --count 100 --seed 7
  nego scenarios generate --out duels --count 50 --seats 2 --stakes sharp
"""

    out: Path | None = None
    """The folder to write; it must be new or empty."""
    count: int = 100
    """How many scenarios."""
    seed: int = 0
    """The seed of the first; the next one has the next seed."""
    split: Literal["train", "heldout"] = "train"
    """Training themes, or the held-out ones, which share no words with them."""
    theme: str | None = None
    """One theme of the split; drawn by seed when left out, and so are the flags below."""
    seats: int | None = None
    """2 to 4."""
    issues: int | None = None
    """2 to 5."""
    options: int | None = None
    """2 to 5 for every issue."""
    stakes: Literal["cooperative", "mixed", "opposed", "sharp"] | None = None
    """How far the seats' interests pull apart."""
    json: bool = False
    """Print what pack.json says, as one JSON object."""

    def run(self) -> int:
        """Writes the pack; returns 0."""
        from nego_env.errors import SettingsError
        from nego_env.packs import write_pack

        out = self._folder()
        if self.count < 1:
            raise SettingsError(f"--count is {self.count}, it must be at least 1")
        scenarios = list(self._scenarios())
        try:
            info = write_pack(
                out,
                scenarios,
                name=out.resolve().name,
                title=f"{self.count} generated dilemmas, {self.split} themes, seed {self.seed}",
                description=f"nego scenarios generate{self._flags()}",
            )
        except OSError as e:
            raise SettingsError(f"--out {out}: cannot be written: {e.strerror}") from None
        if self.json:
            import msgspec

            print(json.dumps(msgspec.to_builtins(info)))
            return 0
        widths = " x ".join(map(str, info.shape.options))
        print(f"{out}: {info.count} scenarios, at most {info.shape.seats} seats and {widths} options")
        print(f"sha256 {info.sha256}")
        print(f"play it: nego play --scenario {out} --agents revealer boulware")
        return 0

    def _folder(self) -> Path:
        from nego_env.errors import SettingsError

        if self.out is None:
            raise SettingsError("say where the pack goes: --out DIR")
        if self.out.exists() and not self.out.is_dir():
            raise SettingsError(f"--out {self.out}: is a file; a pack is a folder")
        if self.out.is_dir() and any(self.out.iterdir()):
            raise SettingsError(
                f"--out {self.out}: is not empty, and nothing there is overwritten; give another folder"
            )
        return self.out

    def _scenarios(self) -> Iterator[Scenario]:
        """With a progress bar where a person waits for many."""
        from nego_scenarios.generator import generate_many

        made = generate_many(
            self.count,
            seed=self.seed,
            split=self.split,
            theme=self.theme,
            seats=self.seats,
            issues=self.issues,
            options=self.options,
            stakes=self.stakes,
        )
        if self.count < 500 or not sys.stderr.isatty():
            yield from made
            return
        from rich.console import Console
        from rich.progress import track

        yield from track(made, "generating", total=self.count, console=Console(stderr=True), transient=True)

    def _flags(self) -> str:
        given = {
            k: getattr(self, k) for k in ("count", "seed", "split", "theme", "seats", "issues", "options", "stakes")
        }
        return "".join(f" --{k} {v}" for k, v in given.items() if v is not None)


@dataclass(frozen=True)
class Validate:
    """Check packs and scenario files: every scenario decodes, ids are unique, hash and index agree."""

    examples: ClassVar[str] = """
  nego scenarios validate my_dilemma.toml
  nego scenarios validate path/to/pack heldout
"""

    paths: tuple[str, ...]
    """Packs by name or path, .toml files or folders of them, .jsonl files, folders an importer knows."""

    def run(self) -> int:
        """Prints what was checked, and a line on stderr for each fault; returns 0, or 2 when there is a fault."""
        from nego_env.errors import SettingsError

        if not self.paths:
            raise SettingsError("say what to check: nego scenarios validate PATH ...")
        faulty = False
        for path in self.paths:
            checked, faults = _validated(path)
            for fault in faults:
                print(f"nego: error: {_shown(fault)}", file=sys.stderr)
            if not faults:
                print(f"{_shown(path)}: good: {checked}")
            faulty = faulty or bool(faults)
        return 2 if faulty else 0


def _validated(path: str) -> tuple[str, list[str]]:
    """What was checked of a pack or path, and what is wrong with it."""
    from nego_env.errors import NegoError
    from nego_env.packs import Pack, open_suite

    p = Path(path)
    try:
        if p.suffix == ".jsonl" and p.is_file():
            return _validated_lines(p)
        if p.is_dir() and not (p / "pack.json").is_file() and (tomls := sorted(p.glob("*.toml"))):
            return _validated_tomls(tomls)
        suite = open_suite(path)
        if isinstance(suite, Pack):
            return _validated_pack(suite)
        return _decode(len(suite)), []
    except NegoError as e:
        return "", [str(e)]


def _decode(count: int) -> str:
    return f"{count} scenario{' decodes' if count == 1 else 's decode'}, ids are unique"


def _validated_tomls(files: list[Path]) -> tuple[str, list[str]]:
    from nego_env.errors import ScenarioError
    from nego_env.scenario import read_toml

    seen: dict[str, Path] = {}
    faults = []
    for file in files:
        try:
            scenario = read_toml(file)
        except ScenarioError as e:
            faults.append(str(e))
            continue
        if scenario.id in seen:
            faults.append(f"{file}: the id {scenario.id!r} is that of {seen[scenario.id]} already")
        seen.setdefault(scenario.id, file)
    return _decode(len(files)), faults


def _validated_lines(path: Path) -> tuple[str, list[str]]:
    if _holds_transcripts(path):
        return "", [f"{path}: these are transcripts, not scenarios: nego replay {path}"]
    lines = list(_decoded_lines(path))
    faults = [line for line in lines if isinstance(line, str)]
    if not lines:
        faults.append(f"{path}: no scenarios in it")
    return _decode(len(lines)), faults


def _holds_transcripts(path: Path) -> bool:
    """The file opens as every transcript file does, whatever its version."""
    opening = b'{"format":"nego/'
    try:
        with path.open("rb") as file:
            return file.read(len(opening)) == opening
    except OSError:
        return False  # told by whoever reads the rest


def _decoded_lines(path: Path) -> Iterator[tuple[Scenario, int, int] | str]:
    """Each scenario of a JSONL file with the offset and length of its line, or what is wrong with the line."""
    from nego_env.errors import ScenarioError
    from nego_env.scenario import decode_scenario

    first: dict[str, int] = {}
    at = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                size = len(line.rstrip(b"\r\n"))
                if line.strip():
                    try:
                        scenario = decode_scenario(line, f"{path}:{number}")
                    except ScenarioError as e:
                        yield str(e) if str(e).startswith(str(path)) else f"{path}:{number}: {e}"
                    else:
                        if scenario.id in first:
                            yield f"{path}:{number}: the id {scenario.id!r} is that of line {first[scenario.id]} already"
                        else:
                            first[scenario.id] = number
                            yield scenario, at, size
                at += len(line)
    except OSError as e:
        yield f"{path}: cannot be read: {e.strerror}"


def _validated_pack(pack: Pack) -> tuple[str, list[str]]:
    """Scenarios, then the hash, the shape and the index against them."""
    from nego_env.errors import ScenarioError
    from nego_env.packs import Entry, Shape

    path = pack.directory / "scenarios.jsonl"
    lines = list(_decoded_lines(path))
    faults = [line for line in lines if isinstance(line, str)]
    found = [
        Entry(s.id, s.kind, s.n, s.counts, s.tags, at, size)
        for s, at, size in (x for x in lines if not isinstance(x, str))
    ]
    try:
        pack.verify()
    except ScenarioError as e:
        faults.append(str(e))
    if not faults:
        faults += _index_faults(pack, found)
    where = pack.directory / "pack.json"
    if not faults and pack.info.count != len(found):
        faults.append(f"{where}: count is {pack.info.count}, scenarios.jsonl has {len(found)}")
    if not faults and pack.shape != (shape := Shape.of((e.seats, e.issues) for e in found)):
        faults.append(f"{where}: shape is {_shape_text(pack.shape)}, the scenarios have {_shape_text(shape)}")
    checked = (
        f"{len(found)} scenarios decode, ids are unique, hash, count and shape are those of pack.json, index agrees"
    )
    return checked, faults


def _shape_text(shape: Any) -> str:
    return f"{shape.seats} seats and {' x '.join(map(str, shape.options)) or 'no'} options"


def _index_faults(pack: Pack, found: list[Entry]) -> list[str]:
    from nego_env.errors import ScenarioError

    path = pack.directory / "index.jsonl"
    try:
        index = list(pack.entries())
    except ScenarioError as e:
        return [str(e)]
    faults = []
    for number, (listed, entry) in enumerate(zip(index, found, strict=False), 1):
        wrong = [k for k in entry.__struct_fields__ if getattr(listed, k) != getattr(entry, k)]
        if wrong:
            told = f"{wrong[0]} is {getattr(listed, wrong[0])!r}, scenarios.jsonl has {getattr(entry, wrong[0])!r}"
            faults.append(f"{path}:{number}: {told}")
    if len(index) != len(found):
        faults.append(f"{path}: {len(index)} entries for {len(found)} scenarios")
    return faults


class Scenarios:
    """List, show, generate and validate scenarios."""

    examples: ClassVar[str] = """
  nego scenarios list
  nego scenarios show thesis-deadline
  nego scenarios generate --out mine --count 100 --seed 7
  nego scenarios validate mine
"""
    commands: ClassVar[dict[str, type]] = {"list": List, "show": Show, "generate": Generate, "validate": Validate}
