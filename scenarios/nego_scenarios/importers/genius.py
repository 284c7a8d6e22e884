"""GENIUS domains with utility profiles as structured scenarios (the XML that GENIUS and NegMAS share).

A folder holds a domain (root `negotiation_template`) and two or more profiles (root `utility_space`):

    <issue index="1" name="Price" type="discrete"> <item index="1" value="low"/> ... </issue>         in the domain
    <weight index="1" value="0.6"/>  <issue index="1" ...> <item value="low" evaluation="3"/> ...     in a profile
    <reservation value="0.3"/>

1. An issue is an issue; a profile is a seat, in the order of file names. A discrete option is worth weight * evaluation /
   (the issue's largest evaluation); an integer one weight * (offset + slope * (value - lower bound)), kept in [0, 1] before
   weighting. That is what GENIUS computes (`EvaluatorDiscrete`, `EvaluatorInteger`); weights are taken as they stand.
2. The reservation value is the walk-away value, 0 where there is none. A discount factor stands in `meta`; it is not played.
3. Refused, because they are no finite sum of options: real-valued issues, and profiles with constraints or hyper-rectangles.
   What does not fit together is a `ScenarioError` naming file, line and element.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from nego_env.errors import ScenarioError
from nego_env.scenario import Issue, Option, Scenario, Seat, Stakes
from nego_env.wording import number
from nego_scenarios.importers.reading import about, opening, quoted
from nego_scenarios.importers.xml_tree import Element, read_xml

DOMAIN, PROFILE = "negotiation_template", "utility_space"
LABEL_MAX = 80
"""Characters of an option label; a longer one is cut and stands whole in the option's text."""
OPTIONS_MAX = 5000
"""Options of one issue."""
ISSUES_MAX = 100

_WHAT = "GENIUS file"
_SMALLEST = 1e-5
"""GENIUS takes a largest evaluation below this for 0."""


class Genius:
    """Reads one domain folder (or its domain file), or a folder of such folders."""

    name = "genius"

    def sniff(self, path: Path) -> bool:
        """Whether a domain or a profile is at the path, or one level below. Never raises."""
        try:
            return bool(_folders(path))
        except OSError:
            return False

    def load(self, path: Path) -> list[Scenario]:
        """A scenario for each domain at the path, sorted by folder. Raises `ScenarioError` naming file, line and element."""
        try:
            folders = _folders(path)
        except OSError as e:
            raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None
        if not folders:
            raise ScenarioError(f"{path}: no GENIUS domain here; a domain is an XML file that opens with <{DOMAIN}>")
        found: list[Scenario] = []
        for folder in folders:
            for scenario in read_folder(folder, only=path if path.is_file() else None):
                if any(scenario.id == other.id for other in found):  # two folders name their domains alike
                    longer = f"{scenario.id}-{_slug(folder.name)}"[:120]
                    scenario = replace(scenario, id=longer)
                found.append(scenario)
        return found


def _folders(path: Path) -> list[Path]:
    """Folders with GENIUS files: that of the file, the path itself, or those right below it."""
    if path.is_file():
        return [path.parent] if _is_ours(path) else []
    if not path.is_dir():
        return []
    if any(map(_is_ours, path.iterdir())):
        return [path]
    return sorted(f for f in path.iterdir() if f.is_dir() and any(map(_is_ours, f.iterdir())))


def _is_ours(file: Path) -> bool:
    if file.suffix.lower() != ".xml" or file.name.endswith("pareto.xml"):
        return False
    head = opening(file)
    return f"<{DOMAIN}" in head or f"<{PROFILE}" in head


def read_folder(folder: Path, *, only: Path | None = None) -> list[Scenario]:
    """The scenario of each domain in a folder (or of `only` one), with all of its profiles.

    One domain has every profile of the folder; where there are several, `Laptop-A-domain.xml` has those that begin with
    `Laptop-A-`. Raises `ScenarioError` naming file, line and element.
    """
    roots = {file: read_xml(file, what=_WHAT).tag for file in sorted(f for f in folder.iterdir() if _is_ours(f))}
    domains = [file for file, tag in roots.items() if tag == DOMAIN]
    profiles = [file for file, tag in roots.items() if tag == PROFILE]
    if not domains:
        raise ScenarioError(f"{folder}: no domain; a domain is an XML file that opens with <{DOMAIN}>")
    if len(domains) == 1:
        return [read_domain(domains[0], profiles)]
    return [
        read_domain(domain, [p for p in profiles if p.stem.startswith(_prefix(domain))])
        for domain in domains
        if only in (None, domain)
    ]


def _prefix(domain: Path) -> str:
    """What the profiles of a domain begin with: its name, without the word for what it is."""
    return re.sub(r"(domain|template)$", "", domain.stem, flags=re.IGNORECASE)


def read_domain(domain: Path, profiles: Sequence[Path]) -> Scenario:
    """The scenario of a domain and these profiles, one seat each, in this order. Raises `ScenarioError` naming file, line
    and element."""
    if len(profiles) < 2:
        names = ", ".join(p.name for p in profiles) or "none"
        raise ScenarioError(
            f"{domain}: {len(profiles)} profiles ({names}); a negotiation needs two, each a file <{PROFILE}>"
        )
    root = read_xml(domain, what=_WHAT)
    if root.tag != DOMAIN:
        raise root.error(f"expected <{DOMAIN}>")
    issues = _issues(root)
    spaces = [_Profile(read_xml(path, what=_WHAT), issues) for path in profiles]
    label = _title(root, domain)
    meta = about(f"GENIUS domain {label}", domain) | {"domain": domain.stem}
    for i, space in enumerate(spaces):
        meta |= {f"profile.seat_{i}": profiles[i].name} | space.meta(i)
    try:
        return Scenario(
            id=f"{Genius.name}-{_slug(domain.stem)}",
            task=_task(label, issues),
            seats=tuple(space.seat(path.stem) for space, path in zip(spaces, profiles, strict=True)),
            issues=tuple(_issue(k, issue) for k, issue in enumerate(issues)),
            tags=("imported", Genius.name),
            meta=meta,
        )
    except ScenarioError as e:
        raise root.error(str(e)) from None


def _title(root: Element, domain: Path) -> str:
    objective = next(root.below("objective"), None)
    return " ".join((objective.attributes.get("name", "") if objective else "").split())[:LABEL_MAX] or domain.stem


def _slug(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100] or "domain"


def _task(title: str, issues: Sequence[_Issue]) -> str:
    return f"Agree on one option for each issue of {title}: {', '.join(i.name for i in issues)}. Which should they be?"


# ---------------------------------------------------------------- the domain
class _Issue(NamedTuple):
    at: Element
    key: int
    """Its index in the files."""
    name: str
    lower: int | None
    """The lower bound of an integer issue; None for a discrete one."""
    values: tuple[str, ...]
    texts: tuple[str, ...]
    """By value: what the domain says of it."""


def _issues(root: Element) -> tuple[_Issue, ...]:
    """The issues of a domain by index, whatever objectives they are grouped under."""
    found: dict[int, _Issue] = {}
    for at in _issue_elements(root):
        issue = _read_issue(at)
        if issue.key in found:
            raise at.error(f"index {issue.key} is used already (line {found[issue.key].at.line})")
        found[issue.key] = issue
    if not found:
        raise root.error("no issue in the domain")
    if len(found) > ISSUES_MAX:
        raise root.error(f"{len(found)} issues; at most {ISSUES_MAX}")
    return tuple(found[index] for index in sorted(found))


def _issue_elements(root: Element) -> Iterator[Element]:
    return root.below("issue")


def _kind(at: Element) -> str:
    """`type` where it is given, as in GENIUS; older files say `vtype` or nothing, which is discrete."""
    return (at.attributes.get("type") or at.attributes.get("vtype") or "discrete").strip().lower()


def _read_issue(at: Element) -> _Issue:
    index, name, kind = at.whole("index"), at.text("name"), _kind(at)
    if kind == "integer":
        low, high = _bounds(at)
        return _Issue(at, index, name, low, tuple(map(str, range(low, high + 1))), ("",) * (high + 1 - low))
    if kind != "discrete":
        raise at.error(f"{name!r} is {kind}; only discrete and integer issues have a finite number of options")
    items = list(at.all("item"))
    if not 1 <= len(items) <= OPTIONS_MAX:
        raise at.error(f"{name!r} has {len(items)} items; 1 to {OPTIONS_MAX}")
    values: dict[str, str] = {}
    for item in items:
        value = item.text("value")
        if value in values:
            raise item.error(f"value {quoted(value)} of {name!r} is listed twice")
        values[value] = " ".join(item.attributes.get("description", "").split())
    return _Issue(at, index, name, None, tuple(values), tuple(values.values()))


def _bounds(at: Element) -> tuple[int, int]:
    """Of an integer issue: attributes of its own, or of a `range` in it."""
    place = next((e for e in (at, *at.all("range")) if "lowerbound" in e.attributes), at)
    low, high = place.whole("lowerbound"), place.whole("upperbound")
    if not 1 <= high - low + 1 <= OPTIONS_MAX:
        raise place.error(f"{low} to {high} are {max(0, high - low + 1)} options; 1 to {OPTIONS_MAX}")
    return low, high


def _issue(k: int, issue: _Issue) -> Issue:
    id = _letters(k)
    described = zip(issue.values, issue.texts, strict=True)
    return Issue(id, issue.name, tuple(_option(f"{id}{j}", v, text) for j, (v, text) in enumerate(described, 1)))


def _option(id: str, value: str, text: str) -> Option:
    if len(value) <= LABEL_MAX:
        return Option(id, value, text)
    return Option(id, value[: LABEL_MAX - 1] + "…", f"{value} {text}".strip())


def _letters(k: int) -> str:
    """A, B, ..., Z, then AA, AB, ..."""
    letter = chr(ord("A") + k % 26)
    return letter if k < 26 else _letters(k // 26 - 1) + letter


# ---------------------------------------------------------------- a profile
class _Profile:
    """One party's utilities over the issues of a domain."""

    def __init__(self, root: Element, issues: Sequence[_Issue]) -> None:
        if root.tag != PROFILE:
            raise root.error(f"expected <{PROFILE}>")
        kind = root.attributes.get("type", "").strip().lower()
        other = next(root.below("utility_function", "hyper_rectangle", "constraint", "rules"), None)
        if other is not None or kind in ("nonlinear", "constraint"):
            raise (other or root).error("not a weighted sum over the issues; only additive profiles are read")
        self.root = root
        self.weights = self._weights(issues)
        self.scores = tuple(self._scores(issue) for issue in self._matched(issues))
        self.walk_away = self._factor("reservation", 0.0)

    def seat(self, name: str) -> Seat:
        """Named after the file; the formats have no words for what a party wants."""
        stakes = Stakes(self.scores, self.walk_away)
        if stakes.best < stakes.walk_away - 1e-9:
            raise self.root.error(
                f"reservation {number(self.walk_away)} is above the best deal's {number(stakes.best)}"
            )
        told = f"Get a deal that is worth as much as possible to you; without one you have {number(self.walk_away)}."
        return Seat(name, told, stakes)

    def meta(self, seat: int) -> dict[str, str]:
        """The discount factor, which is not played."""
        if next(self.root.below("discount_factor"), None) is None:
            return {}
        return {f"discount_factor.seat_{seat}": number(self._factor("discount_factor", 1.0))}

    def _factor(self, tag: str, default: float) -> float:
        found = next(self.root.below(tag), None)
        return default if found is None else found.number("value")

    def _weights(self, issues: Sequence[_Issue]) -> dict[int, float]:
        weights: dict[int, float] = {}
        for at in self.root.below("weight"):
            index = at.whole("index")
            if index in weights:
                raise at.error(f"a second weight for index {index}")
            weights[index] = at.number("value")
            if weights[index] < 0:
                raise at.error(f"value={number(weights[index])}; a weight is at least 0")
        for issue in issues:
            if issue.key not in weights:
                raise self.root.error(f"no weight for issue {issue.key} ({issue.name!r})")
        return weights

    def _matched(self, issues: Sequence[_Issue]) -> Iterator[tuple[_Issue, Element]]:
        """Each issue of the domain with the profile's."""
        found: dict[int, Element] = {}
        for at in _issue_elements(self.root):
            index = at.whole("index")
            if index in found:
                raise at.error(f"index {index} is used already (line {found[index].line})")
            found[index] = at
        known = {issue.key: issue for issue in issues}
        for index, at in found.items():
            if index not in known:
                raise at.error(f"issue {index} is not in the domain, which has {', '.join(map(str, known))}")
            name = known[index].name
            if "name" in at.attributes and at.text("name") != name:
                raise at.error(f"issue {index} is called {at.text('name')!r} here and {name!r} in the domain")
        for index, issue in known.items():
            if index not in found:
                raise self.root.error(f"issue {index} ({issue.name!r}) of the domain is missing")
            yield issue, found[index]

    def _scores(self, matched: tuple[_Issue, Element]) -> tuple[float, ...]:
        issue, at = matched
        weight = self.weights[issue.key]
        shares = _evaluations(issue, at) if issue.lower is None else _line(issue, at)
        return tuple(weight * share for share in shares)


def _evaluations(issue: _Issue, at: Element) -> list[float]:
    """Of a discrete issue: evaluations over the largest of them, in the domain's order."""
    if _kind(at) not in ("discrete", ""):
        raise at.error(f"{issue.name!r} is {_kind(at)} here and discrete in the domain")
    found: dict[str, float] = {}
    for item in at.all("item"):
        value = item.text("value")
        if value not in issue.values:
            raise item.error(f"value {quoted(value)} of {issue.name!r} is not in the domain")
        if value in found:
            raise item.error(f"value {quoted(value)} of {issue.name!r} is listed twice")
        found[value] = item.number("evaluation")
        if found[value] < 0:
            raise item.error(f"evaluation={number(found[value])}; an evaluation is at least 0")
    for value in issue.values:
        if value not in found:
            raise at.error(f"no evaluation of {quoted(value)} ({issue.name!r})")
    top = max(found.values())
    return [found[value] / top if top >= _SMALLEST else 0.0 for value in issue.values]


def _line(issue: _Issue, at: Element) -> list[float]:
    """Of an integer issue: offset + slope * (value - lower bound), kept in [0, 1]."""
    assert issue.lower is not None  # asked for integer issues only
    if _kind(at) != "integer":
        raise at.error(f"{issue.name!r} is {_kind(at)} here and integer in the domain")
    evaluator = next(at.all("evaluator"), None)
    if evaluator is None or evaluator.attributes.get("ftype", "linear") != "linear":
        raise (evaluator or at).error(f"{issue.name!r} needs a linear evaluator with slope and offset")
    slope, offset = evaluator.number("slope"), evaluator.number("offset")
    if (low := _bounds(at)[0]) != issue.lower:
        raise at.error(f"{issue.name!r} begins at {low} here and at {issue.lower} in the domain")
    return [min(1.0, max(0.0, offset + slope * k)) for k in range(len(issue.values))]
