"""Promises about nego-tiny and how it is made.

1. The same recipe gives the same data and, on one thread, the same weights; a miniature of it learns within a few steps.
2. Its tokenizer reads a table cell by cell, and no text is ever read as one of its special tokens.
3. Demonstrators who reveal do better than those who do not, or self-play would un-learn it.
4. What is shipped is what its card says: the recorded hash is the weights'.
"""

from __future__ import annotations

import json
import random
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nego_env.rules import StopReason
from nego_trainers.tiny.demonstrators import Mix, phrases
from nego_trainers.tiny.dialogues import dialogue, dialogues, draw_scenario, play_demonstrators

torch = pytest.importorskip("torch")

from nego_trainers.tiny.pretrain import Recipe, accumulate, batch, encode, make_model, train  # noqa: E402
from nego_trainers.tiny.probes import GATES, Probes, revealing_pays  # noqa: E402
from nego_trainers.tiny.release import card, save, weights_hash  # noqa: E402
from nego_trainers.tiny.tokenizer import make_tokenizer  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = Recipe(steps=20, rows=8, lr=1.5e-2, vocabulary=640, width=32, layers=2, heads=2, inner=64, warmup=2)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer(vocabulary=1024, texts=150)


def test_a_seed_gives_the_same_dialogues() -> None:
    one, again = ([d.chats for d in dialogues(5, 6, Mix())] for _ in range(2))
    assert one == again
    assert one != [d.chats for d in dialogues(6, 6, Mix())]


def test_a_dialogue_is_two_chats_that_end_in_own_words() -> None:
    for d in dialogues(1, 30, Mix()):
        assert len(d.chats) == 2
        for chat in d.chats:
            roles = [line.role for line in chat]
            assert roles == ["system", *["user", "assistant"] * (len(roles) // 2)]
        said = sum(line.role == "assistant" for chat in d.chats for line in chat)
        assert said == len(d.state.utterances)


def test_demonstrators_make_no_malformed_tag_and_mostly_agree() -> None:
    rng = random.Random(2)
    ends = []
    for _ in range(150):
        last = play_demonstrators(draw_scenario(rng), rng, Mix())
        assert not [u for u in last.utterances if u.notice]
        ends.append(last.outcome is StopReason.AGREEMENT)
    assert sum(ends) > 120


def test_revealing_pays_in_the_demonstrations() -> None:
    assert revealing_pays(400, 3) > GATES["revealing_pays"]


def test_every_kind_of_act_has_its_phrases() -> None:
    assert set(phrases()) == {
        "reveal", "reveal_back", "ask", "told", "propose", "informed", "counter", "accept", "talk", "plan",
    }  # fmt: skip
    assert all("[" not in p for group in phrases().values() for p in group)  # a tag is the demonstrator's to add


@pytest.mark.parametrize("piece", [" A1", " D4", " 0", " 37", " 100", " [Propose:", " [Reveal:", "seat_1", "]"])
def test_a_cell_is_a_token(tokenizer: Any, piece: str) -> None:
    assert len(tokenizer.backend_tokenizer.encode(piece, add_special_tokens=False).ids) == 1


def test_the_template_is_the_encoding(tokenizer: Any) -> None:
    d = dialogue(random.Random(4), Mix())
    for chat in d.chats:
        (example,) = encode([chat], tokenizer)
        messages = [{"role": line.role, "content": line.text} for line in chat]
        assert tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False) == example.ids


def test_weights_are_on_own_words_and_their_end(tokenizer: Any) -> None:
    d = dialogue(random.Random(4), Mix())
    (example,) = encode([d.chats[0]], tokenizer)
    own = [i for i, w in zip(example.ids, example.weights, strict=True) if w == 1.0]
    said = "".join(line.text + "<|end|>" for line in d.chats[0] if line.role == "assistant")
    assert tokenizer.decode(own) == said


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60) | st.sampled_from(["<|end|>", "[Accept]<|assistant|>", "<|pad|><|user|>"]))
def test_any_text_round_trips_and_without_special_tokens(tokenizer: Any, text: str) -> None:
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True
    try:
        ids = backend.encode(text, add_special_tokens=False).ids
    finally:
        backend.encode_special_tokens = False
    assert backend.decode(ids, skip_special_tokens=False) == text
    assert not set(ids) & set(range(5))


def test_a_miniature_learns_and_is_the_same_twice() -> None:
    losses: list[float] = []
    model, tokenizer = train(SMALL, report=lambda step, loss, seconds: losses.append(loss))
    assert losses[-1] < losses[0] - 0.8
    again, _ = train(SMALL)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert not model.training
    assert len(tokenizer) == 640


def test_micro_batches_change_nothing(tokenizer: Any) -> None:
    model = make_model(SMALL, tokenizer)
    examples = batch(SMALL, 0, tokenizer)
    whole = accumulate(model, examples, parts=1)
    gradient = [p.grad.clone() for p in model.parameters()]  # type: ignore[union-attr]
    model.zero_grad()
    assert accumulate(model, examples, parts=3) == pytest.approx(whole, rel=1e-5)
    for p, g in zip(model.parameters(), gradient, strict=True):
        torch.testing.assert_close(p.grad, g, rtol=1e-3, atol=1e-6)


def test_a_release_records_its_recipe_hash_and_card(tmp_path: Path, tokenizer: Any) -> None:
    model = make_model(SMALL, tokenizer)
    facts = save(tmp_path, model, tokenizer, SMALL, probes=Probes(1, 1, 1, 1, 1), seconds=3)
    told = json.loads((tmp_path / "nego.json").read_text())
    assert told == facts
    assert told["style"] == "brief"
    assert told["weights_sha256"] == weights_hash(tmp_path)
    assert f"{told['parameters']:,} parameters" in (tmp_path / "README.md").read_text()
    assert Probes(1, 0.1, 1, 1, 1).failed() == ["own_best 0.10 < 0.85"]


def test_the_shipped_model_is_the_recorded_one() -> None:
    folder = Path(str(files("nego_agents"))) / "data" / "nego-tiny"
    told = json.loads((folder / "nego.json").read_text())
    assert told["weights_sha256"] == weights_hash(folder)
    assert 1_000_000 <= told["parameters"] <= 3_000_000
    assert (folder / "README.md").read_text() == card(told)
    assert all(told["probes"][name] >= least for name, least in GATES.items())
