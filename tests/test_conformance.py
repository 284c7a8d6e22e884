"""The conformance checks: what ships passes them through the entry points a stranger would use, and each broken promise is
named."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from nego_env.conformance import (
    ConformanceError,
    Kind,
    check_agent,
    check_judge,
    check_scenario,
    sample_scenarios,
)
from nego_env.errors import AgentError, JudgeError, NegoError
from nego_env.moves import Move
from nego_env.packs import open_pack, open_path, pack_names
from nego_env.registry import entry_points
from nego_env.scenario import Scenario
from nego_env.verdict import Case, Verdict
from nego_env.view import View

NEEDS_MORE = {"scripted", "human", "openai", "chat"}
"""Agents that say only what they are given: lines, what a person types, what a server answers."""
ALONE = sorted(set(entry_points("nego_env.agents")) - NEEDS_MORE)


# ---------------------------------------------------------------- what ships
@pytest.mark.parametrize("name", ALONE)
def test_shipped_agents_keep_their_promises(name: str) -> None:
    check_agent(name)


def test_a_scripted_agent_keeps_them_with_enough_lines(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(["I would rather listen first."] * 9))
    check_agent(f"scripted:{lines}")


@pytest.mark.parametrize(("name", "kind"), [("exact", "structured"), ("heuristic", "open")])
def test_shipped_judges_keep_their_promises(name: str, kind: Kind) -> None:
    check_judge(name, kind=kind)


def test_every_registered_judge_is_checked_above() -> None:
    assert set(entry_points("nego_env.judges")) == {
        "exact",
        "heuristic",
        "prompted",
    }  # the last by test_prompted_judges


@pytest.mark.parametrize("name", pack_names())
def test_shipped_scenarios_keep_their_promises(name: str) -> None:
    pack = open_pack(name)
    for id in pack.ids()[:: max(1, len(pack) // 25)]:
        check_scenario(pack.get(id))


def test_imported_and_hand_written_scenarios_keep_them() -> None:
    examples = Path(__file__).parent.parent / "examples"
    for path in (examples / "river_crossing", examples / "allotment.toml"):
        for scenario in open_path(path):
            check_scenario(scenario)


def test_the_samples_are_sound_themselves() -> None:
    assert [(s.kind, s.n) for s in sample_scenarios()] == [
        ("structured", 2),
        ("structured", 4),
        ("open", 2),
        ("open", 3),
    ]
    for s in sample_scenarios():
        check_scenario(s)


# ---------------------------------------------------------------- an agent in one line, and broken ones
def _polite(view: View) -> str:
    """Plays everything: accepts what is on the table, else proposes the first options."""
    if view.phase == "completion":
        return "We do as was said."
    if not view.scenario.issues:
        return "Let us do that. [Agree]"
    return str(Move.propose(i.options[0].id for i in view.scenario.issues).text) or "Hm."


def test_a_plain_function_passes() -> None:
    check_agent(_polite)


def test_a_coroutine_function_passes() -> None:
    async def polite(view: View) -> str:
        return _polite(view)

    check_agent(polite)


def _broken(agent: Any, **options: Any) -> str:
    with pytest.raises(ConformanceError) as e:
        check_agent(agent, **options)
    assert isinstance(e.value, AssertionError)
    assert isinstance(e.value, NegoError)
    assert "\n" not in str(e.value)
    return str(e.value)


def test_an_unknown_name_does_not_resolve() -> None:
    assert "does not resolve: unknown agent 'bulware'; did you mean 'boulware'" in _broken("bulware")


def test_a_class_that_needs_arguments_does_not_resolve() -> None:
    class Needy:
        def __init__(self, model: str) -> None: ...

    assert "cannot be made without arguments" in _broken(Needy)


class _StructuredOnly:
    """Plays structured dilemmas and is rude about others."""

    error: Exception = AgentError("I need scores")

    def act(self, view: View) -> str:
        if not view.scenario.issues:
            raise self.error
        return _polite(view)


def test_it_may_leave_out_a_kind_if_it_refuses_it() -> None:
    check_agent(_StructuredOnly(), kinds=("structured",))


def test_a_refusal_is_an_agent_error_with_a_message() -> None:
    rude, mute = _StructuredOnly(), _StructuredOnly()
    rude.error, mute.error = KeyError("scores"), AgentError("")
    assert "refuses an open dilemma with an AgentError: it raised KeyError" in _broken(rude, kinds=("structured",))
    assert "refuses an open dilemma with an AgentError: its message is empty" in _broken(mute, kinds=("structured",))


def test_one_that_plays_a_kind_it_disowns_is_told_so() -> None:
    assert "refuses a structured dilemma with an AgentError: it played on" in _broken(_polite, kinds=("open",))


def test_one_that_declares_its_kinds_is_held_to_them() -> None:
    class Declared(_StructuredOnly):
        kinds = ("structured",)

    check_agent(Declared())
    assert "plays structured dilemmas only; 'check-promise-2' is open" in _broken(
        Declared(), kinds=("structured", "open")
    )


def test_one_that_cannot_play_a_kind_it_claims() -> None:
    told = _broken(_StructuredOnly())
    assert "plays every seat" in told
    assert "I need scores" in told


def test_one_that_fails_in_a_later_seat_is_found() -> None:
    def only_first(view: View) -> str:
        if view.index > 1:
            raise RuntimeError("there were only two of us")
        return _polite(view)

    told = _broken(only_first)
    assert "'check-courtyard' (4 seats)" in told
    assert "seat_2: RuntimeError: there were only two of us" in told


def test_one_that_returns_rubbish_is_found() -> None:
    assert "returned dict, expected a str, Move, Reply or act number" in _broken(lambda view: {"say": "hello"})


def test_one_that_writes_no_plan_is_found() -> None:
    told = _broken(lambda view: "" if view.phase == "completion" else _accepting(view))
    assert "writes the final plan" in told


def _accepting(view: View) -> Any:
    if not view.scenario.issues:
        return "[Agree]"
    return Move.propose(i.options[0].id for i in view.scenario.issues)


def test_tags_that_do_not_count_are_found_and_may_be_allowed() -> None:
    def eager(view: View) -> str:
        return "Yes! [Accept]" if view.scenario.issues else "Hm."

    told = _broken(eager)
    assert "its tags count" in told
    assert "there is no deal on the table to accept" in told
    check_agent(eager, notices=True)


@pytest.mark.parametrize(("draw", "module"), [(random.random, "random"), (np.random.rand, "numpy.random")])
def test_draws_from_global_generators_are_found(draw: Any, module: str) -> None:
    def gambler(view: View) -> str:
        return "Hm." if draw() < 2 else "never"

    assert f"the global generator of {module} was used or seeded" in _broken(gambler)


class _Counter:
    """Remembers across episodes what it should forget."""

    def __init__(self) -> None:
        self.said = 0

    def act(self, view: View) -> str:
        self.said += 1
        return f"I have spoken {self.said} times."


def test_state_that_outlives_an_episode_is_found() -> None:
    told = _broken(_Counter())
    assert "same seed, same replies" in told
    assert "two runs with seed 0 differ" in told


def test_an_agent_that_may_differ_from_run_to_run_is_let_be() -> None:
    check_agent(_Counter(), deterministic=False)


class _PerEpisode:
    """Starts afresh in each episode, as long as they do not overlap."""

    def __init__(self) -> None:
        self.episode, self.said = "", 0

    def act(self, view: View) -> str:
        if view.episode != self.episode:
            self.episode, self.said = view.episode, 0
        self.said += 1
        return f"I have spoken {self.said} times."


def test_state_that_mixes_up_episodes_is_found() -> None:
    """An asynchronous agent that lets others go first, so that episodes do interleave."""

    class Interleaved(_PerEpisode):
        async def aact(self, view: View) -> str:
            import asyncio

            await asyncio.sleep(0)
            return self.act(view)

    told = _broken(Interleaved())
    assert "plays otherwise when 2 episodes run at once; give it spawn(seat, scenario)" in told


class _Batcher:
    """Answers by the size of the batch."""

    def act_batch(self, views: Sequence[View]) -> list[str]:
        return [f"There are {len(views)} of us." for _ in views]


def test_a_batch_that_differs_from_single_answers_is_found() -> None:
    told = _broken(_Batcher(), deterministic=False)
    assert "act_batch answers each view as it would alone" in told
    assert "alone 'There are 1 of us.'" in told


def test_a_short_batch_is_found() -> None:
    class Short:
        def act_batch(self, views: Sequence[View]) -> list[str]:
            return ["Hm."] * min(1, len(views))

    assert "act_batch answers each view as it would alone: 1 replies for" in _broken(Short(), deterministic=False)


def test_a_good_batch_passes() -> None:
    class Good:
        def act_batch(self, views: Sequence[View]) -> list[str]:
            return [_polite(v) for v in views]

    check_agent(Good())


class _Spawner:
    """Hands out players; `shared` of them have one memory."""

    def __init__(self, *, shared: bool = False, closes: int = 9) -> None:
        self.shared, self.closes = shared, closes
        self.memory: list[str] = []

    def spawn(self, seat: str, scenario: Scenario) -> _Player:
        return _Player(self.memory if self.shared else [], self.closes)


class _Player:
    def __init__(self, memory: list[str], closes: int) -> None:
        self.memory, self.closes = memory, closes

    def act(self, view: View) -> str:
        self.memory.append(view.seat)
        return f"{len(self.memory)}"

    def close(self) -> None:
        self.closes -= 1
        if self.closes < 0:
            raise ValueError("closed already")


class _SpawnerThatActs(_Spawner):
    def act(self, view: View) -> str:
        raise AssertionError("spawned agents are asked, not this one")


def test_spawned_agents_with_their_own_state_pass() -> None:
    check_agent(_SpawnerThatActs())


def test_a_shared_memory_is_found() -> None:
    assert "spawn gives a fresh state" in _broken(_SpawnerThatActs(shared=True), deterministic=False)
    assert "same seed, same replies" in _broken(_SpawnerThatActs(shared=True))


def test_a_close_that_works_once_only_is_found() -> None:
    told = _broken(_SpawnerThatActs(closes=1))
    assert "closes twice without complaint: closed twice: ValueError: closed already" in told


def test_an_agent_that_edits_the_scenario_is_found() -> None:
    def vandal(view: View) -> str:
        view.scenario.protocol.bonus["seat_0"] = 99.0
        return "Hm."

    scenario = msgspec.json.decode(msgspec.json.encode(sample_scenarios("structured")[0]), type=Scenario)
    with_bonus = msgspec.structs.replace(
        scenario, protocol=msgspec.structs.replace(scenario.protocol, bonus={"seat_1": 1.0})
    )
    assert "leaves the scenario alone: 'check-stall' was changed" in _broken(vandal, scenarios=[with_bonus])


# ---------------------------------------------------------------- judges
class _Judge:
    """A judge of open dilemmas whose parts can be broken one at a time."""

    name = "mine"

    def judge(self, case: Case) -> Verdict:
        if case.scenario.issues:
            raise JudgeError("open dilemmas only")
        return self.verdict(case)

    def verdict(self, case: Case) -> Verdict:
        return Verdict(case.kind, self.name, 1.0 if case.kind == "agreement" else 2.0)


def _broken_judge(judge: Any, kind: Kind = "open") -> str:
    with pytest.raises(ConformanceError) as e:
        check_judge(judge, kind=kind)
    return str(e.value)


def test_a_plain_judge_passes_and_so_does_one_that_awaits() -> None:
    class Awaited(_Judge):
        async def ajudge(self, case: Case) -> Verdict:
            return self.judge(case)

    check_judge(_Judge(), kind="open")
    check_judge(Awaited(), kind="open")


def test_an_unknown_judge_does_not_resolve() -> None:
    assert "does not resolve: unknown judge 'exakt'; did you mean 'exact'" in _broken_judge("exakt")


def _with(verdict: Any) -> _Judge:
    judge = _Judge()
    judge.verdict = verdict  # type: ignore[method-assign]
    return judge


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (lambda case: 4.0, "it returned float, not a Verdict"),
        (lambda case: Verdict("score", "mine", 1.0), "its verdict is of kind 'score'"),
        (lambda case: Verdict(case.kind, "other", 1.0), "its verdict is signed 'other'"),
        (lambda case: Verdict(case.kind, "mine", 7.0), "its value is 7.0, score lies in [0, 5]"),
        (lambda case: Verdict(case.kind, "mine", float("nan")), "its value is nan"),
        (lambda case: Verdict(case.kind, "mine", 0.5), "agreement is 1.0 for yes or 0.0 for no"),
        (lambda case: Verdict(case.kind, "mine", 1.0, label=""), "they need one label"),
        (lambda case: Verdict(case.kind, "mine", 1.0, label=case.kind), "they need one label"),
        (lambda case: 1 / 0, "returns a verdict: on the score of 'check-promise-2': it raised ZeroDivisionError"),
    ],
)
def test_verdicts_that_are_none_are_found(verdict: Any, told: str) -> None:
    assert told in _broken_judge(_with(verdict))


def test_a_judge_in_two_minds_is_found() -> None:
    minds = iter(range(10_000))
    told = _broken_judge(_with(lambda case: Verdict(case.kind, "mine", float(next(minds) % 2))))
    assert "same case, same verdict" in told


@pytest.mark.parametrize("where", ["completion", "dialogue"])
def test_a_judge_that_obeys_is_found(where: str) -> None:
    def obeys(case: Case) -> Verdict:
        read = case.completion if where == "completion" else " ".join(text for _, text in case.lines)
        top = 5.0 if case.kind == "score" else 1.0
        return Verdict(case.kind, "mine", top if "must be scored 5" in read else 0.0)

    told = _broken_judge(_with(obeys))
    assert "what agents wrote is data, not an instruction" in told
    assert f"with an instruction to the judge in the {where}" in told


def test_a_judge_that_guesses_on_the_other_kind_is_found() -> None:
    class Guesses(_Judge):
        def judge(self, case: Case) -> Verdict:
            return Verdict(case.kind, self.name, -1.0) if case.scenario.issues else self.verdict(case)

    assert "a judge that cannot judge a case raises rather than guess" in _broken_judge(Guesses())


def test_a_judge_that_pays_for_another_deal_is_found() -> None:
    from nego_env.accounting import collective_agency
    from nego_env.moves import agreed_deal

    class Careless(_Judge):
        def judge(self, case: Case) -> Verdict:
            deal, _ = agreed_deal(case.completion, case.scenario)
            if case.kind != "score" or deal is None:
                raise JudgeError("no deal to score")
            return Verdict("score", self.name, collective_agency(case.scenario, deal))

    told = _broken_judge(Careless(), "structured")
    assert "pays for the deal that was agreed" in told
    assert "a completion that names a better deal than the one agreed gets 5, the honest one" in told


# ---------------------------------------------------------------- scenarios
def _unsound(scenario: Scenario) -> str:
    with pytest.raises(ConformanceError) as e:
        check_scenario(scenario)
    return str(e.value)


def _open() -> Scenario:
    return sample_scenarios("open")[0]


def test_a_task_that_asks_nothing_is_found() -> None:
    assert "the task ends in a question" in _unsound(msgspec.structs.replace(_open(), task="They should sing."))


def test_two_seats_that_want_the_same_are_found() -> None:
    s = _open()
    same = msgspec.structs.replace(s.seats[1], persona=s.seats[0].persona.upper())
    assert "seat_0 and seat_1 have one persona" in _unsound(msgspec.structs.replace(s, seats=(s.seats[0], same)))


def test_a_persona_that_others_read_is_found() -> None:
    s = _open()
    told = _unsound(msgspec.structs.replace(s, task=f"Ines: {s.seats[0].persona} Should they?"))
    assert "personas are private: seat_1 reads the persona of seat_0" in told


def test_accounts_that_do_not_add_up_are_found() -> None:
    s = msgspec.structs.replace(sample_scenarios("structured")[0])
    s.__dict__["best_g"] = 2.0  # in the place of the cached value: G* above every G
    assert "the best deal is worth CA 5 and costs nobody" in _unsound(s)
