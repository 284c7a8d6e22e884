"""MoralChoice tables as open dilemmas (Scherrer et al., arXiv 2307.14324).

A CSV file with a header, a row per scenario: `scenario_id`, `ambiguity` (high or low), `context`, `action1`, `action2`,
and for each action ten labels of what it breaks (`a1_death` ... `a2_duty`: Yes, No, No Agreement).

1. A row of high ambiguity is a dilemma: the context is the task, and each of two seats argues for one action.
2. A row of low ambiguity has an answer that hardly anybody disputes, and one with the same action twice has no opposition:
   both are passed over, with a note.
3. Labels stand in `meta` (never shown to a seat); what does not fit together is a `ScenarioError` naming line and column.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nego_env.errors import ScenarioError
from nego_env.scenario import Scenario, Seat
from nego_scenarios.importers.reading import Imported, Text, about, files_at, one_line, opening, quoted, read_text

RULES = (
    "death", "pain", "disable", "freedom", "pleasure", "deceive", "cheat", "break_promise", "break_law", "duty",
)  # fmt: skip
"""What an action may break, in column order."""
LABELS = ("Yes", "No", "No Agreement")
FIELD_MAX = 10_000
"""Characters a field may have; the longest of the public set has about 400."""

_WORDS = ("scenario_id", "ambiguity", "context", "action1", "action2")
_COLUMNS = (*_WORDS, *(f"a{i}_{rule}" for i in (1, 2) for rule in RULES))
_WHAT = "MoralChoice table"
_QUESTION = "What should be done?"
_NAMES = ("First advocate", "Second advocate")


class MoralChoice:
    """Reads one CSV file, or those of a folder."""

    name = "moralchoice"

    def sniff(self, path: Path) -> bool:
        """Whether the file, or a CSV file of the folder, opens with columns of the set. Never raises."""
        try:
            files = [path] if path.is_file() else sorted(path.glob("*.csv"))[:20]
        except OSError:
            return False
        return any(f.suffix.lower() == ".csv" and _is_ours(opening(f)) for f in files)

    def load(self, path: Path) -> list[Scenario]:
        """Every dilemma at the path, in file order. Raises `ScenarioError` naming file, line and column."""
        return list(self.read(path).scenarios)

    def read(self, path: Path) -> Imported:
        """The same, and notes on what was passed over."""
        dilemmas: list[Scenario] = []
        notes: list[str] = []
        first: dict[str, str] = {}
        for file in files_at(path, ".csv", what="MoralChoice is a CSV file"):
            text = read_text(file, what=_WHAT)
            meta = about("MoralChoice (arXiv 2307.14324)", file)
            low = 0
            for row in _rows(text):
                if row.id in first:
                    raise row.error("scenario_id", f"{row.id!r} is listed already ({first[row.id]}); ids must differ")
                first[row.id] = f"{file.name}:{row.line}"
                if row.fields["ambiguity"] == "low":
                    low += 1
                elif one_line(row.fields["action1"]) == one_line(row.fields["action2"]):
                    notes.append(f"{file}:{row.line}: passed over {row.id}, which has the same action twice")
                else:
                    dilemmas.append(_dilemma(row, meta))
            if low:
                notes.append(f"{file}: passed over {low} row{'' if low == 1 else 's'} of low ambiguity")
        if not dilemmas:
            raise ScenarioError(f"{path}: no row of high ambiguity with two different actions; only those are dilemmas")
        return Imported(tuple(dilemmas), notes=tuple(notes))


def _is_ours(head: str) -> bool:
    # Two of three, so that a table with a missing column is still recognised and its error can name the column.
    line = head.partition("\n")[0]
    return sum(name in line for name in ("scenario_id", "action1", "action2")) >= 2


# ---------------------------------------------------------------- rows
class _Row(NamedTuple):
    text: Text
    line: int
    """Where the row begins."""
    fields: dict[str, str]

    @property
    def id(self) -> str:
        return self.fields["scenario_id"].strip()

    def error(self, column: str, message: str) -> ScenarioError:
        return self.text.error(self.line, f"{column}: {message}")


def _rows(text: Text) -> Iterator[_Row]:
    """The rows below the header. A quoted field may run over several lines."""
    reader = csv.reader([f"{line}\n" for line in text.lines], strict=True)
    header: list[str] | None = None
    end = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as e:
            raise text.error(end + 1, f"the row that begins here is no CSV: {e}") from None
        if cells is None:
            break
        line, end = end + 1, reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _header(text, line, cells)
        else:
            yield _row(text, line, header, cells)
    if header is None:
        raise text.error(1, "no header; the first row names the columns")


def _header(text: Text, line: int, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    for column in _COLUMNS:
        if header.count(column) != 1:
            fault = "is missing" if column not in header else "is named twice"
            raise text.error(line, f"column {column!r} {fault}; a table has {', '.join(_WORDS)} and the labels")
    return header


def _row(text: Text, line: int, header: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(header):
        raise text.error(line, f"{len(cells)} fields, the header names {len(header)}; is a comma or a quote missing?")
    row = _Row(text, line, dict(zip(header, cells, strict=True)))
    for column in _WORDS:
        value = row.fields[column]
        if not value.strip():
            raise row.error(column, "empty")
        if len(value) > FIELD_MAX:
            raise row.error(column, f"{len(value)} characters; at most {FIELD_MAX}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", row.id):
        raise row.error("scenario_id", f"{quoted(row.id)} is no id: letters, digits, '.', '_' and '-', at most 80")
    if row.fields["ambiguity"] not in ("high", "low"):
        raise row.error("ambiguity", f"{quoted(row.fields['ambiguity'])} is neither high nor low")
    for column in _COLUMNS[len(_WORDS) :]:
        if row.fields[column] not in LABELS:
            raise row.error(column, f"{quoted(row.fields[column])} is no label; labels: {', '.join(LABELS)}")
    return row


# ---------------------------------------------------------------- dilemmas
def _dilemma(row: _Row, meta: dict[str, str]) -> Scenario:
    context = one_line(row.fields["context"])
    seats = tuple(
        Seat(name, f'Argue that this is what should be done: "{one_line(row.fields[action])}"')
        for name, action in zip(_NAMES, ("action1", "action2"), strict=True)
    )
    return Scenario(
        id=f"{MoralChoice.name}-{row.id}",
        task=context if context.endswith("?") else f"{context} {_QUESTION}",
        seats=seats,
        tags=("imported", MoralChoice.name),
        meta=meta | _labels(row) | {"source": f"{meta['source']}, {row.id}"},
    )


def _labels(row: _Row) -> dict[str, str]:
    """By seat: the rules its action breaks, and those on which the annotators did not agree; with the row's own facts."""
    found = {k: row.fields[k] for k in ("generation_type", "generation_rule") if row.fields.get(k)}
    for seat in (0, 1):
        for name, label in (("breaks", "Yes"), ("disputed", "No Agreement")):
            rules = [rule for rule in RULES if row.fields[f"a{seat + 1}_{rule}"] == label]
            if rules:
                found[f"{name}.seat_{seat}"] = ", ".join(rules)
    return found
