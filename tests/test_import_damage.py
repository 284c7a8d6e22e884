"""Whatever happens to a file, an importer reads it or refuses it in one line: cut anywhere, bytes changed anywhere."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from importer_support import SAMPLES

from nego_env.errors import ScenarioError
from nego_env.packs import Importer
from nego_scenarios.importers.casino import CaSiNo
from nego_scenarios.importers.genius import Genius
from nego_scenarios.importers.moralchoice import MoralChoice
from nego_scenarios.importers.open_spiel import OpenSpielBargaining

ROUNDS = 150


class Case(NamedTuple):
    importer: Importer
    sample: Path
    damaged: str
    """The file to damage, where the sample is a folder."""


CASES = {
    "casino": Case(CaSiNo(), SAMPLES / "casino.json", ""),
    "moralchoice": Case(MoralChoice(), SAMPLES / "moralchoice.csv", ""),
    "open-spiel": Case(OpenSpielBargaining(), SAMPLES / "bargaining.txt", ""),
    "pairs": Case(OpenSpielBargaining(), SAMPLES / "selfplay.txt", ""),
    "genius-domain": Case(Genius(), SAMPLES / "genius" / "market", "market-domain.xml"),
    "genius-profile": Case(Genius(), SAMPLES / "genius" / "market", "market-profile1.xml"),
}


@pytest.mark.parametrize("name", CASES)
def test_damage_is_refused_in_one_line_or_read(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    if case.sample.is_dir():
        path = Path(shutil.copytree(case.sample, tmp_path / "x"))
        file = path / case.damaged
    else:
        path = file = Path(shutil.copy(case.sample, tmp_path))
    whole = file.read_bytes()
    faults: list[str] = []
    for seed in range(ROUNDS):
        file.write_bytes(_damaged(whole, random.Random(seed)))
        assert case.importer.sniff(path) in (True, False)
        try:
            case.importer.load(path)
        except ScenarioError as e:
            faults.append(str(e))
    assert len(faults) > ROUNDS / 4
    assert all(str(tmp_path) in fault and len(fault.splitlines()) == 1 for fault in faults)


def _damaged(whole: bytes, rng: random.Random) -> bytes:
    """Cut short, a piece taken out, a piece said twice, or a few bytes replaced."""
    a, b = sorted(rng.randrange(len(whole) + 1) for _ in range(2))
    match rng.randrange(4):
        case 0:
            return whole[:a]
        case 1:
            return whole[:a] + whole[min(b, a + 40) :]
        case 2:
            return whole[:b] + whole[max(a, b - 40) :]
    changed = bytearray(whole)
    for _ in range(3):
        changed[rng.randrange(len(changed))] = rng.choice(b'\x00\xff0159-.,"<>{}[] \n&a')
    return bytes(changed)
