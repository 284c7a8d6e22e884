"""A language model at the table. Promises:

1. What is recorded is what happened: ids verbatim, and log-probabilities that a plain forward over them gives too.
2. Nothing is computed twice, and nobody's reply depends on who else is being answered.
3. Whatever a model says, the episode and its rows hold together.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import nego_agents.local.decoder as decoding  # noqa: E402
from nego_agents.local.agent import HFAgent  # noqa: E402
from nego_agents.local.cache import Store  # noqa: E402
from nego_agents.local.model import LocalModel  # noqa: E402
from nego_agents.local.request import Request, Sampled  # noqa: E402
from nego_agents.local.sampling import Sampling  # noqa: E402
from nego_agents.local.sitting import Row, Sitting  # noqa: E402
from nego_env.errors import NotFoundError  # noqa: E402
from nego_env.packs import LooseScenarios  # noqa: E402
from nego_env.rollout import rollout, run_blocking  # noqa: E402
from nego_env.rules import State, StopReason  # noqa: E402
from nego_env.run import Run  # noqa: E402
from nego_env.scenario import Scenario  # noqa: E402
from nego_env.tokens import EpisodeTokens  # noqa: E402
from nego_env.transcript import Transcript  # noqa: E402
from nego_env.verdict import Verdict  # noqa: E402
from nego_env.view import View, seat_randoms, view  # noqa: E402
from tests.support import bargain, begin, council, dilemma  # noqa: E402
from tests.tiny_models import shared_tokenizer, tiny_model  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

Played = list[tuple[Transcript, EpisodeTokens]]


def local(family: Any = "llama", *, ends: int = 0, **config: Any) -> LocalModel:
    """A random model; with `ends`, every so many ids end a turn, so that replies differ in length."""
    model = tiny_model(family, **{"initializer_range": 0.15, **config})
    if ends:
        model.generation_config.eos_token_id = [2, *range(4, 384, ends)]
    return LocalModel(model, shared_tokenizer(), name="tiny", style="brief")


def agent(model: LocalModel | None = None, tokens: int = 12, **options: Any) -> HFAgent:
    return HFAgent(model=model or local(), sampling=Sampling(max_new_tokens=tokens), **options)


def played(who: HFAgent, *scenarios: Scenario, episodes: int = 6, in_flight: int = 4, **settings: Any) -> Played:
    """Episodes by index, with their tokens."""
    settings = {"max_rounds": 3, "seed": 5, "completion": "write", **settings}
    run = Run(LooseScenarios("some", scenarios or (bargain(), council())), who, **settings)
    found: Played = []

    async def everything() -> None:
        async for _ in rollout(run, episodes, in_flight=in_flight, on_tokens=lambda t, e: found.append((t, e))):
            pass

    run_blocking(everything())
    return sorted(found, key=lambda x: x[0].index)


def mismatch(model: Any, found: Played, temperature: float = 1.0) -> float:
    """The largest difference between a recorded log-probability and that of a plain forward over all the tokens."""
    worst = 0.0
    for _, tokens in found:
        contexts: dict[str, list[int]] = {}
        for turn in tokens.turns:
            context = [*(contexts[turn.seat] if turn.continues else ()), *turn.read]
            contexts[turn.seat] = whole = [*context, *turn.said]
            with torch.no_grad():
                logits = model(torch.tensor([whole])).logits[0, len(context) - 1 : -1].float() / temperature
            expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(turn.said)[:, None])[:, 0]
            worst = max(worst, float((expected - torch.tensor(turn.logprobs)).abs().max()))
    return worst


# ---------------------------------------------------------------- log-probabilities
@pytest.mark.parametrize("memory", [None, 2])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_recorded_log_probs_are_those_of_a_plain_forward(family: Any, memory: int | None) -> None:
    model = local(family, ends=8)
    found = played(agent(model), memory=memory, episodes=10, in_flight=10)
    turns = [turn for _, tokens in found for turn in tokens.turns]
    assert sum(t.continues for t in turns) > (0 if memory else len(turns) / 2)
    assert len({len(t.said) for t in turns}) > 5, "ragged"
    assert mismatch(model.model, found) < 1e-5


def test_they_are_of_the_scaled_distribution_untruncated() -> None:
    model = local()
    who = HFAgent(model=model, sampling=Sampling(0.7, 0.5, 12), completion_sampling=Sampling(0.7, 1.0, 20))
    assert mismatch(model.model, played(who), 0.7) < 1e-5


def test_the_comparison_sees_a_lost_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    laid = Sitting._feed

    def forgetful(self: Sitting, chunk: slice) -> Any:
        for row in self.rows[chunk]:
            if row.source.kv is not None:
                row.source.kv.zero_()
        return laid(self, chunk)

    monkeypatch.setattr(Sitting, "_feed", forgetful)
    model = local()
    assert mismatch(model.model, played(agent(model))) > 0.1


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
def test_gradient_checkpointing_does_not_cost_the_cache() -> None:
    model = local("gemma3")
    model.model.gradient_checkpointing_enable()
    model.model.train()
    model.model.lm_head.training = False  # modules need not all be in one mode
    before = [m.training for m in model.model.modules()]
    found = played(agent(model))
    assert [m.training for m in model.model.modules()] == before
    model.model.eval()
    assert mismatch(model.model, found) < 1e-5


def test_models_with_other_caches_are_fed_whole_contexts(caplog: pytest.LogCaptureFixture) -> None:
    model = local("mistral", sliding_window=40)  # shorter than the contexts
    assert mismatch(model.model, played(agent(model), episodes=3)) < 1e-5
    model = local("gpt2", n_embd=32, n_layer=2, n_head=4, n_positions=512)
    assert mismatch(model.model, played(agent(model), episodes=3)) < 1e-5
    model = local()
    model.model.config._attn_implementation = "flex_attention"
    who = agent(model)
    assert "tiny" not in caplog.text
    with caplog.at_level(logging.WARNING):
        who._decoder._layout, who._decoder._lean, who._decoder._tried = *decoding.examine(model.model, None), True  # type: ignore[arg-type]
    assert "its cache is not kept" in caplog.text
    model.model.config._attn_implementation = "sdpa"
    assert mismatch(model.model, played(who, episodes=3)) < 1e-5


def test_half_precision_is_worked_on_a_desk_too() -> None:
    model = local()
    model.model.to(torch.bfloat16)
    who = agent(model)
    found = played(who, episodes=4)
    assert who._decoder._layout is not None
    assert who._decoder._layout.dtype == torch.bfloat16
    assert mismatch(model.model, found) < 0.3, "eight bits of mantissa"


# ---------------------------------------------------------------- what is recorded
def test_a_reply_has_the_tokens_it_was_made_of() -> None:
    model = local(ends=8)
    found = played(agent(model))
    glue = model.glue
    for t, tokens in found:
        assert len(tokens.turns) == len(t.utterances)
        for turn, utterance in zip(tokens.turns, t.utterances, strict=True):
            assert utterance.text == glue.text(turn.said)
            assert turn.finish == ("stop" if turn.said[-1] in glue.end else "length")
            assert len(turn.said) == 12 or turn.finish == "stop"
            assert not any(i in glue.end for i in turn.said[:-1])
    assert {turn.finish for _, tokens in found for turn in tokens.turns} == {"stop", "length"}


def test_the_final_answer_is_sampled_in_its_own_way() -> None:
    who = HFAgent(
        model=local(ends=2), sampling=Sampling(max_new_tokens=3), completion_sampling=Sampling(0.0, max_new_tokens=40)
    )
    (first, tokens), (second, _) = played(who, dilemma(), episodes=2, judge=Agreed(), complete="always")
    assert first.completion is not None
    assert tokens.turns[-1].read[-20:] != tokens.turns[-2].read[-20:]
    assert all(len(turn.said) <= 3 for turn in tokens.turns[:-1])
    assert second.scored


class Agreed:
    """Finds agreement after the first round."""

    name = "agreed"

    def judge(self, case: Any) -> Any:
        return Verdict(case.kind, self.name, 1.0 if case.kind == "agreement" else 3.0)


def test_the_same_seed_plays_the_same_whoever_else_is_in_flight() -> None:
    alone, many, again = (played(agent(local(ends=8)), in_flight=k, episodes=8) for k in (1, 8, 8))
    assert many == again
    assert [t for t, _ in alone] == [t for t, _ in many]
    assert len({t.utterances for t, _ in many}) == 8


# ---------------------------------------------------------------- nothing twice
class Fed:
    """Counts the tokens a model is fed, padding included."""

    def __init__(self, who: HFAgent, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tokens = self.calls = 0
        forward = who._decoder._forward

        def counting(cache: Any, ids: Any, *rest: Any) -> Any:
            self.tokens += ids.numel()
            self.calls += 1
            return forward(cache, ids, *rest)

        monkeypatch.setattr(who._decoder, "_forward", counting)


def test_every_token_of_a_dialogue_is_fed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    who = agent()
    played(who, bargain(), episodes=1, max_rounds=1, in_flight=1)  # what kind of model it is, is found out once
    who.reset()
    fed = Fed(who, monkeypatch)
    ((_, tokens),) = played(who, bargain(), episodes=1, max_rounds=12, in_flight=1)
    assert len(tokens.turns) == 24
    # But the last one a seat says; each seat's prompt begins like nobody else's.
    assert fed.tokens == sum(len(t.read) + len(t.said) for t in tokens.turns) - 2


def test_a_group_computes_what_its_episodes_share_once(monkeypatch: pytest.MonkeyPatch) -> None:
    who = agent(tokens=1)
    played(who, council(), episodes=1, max_rounds=1)
    fed = Fed(who, monkeypatch)
    found = played(who, bargain(), episodes=8, in_flight=8, max_rounds=1)
    prompts = [tokens.turns[0].read for _, tokens in found]
    assert len(set(prompts)) == 1
    assert fed.tokens < 2 * len(prompts[0]) + 8 * 2 * 40, "two seats' prompts, and what follows them"
    assert mismatch(who.model.model, found) < 1e-5
    before = fed.tokens
    played(who, bargain(), episodes=1, max_rounds=1, seed=6)
    assert fed.tokens - before < len(prompts[0]), "the next episode begins where one that is over began"


def test_a_moved_window_keeps_what_did_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    who = agent()
    fed = Fed(who, monkeypatch)
    ((_, tokens),) = played(who, bargain(), episodes=1, max_rounds=8, memory=1, in_flight=1)
    assert sum(not t.continues for t in tokens.turns) > 10
    assert fed.tokens < 0.7 * sum(len(t.read) + len(t.said) for t in tokens.turns)


def test_rows_that_are_over_are_not_stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    who = agent(local(ends=3), tokens=64)
    fed = Fed(who, monkeypatch)
    found = played(who, council(), episodes=24, in_flight=24, max_rounds=1)
    said = [len(turn.said) for _, tokens in found for turn in tokens.turns]
    read = [len(turn.read) for _, tokens in found for turn in tokens.turns]
    assert max(said) > 2 * sum(said) / len(said)
    assert fed.tokens < sum(read) + 2.5 * sum(said)
    assert mismatch(who.model.model, found) < 1e-5


def test_conversations_that_do_not_fit_are_computed_again() -> None:
    model = local(ends=8)
    wanted, who = played(agent(model), episodes=8, in_flight=8), agent(model)
    layout = decoding.examine(model.model, who._decoder._forward).layout
    assert layout is not None
    played(who, episodes=1)
    who._decoder._store, who._decoder._room = Store(layout, 3 * 256 * layout.bytes), 4000 * layout.bytes
    found = played(who, episodes=8, in_flight=8)
    assert [t for t, _ in found] == [t for t, _ in wanted]
    assert mismatch(model.model, found) < 1e-5
    assert who._decoder._store.bytes < 14 * 256 * layout.bytes, "of 20 conversations"


# ---------------------------------------------------------------- what may go wrong
def test_a_failed_batch_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = played(agent())
    who = agent()
    sample, failed = who._decoder.sample, 0

    def failing(requests: list[Request]) -> list[Sampled]:
        nonlocal failed
        found = sample(requests)
        if len(requests) > 1:
            failed += 1
            raise torch.OutOfMemoryError("no memory")
        return found

    monkeypatch.setattr(who._decoder, "sample", failing)
    found = played(who)
    assert failed > 10
    assert [t for t, _ in found] == [t for t, _ in wanted]
    assert mismatch(who.model.model, found) < 1e-5


def test_episodes_that_are_over_are_forgotten() -> None:
    who = agent()
    played(who)
    assert not who._seats
    assert not who._decoder._store._slots  # type: ignore[union-attr]
    who.act(seen(bargain()))
    assert list(who._seats)
    who.reset()
    assert not who._seats
    assert who._decoder._store is None


def seen(scenario: Scenario) -> View:
    return viewed(begin(scenario))


def viewed(state: State) -> View:
    return view(state, seat_randoms(state.header, state.scenario.n))


def test_an_episode_that_begins_anew_is_not_gone_on_with() -> None:
    who, first_view = agent(), seen(bargain())
    first, second = who.act(first_view), who.act(first_view)
    assert first.prompt_ids == second.prompt_ids
    assert not second.continues


def test_words_that_somebody_else_put_into_its_mouth_are_read_as_its_own() -> None:
    who = agent()
    ((t, tokens),) = played(who, bargain(), episodes=1)
    states = list(t.states())
    forged = msgspec.structs.replace(states[2].utterances[0], text="I said something else.")
    views = [
        viewed(states[0]),
        viewed(msgspec.structs.replace(states[2], utterances=(forged, states[2].utterances[1]))),
    ]
    first, second = who.act_batch(views)  # two views of one seat in one batch: one after the other
    assert first.token_ids == tokens.turns[0].said
    assert not second.continues
    assert "I said something else." in shared_tokenizer().decode(second.prompt_ids)


def test_changed_weights_count_after_a_reset() -> None:
    who = agent()
    who.act(seen(bargain()))
    with torch.no_grad():
        for p in who.model.model.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    who.reset()
    found = played(who)
    assert mismatch(who.model.model, found) < 1e-5


def test_a_full_context_is_silence_not_an_error() -> None:
    model = local(positions=220)
    found = played(agent(model), bargain(), episodes=2, max_rounds=12, complete="agreement")
    for t, tokens in found:
        assert t.stop is StopReason.CAP
        assert 0 < len(tokens.turns) < len(t.utterances)
        assert all(u.text == "" for u in t.utterances[-4:])
        assert tokens.turns[-1].finish == "length"
        for seat in ("seat_0", "seat_1"):
            assert sum(len(x.read) + len(x.said) for x in tokens.turns if x.seat == seat) <= 220
    assert mismatch(model.model, found) < 1e-5


class Babble:
    """In a decoder's place: says what it is given."""

    def __init__(self, lines: list[list[int]]) -> None:
        self.lines, self.contexts = lines, []  # type: ignore[var-annotated]

    def sample(self, requests: list[Request]) -> list[Sampled]:
        self.contexts += [list(r.context) for r in requests]
        said = [self.lines.pop(0) if self.lines else [2] for _ in requests]
        return [Sampled(ids, [-1.0] * len(ids)) for ids in said]

    def drop(self, key: object) -> None:
        pass


ANY_IDS = st.lists(st.lists(st.one_of(st.integers(0, 4), st.integers(0, 383)), min_size=1, max_size=8), max_size=6)
BABBLER = None


@given(ANY_IDS)
def test_whatever_a_model_says_contexts_hold_together(lines: list[list[int]]) -> None:
    global BABBLER
    who = BABBLER = BABBLER or agent()
    babble = Babble([list(x) for x in lines])
    who._decoder = babble  # type: ignore[assignment]
    ((t, tokens),) = played(who, bargain(), episodes=1)
    assert t.scored
    assert [list(x.said) for x in tokens.turns][: len(lines)] == lines[: len(tokens.turns)]
    contexts: dict[str, list[int]] = {}
    for turn, read in zip(tokens.turns, babble.contexts, strict=True):
        assert turn.continues == (turn.seat in contexts)
        assert [*contexts.get(turn.seat, ()), *turn.read] == read
        contexts[turn.seat] = [*read, *turn.said]


def test_on_an_open_dilemma_a_small_model_says_once_that_it_means_nothing(caplog: pytest.LogCaptureFixture) -> None:
    who = agent()
    played(who, bargain(), episodes=1)
    assert "means nothing" not in caplog.text
    played(who, dilemma(), episodes=3, judge="heuristic")
    assert caplog.text.count("tiny learnt to bargain over scores: on an open dilemma its words mean nothing") == 1


def test_its_name_says_how_it_samples() -> None:
    model = local()
    assert HFAgent(model=model).spec == "hf:tiny"
    assert (
        HFAgent(model=model, sampling=Sampling(0.7, max_new_tokens=64)).spec
        == "hf:tiny,temperature=0.7,max_new_tokens=64"
    )
    assert HFAgent("ignored,temperature=0", model=model).sampling.temperature == 0
    assert HFAgent(model=model, spec="policy@3").spec == "policy@3"
    assert HFAgent(model=model, style="full").style == "full"
    with pytest.raises(NotFoundError, match="style"):
        HFAgent("x,style=terse", model=model)


def test_chunks_hold_what_is_of_similar_length() -> None:
    def rows(past: int, *news: int) -> list[Row]:
        slot = Store.__new__(Store)  # never looked at
        sampling = Sampling()
        return [Row(i, Request(i, [0] * (past + n), sampling, 1, None), slot, slot, past) for i, n in enumerate(news)]  # type: ignore[arg-type]

    def sizes(found: list[list[Row]]) -> list[list[int]]:
        return [[r.new for r in chunk] for chunk in found]

    assert sizes(decoding._chunks(rows(50, 30, 31, 9, 28, 8))) == [[31, 30, 28], [9, 8]]
    assert sizes(decoding._chunks(rows(0, 300, 301, 300))) == [[301], [300, 300]], "long whole contexts are not padded"
    assert [r.width for chunk in decoding._chunks(rows(9, 4, 5)) for r in chunk] == [5, 5]
