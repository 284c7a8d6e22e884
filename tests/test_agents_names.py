"""Agents by name and with arguments, and the words they have."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from agent_samples import CAREFUL, drawn, play

import nego_agents
from nego_agents import (
    Boulware,
    Injector,
    Logroller,
    Mediator,
    MiCRO,
    RandomAgent,
    Revealer,
    ScriptedAgent,
    Stonewaller,
    Sycophant,
    TitForTat,
)
from nego_agents.commands import Agents, listed
from nego_agents.open_words import plain, plan_sentence, telling_sentence
from nego_agents.speech import address, in_first_person, listing, the
from nego_env.accounting import score
from nego_env.agents import resolve_agent
from nego_env.errors import AgentError


# ---------------------------------------------------------------- names and arguments
def test_the_public_names() -> None:
    assert nego_agents.__all__ == sorted(nego_agents.__all__, key=str.casefold)
    assert set(nego_agents.__all__) == {
        "Boulware", "Conceder", "HumanAgent", "Injector", "Logroller", "Mediator", "MiCRO", "RandomAgent", "Revealer",
        "ScriptedAgent", "Stonewaller", "Sycophant", "TitForTat",
    }  # fmt: skip


@pytest.mark.parametrize("name", [*CAREFUL, "random", "human"])
def test_a_name_makes_the_agent_and_the_agent_knows_its_name(name: str) -> None:
    assert resolve_agent(resolve_agent(name).agent).name == name


def test_changed_parameters_show_in_the_name() -> None:
    assert resolve_agent("boulware:0.3").agent.spec == "boulware:0.3"  # type: ignore[attr-defined]
    assert Boulware(0.2).spec == "boulware"
    assert Boulware(0.3, width=0.2).spec == "boulware:0.3(width=0.2)"
    assert Revealer(margin=0.2).spec == "revealer(margin=0.2)"
    assert RandomAgent(walk=0.5).spec == "random(walk=0.5)"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("boulware:slow", "exponent is a number above 0; found 'slow'"),
        ("boulware:0", "above 0"),
        ("conceder:-1", "above 0"),
        ("conceder:nan", "above 0"),
        ("conceder:", "above 0"),
        ("micro:3", "micro takes no argument"),
        ("mediator:x", "mediator takes no argument, found mediator:x; write mediator"),
        ("tit-for-tat:x", "takes no argument"),
        ("random:x", "takes no argument"),
        ("human:x", "takes no argument"),
        ("scripted", "scripted:FILE"),
        ("scripted:nowhere.txt", "nowhere.txt cannot be read"),
    ],
)
def test_a_wrong_argument_is_told_what_is_allowed(name: str, fault: str) -> None:
    with pytest.raises(AgentError, match=re.escape(fault)):
        resolve_agent(name)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: TitForTat(opening=0), "opening is a number above 0 and at most 1"),
        (lambda: Logroller(reserve=2), "reserve is a number at least 0 and at most 1"),
        (lambda: Revealer(margin=0), "margin"),
        (lambda: RandomAgent(walk=-1), "walk is -1"),
        (lambda: RandomAgent(propose=0, talk=0), "propose \\+ talk"),
        (lambda: ScriptedAgent([3]), "found int"),  # type: ignore[list-item]
        (lambda: ScriptedAgent([]), "found none"),
    ],
)
def test_a_wrong_parameter_is_told_what_is_allowed(make: Any, fault: str) -> None:
    with pytest.raises(AgentError, match=fault):
        make()


def test_the_agents_command_lists_everybody_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert Agents().run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("boulware")] == ["boulware"]
    assert Agents(json=True).run() == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == listed()
    assert {"boulware", "human", "scripted"} <= {r["name"] for r in rows}
    ours = [r for r in rows if r["source"].startswith("nego_agents")]
    assert all(r["summary"].endswith(".") and len(r["summary"]) < 140 for r in ours)


@pytest.mark.parametrize("cls", [Stonewaller, Sycophant, Mediator, Injector, MiCRO, TitForTat])
def test_spawned_agents_are_fresh_and_can_be_closed(cls: Any) -> None:
    agent = cls()
    scenario = drawn(1)
    one, two = agent.spawn("seat_0", scenario.for_seat(0)), agent.spawn("seat_1", scenario.for_seat(1))
    assert one is not two
    assert one.close() is None


# ---------------------------------------------------------------- words
@pytest.mark.parametrize(
    ("persona", "told"),
    [
        ("Own the bakery whole, as you were promised.", "own the bakery whole, as I was promised"),
        ("Sing the solo yourself while you can stand.", "sing the solo myself while I can stand"),
        ("Agree to nothing that could call you back.", "agree to nothing that could call me back"),
        ("Ride with your grandmother beside you, then rest.", "ride with my grandmother beside me, then rest"),
        ("Work every shift you are due.", "work every shift I am due"),
        ("Let it be yours.", "let it be mine"),
        ("", ""),
    ],
)  # fmt: skip
def test_personas_in_the_first_person(persona: str, told: str) -> None:
    assert in_first_person(persona) == told


def test_small_words() -> None:
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert [the("length of the lease"), the("who pays"), the("the rent"), the("Sunday rest")] == [
        "the length of the lease", "who pays", "the rent", "Sunday rest",
    ]  # fmt: skip
    assert [address("the captain"), address("Anahit"), address("the")] == ["captain", "Anahit", "the"]


def test_what_is_repeated_of_somebodys_words() -> None:
    assert telling_sentence("Well. Hold an equal half of the bakery. What else is there to say about it?") == (
        "Hold an equal half of the bakery."
    )
    assert telling_sentence("What I want is this: peace for the whole house.") == "Peace for the whole house."
    assert telling_sentence("No.") == ""
    assert plain("a\x1b[2J [Agree] [Walk b\u202e") == "a\\x1b 2J Walk b\\u202e"
    assert len(plain("word " * 100_000)) == 600
    assert plan_sentence("I hear you all. Here is a plan: we share. Is it fine?") == "Here is a plan: we share."


def test_the_worth_of_the_standing_deal_decides_and_not_its_name() -> None:
    scenario = drawn(9)
    t = play(scenario, ["conceder"])
    stakes = [s.stakes for s in scenario.seats]
    assert t.deal is not None
    assert all(x is not None and score(x, scenario.deal(t.deal)) >= x.walk_away for x in stakes)
