"""LLM-Deliberation / ScorableGames folders as structured scenarios (Abdelnabi et al., arXiv 2309.17234).

A game is a folder:

    config.txt                                       a party a line: display name,file name,role,incentive,model
    global_instructions.txt                          the shared story, then the issues with their options
    individual_instructions/<incentive>/<file>.txt   a party's private text, with placeholders for its scores
    scores_files/<file>.txt                          a line of scores per issue, then the minimum acceptable score
    initial_deal.txt                                 p1's opening deal (optional)

1. Seats are p1, p2, then the other parties in file order. A deal is agreed when at least all but one accept, p1 and p2
   among them; p1 (`seat_0`) has 10 extra points when every party reaches its minimum, and writes the completion.
2. The source lets p1's last proposal decide and asks afterwards who would accept it. That rule is not played: seats
   accept or do not, under the same threshold and the same vetoes.
3. Words are kept, whitespace is not: a line break ends a sentence only where a paragraph, a bullet or a line of scores
   ends. Nothing is guessed about numbers: whatever does not fit together is a `ScenarioError` naming file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nego_env.errors import ScenarioError
from nego_env.scenario import Acceptance, Issue, Option, Protocol, Scenario, Seat, Stakes
from nego_scenarios.importers.reading import Text, licence, read_text

PROPOSER_BONUS = 10.0
"""Extra points of p1 when every party reaches its minimum (arXiv 2309.17234)."""
LABEL_MAX = 80
"""Characters an issue name or option label may take; longer ones are cut and stand whole in the text."""
SCORE_MAX = 1e9
"""Larger scores, either way, are taken for mistakes."""
MAX_BYTES = 1_000_000
"""A larger file is no part of a game description."""

_ROLES = ("p1", "p2", "player", "target")
_MARKS = ("config.txt", "global_instructions.txt", "initial_deal.txt", "scores_files", "individual_instructions")
_QUESTION = "Which deal should they settle on?"
_SOURCE = "LLM-Deliberation (arXiv 2309.17234)"

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_RULE = re.compile(r"\s*([=_*~-])\1{2,}\s*")
_BULLET = re.compile(r"^\s*[-*•–]\s+")
_OPENS_SENTENCE = re.compile(r"\s*(?:[-*•–]\s|issue [a-z]\b|[=_*~-]{3,}\s*$)", re.IGNORECASE)
_CLOSED = re.compile(r"[.:;,!?…][\"”')]*$")
_ISSUE = re.compile(r"[\s*•–-]*issue\s+([a-z])\b[\s*]*(?:[:.)–-]\s*(.*)|(?=[\"“](.*))|$)", re.ASCII | re.IGNORECASE)
_OPTION = re.compile(
    r"(?P<indent>\s*)(?P<bullet>[*•–-]\s+)?\**(?P<letter>[a-z])(?P<number>\d{1,3})\b\**"
    r"(?P<mark>\s*[:.)=](?!\d)|\s*[–-](?=\s)|(?=\s*[\"“]))?\s*(?P<words>.*)",
    re.ASCII | re.IGNORECASE,
)
_QUOTED = re.compile(r'"((?:[^"]|(?<=\s)"[^"]+")+)"')  # may hold a quotation of its own: "Payments to "other cities""
_ARROW = re.compile(r"\s*(?:={1,3}>|-{1,3}>|→)\s*")
_CLAUSE_END = re.compile(r"(?<=[\w%)\"]{3})(?:[.:;] | [-–—] )")
_PLACEHOLDER = re.compile(r"#([a-z])(\d+|_max)_num\b", re.ASCII | re.IGNORECASE)


class LLMDeliberation:
    """Reads one game folder, a folder of games, or a checkout of the project (games under `games_descriptions/`)."""

    name = "llm-deliberation"

    def sniff(self, path: Path) -> bool:
        """Whether a game folder is at the path, or one level below. Looks at names only; never raises."""
        return bool(_games(path))

    def load(self, path: Path) -> list[Scenario]:
        """Every game at the path, sorted by folder name. Raises `ScenarioError` naming file and line."""
        games = _games(path)
        if not games:
            raise ScenarioError(f"{path}: no game here; a game folder has {', '.join(_MARKS)}")
        return [read_game(folder) for folder in games]


def read_game(folder: Path) -> Scenario:
    """The scenario of one game folder. Raises `ScenarioError` naming file and line."""
    parties = _parties(_read(folder / "config.txt"))
    shared = _read(folder / "global_instructions.txt")
    before, after, drafts = _split(shared)
    issues = tuple(_issue(draft, shared, {p.name.lower() for p in parties}) for draft in drafts)
    seats = tuple(_seat(folder, party, issues) for party in parties)
    meta = _meta(folder, parties, issues)
    try:
        return Scenario(
            id=f"{LLMDeliberation.name}-{_slug(folder)}",
            task=_task(before, after),
            seats=seats,
            issues=issues,
            protocol=Protocol(
                acceptance=Acceptance(at_least=len(seats) - 1, vetoes=(0, 1)),
                finalizer=0,
                bonus={"seat_0": PROPOSER_BONUS},
            ),
            tags=("imported", LLMDeliberation.name),
            meta=meta,
        )
    except ScenarioError as e:
        raise shared.error(drafts[0].line, str(e)) from None


# ---------------------------------------------------------------- folders and files
def _games(path: Path) -> list[Path]:
    try:
        if _is_game(path):
            return [path]
        parent = path / "games_descriptions" if (path / "games_descriptions").is_dir() else path
        return sorted(child for child in parent.iterdir() if _is_game(child)) if parent.is_dir() else []
    except OSError:  # an unreadable folder is no game; `load` says so
        return []


def _is_game(path: Path) -> bool:
    # Two of five, so that a game with a missing part is still recognised and its error can name the part.
    return path.is_dir() and sum((path / mark).exists() for mark in _MARKS) >= 2


def _read(path: Path) -> Text:
    return read_text(
        path, what="game description", max_bytes=MAX_BYTES, missing=f"a game folder has {', '.join(_MARKS)}"
    )


# ---------------------------------------------------------------- parties
class _Party(NamedTuple):
    name: str
    file: str
    role: str
    incentive: str
    model: str
    where: str
    """`path:line` of its line in config.txt."""


def _parties(config: Text) -> list[_Party]:
    """The parties in seat order: p1, p2, then file order."""
    parties: list[_Party] = []
    for number, line in config.filled():
        party = _party(config, number, line)
        for other in parties:
            _check_distinct(config, number, party, other)
        parties.append(party)
    for role in ("p1", "p2"):
        if not any(p.role == role for p in parties):
            raise config.error(
                config.filled()[-1][0], f"no party has the role {role}; exactly one p1 and one p2 are needed"
            )
    return sorted(parties, key=lambda p: min(_ROLES.index(p.role), 2))


def _party(config: Text, number: int, line: str) -> _Party:
    fields = [field.strip().strip('"“”').strip() for field in line.rstrip(", \t").split(",")]
    if len(fields) != 5 or not all(fields):
        raise config.error(
            number, f"{len([f for f in fields if f])} of 5 fields in {line!r}; a line is name,file,role,incentive,model"
        )
    name, file, role, incentive, model = fields
    if role.lower() not in _ROLES:
        raise config.error(number, f"unknown role {role!r} of {name!r}; known: {', '.join(_ROLES)}")
    for what, value in (("file name", file), ("incentive", incentive)):
        if value in (".", "..") or len(value) > 100 or re.search(r"[/\\:]", value):
            raise config.error(
                number, f"{what} {value!r} of {name!r} must be a plain name: no path, at most 100 characters"
            )
    return _Party(name, file.removesuffix(".txt"), role.lower(), incentive, model, f"{config.path}:{number}")


def _check_distinct(config: Text, number: int, party: _Party, other: _Party) -> None:
    at = f"line {other.where.rpartition(':')[2]}"
    if party.name.lower() == other.name.lower():
        raise config.error(number, f"party {party.name!r} is listed twice ({at}); names must differ")
    if party.file == other.file:
        raise config.error(
            number, f"{party.name!r} has the file {party.file!r} of {other.name!r} ({at}); files must differ"
        )
    if party.role == other.role and party.role in ("p1", "p2"):
        raise config.error(number, f"a second {party.role}, {party.name!r}; {other.name!r} is {party.role} ({at})")


# ---------------------------------------------------------------- issues
class _DraftOption(NamedTuple):
    line: int
    id: str
    indent: int
    loose: bool
    """Written `A1 "..."`: a quoted start is the label even when the sentence goes on."""
    words: list[str]


class _Draft(NamedTuple):
    line: int
    id: str
    heading: str
    notes: list[str]
    """Everything between the heading and the next issue that belongs to no option."""
    options: list[_DraftOption]


class _Split(NamedTuple):
    before: list[str]
    """The story's lines above the first issue."""
    after: list[str]
    """Lines below a ruled line (`====`) that belong to no issue."""
    drafts: list[_Draft]


def _split(shared: Text) -> _Split:
    """The story and the issues; a ruled line ends an issue."""
    before: list[str] = []
    after: list[str] = []
    drafts: list[_Draft] = []
    current: _Draft | None = None
    for number, line in enumerate(shared.lines, 1):
        if found := _ISSUE.fullmatch(line):
            current = _heading(shared, number, found, drafts)
            drafts.append(current)
        elif drafts and _RULE.fullmatch(line):
            current = None
        elif drafts and _take_option(shared, number, line, current):
            continue
        elif current is None:
            (after if drafts else before).append(line)
        else:
            _note(line, current, right_below=bool(shared.lines[number - 2].strip()))
    if not drafts:
        raise shared.error(1, 'no issue in the file; an issue opens with a line such as: Issue A: "Location"')
    for draft in drafts:
        if not draft.options:
            raise shared.error(
                draft.line, f'issue {draft.id} has no options; an option is a line such as: {draft.id}1: "..."'
            )
    return _Split(before, after, drafts)


def _heading(shared: Text, number: int, found: re.Match[str], drafts: Sequence[_Draft]) -> _Draft:
    letter = found[1].upper()
    for draft in drafts:
        if draft.id == letter:
            raise shared.error(number, f"issue {letter} is listed twice (line {draft.line}); letters must differ")
    heading = (found[2] or found[3] or "").strip(" \t*")
    if found[3] is not None:
        heading = f'"{heading}'
    return _Draft(number, letter, heading, [], [])


def _take_option(shared: Text, number: int, line: str, current: _Draft | None) -> bool:
    """Whether the line opens an option, now in its issue; else it is prose. Options are numbered from 1, in order."""
    found = _OPTION.fullmatch(line)
    if found is None or (found["mark"] is None and found["bullet"] is None):
        return False
    id = f"{found['letter'].upper()}{int(found['number'])}"
    if current is None or current.id != id[0]:
        under = f"stands under issue {current.id}" if current else "stands under no issue"
        raise shared.error(number, f'option {id} {under}; expected a line such as: Issue {id[0]}: "..." before it')
    expected = f"{current.id}{len(current.options) + 1}"
    if id != expected:
        raise shared.error(number, f"option {id} where {expected} was expected; options are numbered from 1, in order")
    indent = len(found["indent"].expandtabs())
    loose = not (found["mark"] or "").strip()
    current.options.append(_DraftOption(number, id, indent, loose, [found["words"]]))
    return True


def _note(line: str, current: _Draft, *, right_below: bool) -> None:
    """A further line of an issue: the option's above when it is as far in as that and right below it, else the issue's."""
    indent = len(line.expandtabs()) - len(line.expandtabs().lstrip())
    if line.strip() and right_below and current.options and indent >= current.options[-1].indent:
        current.options[-1].words.append(line)
    else:
        current.notes.append(line)


def _issue(draft: _Draft, shared: Text, parties: set[str]) -> Issue:
    name, rest = headline(draft.heading)
    if not name:
        raise shared.error(
            draft.line, f'issue {draft.id} has no name; expected a line such as: Issue {draft.id}: "Location"'
        )
    whole = [_words(" ".join(option.words)) for option in draft.options]
    short = [headline(w, parties, loose=o.loose) for w, o in zip(whole, draft.options, strict=True)]
    if len({label for label, _ in short}) < len(short):  # a shared opening says nothing: take the whole sentences
        short = [_shortened(w, w) for w in whole]
    for option, (label, _) in zip(draft.options, short, strict=True):
        if not label:
            raise shared.error(option.line, f"option {option.id} has no words; expected: {option.id}: what it means")
    return Issue(
        id=draft.id,
        name=name,
        options=tuple(Option(o.id, label, text) for o, (label, text) in zip(draft.options, short, strict=True)),
        text=flatten([rest, "", *draft.notes]),
    )


def headline(content: str, parties: Iterable[str] = (), *, loose: bool = False) -> tuple[str, str]:
    """A short name and the rest of a line: `"water-based": built freely` -> `("water-based", "built freely")`.

    In this order: a quoted opening, what stands before an arrow, a first clause before a dash, colon or full stop, the
    whole. A quoted opening that runs on into its sentence (`"SportCo" pays`) is a name only when `loose` or no party's.
    """
    line = _words(content)
    if quoted := _QUOTED.match(line):
        rest = line[quoted.end() :].strip()
        if not rest or loose or quoted[1].lower() not in parties:
            return _shortened(quoted[1], line, rest.lstrip(":.; "))
    for end in (_ARROW, _CLAUSE_END):
        if (found := end.search(line)) and found.start() > 0:
            return _shortened(line[: found.start()], line, line[found.end() :])
    return _shortened(line, line)


def _shortened(label: str, whole: str, rest: str = "") -> tuple[str, str]:
    """The label without quotes and closing punctuation, and the rest; a label cut to size has the whole line for its rest."""
    label = _words(label.replace('"', "")).rstrip(" .,:;")
    if len(label) <= LABEL_MAX:
        return label, rest
    head = label[: LABEL_MAX - 1]
    for mark in (" (", ", ", "; "):
        if mark in head:
            return head[: head.rfind(mark)], whole
    return (head.rpartition(" ")[0] or head) + "…", whole


def _words(text: str) -> str:
    """One line, single blanks, straight double quotes."""
    return " ".join(re.sub(r"[“”„«»]", '"', text).split())


# ---------------------------------------------------------------- seats
def _seat(folder: Path, party: _Party, issues: Sequence[Issue]) -> Seat:
    sheet = folder / "scores_files" / f"{party.file}.txt"
    if not sheet.is_file():
        raise ScenarioError(
            f"{party.where}: {party.name!r} has no score sheet {sheet}; add it or correct the file name"
        )
    stakes = _stakes(_read(sheet), issues)
    instructions = folder / "individual_instructions" / party.incentive / f"{party.file}.txt"
    if not instructions.is_file():
        raise ScenarioError(
            f"{party.where}: {party.name!r} has no instructions {instructions}; {_incentives(folder, party)}"
        )
    return Seat(party.name, _persona(_read(instructions), issues, stakes), stakes)


def _incentives(folder: Path, party: _Party) -> str:
    top = folder / "individual_instructions"
    found = sorted(d.name for d in top.iterdir() if (d / f"{party.file}.txt").is_file()) if top.is_dir() else []
    return f"it has some for the incentive: {', '.join(found)}" if found else "add them or correct the file name"


def _stakes(sheet: Text, issues: Sequence[Issue]) -> Stakes:
    """A score sheet: a line per issue in order, one number per option, then a line with the minimum acceptable score."""
    rows = [(number, _numbers(sheet, number, line)) for number, line in sheet.filled()]
    for (number, row), issue in zip(rows, issues, strict=False):
        if len(row) != len(issue.options):
            ids = " ".join(o.id for o in issue.options)
            raise sheet.error(
                number, f"{len(row)} scores for issue {issue.id}, which has {len(issue.options)} options ({ids})"
            )
    if len(rows) != len(issues) + 1:
        last = rows[-1][0]
        if len(rows) <= len(issues):
            missing = ", ".join([*(f"issue {i.id}" for i in issues[len(rows) :]), "the minimum acceptable score"])
            raise sheet.error(last, f"the file ends before {missing}; a line per issue and a last one with the minimum")
        raise sheet.error(
            last, f"{len(rows)} lines; {len(issues)} issues and the minimum acceptable score take {len(issues) + 1}"
        )
    number, minimum = rows[-1]
    if len(minimum) != 1:
        raise sheet.error(
            number, f"{len(minimum)} numbers in the last line; it holds one, the minimum acceptable score"
        )
    stakes = Stakes(tuple(row for _, row in rows[:-1]), minimum[0])
    best = sum(max(row) for row in stakes.scores)
    if best < stakes.walk_away:
        raise sheet.error(
            number, f"the minimum {stakes.walk_away:g} is above the best deal's {best:g}; no deal could be accepted"
        )
    return stakes


def _numbers(sheet: Text, number: int, line: str) -> tuple[float, ...]:
    row: list[float] = []
    for field in line.rstrip(", \t").split(","):
        if not _NUMBER.fullmatch(field.strip()) or abs(float(field)) > SCORE_MAX:
            raise sheet.error(
                number, f"{field.strip()!r} is no number up to {SCORE_MAX:g}; a line holds numbers separated by commas"
            )
        row.append(float(field))
    return tuple(row)


def _persona(private: Text, issues: Sequence[Issue], stakes: Stakes) -> str:
    """The private text in one paragraph, `#A1_NUM` and `#A_MAX_NUM` replaced by the seat's scores."""
    scores = {
        o.id: v
        for issue, row in zip(issues, stakes.scores, strict=True)
        for o, v in zip(issue.options, row, strict=True)
    }
    scores |= {f"{issue.id}_MAX": max(row) for issue, row in zip(issues, stakes.scores, strict=True)}
    filled: list[str] = []
    for number, line in enumerate(private.lines, 1):
        for found in _PLACEHOLDER.finditer(line):
            if (found[1] + found[2]).upper() not in scores:
                raise private.error(number, f"placeholder {found[0]} names no option; known: {', '.join(scores)}")
        text = _PLACEHOLDER.sub(lambda m: f"{scores[(m[1] + m[2]).upper()]:.12g}", line)
        filled.append(text)
        if text != line and text.rstrip().endswith(")"):
            filled.append("")  # a line of scores is a sentence of its own
    return flatten(filled)


# ---------------------------------------------------------------- words
def flatten(lines: Iterable[str]) -> str:
    """One paragraph: words single-spaced, bullets and rules dropped, a full stop where a paragraph or bullet had none.

    A colon at the very end becomes a full stop too: what it announced stands elsewhere in the scenario.
    """
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if not line.strip() or _OPENS_SENTENCE.match(line):
            paragraphs.append([])
        if not _RULE.fullmatch(line):
            paragraphs[-1] += _BULLET.sub("", line, count=1).split()
    sentences = [" ".join(words) for words in paragraphs if words]
    told = " ".join(s if _CLOSED.search(s) else f"{s}." for s in sentences)
    return f"{told[:-1].rstrip()}." if told.endswith(":") else told


def _task(before: Sequence[str], after: Sequence[str]) -> str:
    told = f"{flatten(before)} {flatten(after)}".strip()
    return told if told.endswith("?") else f"{told} {_QUESTION}".strip()


# ---------------------------------------------------------------- about the game
def _slug(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:100] or "game"


def _meta(folder: Path, parties: Sequence[_Party], issues: Sequence[Issue]) -> dict[str, str]:
    """Where the game comes from and how it was meant to be run. No paths: they would change the content hash."""
    meta = {"source": f"{_SOURCE}, game {_slug(folder)}"}
    if found := licence(folder.resolve()):
        meta["licence"] = found
    for i, party in enumerate(parties):
        meta |= {f"{k}.seat_{i}": getattr(party, k) for k in ("role", "incentive", "model")}
    if (folder / "initial_deal.txt").is_file():
        meta["initial_deal"] = _initial_deal(_read(folder / "initial_deal.txt"), issues)
    return meta


def _initial_deal(text: Text, issues: Sequence[Issue]) -> str:
    """p1's opening deal as option ids in issue order. Raises `ScenarioError` unless it settles each issue once."""
    of_issue = {o.id: issue.id for issue in issues for o in issue.options}
    chosen: dict[str, str] = {}
    for number, line in text.filled():
        for id in re.split(r"[,;\s]+", line.strip(",; ").upper()):
            if id not in of_issue:
                raise text.error(number, f"{id!r} is no option; options: {' '.join(of_issue)}")
            if of_issue[id] in chosen:
                raise text.error(
                    number,
                    f"{chosen[of_issue[id]]} and {id} both settle issue {of_issue[id]}; name one option per issue",
                )
            chosen[of_issue[id]] = id
    if open_issues := [issue.id for issue in issues if issue.id not in chosen]:
        raise text.error(
            text.filled()[-1][0], f"nothing settles issue {', '.join(open_issues)}; name one option per issue"
        )
    return " ".join(chosen[issue.id] for issue in issues)
