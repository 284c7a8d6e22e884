"""Seats played by a prompted model: what it reads, what it is asked to put right, and what becomes of its silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from chat_support import agent, clean_environment
from stand_in import Fault, StandIn
from support import bargain, begin, dilemma, say

from nego_agents.chat.agent import GIVE_UP, ChatAgent, PromptedAgent
from nego_agents.chat.prompting import filled, prompt
from nego_env.agents import Reply
from nego_env.backend import Answer, Sampling
from nego_env.conformance import check_agent
from nego_env.errors import AgentError, BackendError, NotFoundError, RunError, SettingsError
from nego_env.messages import Message
from nego_env.rollout import play, rollout, run_blocking
from nego_env.rules import StopReason
from nego_env.run import Run
from nego_env.scenario import Scenario
from nego_env.store import TranscriptWriter, read
from nego_env.transcript import Transcript
from nego_env.view import View, seat_randoms, view

__all__ = ["clean_environment"]


class Lines:
    """A backend that says these lines in turn, and keeps what it was asked."""

    name = "lines"

    def __init__(self, *lines: str | Exception) -> None:
        self.lines = list(lines)
        self.asked: list[tuple[Message, ...]] = []
        self.samplings: list[Sampling] = []
        self.sessions: list[str] = []

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling = Sampling(),  # noqa: B008
        *,
        session: str = "",
        watch: Callable[[str], None] | None = None,
    ) -> Answer:
        self.asked.append(tuple(messages))
        self.samplings.append(sampling)
        self.sessions.append(session)
        line = self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        if watch is not None:
            watch(line)
        return Answer(line, "stop", {"prompt_tokens": 10, "completion_tokens": 1})

    async def aclose(self) -> None:
        """Nothing to close."""


def seen(scenario: Scenario, *said: str) -> View:
    """What the next seat sees."""
    state = say(begin(scenario), *said)
    return view(state, seat_randoms(state.header, scenario.n))


def opposite(lines: Lines, *said: str, scenario: Scenario | None = None, **settings: object) -> Transcript:
    """An episode of a prompted seat_0 and one that says these lines."""
    words = list(said)
    return play(scenario or bargain(), [PromptedAgent(lines), lambda _: words.pop(0)], **settings)  # type: ignore[arg-type]


def test_contexts_grow_by_appending_and_sampling_changes_for_the_final_answer() -> None:
    lines = Lines("I would like the tap.", "Fine. [Propose: A2 B2]", "We share. [Agreed: A2 B2]")
    seated = PromptedAgent(lines, sampling=Sampling(temperature=0.7), completion_sampling=Sampling(temperature=0.1))
    words = ["And I the shed.", "Yes. [Accept]"]
    t = play(bargain(), [seated, lambda _: words.pop(0)], completion="write")
    assert (t.stop, t.rewards, t.completion) == (StopReason.AGREEMENT, (5.0, 5.0), "We share. [Agreed: A2 B2]")
    assert t.agents[0] == "prompted:lines"
    one, two, three = lines.asked
    assert [len(x) for x in lines.asked] == [2, 4, 6]
    assert two[: len(one)] == one
    assert three[: len(two)] == two
    assert [m.role for m in three] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert three[2].content == "I would like the tap."
    assert "And I the shed." in two[3].content
    assert prompt("completion") in three[-1].content
    assert prompt("completion") not in two[-1].content
    assert [s.temperature for s in lines.samplings] == [0.7, 0.7, 0.1]
    assert set(lines.sessions) == {f"{t.id}/seat_0"}


def test_the_system_message_has_the_persona_the_rules_and_the_guidance() -> None:
    lines = Lines("Hello.")
    run_blocking(PromptedAgent(lines).aact(seen(bargain())))
    system = lines.asked[0][0].content
    assert "Keep the tap for the seedlings." in system
    assert "Keep the shed for the tools." not in system
    assert "[Propose: A1 B1]" in system
    assert prompt("guidance") in system


@pytest.mark.parametrize(("options", "there"), [({"guidance": False}, False), ({"style": "brief"}, False), ({}, True)])
def test_guidance_can_be_left_out(options: dict[str, object], there: bool) -> None:
    lines = Lines("Hello.")
    run_blocking(PromptedAgent(lines, **options).aact(seen(dilemma())))  # type: ignore[arg-type]
    assert (prompt("guidance") in lines.asked[0][0].content) == there


def test_a_system_text_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "stern.txt"
    path.write_text("You are {name}, and stern. {persona} {x} {")
    with StandIn() as server:
        seated = ChatAgent(f"stand-in@{server.url},system={path}")
        play(bargain(), [seated, "boulware"], max_rounds=1)
    system = server.bodies[0]["messages"][0]["content"]
    assert system.endswith("You are the tenant, and stern. Keep the tap for the seedlings. {x} {")
    with pytest.raises(SettingsError, match=r"gone\.txt: the system text cannot be read"):
        ChatAgent("m@localhost:1,system=gone.txt")


def test_slots_are_filled_in_one_pass() -> None:
    assert filled("{name}", seen(bargain())) == "the tenant"
    assert filled("{task} {rules}", seen(dilemma())) == "One berth is left on the last ferry. Who sails? {rules}"


def test_the_memory_window_makes_the_context_anew() -> None:
    lines = Lines(*(f"message {i}" for i in range(5)))
    t = play(bargain(), [PromptedAgent(lines), lambda v: f"answer {v.round}"], memory=1, max_rounds=5)
    assert t.stop is StopReason.CAP
    last = "\n".join(m.content for m in lines.asked[-1])
    assert "answer 4" in last
    assert "message 3" in last
    assert "answer 2" not in last


# ---------------------------------------------------------------- repairs
@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("Take it. [Propose: A9]", "needs one option id for every issue"),
        ("[Accept] is what I say.", "a tag counts only as the very last thing"),
        ("Fine. [Accept]", "there is no deal on the table to accept"),
        ("Bye. [Walk]", "nobody can walk away before everyone has spoken once"),
        ("And? [Ask: Z]", "needs one issue id"),
    ],
)
def test_a_tag_that_would_not_count_is_asked_about_once(said: str, fault: str) -> None:
    lines = Lines(said, "Better so. [Propose: A2 B2]")
    reply = run_blocking(PromptedAgent(lines).aact(seen(bargain())))
    assert reply == Reply(
        "Better so. [Propose: A2 B2]",
        finish_reason="stop",
        usage={"prompt_tokens": 20, "completion_tokens": 2, "repairs": 1},
    )
    *before, mine, request = lines.asked[1]
    assert tuple(before) == lines.asked[0]
    assert mine == Message("assistant", said)
    assert request.role == "user"
    assert fault in request.content


@pytest.mark.parametrize("said", ["Just talk.", "So be it. [Propose: A2 B2]", "", "What about [this]?"])
def test_what_counts_and_what_is_talk_is_left_alone(said: str) -> None:
    lines = Lines(said)
    assert run_blocking(PromptedAgent(lines).aact(seen(bargain()))).move == said


def test_a_repaired_message_is_the_only_one_the_chat_remembers() -> None:
    lines = Lines("Oh. [Accept]", "Hello.", "Fine. [Accept]", "ignored")
    opposite(lines, "Here. [Propose: A2 B2]", max_rounds=2)
    assert [m.content for m in lines.asked[2] if m.role == "assistant"] == ["Hello."]


def test_one_that_does_not_learn_is_taken_at_its_word() -> None:
    lines = Lines("[Propose: A9]", "[Propose: A8]", "Hm.")
    t = opposite(lines, "Well.", "Well.", max_rounds=2)
    assert t.utterances[0].text == "[Propose: A8]"
    assert t.utterances[0].notice is not None
    assert "A8" in lines.asked[2][-1].content  # the rules' own notice


def test_no_repairs_where_none_are_wanted_and_none_on_open_dilemmas() -> None:
    assert run_blocking(PromptedAgent(Lines("[Accept]"), repairs=0).aact(seen(bargain()))).move == "[Accept]"
    assert run_blocking(PromptedAgent(Lines("[Accept]")).aact(seen(dilemma()))).move == "[Accept]"


def test_a_repair_that_fails_leaves_the_first_message() -> None:
    lines = Lines("Oh. [Accept]", BackendError("gone"))
    assert run_blocking(PromptedAgent(lines).aact(seen(bargain()))).move == "Oh. [Accept]"


@pytest.mark.parametrize("plan", ["We share.", "We share. [Agreed: A1 B1]", "We share. [Agreed: A2]"])
def test_a_plan_that_states_no_deal_or_another_is_asked_for_again(plan: str) -> None:
    lines = Lines("Hello. [Propose: A2 B2]", plan, "We share. [Agreed: A2 B2]")
    t = opposite(lines, "Yes. [Accept]", completion="write")
    assert t.rewards == (5.0, 5.0)
    assert "[Agreed: A2 B2]" in lines.asked[-1][-1].content


# ---------------------------------------------------------------- failures
def test_a_call_that_fails_costs_its_episode_and_no_more() -> None:
    lines = Lines("Hello.", BackendError("host:1 answered 500"), "Hello.", "Hello.")
    failed, fine = play(
        bargain(), [PromptedAgent(lines), lambda _: "Well."], episodes=2, in_flight=1, redraws=0, max_rounds=2
    )
    assert (failed.stop, failed.error) == (
        StopReason.AGENT_ERROR,
        "prompted:lines at seat_0: host:1 answered 500",
    )
    assert fine.stop is StopReason.CAP


def test_ten_episodes_in_a_row_stop_the_run_and_keep_what_was_there(tmp_path: Path) -> None:
    """A context that fills up in the second round: the first calls are fine, and every episode would fail."""
    full = BackendError("host:1: the context is full")
    lines = Lines("Hello.", "Hello.", *["Hello.", full] * 500)
    out = tmp_path / "run.jsonl"
    with pytest.raises(
        RunError, match=f"{GIVE_UP} episodes in a row failed, so the run stops; the last: host:1: the context"
    ):
        play(
            bargain(),
            [PromptedAgent(lines), lambda _: "Well."],
            episodes=500,
            out=out,
            in_flight=1,
            redraws=1,
            max_rounds=2,
        )
    stops = [t.stop.value for t in read(out)]
    assert stops.count("cap") == 1
    assert stops.count("agent_error") == 2 * GIVE_UP - 2


def test_failures_between_good_episodes_do_not_add_up() -> None:
    lines = Lines(*["Hello.", BackendError("x"), "Hello.", "Hello."] * 30)
    played = play(
        bargain(), [PromptedAgent(lines), lambda _: "Well."], episodes=60, in_flight=1, redraws=0, max_rounds=2
    )
    assert sum(t.scored for t in played) == 30


def test_what_fails_every_episode_alike_stops_the_run_at_its_first_call(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    with StandIn(faults=[Fault.WRONG_KEY] * 1000) as server:
        with pytest.raises(RunError, match="asks for a key"):
            play("train", [agent(server)], episodes=200, out=out)
        assert server.calls == 1
        server.script.clear()
        assert len(play("train", [agent(server)], episodes=3, out=out)) == 3  # the file goes on
    assert out.read_bytes().count(b"\n") == 3


async def test_a_run_that_stops_leaves_the_others_interrupted(tmp_path: Path) -> None:
    async def stops(view: View) -> str:
        if view.round == 2:
            await asyncio.sleep(0.1 if view.episode == run.id(3) else 60)
            raise RunError("the server is gone")
        return "Well."

    run = Run(bargain(), [stops])
    with (
        TranscriptWriter(tmp_path / "run.jsonl", run.id) as writer,
        pytest.raises(RunError, match="the server is gone"),
    ):
        async for _ in rollout(run, 8, writer=writer, in_flight=8):
            pass
    stops_of = [t.stop for t in read(tmp_path / "run.jsonl")]
    assert set(stops_of) == {StopReason.INTERRUPTED}
    assert len(stops_of) == 7


# ---------------------------------------------------------------- watching
def test_a_person_watches_the_words_come() -> None:
    pieces: list[tuple[str, str]] = []
    with StandIn(reply=lambda _: "Good morning to you.") as server:
        seated = agent(server, "server=openai", watch=lambda view, piece: pieces.append((view.seat, piece)))
        play(bargain(), [seated, lambda _: "Well."], max_rounds=1)
    assert {seat for seat, _ in pieces} == {"seat_0"}
    assert [piece for _, piece in pieces] == ["", "Good", " morning", " to", " you."]


def test_words_that_are_taken_back_are_told_as_void() -> None:
    pieces: list[str] = []
    lines = Lines("Oh. [Accept]", "Hello.", "Fine. [Accept]", BackendError("gone"))
    seated = PromptedAgent(lines, watch=lambda view, piece: pieces.append(piece))
    play(bargain(), [seated, lambda _: "Well."], max_rounds=2)
    assert pieces == ["", "Oh. [Accept]", "", "Hello.", "", "Fine. [Accept]", "", "", "Fine. [Accept]"]


# ---------------------------------------------------------------- names
def test_names_and_mistakes() -> None:
    assert (
        ChatAgent("qwen3:8b@localhost:11434/v1,temperature=0.7").spec
        == "openai:qwen3:8b@localhost:11434/v1,temperature=0.7"
    )
    with pytest.raises(AgentError, match="openai needs a model"):
        ChatAgent()
    with pytest.raises(NotFoundError, match="unknown style"):
        ChatAgent("m@localhost:1,style=long")


def test_it_plays_without_the_engine() -> None:
    with StandIn(reply=lambda _: "Hello.") as server:
        seated = agent(server)
        assert seated.act(seen(bargain(), "Good day.")).move == "Hello."
    assert "Good day." in server.bodies[0]["messages"][1]["content"]


def test_it_keeps_an_agents_promises() -> None:
    with StandIn() as server:
        check_agent(agent(server))
