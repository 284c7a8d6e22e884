"""A pretrained model as a folder: weights (safetensors), tokenizer, `nego.json` (recipe, hash, probes), model card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_trainers.tiny.pretrain import RECIPE_VERSION, Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from nego_trainers.tiny.probes import Probes

WEIGHTS = "model.safetensors"
SKILLS = {
    "copying": "copying: own scores said in words that are right",
    "own_best": "own best: issues on which an uninformed proposal picks the own best option",
    "joint_best": "joint best: issues on which an informed proposal picks the option with the highest sum of shares",
    "acceptance": "acceptance: chance that of two offers the one accepted is worth more (0.5 is blind)",
}
"""What the card calls the probes of the model; `revealing_pays` is one of the data."""


def save(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    *,
    probes: Probes | None = None,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Write the folder; returns what `nego.json` says."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    facts = {
        "style": "brief",
        "recipe_version": RECIPE_VERSION,
        "recipe": asdict(recipe),
        "weights_sha256": weights_hash(folder),
        "parameters": sum(p.numel() for p in model.parameters()),
        "probes": None if probes is None else {k: round(v, 3) for k, v in asdict(probes).items()},
        "seconds": None if seconds is None else round(seconds),
    }
    text = json.dumps(facts, indent=1)
    (folder / "nego.json").write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(facts), encoding="utf-8")
    told: dict[str, Any] = json.loads(text)
    return told


def weights_hash(folder: Path) -> str:
    """SHA-256 of the weights."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def card(facts: dict[str, Any]) -> str:
    """The model card."""
    recipe = facts["recipe"]
    probes = facts["probes"] or {}
    drilling = round(recipe["steps"] * recipe["drill_until"])
    pays = f" (by {probes['revealing_pays']} of Collective Agency)" if "revealing_pays" in probes else ""
    measured = "\n".join(f"| {said} | {probes[name]} |" for name, said in SKILLS.items() if name in probes)
    return f"""---
license: apache-2.0
language: en
pipeline_tag: text-generation
---

# nego-tiny

A causal language model of {facts["parameters"]:,} parameters (Llama form, byte-level BPE of {recipe["vocabulary"]} pieces) that
negotiates structured dilemmas of two seats in nego-env. It exists so that everything that takes a model works at once,
offline, on a CPU, and so that self-play has something to start from.

## How it was made

`nego pretrain --seed {recipe["seed"]}` (recipe version {facts["recipe_version"]}): {recipe["steps"]} steps on one thread,
the first {drilling} of {recipe["drill_rows"]} drills (short chats that ask for one skill), the others of
{recipe["rows"]} chats and {recipe["kept_up"]} drills.
The chats are those of scripted demonstrators over the *training* themes, at first all clean, at the end of mixed skill.
No text by anybody else is in it: the dilemmas are generated, and the phrases are this project's own.
Demonstrators who reveal their scores before they propose do better than those who do not{pays};
both kinds are shown.
`nego.json` holds the whole recipe and the hash of the weights.

## What it can do

Measured on held-out themes, whose words it never saw:

| probe | |
|---|---|
{measured}

It reads the *brief* prompt style: its persona, the issues' names, its scores as one table, what the others said and
published, and what the deal on the table is worth to it. Once another seat has published everything, that style adds up every
option's share of both seats' best deals (`together A1 42 A2 45`) and gives the other's share of the deal on the table:
the model looks such sums up, it does not make them. It ends most messages in a tag: `[Reveal: A]`, `[Propose: A2 B1]`,
`[Accept]`, `[Ask: A]`.

## What it cannot do

Its words are set phrases and carry no argument; the persona sentence does little beside the table. On an open dilemma what it
says means nothing. It was shown two seats, two to four issues and two to four options; beyond that it is out of its depth.
Until everything is published it weighs what it was told against its own scores by feel. It is a test subject, not an adviser.
"""
