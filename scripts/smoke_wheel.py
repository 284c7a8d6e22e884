"""Build the source archive and the wheel, and try the wheel as a stranger would: fresh environment, another folder.

Run it with a Python that has the development tools (`make smoke`); it leaves nothing behind. Exit code 1 and one line on
stderr when something is wrong.
"""

# ruff: noqa: T201  a script prints

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    ROOT / "nego_env",
    ROOT / "scenarios" / "nego_scenarios",
    ROOT / "agents" / "nego_agents",
    ROOT / "trainers" / "nego_trainers",
)
MUST_HAVE = (
    *(f"{p.name}/py.typed" for p in PACKAGES),
    "nego_env/prompts/rules_structured.txt",
    "nego_scenarios/data/open/thesis-deadline.toml",
    "nego_scenarios/data/train/scenarios.jsonl",
    "nego_scenarios/data/heldout/index.jsonl",
    "nego_scenarios/data/heldout/pack.json",
    "nego_agents/data/nego-tiny/model.safetensors",
)
INSTALL = "pip install 'nego-env[train]'"

PROBE = """
import sys
from pathlib import Path
from nego_env.registry import GROUPS, entry_points, load_entry_point
import nego_agents, nego_env, nego_scenarios, nego_trainers

for package in (nego_agents, nego_env, nego_scenarios, nego_trainers):
    assert Path(package.__file__).is_relative_to(sys.prefix), f"{package.__name__} comes from {package.__file__}"
for group in GROUPS:
    found = entry_points(group)
    assert found, f"nothing is registered under {group}"
    for entry in found.values():
        load_entry_point(entry)
    print(f"{group}: {', '.join(sorted(found))}")
for name, entry in entry_points("nego_env.packs").items():
    pack = load_entry_point(entry)()
    assert sum(1 for _ in pack) == len(pack) > 0, f"pack {name} is not whole"
"""


class Broken(Exception):
    """The wheel is not what it should be."""


def main() -> int:
    """Everything, in a temporary folder."""
    try:
        with tempfile.TemporaryDirectory(prefix="nego-smoke-") as folder:
            scratch = Path(folder)
            wheel = built(scratch / "dist")
            check_contents(wheel)
            check_installed(wheel, scratch)
    except Broken as e:
        print(f"smoke: {e}", file=sys.stderr)
        return 1
    print("smoke: the wheel works")
    return 0


def built(folder: Path) -> Path:
    """The wheel, made from the source archive: so the archive is whole too."""
    said = run(ROOT, sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder))
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise Broken(f"expected one wheel, found {[w.name for w in wheels]}:\n{said}")
    print(f"smoke: built {wheels[0].name}, {wheels[0].stat().st_size / 1e6:.1f} MB")
    return wheels[0]


def check_contents(wheel: Path) -> None:
    """Every file of the four packages is in it, data too, and nothing else but the metadata."""
    with zipfile.ZipFile(wheel) as z:
        inside = {n for n in z.namelist() if ".dist-info/" not in n}
    source = {
        str(path.relative_to(package.parent))
        for package in PACKAGES
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = sorted((source | set(MUST_HAVE)) - inside)
    extra = sorted(inside - source)
    if missing or extra:
        raise Broken(f"in the wheel missing: {missing[:10]}; there by mistake: {extra[:10]}")
    print(f"smoke: {len(inside)} files, all of them")


def check_installed(wheel: Path, scratch: Path) -> None:
    """Import, entry points, package data and the commands, from an empty folder."""
    home, bin_ = scratch / "somewhere-else", scratch / "venv" / ("Scripts" if os.name == "nt" else "bin")
    home.mkdir()
    venv.create(scratch / "venv", with_pip=True)
    python, nego = str(bin_ / "python"), str(bin_ / "nego")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(home, *pip, "-c", str(ROOT / "constraints.txt"), str(wheel))
    print(run(home, python, "-W", "error", "-c", PROBE).rstrip())
    run(home, nego, "--version")
    run(home, nego, "--help")
    played = run(
        home, nego, "play", "--agents", "revealer", "boulware", "--episodes", "3", "--out", "r.jsonl", "--json"
    )
    if [json.loads(line)["scored"] for line in played.splitlines()] != [True] * 3:
        raise Broken(f"nego play --json: {played}")
    listed = [json.loads(line) for line in run(home, nego, "scenarios", "list", "--json").splitlines()]
    if not all({"id", "pack", "kind", "seats"} <= entry.keys() for entry in listed) or len(listed) < 1000:
        raise Broken(f"nego scenarios list --json: {len(listed)} scenarios, {listed[:1]}")
    for command in (
        ("replay", "r.jsonl", "--plain"),
        ("replay", "r.jsonl", "--export", "r.svg"),
        ("scenarios", "show", "thesis-deadline"),
        ("agents",),
        ("demo", "--quick"),
    ):
        if not run(home, nego, *command).strip() and "--export" not in command:
            raise Broken(f"nego {' '.join(command)} said nothing")
    if INSTALL not in run(home, nego, "demo", "--quick"):
        raise Broken(f"nego demo without torch does not say {INSTALL}")
    told = refused(home, nego, "train", "grpo", "--steps", "1")
    if INSTALL not in told or told.count("\n") != 1:
        raise Broken(f"nego train grpo without torch: {told}")
    print("smoke: nego play, replay, scenarios, agents and demo run from another folder, and none of them needs torch")


def run(where: Path, *command: str) -> str:
    """Stdout of a command that must succeed."""
    done = called(where, *command)
    if done.returncode != 0:
        raise Broken(f"{' '.join(command[:6])} ... exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def refused(where: Path, *command: str) -> str:
    """Stderr of a command that must say what is wrong and end with 2."""
    done = called(where, *command)
    if done.returncode != 2:
        raise Broken(f"{' '.join(command[:6])} ... exited with {done.returncode}, not 2:\n{done.stdout}{done.stderr}")
    return done.stderr


def called(where: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command, run to its end."""
    alone = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}  # no PYTHONPATH back to the checkout
    return subprocess.run(command, cwd=where, env=alone, capture_output=True, text=True, timeout=900)


if __name__ == "__main__":
    sys.exit(main())
