"""Themes: what a generated dilemma is about, as data.

1. A theme is one TOML file, `themes/SPLIT/NAME.toml`: roles, issues with their options, and stories (paragraphs with
   slots) that put them into words. The generator draws from it; nothing in it is a score.
2. Training and held-out themes share no content word in their titles, role names, issue names and option labels
   (`vocabulary`), so that a held-out scenario is new in words as well as in numbers.
3. Files are read when a theme is first asked for, and checked then: a theme that loads can be drawn from.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

from nego_env.errors import ScenarioError, SettingsError, unknown_name

Split = Literal["train", "heldout"]
SPLITS: tuple[Split, ...] = ("train", "heldout")

MIN_ROLES = 4
MIN_ISSUES = 5
OPTIONS = 5
"""Options that every issue of a theme has; a scenario draws 2 to 5 of them."""

RESERVED = frozenset({"parties", "concerns", "matters"})
"""Slots that the generator fills: who sits at the table, why each of them came, and what there is to settle."""

_SLOT = re.compile(r"\{([A-Za-z_]+)\}")


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who can take a seat."""

    name: str
    """With its article and in lower case: `the harbour master`."""
    concern: tuple[str, ...]
    """Main clauses that say why this one is at the table; they take no side on any issue."""


class ThemeIssue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to settle."""

    name: str
    """Reads well after `the`: `mooring fee`."""
    ask: str
    """The same as a clause after `settle`: `what a mooring costs until the wall stands again`."""
    text: str
    """One sentence of circumstance."""
    options: tuple[str, ...]
    """Noun phrases that read well after `hold out for`."""
    ordered: bool = False
    """The options run from one end of a scale to the other, and are kept in order."""
    first_for: tuple[str, ...] = ()
    """Roles that would never prefer the far end to the near one: they want the first option most, when ordered."""
    last_for: tuple[str, ...] = ()
    """The same for the last option."""

    def lean(self, role: str) -> int:
        """-1 when the role wants the first option, 1 when it wants the last, 0 when it may want either."""
        return (role in self.last_for) - (role in self.first_for)


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to tell it: a paragraph with `{slots}`, and the question that it ends in."""

    body: str
    question: str


class Theme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subject with its people, issues and stories."""

    title: str
    slots: dict[str, tuple[str, ...]]
    """Fillers by slot name. One filler per scenario; `{Place}` is `{place}` with a capital."""
    roles: tuple[Role, ...]
    issues: tuple[ThemeIssue, ...]
    stories: tuple[Story, ...]


@cache
def theme_names(split: Split) -> tuple[str, ...]:
    """Names of the themes of a split, sorted. Raises `SettingsError` for an unknown split."""
    if split not in SPLITS:
        raise SettingsError(f"unknown split {split!r}; splits: {', '.join(SPLITS)}")
    return tuple(sorted(p.stem for p in _directory(split).glob("*.toml")))


@cache
def load_theme(split: Split, name: str) -> Theme:
    """A theme that ships. Raises `NotFoundError` with the closest names."""
    if name not in theme_names(split):
        raise unknown_name(f"{split} theme", name, theme_names(split))
    return read_theme(_directory(split) / f"{name}.toml")


def read_theme(path: Path) -> Theme:
    """A theme from a TOML file. Raises `ScenarioError` naming file and field."""
    try:
        data: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        theme = msgspec.convert(data, Theme)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ScenarioError(f"{path}: not valid TOML: {e}") from None
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read: {e.strerror}") from None
    except msgspec.ValidationError as e:
        raise ScenarioError(f"{path}: {e}") from None
    _check(theme, str(path))
    return theme


def fill(template: str, fillers: dict[str, str]) -> str:
    """The template with each `{slot}` replaced; `{Slot}` gets a capital. Raises `KeyError` for an unknown slot."""

    def filler(match: re.Match[str]) -> str:
        name = match[1]
        text = fillers[name[0].lower() + name[1:]]
        return text[0].upper() + text[1:] if name[0].isupper() else text

    return _SLOT.sub(filler, template)


def vocabulary(theme: Theme) -> frozenset[str]:
    """Every word, lower-cased and without a plural `s`, of the title, role names, issue names and option labels."""
    phrases = [theme.title, *(r.name for r in theme.roles)]
    for issue in theme.issues:
        phrases += [issue.name, *issue.options]
    words = re.findall(r"[^\W\d_]+", " ".join(phrases).lower().replace("'s", ""))
    return frozenset(w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in words)


def _directory(split: Split) -> Path:
    return Path(str(files("nego_scenarios").joinpath("themes", split)))


def _check(theme: Theme, where: str) -> None:
    for found, least, what in (
        (len(theme.roles), MIN_ROLES, "roles"),
        (len(theme.issues), MIN_ISSUES, "issues"),
        (len(theme.stories), 1, "stories"),
    ):
        if found < least:
            raise ScenarioError(f"{where}: {found} {what}; a theme has at least {least}")
    for role in theme.roles:
        if not role.concern:
            raise ScenarioError(f"{where}: role {role.name!r} has no concern")
    for issue in theme.issues:
        _check_issue(issue, {r.name for r in theme.roles}, f"{where}: issue {issue.name!r}")
    for name, fillers in theme.slots.items():
        if name in RESERVED or not fillers:
            raise ScenarioError(f"{where}: slot {name!r} is {'filled by the generator' if fillers else 'empty'}")
    for number, story in enumerate(theme.stories, 1):
        _check_story(story, set(theme.slots), f"{where}: story {number}")


def _check_issue(issue: ThemeIssue, roles: set[str], where: str) -> None:
    if len(set(issue.options)) != OPTIONS or len(issue.options) != OPTIONS:
        raise ScenarioError(f"{where}: it has to have {OPTIONS} different options")
    leaning = (*issue.first_for, *issue.last_for)
    if leaning and not issue.ordered:
        raise ScenarioError(f"{where}: first_for and last_for need ordered = true")
    for role in leaning:
        if role not in roles:
            raise ScenarioError(f"{where}: {role!r} is no role; roles: {', '.join(sorted(roles))}")
    if len(set(leaning)) != len(leaning):
        raise ScenarioError(f"{where}: a role leans twice")


def _check_story(story: Story, slots: set[str], where: str) -> None:
    used = [name[0].lower() + name[1:] for name in _SLOT.findall(story.body + story.question)]
    for name in used:
        if name not in slots | RESERVED:
            raise ScenarioError(f"{where}: unknown slot {name!r}; slots: {', '.join(sorted(slots | RESERVED))}")
    for name in sorted(RESERVED):
        if used.count(name) != 1:
            raise ScenarioError(f"{where}: slot {name!r} is used {used.count(name)} times, not once")
    if not story.question.endswith("?"):
        raise ScenarioError(f"{where}: the question does not end in '?'")
