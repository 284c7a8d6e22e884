"""What counts as an agent, how one is found by name, and what a name that is none is told."""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from face_support import agreeable
from support import bargain, single_line

from nego_env import Reply, play
from nego_env.agents import Agent, CallableAgent, NamedAgent, describe, resolve_agent
from nego_env.errors import AgentError, NegoError, NotFoundError
from nego_env.moves import Move
from nego_env.view import View


class Acting:
    """An object with `act`."""

    argument = ""

    def act(self, view: View) -> str:
        return "[Propose: A2 B2]" if view.table is None else "[Accept]"


class Awaited:
    """An object with `aact` alone."""

    async def aact(self, view: View) -> str:
        return Acting().act(view)


class Batched:
    """An object with `act_batch` alone."""

    def act_batch(self, views: list[View]) -> list[str]:
        return [Acting().act(v) for v in views]


class AsyncBatched:
    """An object whose `act_batch` is awaited."""

    async def act_batch(self, views: list[View]) -> list[str]:
        return Batched().act_batch(views)


class Called:
    """An object that is called."""

    def __call__(self, view: View) -> str:
        return Acting().act(view)


class CalledAndAwaited:
    """An object that is called and awaited."""

    async def __call__(self, view: View) -> str:
        return Acting().act(view)


class Spawning:
    """An object with nothing but `act`, made by `spawn`."""

    def act(self, view: View) -> str:
        raise AssertionError("the one it was spawned from does not play")

    def spawn(self, seat: str, scenario: Any) -> Acting:
        return Acting()


def function(view: View) -> str:
    """A plain function."""
    return Acting().act(view)


async def coroutine_function(view: View) -> str:
    """A function that is awaited."""
    return Acting().act(view)


def moves(view: View) -> Move:
    """A function that returns moves."""
    return Move.propose("A2 B2") if view.table is None else Move.accept("Fine.")


def replies(view: View) -> Reply:
    """A function that returns replies."""
    return Reply(moves(view), token_ids=(1, 2), logprobs=(-0.1, -0.2), finish_reason="stop", usage={"prompt": 7})


def numbers(view: View) -> int:
    """A function that returns act numbers: A2 B2 is 4 of 9, accept is 9."""
    return 4 if view.table is None else 9


FORMS: list[Any] = [
    Acting(), Acting, Awaited(), Awaited, Batched(), AsyncBatched(), Called(), Called, CalledAndAwaited(), Spawning(),
    function, coroutine_function, lambda view: function(view), functools.partial(function), moves, replies, numbers,
    "test_agents_protocol:function", "test_agents_protocol:Acting", "test_agents_protocol:coroutine_function",
]  # fmt: skip


@pytest.mark.parametrize("agent", FORMS, ids=[str(i) for i in range(len(FORMS))])
@pytest.mark.parametrize("timeout", [None, 30.0])
def test_every_form_of_agent_plays(agent: Any, timeout: float | None) -> None:
    for t in play(bargain(), agent, episodes=3, timeout=timeout):
        assert t.rewards == (5.0, 5.0), t.error
        assert len(t.utterances) == 2


def test_a_batch_is_preferred_to_awaiting_and_awaiting_to_a_plain_call() -> None:
    class Both(Acting):
        async def aact(self, view: View) -> str:
            return "awaited"

    class All(Both):
        def act_batch(self, views: list[View]) -> list[str]:
            return ["batched"] * len(views)

    heard = [play(bargain(), a, max_rounds=1).utterances[0].text for a in (Acting(), Both(), All())]
    assert heard == ["[Propose: A2 B2]", "awaited", "batched"]


# ---------------------------------------------------------------- names
def test_an_agent_is_called_by_its_name_its_spec_or_its_python_name() -> None:
    class Specified(Acting):
        spec = "greedy:0.5"

    class EmptySpec(Acting):
        spec = ""

    here = __name__
    assert resolve_agent(f"{here}:function").name == f"{here}:function"
    assert resolve_agent(function).name == f"{here}:function"
    assert resolve_agent(Acting()).name == resolve_agent(Acting).name == f"{here}:Acting"
    assert resolve_agent(Specified()).name == "greedy:0.5"
    assert resolve_agent(EmptySpec()).name.endswith("EmptySpec")
    assert describe(CallableAgent(Called())) == f"{here}:Called"
    assert "lambda" in resolve_agent(lambda view: "").name
    assert isinstance(resolve_agent(function), NamedAgent)
    assert isinstance(resolve_agent(function).agent, Agent)


def test_agents_come_from_a_file_that_runs_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def calm(view):\n    return 'calm'\nlouder = calm\n")
    calm, louder = (resolve_agent(f"{file}:{name}") for name in ("calm", "louder"))
    assert (calm.name, louder.name) == (f"{file}:calm", f"{file}:louder")
    assert isinstance(calm.agent, CallableAgent)
    assert isinstance(louder.agent, CallableAgent)
    assert calm.agent.function is louder.agent.function
    assert play(bargain(), f"{file}:calm", max_rounds=1).utterances[0].text == "calm"


def made(argument: str) -> Acting:
    """What a registered name with an argument makes."""
    agent = Acting()
    agent.argument = argument
    return agent


def test_a_registered_name_wins_and_may_have_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "nego_env.agents"
    ours = {
        "house": EntryPoint("house", f"{__name__}:Acting", group),
        __name__: EntryPoint(__name__, f"{__name__}:made", group),
    }
    monkeypatch.setattr("nego_env.registry.entry_points", lambda wanted: ours if wanted == group else {})
    house, argued = resolve_agent("house"), resolve_agent(f"{__name__}:Batched")
    assert (house.name, argued.name) == ("house", f"{__name__}:Batched")
    assert isinstance(house.agent, Acting)
    assert isinstance(argued.agent, Acting), "not the module of that name"
    assert argued.agent.argument == "Batched"
    with pytest.raises(NotFoundError, match="did you mean 'house'"):
        resolve_agent("hause")


def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path: Path) -> None:
    broken = {
        "syntax.py": ("def calm(view)\n    return ''\n", r"syntax\.py:1 does not run: SyntaxError"),
        "raises.py": ("x = 1\ny = x / 0\n", r"raises\.py:2 does not run: ZeroDivisionError"),
        "imports.py": ("import no_such_module_here\n", "No module named 'no_such_module_here'"),
        "value.py": ("calm = 3\n", "expected a callable or an object with act"),
        "init.py": (
            "class calm:\n    def __init__(self, a): ...\n    def act(self, v): ...\n",
            "cannot be made without",
        ),
    }
    for name, (text, message) in broken.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AgentError, match=message) as e:
            resolve_agent(f"{tmp_path / name}:calm")
        assert single_line(str(e.value))
    (tmp_path / "names.py").write_text("def calm(view): ...\ndef _hidden(view): ...\nvalue = 3\n")
    with pytest.raises(NotFoundError, match=r"unknown agent in .*names\.py 'clam'; did you mean 'calm'"):
        resolve_agent(f"{tmp_path / 'names.py'}:clam")
    with pytest.raises(NotFoundError, match=r"no file .*missing\.py"):
        resolve_agent(f"{tmp_path / 'missing.py'}:calm")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("boulwear", "did you mean 'boulware'"),
        ("no_such_module:agent", r"no module 'no_such_module' \(a file needs its \.py"),
        ("test_agents_protocol:nothing", "unknown agent in test_agents_protocol 'nothing'"),
        ("", "unknown agent ''"),
        ("zzzz", "known: "),
    ],
)
def test_a_name_that_is_none_says_what_there_is(spec: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message) as e:
        resolve_agent(spec)
    assert single_line(str(e.value))


@pytest.mark.parametrize("thing", [3, None, [], object(), b"boulware"])
def test_a_thing_that_is_no_agent_is_an_agent_error(thing: Any) -> None:
    with pytest.raises(AgentError, match="expected a callable or an object with act"):
        resolve_agent(thing)


# ---------------------------------------------------------------- who sits where
def test_agents_are_dealt_round_the_table() -> None:
    from support import quorum

    def one(view: View) -> str:
        return "one"

    def two(view: View) -> str:
        return "two"

    t = play(quorum(), [one, two], max_rounds=1)
    assert [u.text for u in t.utterances] == ["one", "two", "one", "two"]
    assert [name.rpartition(".")[2] for name in t.agents] == ["one", "two", "one", "two"]
    assert play(quorum(), one, max_rounds=1).agents == play(quorum(), [one], max_rounds=1).agents
    with pytest.raises(AgentError, match="3 agents for the 2 seats"):
        play(bargain(), [one, two, agreeable])
    with pytest.raises(AgentError, match="no agents"):
        play(bargain(), [])


def test_what_is_wrong_with_the_call_is_raised_at_once() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"episodes": -1}, "episodes=-1"),
        ({"in_flight": 0}, "in_flight=0"),
        ({"redraws": -1}, "redraws=-1"),
        ({"timeout": 0}, "timeout=0"),
        ({"seed": -1}, "seed is -1"),
        ({"judge": "exakt"}, "did you mean 'exact'"),
        ({"codecs": ("text",)}, "one of them per seat"),
        ({"max_rounds": 0}, "max_rounds is 0"),
    ]
    for options, message in wrong:
        with pytest.raises(NegoError, match=message):
            play(bargain(), agreeable, **options)


class NoWeights:
    """An agent that cannot be made here."""

    def __init__(self) -> None:
        raise ValueError("cannot load my weights")


def test_a_class_that_cannot_be_made_is_one_clear_error() -> None:
    with pytest.raises(AgentError, match="making it failed: ValueError: cannot load my weights"):
        resolve_agent(NoWeights)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("agents.py", r"which one in the file\? agents\.py:NAME"),
        ("agents.py:", r"expected my_file\.py:NAME"),
        (":name", r"expected my_file\.py:NAME"),
        ("agents.py:A:3", "takes no argument"),
    ],
)
def test_a_name_that_is_half_said_is_told_what_is_missing(spec: str, told: str) -> None:
    with pytest.raises(NegoError, match=told):
        resolve_agent(spec)


def test_a_judge_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "judge.py").write_text(
        "from nego_env.verdict import Verdict\n"
        "class Three:\n    name = 'three'\n"
        "    def judge(self, case): return Verdict('score', self.name, 3.0, label='three')\n"
    )
    t = play(bargain(), agreeable, judge=f"{tmp_path}/judge.py:Three")
    assert (t.settings.judge, t.rewards) == ("three", (3.0, 3.0))
    with pytest.raises(NotFoundError, match="unknown judge"):
        play(bargain(), agreeable, judge="thre")
    with pytest.raises(NegoError, match=r"no file .*nowhere\.py"):
        play(bargain(), agreeable, judge=f"{tmp_path}/nowhere.py:Three")
