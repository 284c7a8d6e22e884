"""Judges that are language models. Promises:

1. They read what the paper's judges read, answer in a fixed form, and decide greedily.
2. An answer that cannot be read is asked for again once, with the fault named; after that there is no score.
3. Every verdict says which model gave it, and to which prompts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from chat_support import backend, clean_environment  # noqa: F401  # an autouse fixture
from stand_in import Fault, StandIn

from nego_agents.judging.asking import GIVE_UP, read_agreement, read_choice, read_score
from nego_agents.judging.asking import Unreadable as Bad
from nego_agents.judging.judge import PromptedJudge
from nego_agents.judging.pairwise import ASPECTS, PromptedPairwise
from nego_agents.judging.prompting import prompt
from nego_env import play
from nego_env.backend import Answer, Sampling
from nego_env.conformance import check_judge
from nego_env.errors import BackendError, BudgetError, JudgeError, NotFoundError, RunError
from nego_env.judges import Judge
from nego_env.judging import resolve_judge
from nego_env.rules import StopReason
from nego_env.transcript import decode
from nego_env.verdict import Verdict
from nego_trainers.pairwise import both_orders, compare
from tests.judge_samples import Model, agreement, plan, rule_follower
from tests.support import bargain, dilemma

PLAN = "Passenger 0 will sail; passenger 1 will take the first berth tomorrow."


def test_agreement_is_judged_on_the_latest_message_of_each_seat() -> None:
    model = Model("YES\nBoth take the berth plan.")
    verdict = PromptedJudge(model).judge(agreement("an opening", "an answer", "I will sail. [Agree]", "Fine by me."))
    (system, user), sampling = model.asked[0]
    assert (verdict.kind, verdict.value, verdict.label) == ("agreement", 1.0, "CA")
    assert (verdict.reason, verdict.raw) == ("Both take the berth plan.", "YES\nBoth take the berth plan.")
    assert "One berth is left on the last ferry" in user.content
    assert "| passenger 0:\n| I will sail. [Agree]\n" in user.content
    assert "| passenger 1:\n| Fine by me.\n" in user.content
    assert "an opening" not in user.content
    assert "an answer" not in user.content
    assert "Sail tonight" not in user.content  # personas are not shown
    assert (system.role, user.role) == ("system", "user")
    assert sampling == Sampling(temperature=0.0, max_tokens=1024)


def test_the_plan_is_judged_with_every_persona_and_without_the_dialogue() -> None:
    model = Model("4")
    verdict = PromptedJudge(model).judge(plan(PLAN, "what was said", "before"))
    user = model.asked[0][0][1].content
    assert (verdict.kind, verdict.value, verdict.raw) == ("score", 4.0, "4")
    assert '<persona seat="seat_1">\n| passenger 1:\n| Sail tonight, whatever passenger 0 says.\n</persona>' in user
    assert f"<completion>\n| {PLAN}\n</completion>" in user
    assert "what was said" not in user


def test_a_structured_dilemma_shows_its_options_and_nobodys_scores() -> None:
    model = Model("3")
    PromptedJudge(model).judge(plan("We agreed. [Agreed: A2 B1]", scenario=bargain()))
    user = model.asked[0][0][1].content
    assert "| A. the tap: A1 mornings; A2 always; A3 weekdays" in user
    assert "walk" not in user.lower()


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("YES\nThey share a plan.", True, "They share a plan."),
        (" no \n\nStill arguing;\nsee the last line.\n", False, "Still arguing; see the last line."),
        ("Yes", True, ""),
    ],
)
def test_agreements_that_can_be_read(text: str, value: bool, reason: str) -> None:
    assert read_agreement(text) == (value, reason)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "YES.",
        "YES, they do",
        "**YES**",
        "Verdict: YES",
        "They do.\nYES",
        "YES\nNO",
        "NO\nso:\nyes",
        "YES NO",
        "1",
    ],
)
def test_agreements_that_are_ambiguous(text: str) -> None:
    with pytest.raises(Bad):
        read_agreement(text)


@pytest.mark.parametrize("text", ["0", "5", " 3\n"])
def test_scores_that_can_be_read(text: str) -> None:
    assert read_score(text) == (int(text), "")


@pytest.mark.parametrize(
    "text", ["", "6", "-1", "4.5", "4/5", "Score: 4", "4.", "4 5", "4\n4", "45", "four", "５", "٣", "³", "4 because"]
)
def test_scores_that_are_ambiguous(text: str) -> None:
    with pytest.raises(Bad):
        read_score(text)


def test_choices_that_can_be_read_and_some_that_are_ambiguous() -> None:
    assert read_choice("It binds both.\nB") == ("b", "It binds both.")
    assert read_choice("tie") == ("tie", "")
    for text in ("", "A.", "A\nis better", "A\nB", "Response A", "A or B", "C"):
        with pytest.raises(Bad):
            read_choice(text)


def test_an_ambiguous_answer_is_asked_again_with_the_fault_named() -> None:
    model = Model("Score: 4 & <rising>", "4")
    verdict = PromptedJudge(model).judge(plan(PLAN))
    assert (verdict.value, verdict.raw, verdict.flags) == (4.0, "4", ("asked_again",))
    first, second = (messages for messages, _ in model.asked)
    assert second[:2] == first
    assert (second[2].role, second[2].content) == ("assistant", "Score: 4 &amp; &lt;rising&gt;")
    assert second[3].role == "user"
    assert second[3].content.startswith("Your answer cannot be read: it is not one digit from 0 to 5 alone.")


def test_an_answer_cut_off_is_asked_again_even_if_it_reads_well() -> None:
    model = Model(Answer("YES\nSince they", "length"), "NO\nThey argue.")
    verdict = PromptedJudge(model).judge(agreement("a", "b"))
    assert verdict.value == 0.0
    assert "cut off" in model.asked[1][0][3].content


def test_a_second_ambiguous_answer_is_no_score() -> None:
    judge = PromptedJudge(Model("perhaps 4", "4, I think\x1b[2J"))
    with pytest.raises(JudgeError, match="asked twice, double@here gave no answer") as e:
        judge.judge(plan(PLAN))
    assert "'4, I think\\x1b[2J'" in str(e.value).replace("\\\\", "\\")


def test_in_an_episode_it_is_a_judge_error_without_a_reward() -> None:
    judge = PromptedJudge(Model(reply=lambda messages: "I cannot say."))
    t = play(dilemma(), lambda view: "Well. [Agree]", judge=judge, redraws=0)
    assert (t.stop, t.rewards, t.verdicts) == (StopReason.JUDGE_ERROR, None, ())
    assert t.error is not None
    assert "its first line is not YES or NO alone" in t.error


def test_a_model_that_never_answers_in_form_stops_the_run() -> None:
    model = Model(reply=lambda messages: "I cannot say.")
    with pytest.raises(RunError, match="10 questions in a row got no verdict"):
        play(dilemma(), lambda view: "Well.", judge=PromptedJudge(model), episodes=100, redraws=0)
    assert len(model.asked) <= 2 * (GIVE_UP + 64)  # those in flight ask too


def test_one_readable_answer_ends_the_series() -> None:
    model = Model(*(["?"] * 18), "3", *(["?"] * 18), "3")
    judge = PromptedJudge(model)
    for k in range(20):
        if k % 10 == 9:
            assert judge.judge(plan(PLAN)).value == 3.0
        else:
            with pytest.raises(JudgeError):
                judge.judge(plan(PLAN))


def test_what_a_backend_raises() -> None:
    with pytest.raises(JudgeError, match="half a reply"):
        PromptedJudge(Model(BackendError("half a reply"))).judge(plan(PLAN))
    for error in (RunError("wrong key"), BudgetError("spent")):
        with pytest.raises(type(error)):
            PromptedJudge(Model(error)).judge(plan(PLAN))
    spent = PromptedJudge(Model(BudgetError("spent")))
    t = play(dilemma(), lambda view: "Well.", judge=spent, redraws=0)
    assert (t.stop, t.rewards) == (StopReason.BUDGET, None)


def test_an_empty_completion_is_worth_nothing_and_costs_no_question() -> None:
    model = Model()
    verdict = PromptedJudge(model).judge(plan(" \n"))
    assert (verdict.value, verdict.flags, model.asked) == (0.0, ("empty",), [])


def test_too_long_words_are_cut_and_the_verdict_says_so() -> None:
    model = Model("2")
    verdict = PromptedJudge(model).judge(plan("word " * 40_000))
    assert verdict.flags == ("cut",)
    assert len(model.asked[0][0][1].content) < 12_000


def test_every_verdict_holds_model_and_prompts() -> None:
    judge = PromptedJudge(Model("5", "NO\nNo."))
    assert judge.name == f"prompted:double@here/{prompt('agreement-1').id}/{prompt('ca-1').id}"
    assert {judge.judge(c).judge for c in (plan(PLAN), agreement("a", "b"))} == {judge.name}
    warm = PromptedJudge(Model(), sampling=Sampling(temperature=1.0, reasoning="low"))
    assert warm.name.startswith("prompted:double@here,temperature=1,reasoning=low/")


def test_a_prompt_that_changes_gets_a_new_version() -> None:
    """Scores to other words are other scores. Whoever edits a prompt saves it under the next number."""
    assert {name: prompt(name).digest for name in ("agreement-1", "ca-1", *ASPECTS.values())} == {
        "agreement-1": "120ee66c",
        "ca-1": "ccb2d13d",
        "pairwise-ca-1": "cc858287",
        "pairwise-resolution-1": "b4c89590",
    }


@pytest.mark.parametrize("kind", ["open", "structured"])
def test_it_keeps_the_promises_of_judges(kind: str) -> None:
    check = Model(reply=rule_follower) if kind == "open" else Model(reply=lambda messages: "3")
    check_judge(PromptedJudge(check), kind=kind)  # type: ignore[arg-type]


def test_an_open_dilemma_from_the_first_word_to_the_reward() -> None:
    judge = PromptedJudge(Model(reply=rule_follower))
    lines = iter(["No.", "Yes?", "You sail. [Agree]", "Then you will sail next. [Agree]", PLAN])
    t = play(dilemma(), lambda view: next(lines), judge=judge)
    assert (t.stop, t.rewards) == (StopReason.AGREEMENT, (2.0, 2.0))
    assert [(v.kind, v.value, v.raw) for v in t.verdicts] == [
        ("agreement", 0.0, "NO\nNot all consent."),
        ("agreement", 1.0, "YES\nAll consent."),
        ("score", 2.0, "2"),
    ]
    assert t.settings.judge == judge.name
    assert decode(t.encode(), "here") == t


def test_a_judge_needs_a_model() -> None:
    with pytest.raises(JudgeError, match="prompted needs a model: prompted:openai:MODEL@URL"):
        PromptedJudge()
    with pytest.raises(NotFoundError, match="unknown backend 'opnai'"):
        PromptedJudge("opnai:gpt@here")
    judge = PromptedJudge(Model())
    assert resolve_judge(judge, "open") is judge


def test_the_options_of_a_servers_name_are_heeded() -> None:
    with StandIn(reply=lambda messages: "3") as server:
        judge = PromptedJudge(backend(server, "server=vllm,max_tokens=4000,reasoning=off"))
        assert judge.judge(plan(PLAN)).value == 3.0
        (asked,) = server.bodies
    assert (asked["temperature"], asked["max_tokens"]) == (0.0, 4000)
    assert asked["chat_template_kwargs"] == {"enable_thinking": False}


def test_the_same_question_is_paid_for_once(tmp_path: Path) -> None:
    with StandIn(reply=lambda messages: "3") as server:
        for _ in range(3):
            judge = PromptedJudge(backend(server, cache=tmp_path))
            assert judge.judge(plan(PLAN)).value == 3.0
        judge.judge(plan("Another plan."))
        assert server.calls == 2


def test_a_judge_behind_a_faulty_server_gives_the_same_verdicts() -> None:
    def judged(server: StandIn) -> list[Verdict]:
        judge = PromptedJudge(backend(server))
        return [judge.judge(plan(f"We will do {k} and will do it well.")) for k in range(8)]

    def reply(messages: list[dict[str, str]]) -> str:
        return str(len(messages[1]["content"]) % 6)

    with (
        StandIn(reply=reply) as good,
        StandIn(reply=reply, faults=[None, Fault.BUSY, Fault.CUT, None, Fault.GARBAGE]) as bad,
    ):
        first, second = judged(good), judged(bad)
    assert [(v.value, v.raw) for v in first] == [(v.value, v.raw) for v in second]


# ---------------------------------------------------------------- pairwise
def longer(messages: object) -> str:
    user = messages[1].content  # type: ignore[index]
    a, b = (user.split(f"<response_{x}>\n| ")[1].split(f"\n</response_{x}>")[0] for x in "ab")
    return "They differ in length.\n" + ("TIE" if len(a) == len(b) else "A" if len(a) > len(b) else "B")


def test_pairs_are_compared_in_both_orders() -> None:
    judge = PromptedPairwise(Model(reply=longer))
    assert both_orders(judge, dilemma(), "A long plan.", "Short.") == "win"
    assert both_orders(judge, dilemma(), "Short.", "A long plan.") == "loss"
    assert both_orders(judge, dilemma(), "Short.", "Other.") == "tie"
    assert both_orders(PromptedPairwise(Model(reply=lambda m: "A")), dilemma(), "x", "y") == "inconsistent"
    assert both_orders(judge, dilemma(), "", "y") == "loss"  # nobody is asked


def test_pairs_of_transcripts() -> None:
    fixed = PromptedJudge(Model(reply=rule_follower))
    left, right = (
        play(dilemma(), lambda view, p=p: p if view.phase == "completion" else "Done. [Agree]", judge=fixed, episodes=3)
        for p in ("We will each sail, one tonight and one tomorrow.", "We will see.")
    )
    found = compare(left, right, PromptedPairwise(Model(reply=longer)), resamples=10)
    assert (found.wins, found.compared, found.rate.value) == (3, 3, 1.0)


def test_a_pair_without_a_verdict_is_left_out_and_counted() -> None:
    def unsure(messages: object) -> str:
        return "Hm." if "three" in str(messages) else longer(messages)

    fixed = PromptedJudge(Model(reply=rule_follower))
    plans = iter(["We will sail, one after the other.", "We see three.", "We will sail, all of us."])
    left = play(
        dilemma(), lambda view: next(plans) if view.phase == "completion" else "Done. [Agree]", judge=fixed, episodes=3
    )
    right = play(
        dilemma(), lambda view: "We see." if view.phase == "completion" else "Done. [Agree]", judge=fixed, episodes=3
    )
    found = compare(left, right, PromptedPairwise(Model(reply=unsure)), resamples=10)
    assert (found.wins, found.compared, found.unjudged, found.rate.value) == (2, 2, 1, 1.0)
    assert "asked twice" in (found.why_unjudged or "")
    nothing = compare(left, right, PromptedPairwise(Model(reply=lambda m: "Hm.")), resamples=10)
    assert (nothing.compared, nothing.unjudged, nothing.rate.n) == (0, 3, 0)


def test_pairs_are_asked_about_at_once() -> None:
    with StandIn(reply=lambda messages: "B", delay=0.05) as server:
        fixed = PromptedJudge(Model(reply=rule_follower))
        done = play(dilemma(), lambda view: f"Done {view.episode}. [Agree]", judge=fixed, episodes=8)
        found = compare(done, list(reversed(done)), PromptedPairwise(backend(server)), resamples=10)
        assert (found.inconsistent, server.calls) == (8, 16)
        assert server.most_in_flight >= 8


def test_the_two_aspects_are_asked_about_with_personas() -> None:
    for aspect, words in (("ca", "Collective Agency"), ("resolution", "resolves the conflict")):
        judge = PromptedPairwise(Model(), aspect=aspect)  # type: ignore[arg-type]
        system, user = judge.messages(bargain(), "one", "two")
        assert words in system.content
        assert words in user.content
        assert "<response_a>\n| one\n</response_a>\n<response_b>\n| two\n</response_b>" in user.content
        assert "| the tenant:\n| Keep the tap for the seedlings." in user.content
        assert judge.name == f"pairwise:double@here/{prompt(ASPECTS[aspect]).id}"
    with pytest.raises(NotFoundError, match="unknown aspect 'quality'"):
        PromptedPairwise(Model(), aspect="quality")  # type: ignore[arg-type]


def test_a_comparison_that_cannot_be_read_is_none() -> None:
    model = Model("Both have merits.", "A and B")
    with pytest.raises(JudgeError, match="its last line is not A, B or TIE alone"):
        PromptedPairwise(model).compare(dilemma(), "x", "y")
    assert len(model.asked) == 2


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys, json, nego_agents.judging.judge, nego_agents.judging.pairwise, nego_agents.judging.commands,"
        "nego_agents.judging.rejudging, nego_agents.local.backend;"
        "print(json.dumps([m for m in ('torch', 'transformers', 'aiohttp', 'rich', 'textual') if m in sys.modules]))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == []


def test_it_is_a_judge() -> None:
    assert isinstance(PromptedJudge(Model()), Judge)
