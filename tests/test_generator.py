"""The generator and its frozen suites.

1. Same arguments, same scenario; every seed gives a valid one inside the documented ranges.
2. Training and held-out themes share no content word.
3. A persona says what the private scores say.
4. The levels of stakes order scenarios from agreement to conflict; almost all leave room for a deal.
5. The frozen files are what their hashes say, and what this generator version writes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.resources import files
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nego_env.accounting import best_score
from nego_env.errors import NotFoundError, ScenarioError, SettingsError
from nego_env.packs import Pack
from nego_env.scenario import Scenario, decode_scenario, encode_scenario
from nego_scenarios import draws, stakes
from nego_scenarios.casting import LEVELS
from nego_scenarios.freeze import CELLS, COUNT, measure, suite
from nego_scenarios.generator import generate, generate_many
from nego_scenarios.themes import SPLITS, Split, fill, load_theme, read_theme, theme_names, vocabulary

_FUNCTION_WORDS = """
    a an the and or but nor if as at by for from in into of off on onto out over per than then to up with without within
    while until till no not none nothing any all each every both either other another some whatever whoever who whom
    whose what which when where how it its itself he she they them their themselves his her him
    is are was be been being has have had do does done did may might must can cannot will would
    one two three four five six seven eight nine ten eleven twelve fifteen sixteen seventeen eighteen nineteen twenty
    thirty forty fifty sixty seventy ninety hundred half third quarter fifth tenth dozen first second twice
    more less most least only alone too very there this that these those so after before between among under through
    around except behind beside above below inside outside during along against together last next once nearly few
    own same everyone everything nobody
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that carry no subject: the only ones that labels of both splits may use."""

THEMES = [(split, name) for split in SPLITS for name in theme_names(split)]


@pytest.fixture(scope="module")
def drawn() -> list[Scenario]:
    """Some scenarios of each split, as the seeds give them."""
    return [s for split in SPLITS for s in generate_many(400, split=split)]


# ---------------------------------------------------------------- themes
def test_there_are_enough_themes() -> None:
    assert len(theme_names("train")) >= 14
    assert len(theme_names("heldout")) >= 7


def test_splits_share_no_content_word() -> None:
    train, heldout = (
        set().union(*(vocabulary(load_theme(split, n)) for n in theme_names(split))) - FUNCTION_WORDS
        for split in SPLITS
    )
    assert train & heldout == set()
    assert len(train) > 500
    assert len(heldout) > 300


def test_vocabulary_is_of_names_and_labels_without_plurals() -> None:
    theme = load_theme("train", "harbour")
    assert {"skipper", "mooring", "yacht", "storm", "slipway"} <= vocabulary(theme)
    assert "yachts" not in vocabulary(theme)
    assert "breakwater" not in vocabulary(theme), "stories are not part of it"


@pytest.mark.parametrize(("split", "name"), THEMES)
def test_every_story_is_a_paragraph_with_a_question(split: Split, name: str) -> None:
    theme = load_theme(split, name)
    assert len(theme.stories) >= 3
    for story, k in product(theme.stories, range(max(map(len, theme.slots.values())))):
        fillers = {slot: choices[k % len(choices)] for slot, choices in theme.slots.items()}
        fillers |= {"parties": "the one and the other", "concerns": "the one hopes", "matters": "what is what"}
        text = f"{fill(story.body, fillers)} {fill(story.question, fillers)}"
        assert not set("{}") & set(text)
        assert not re.search(r"  |[.,;:?]{2}|[.?] [a-z]", text), text
        assert text[0].isupper()
        assert text.endswith("?")


@pytest.mark.parametrize(("split", "name"), THEMES)
def test_phrases_fit_the_sentences_they_go_into(split: Split, name: str) -> None:
    theme = load_theme(split, name)
    for role in theme.roles:
        assert role.name.startswith("the ")
        assert all(not c.endswith(".") and c.startswith("the ") for c in role.concern)
    for issue in theme.issues:
        assert not issue.name.startswith(("the ", "her ", "his ")), "personas say 'the' before it"
        assert "," not in issue.ask, "it stands in a list"
        assert issue.text.endswith(".")
        assert all(not o.endswith((".", ",")) for o in issue.options)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("title =", "titel =", "titel"),
        ("{Parties}", "{Partys}", "unknown slot 'partys'; slots: "),
        ("{matters}", "much", "slot 'matters' is used 0 times"),
        ('first_for = ["the lifeboat coxswain"]', 'first_for = ["the pirate"]', "'the pirate' is no role; roles: "),
        ('"no fee at all", ', "", "issue 'mooring fee': it has to have 5 different options"),
        ("[slots]", "[slots]\nmatters = ['x']", "slot 'matters' is filled by the generator"),
        ("shelter that is left?", "shelter.", "story 1: the question does not end in '?'"),
        ("[[roles]]", "[roles", "not valid TOML"),
    ],
)
def test_a_broken_theme_is_one_clear_error(tmp_path: Path, before: str, after: str, message: str) -> None:
    text = Path(str(files("nego_scenarios").joinpath("themes", "train", "harbour.toml"))).read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "broken.toml"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(ScenarioError) as e:
        read_theme(path)
    assert str(e.value).startswith(f"{path}: ")
    assert message in str(e.value)


def test_a_missing_theme_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_theme(tmp_path / "none.toml")


# ---------------------------------------------------------------- generate
@given(
    seed=st.integers(0, 2**32),
    split=st.sampled_from(SPLITS),
    knobs=st.fixed_dictionaries(
        {},
        optional={
            "seats": st.integers(2, 4),
            "issues": st.integers(2, 5),
            "options": st.integers(2, 5),
            "stakes": st.sampled_from(LEVELS),
        },
    ),
)
@settings(max_examples=150, deadline=None)
def test_any_seed_gives_a_valid_scenario(seed: int, split: Split, knobs: dict[str, Any]) -> None:
    s = generate(seed, split=split, **knobs)
    assert decode_scenario(encode_scenario(s), "here") == s
    assert 2 <= s.n <= 4
    assert 2 <= len(s.issues) <= 5
    assert all(2 <= c <= 5 for c in s.counts)
    assert s.n == knobs.get("seats", s.n)
    assert len(s.issues) == knobs.get("issues", len(s.issues))
    assert set(s.counts) == {knobs["options"]} if "options" in knobs else True
    assert s.meta["stakes"] == knobs.get("stakes", s.meta["stakes"])
    assert s.tags[:4] == ("generated", split, s.meta["theme"], s.meta["stakes"])
    assert ("no_zopa" in s.tags) == s.no_zopa
    assert s.id.startswith(f"{s.meta['theme']}-")
    assert s.task.endswith("?")
    for seat in s.seats:
        assert seat.stakes is not None
        scores = [v for row in seat.stakes.scores for v in row]
        assert all(v >= 0 and v == int(v) for v in scores)
        assert 40 <= best_score(seat.stakes) <= 100


def test_the_same_arguments_give_the_same_scenario_in_another_process() -> None:
    code = (
        "from nego_env.scenario import encode_scenario; from nego_scenarios.generator import generate; import sys;"
        "sys.stdout.buffer.write(b''.join(encode_scenario(generate(s, split='heldout')) for s in range(5)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "77"}, capture_output=True, check=True
    )
    assert done.stdout == b"".join(encode_scenario(s) for s in generate_many(5, split="heldout"))


def test_an_argument_equal_to_what_is_drawn_changes_nothing() -> None:
    for seed in range(20):
        s = generate(seed)
        same = generate(seed, theme=s.meta["theme"], seats=s.n, issues=len(s.issues), stakes=s.meta["stakes"])  # type: ignore[arg-type]
        assert same == s


def test_an_argument_leaves_the_other_draws_alone() -> None:
    for seed in range(20):
        s, other = generate(seed), generate(seed, seats=4, issues=5)
        assert (other.meta["theme"], other.meta["stakes"]) == (s.meta["theme"], s.meta["stakes"])
        assert other.counts[: len(s.counts)] == s.counts


def test_ids_are_unique_within_a_split() -> None:
    for split in SPLITS:
        assert len({s.id for s in generate_many(300, split=split)}) == 300


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seats": 5}, "seats is 5; a generated scenario has 2 to 4"),
        ({"issues": 0}, "issues is 0; a generated scenario has 2 to 5"),
        ({"options": 1}, "options is 1; a generated scenario has 2 to 5"),
        ({"stakes": "fierce"}, "unknown stakes 'fierce'; stakes: cooperative, mixed, opposed, sharp"),
        ({"split": "test"}, "unknown split 'test'; splits: train, heldout"),
    ],
)
def test_a_wrong_argument_is_one_clear_error(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as e:
        generate(**{"seed": 0, **knobs})
    assert message in str(e.value)


def test_an_unknown_theme_names_the_closest() -> None:
    with pytest.raises(NotFoundError, match="did you mean 'harbour'"):
        generate(0, theme="harbor")
    with pytest.raises(NotFoundError, match="unknown heldout theme 'harbour'"):
        generate(0, split="heldout", theme="harbour")


# ---------------------------------------------------------------- words
def test_the_task_names_everybody_and_everything_to_settle(drawn: list[Scenario]) -> None:
    for s in drawn:
        theme = load_theme(s.meta["split"], s.meta["theme"])
        asks = {issue.name: issue.ask for issue in theme.issues}
        assert all(seat.name[4:] in s.task for seat in s.seats)
        assert all(asks[issue.name] in s.task for issue in s.issues)
        assert 60 <= len(s.task.split()) <= 260


def test_personas_match_the_scores(drawn: list[Scenario]) -> None:
    for s in drawn:
        for seat, focus, spare in zip(s.seats, s.meta["focus"].split(), s.meta["spare"].split(), strict=True):
            assert seat.stakes is not None
            weights = [max(row) for row in seat.stakes.scores]
            issue, option = s.option_index[focus]
            assert [k for k, w in enumerate(weights) if w == max(weights)] == [issue], "the only heaviest issue"
            row = seat.stakes.scores[issue]
            assert [j for j, v in enumerate(row) if v == max(row)] == [option], "the only best option there"
            assert weights[s.issue_index[spare]] == min(weights)
            assert f"the {s.issues[issue].name}" in seat.persona
            assert s.issues[issue].options[option].label in seat.persona
            assert f"the {s.issues[s.issue_index[spare]].name}" in seat.persona


def test_personas_are_one_imperative_sentence(drawn: list[Scenario]) -> None:
    for s in drawn:
        for seat in s.seats:
            assert seat.persona.endswith(".")
            assert ". " not in seat.persona
            assert len(seat.persona.split()) <= 60
            assert seat.stakes is not None
            share = seat.stakes.walk_away / best_score(seat.stakes)
            assert share >= 0.44 or "well enough without a deal" not in seat.persona
            assert share < 0.32 or "little to fall back on" not in seat.persona


# ---------------------------------------------------------------- stakes
def test_walk_away_values_are_a_quarter_to_a_half_of_the_best(drawn: list[Scenario]) -> None:
    shares = [x.stakes.walk_away / best_score(x.stakes) for s in drawn if not s.no_zopa for x in s.seats if x.stakes]
    assert max(shares) <= 0.515, "half of 41 is rounded up to 21"
    assert sum(share < 0.24 for share in shares) <= 0.005 * len(shares), "only where nothing else leaves a deal"


def test_about_one_in_25_has_no_zone_of_possible_agreement(drawn: list[Scenario]) -> None:
    without = [s for s in drawn if s.no_zopa]
    assert 0.02 <= len(without) / len(drawn) <= 0.06
    assert {s.meta["stakes"] for s in without} <= {"opposed", "sharp"}


def test_the_biggest_sum_is_mostly_not_the_fairest_deal(drawn: list[Scenario]) -> None:
    figures = measure(drawn)
    assert figures.unfair_sum > 0.8
    assert figures.ca_of_biggest_sum < 3.5


def test_seats_want_different_deals(drawn: list[Scenario]) -> None:
    for s in drawn:
        assert not _common_favourite(s), f"{s.id}: one deal is everybody's best"


def _common_favourite(s: Scenario) -> bool:
    return bool((s.table.scores == s.table.scores.max(axis=1, keepdims=True)).all(axis=0).any())


def test_sharp_stakes_oppose_two_seats_on_every_issue(drawn: list[Scenario]) -> None:
    for s in drawn:
        if s.meta["stakes"] == "sharp":
            for k in range(len(s.issues)):
                rows = [seat.stakes.scores[k] for seat in s.seats if seat.stakes]
                assert any(_reversed(a, b) for a, b in combinations(rows, 2))


def _reversed(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """No two options are ranked alike (rounding may tie them)."""
    return all((a[i] - a[j]) * (b[i] - b[j]) <= 0 for i, j in combinations(range(len(a)), 2))


def test_levels_run_from_agreement_to_conflict() -> None:
    def agreement(s: Scenario) -> float:
        """Share of (issue, two seats, two options) ranked alike."""
        alike = [
            (a[i] - a[j]) * (b[i] - b[j]) > 0
            for k in range(len(s.issues))
            for a, b in combinations([seat.stakes.scores[k] for seat in s.seats if seat.stakes], 2)
            for i, j in combinations(range(len(a)), 2)
        ]
        return sum(alike) / len(alike)

    means = [sum(agreement(generate(seed, stakes=level)) for seed in range(150)) / 150 for level in LEVELS]
    assert all(more > less + 0.02 for more, less in pairwise(means)), means


def test_leaning_roles_want_their_end() -> None:
    """The crab-boat skipper never prefers a higher mooring fee: the theme says so."""
    found = 0
    for s in generate_many(200, theme="harbour"):
        for seat in s.seats:
            for k, issue in enumerate(s.issues):
                if seat.name == "the crab-boat skipper" and issue.name == "mooring fee" and seat.stakes:
                    row = seat.stakes.scores[k]
                    assert list(row) == sorted(row, reverse=True)
                    found += 1
    assert found > 20


def test_some_tables_of_three_or_four_may_outvote_a_seat(drawn: list[Scenario]) -> None:
    ruled = [s for s in drawn if s.protocol.acceptance.at_least is not None]
    assert 0.04 <= len(ruled) / sum(s.n > 2 for s in drawn) <= 0.17
    for s in ruled:
        assert s.n > 2
        assert (s.protocol.acceptance.at_least, s.protocol.acceptance.vetoes) == (s.n - 1, (0,))
        assert f"needs the consent of {s.seats[0].name} and of at least {'one' if s.n == 3 else 'two'}" in s.task


def test_apportion_gives_away_the_whole_total() -> None:
    # 10 in the proportion 3:3:3 is 3.33 each; the one left over goes to the first of equal remainders.
    assert stakes.apportion(10, [3, 3, 3]) == [4, 3, 3]
    # 7 in the proportion 5:1 is 5.83 and 1.17: the larger remainder gets it.
    assert stakes.apportion(7, [5, 1]) == [6, 1]


def test_walk_away_values_are_lowered_to_a_deal_that_is_there() -> None:
    # One issue, reversed orders, 10 and 20 at best: the middle option gives 60 % and 50 %, the others 0 to somebody.
    numbers = stakes.Numbers([[[10, 6, 0]], [[0, 10, 20]]], [[10], [20]], [7, 15], zopa=False)
    lowered = stakes.lowered(numbers)
    assert lowered.walk_away == [6, 10]
    assert lowered.zopa


# ---------------------------------------------------------------- the frozen suites
@pytest.fixture(scope="module", params=SPLITS)
def frozen(request: pytest.FixtureRequest) -> Pack:
    """A suite as it ships."""
    return Pack(str(files("nego_scenarios").joinpath("data", request.param)))


def test_a_frozen_suite_is_what_its_hash_says(frozen: Pack) -> None:
    frozen.verify()
    assert len(frozen) == COUNT == len(frozen.ids())
    assert (frozen.directory / "scenarios.jsonl").stat().st_size < 2_500_000
    assert (frozen.shape.seats, frozen.shape.options) == (4, (5, 5, 5, 5, 5))


def test_a_frozen_suite_covers_every_combination(frozen: Pack) -> None:
    cells = [(e.seats, len(e.issues), e.tags[3]) for e in frozen.entries()]
    assert all(cells.count(cell) >= COUNT // len(CELLS) for cell in CELLS)
    themes = [e.tags[2] for e in frozen.entries()]
    assert min(themes.count(t) for t in theme_names(frozen.name)) >= 0.7 * COUNT / len(set(themes))
    counts = [c for e in frozen.entries() for c in e.issues]
    assert all(counts.count(c) >= 0.2 * len(counts) for c in (2, 3, 4, 5))


def test_a_frozen_suite_is_what_its_generator_writes(frozen: Pack) -> None:
    """Holds for the generator version on record; a later one may give other scenarios, and leaves the files alone."""
    written = frozen.get(frozen.ids()[0]).meta["generator"]
    if written != f"nego_scenarios.generator/{draws.VERSION}":
        pytest.skip(f"the suite was written by {written}")
    for s in suite(frozen.name, 40):  # type: ignore[arg-type]
        assert encode_scenario(frozen.get(s.id)) == encode_scenario(s)


def test_no_seat_sees_where_a_scenario_comes_from(frozen: Pack) -> None:
    view = frozen.get(frozen.ids()[0]).for_seat(0)
    assert view.meta == {}
    assert view.tags == ()
