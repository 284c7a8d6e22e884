"""Names and fields others build on. A change here is a decision, and goes into the change log."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import entry_points, version
from typing import Any

import pytest
from support import bargain, begin

import nego_env
from nego_env import errors
from nego_env.rules import StopReason
from nego_env.session import INFO_KEYS, TEXT_KEYS
from nego_env.view import VIEW_FIELDS, View, seat_randoms, view


def test_the_public_names() -> None:
    assert nego_env.__all__ == [
        "Act", "Agent", "Move", "NegoError", "Reply", "Scenario", "SeatEnv", "StopReason", "Transcript", "Verdict",
        "View", "env", "load_scenario", "open_suite", "parallel_env", "play", "raw_env",
    ]  # fmt: skip
    for name in nego_env.__all__:
        assert getattr(nego_env, name).__doc__, f"{name} has no docstring"
    assert nego_env.__version__ == version("nego-env")


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("nego_env.scenario", ("Scenario", "Seat", "Stakes", "Issue", "Option", "Protocol", "Acceptance")),
        ("nego_env.accounting", ("report", "DealTable", "account", "collective_agency", "gain", "score")),
        ("nego_env.rules", ("start", "pending", "utter", "judged", "fail", "case", "State")),
        ("nego_env.settings", ("Settings", "resolve")),
        ("nego_env.agents", ("Agent", "Reply", "resolve_agent", "describe")),
        ("nego_env.codec", ("ActTable", "SeatCoder", "UnicodeText", "feature_layout", "feature_size")),
        ("nego_env.aec", ("env", "raw_env", "BoundaryWrapper")),
        ("nego_env.parallel", ("parallel_env", "ParallelNegotiation")),
        ("nego_env.seat_env", ("SeatEnv",)),
        ("nego_env.run", ("Run",)),
        ("nego_env.rollout", ("play", "rollout", "run_blocking")),
        ("nego_env.store", ("TranscriptFile", "TranscriptWriter", "read", "read_final")),
        ("nego_env.packs", ("Pack", "Shape", "write_pack", "open_pack", "open_suite", "find", "load_scenario")),
        ("nego_env.judges", ("Judge", "ExactJudge", "HeuristicJudge")),
        ("nego_env.view", ("View", "VIEW_FIELDS", "Table", "Legal")),
        ("nego_env.session", ("Session", "INFO_KEYS", "TEXT_KEYS")),
    ],
)
def test_names_the_documentation_uses(module: str, names: tuple[str, ...]) -> None:
    found = importlib.import_module(module)
    assert [name for name in names if not hasattr(found, name)] == []


def test_the_fields_of_a_view() -> None:
    assert View.__struct_fields__ == VIEW_FIELDS
    assert VIEW_FIELDS == (
        "episode", "seat", "scenario", "round", "max_rounds", "phase", "utterances", "omitted", "table", "legal",
        "revealed", "walked", "notice", "personas", "random",
    )  # fmt: skip
    state = begin(bargain())
    seen = view(state, seat_randoms(state.header, 2))
    derived = {name: getattr(seen, name) for name in ("index", "name", "task", "persona", "stakes", "rng", "rules")}
    assert (derived["index"], derived["name"], derived["persona"]) == (
        0,
        "the tenant",
        "Keep the tap for the seedlings.",
    )
    assert seen.worth(("A2", "B3")) == 5.0
    assert seen.gain(["B3", "a2"]) == 0.75


def test_the_keys_of_observations_and_infos() -> None:
    assert INFO_KEYS == ("round", "phase", "agreed", "score", "unscored", "malformed", "your_turn")
    assert TEXT_KEYS == (
        "task", "issues", "persona", "stakes", "rules", "dialogue", "table", "published", "notice", "personas",
    )  # fmt: skip


def test_why_an_episode_ends() -> None:
    assert {reason.value: reason.scored for reason in StopReason} == {
        "agreement": True,
        "cap": True,
        "walk_away": True,
        "agent_error": False,
        "agent_timeout": False,
        "judge_error": False,
        "budget": False,
        "interrupted": False,
    }


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ScenarioError", ValueError),
        ("SettingsError", ValueError),
        ("MoveError", ValueError),
        ("TranscriptError", ValueError),
        ("AgentError", RuntimeError),
        ("JudgeError", RuntimeError),
        ("NotFoundError", LookupError),
        ("MissingExtraError", ImportError),
        ("Leave", Exception),
    ],
)
def test_every_error_is_a_nego_error_and_the_builtin_it_refines(name: str, builtin: Any) -> None:
    assert issubclass(getattr(errors, name), (nego_env.NegoError,))
    assert issubclass(getattr(errors, name), builtin)


@pytest.mark.parametrize("group", ["agents", "judges", "packs", "importers", "commands"])
def test_everything_registered_under_a_name_can_be_loaded(group: str) -> None:
    found = {e.name: e for e in entry_points(group=f"nego_env.{group}") if e.value.startswith("nego_")}
    assert found
    for entry in found.values():
        module = entry.value.partition(":")[0]
        if importlib.util.find_spec(module) is not None:
            assert callable(entry.load())


def test_importing_the_package_loads_no_screen_no_command_line_and_draws_nothing() -> None:
    code = (
        "import random, sys; import numpy as np\n"
        "before = random.getstate(), np.random.get_state()[1].tobytes()\n"
        "import nego_env\n"
        "assert (random.getstate(), np.random.get_state()[1].tobytes()) == before\n"
        "print(sorted({'rich', 'textual', 'tyro', 'torch', 'nego_agents', 'nego_scenarios'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
