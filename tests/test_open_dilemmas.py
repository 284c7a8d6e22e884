"""Promises about the pack of open dilemmas.

1. Every file loads, is open (no issues), and is named by its own id.
2. The strata stand in the paper's proportions, 30 / 40 / 30 % (arXiv 2603.10476, Table 1).
3. A task is two or three sentences, the last of them a question, and everyone who argues occurs in it.
4. A persona is one short imperative sentence, belongs to one seat of one dilemma, and is not given away by the task.
5. Tags and `meta` name the stratum and the two principles that collide; no two dilemmas collide over the same two.
6. The page about the pack lists every dilemma and prints its example as it ships.

Whether a dilemma is worth arguing about, and whether its personas are opposed in substance, only a reader can tell.
"""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import pytest

from nego_env.scenario import Protocol, Scenario, read_toml

FOLDER = Path(str(files("nego_scenarios").joinpath("data", "open")))
PATHS = sorted(FOLDER.glob("*.toml"))
PACK = {path.stem: read_toml(path) for path in PATHS}
PAGE = Path(__file__).parent.parent / "docs" / "scenarios-open.md"

STRATA = {"professional": 0.3, "interpersonal": 0.4, "etiquette": 0.3}
# fmt: off
OPENING_VERBS = {
    "accept", "be", "bring", "get", "give", "hand", "have", "hold", "keep", "leave", "let",
    "own", "print", "put", "ride", "sail", "see", "sing", "spare", "work",
}
# fmt: on
"""The verbs our personas open with. A new persona may add one; a name, a pronoun or an adverb must not get in."""

MAX_PERSONA_WORDS = 24
SHARED_RUN = 5
"""A task and a persona with this many words in a row in common say the same thing."""

each_dilemma = pytest.mark.parametrize("dilemma", PACK.values(), ids=PACK.keys())


def sentences(text: str) -> list[str]:
    """Split after `.`, `!` or `?` where a space or the end follows; the pack uses no abbreviations."""
    return re.findall(r"\S.*?[.!?](?=\s|$)", text)


def words(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    """Every run of `length` consecutive words."""
    said = words(text)
    return {tuple(said[i : i + length]) for i in range(len(said) - length + 1)}


def vocabulary(text: str) -> set[str]:
    """The words of a text, a possessive counted as the word it belongs to."""
    return {word.removesuffix("'s") for word in words(text)}


def principles(dilemma: Scenario) -> list[str]:
    return dilemma.meta["principles"].split(" / ")


def test_the_helpers_count_what_they_say() -> None:
    assert sentences("A 2.5 cm crack grew. Who pays, and when?") == ["A 2.5 cm crack grew.", "Who pays, and when?"]
    assert sentences("An unfinished one") == []
    assert vocabulary("Meera's call") == {"meera", "call"}
    assert runs("Let it go, Meera", 3) == {("let", "it", "go"), ("it", "go", "meera")}


def test_the_pack_has_about_a_dozen_dilemmas_and_nothing_else() -> None:
    assert 12 <= len(PACK) <= 14
    assert sorted(FOLDER.iterdir()) == PATHS
    assert "thesis-deadline" in PACK  # the README's example


def test_strata_are_as_near_to_the_paper_as_whole_dilemmas_allow() -> None:
    counts = Counter(dilemma.meta["stratum"] for dilemma in PACK.values())
    assert set(counts) == set(STRATA)
    for stratum, share in STRATA.items():
        assert abs(counts[stratum] - share * len(PACK)) < 1, counts


def test_one_or_two_dilemmas_have_a_third_seat() -> None:
    seats = Counter(dilemma.n for dilemma in PACK.values())
    assert set(seats) == {2, 3}
    assert seats[3] in (1, 2)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_file_states_the_id_it_is_named_by(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith(f'id = "{path.stem}"\n')
    assert PACK[path.stem].id == path.stem


@each_dilemma
def test_it_is_open_and_leaves_the_protocol_alone(dilemma: Scenario) -> None:
    assert dilemma.kind == "open"
    assert dilemma.protocol == Protocol()


@each_dilemma
def test_the_task_is_two_or_three_sentences_and_ends_in_a_question(dilemma: Scenario) -> None:
    assert len(sentences(dilemma.task)) in (2, 3)
    assert dilemma.task.endswith("?")
    assert dilemma.task.count("?") == 1
    assert not re.search(r"[\n—–]|  ", dilemma.task)


@each_dilemma
def test_everyone_at_the_table_occurs_in_the_task(dilemma: Scenario) -> None:
    for seat in dilemma.seats:
        assert words(seat.name)[-1] in vocabulary(dilemma.task), seat.name


@each_dilemma
def test_a_persona_is_one_short_imperative_sentence(dilemma: Scenario) -> None:
    for seat in dilemma.seats:
        assert sentences(seat.persona) == [seat.persona]
        assert seat.persona.endswith(".")
        assert words(seat.persona)[0] in OPENING_VERBS, seat.persona
        assert len(words(seat.persona)) <= MAX_PERSONA_WORDS, seat.persona


@each_dilemma
def test_the_task_gives_no_persona_away(dilemma: Scenario) -> None:
    for seat in dilemma.seats:
        assert not runs(dilemma.task, SHARED_RUN) & runs(seat.persona, SHARED_RUN), seat.persona


def test_no_persona_serves_twice() -> None:
    personas = Counter(" ".join(words(seat.persona)) for dilemma in PACK.values() for seat in dilemma.seats)
    assert personas.most_common(1)[0][1] == 1


def test_no_person_turns_up_in_two_dilemmas() -> None:
    names = Counter(seat.name for dilemma in PACK.values() for seat in dilemma.seats)
    assert names.most_common(1)[0][1] == 1


@each_dilemma
def test_tags_and_meta_name_the_stratum_and_the_two_principles(dilemma: Scenario) -> None:
    assert set(dilemma.meta) == {"stratum", "principles"}
    assert len(principles(dilemma)) == 2
    assert dilemma.tags == (dilemma.meta["stratum"], *(p.replace(" ", "-") for p in principles(dilemma)))


def test_no_two_dilemmas_turn_on_the_same_principles() -> None:
    for a, b in combinations(PACK.values(), 2):
        assert set(principles(a)) != set(principles(b)), (a.id, b.id)


def test_the_page_lists_every_dilemma() -> None:
    rows = re.findall(r"^\| `(.+)` \| (.+) \| (\d) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    pack = [(d.id, d.meta["stratum"], str(d.n), d.meta["principles"]) for d in PACK.values()]
    assert sorted(rows) == sorted(pack)


def test_the_example_on_the_page_is_the_file_that_ships() -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert block == (FOLDER / "thesis-deadline.toml").read_text(encoding="utf-8")
