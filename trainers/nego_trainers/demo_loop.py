"""The demo with a language model: it talks, it trains, it talks again; then everything in one table.

OUT/demo.json                  which demo this is, and how its training was sized
OUT/before.jsonl, after.jsonl  the same dilemma, argued with the same seed
OUT/training/                  the run: metrics, rollouts, checkpoints, curves.png, final/ (the trained model)
OUT/evaluation/                every dialogue behind the table
OUT/results.json               what was measured
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_trainers import demo_plan
from nego_trainers.demo_plan import Plan, identity, plan, probe, read_plan, save_json, table_size, write_plan
from nego_trainers.demo_screen import argue, command, progress, quoted
from nego_trainers.settings import GRPOSettings

if TYPE_CHECKING:
    from nego_agents.local.agent import HFAgent
    from nego_agents.local.model import LocalModel
    from nego_env.scenario import Scenario
    from nego_env.transcript import Transcript
    from nego_trainers.evaluate import Entry
    from nego_trainers.grpo import Outcome
    from nego_trainers.results import Results

DILEMMA = "observatory-d3233dc7b75a"
"""Two seats, three issues of three options, words that no training theme uses. Chosen before anything was trained on it."""
SCRIPTED = ("random", "premature", "micro", "boulware", "tit-for-tat", "conceder", "logroller", "revealer")
SHAPES = ("2x3", "3x3", "3x4", "4x4")
AGAIN = 1.2
"""The second evaluation is reckoned with so much of the first one's time."""


class DemoLoop:
    """One demo, new or gone on with."""

    def __init__(self, model: str, out: Path | None, *, quick: bool, seed: int, pause: float, as_json: bool) -> None:
        """Raises `SettingsError` for a folder that holds something else."""
        from nego_env.replay.plain import plain_console
        from nego_trainers.demo_show import Show

        self._began = time.monotonic()
        self.model, self.quick, self.seed = model, quick, seed
        self.size = demo_plan.QUICK if quick else demo_plan.FULL
        self.identity = identity(model, quick=quick, seed=seed)
        self.out = out or _new_folder()
        self.plan = read_plan(self.out, self.identity)
        self.settings = GRPOSettings(model=model, seed=seed)
        console = plain_console()
        console.quiet = as_json
        self.console, self.as_json = console, as_json
        self.pause = 0.0 if quick or as_json else pause
        self.show = Show(console, Path(model).name)

    @property
    def elapsed(self) -> float:
        """Seconds since the first line."""
        return time.monotonic() - self._began

    def run(self) -> int:
        """Plays, trains, plays, compares; returns 0, or 130 when the training was interrupted."""
        from nego_agents.local.model import LocalModel
        from nego_env.packs import open_pack
        from nego_trainers.grpo import prepare_torch

        prepare_torch(self.settings)
        dilemma = open_pack("heldout").get(DILEMMA)
        local = LocalModel.load(self.model)
        write_plan(self.out, self.identity, self.plan)
        self.show.opening(local, self.out, self.size.seconds)

        self.show.part("1. Before")
        before = self._argue(dilemma, self._agent(local), "before", opening=True)
        planned, held, results = self._measured(local)

        self.show.part("2. Training")
        outcome = self._train(planned)
        if outcome.interrupted or outcome.model is None:
            done = outcome.progress.step
            sys.stderr.write(f"nego: interrupted after {done} update{'s' if done != 1 else ''}: {self.kept()}\n")
            return 130
        self.show.trained(outcome, planned)

        best = outcome.out / "best"  # where the run looked at its validation dilemmas, of training themes
        model = best if best.exists() else outcome.model
        self.show.part("3. After: the same dilemma, the same seed")
        agent = self._agent(LocalModel.load(str(model)), str(model))
        after = self._argue(dilemma, agent, "after", opening=False)
        self.show.one_dialogue(before, after)
        results = _merged(results, self._evaluate({self.show.after: agent}, held))

        self.show.part("4. On average")
        self.show.table(results)
        found = self._found(planned, outcome, model, results, before, after)
        save_json(self.out / "results.json", found)
        self.show.farewell(self.out, model, DILEMMA, self.elapsed)
        if self.as_json:
            import json

            sys.stdout.write(json.dumps(found, sort_keys=True) + "\n")
        return 0

    def kept(self) -> str:
        """Where an interrupted demo is, and how it is gone on with."""
        if not (self.out / demo_plan.FILE).exists():
            return "nothing was saved yet"
        flags = [f"--out {quoted(self.out)}"]
        if self.model != "nego-tiny":
            flags.append(f"--model {quoted(self.model)}")
        flags += ["--quick"] if self.quick else []
        flags += [f"--seed {self.seed}"] if self.seed else []
        return f"what was played and learnt is in {self.out}; {command()} demo {' '.join(flags)} goes on"

    # ---------------------------------------------------------------- the parts
    def _agent(self, local: LocalModel, name: str | None = None) -> HFAgent:
        from nego_agents.local.agent import HFAgent
        from nego_agents.local.sampling import Sampling

        s = self.settings
        sampling = Sampling(temperature=s.temperature, top_p=s.top_p, max_new_tokens=s.max_new_tokens)
        return HFAgent(model=local, sampling=sampling, spec=f"hf:{name or self.model}")

    def _argue(self, dilemma: Scenario, agent: HFAgent, name: str, *, opening: bool) -> Transcript:
        from nego_env.rollout import play

        t = play(dilemma, agent, episodes=1, seed=self.seed, out=self.out / f"{name}.jsonl")[0]
        argue(self.console, t, pause=self.pause, opening=opening)
        return t

    def _measured(self, local: LocalModel) -> tuple[Plan, list[Scenario], Results]:
        """The plan, the held-out dilemmas, and how everybody but the trained model does on them."""
        from nego_scenarios.duels import heldout_two_seat
        from nego_trainers.references import OPTIMUM

        speed = probe(self.settings) if self.plan is None else self.plan.speed
        count = table_size(self.size, speed) if self.plan is None else self.plan.scenarios
        held = list(heldout_two_seat(count, shapes=SHAPES))
        others: dict[str, Entry] = {name: name for name in (*SCRIPTED, OPTIMUM)}
        began = time.monotonic()
        mine = self._evaluate({self.show.before: self._agent(local)}, held)
        took = time.monotonic() - began
        results = _merged(mine, self._evaluate(others, held))
        self.show.standing(mine, held)
        if self.plan is None:
            again = AGAIN * took + (16 * self.pause if self.console.is_terminal else 0.0)
            self.plan = plan(self.settings, self.size, speed, scenarios=count, spent=self.elapsed, reserved=again)
            write_plan(self.out, self.identity, self.plan)
        return self.plan, held, results

    def _evaluate(self, entries: Mapping[str, Entry], held: list[Scenario]) -> Results:
        from nego_trainers.evaluate import evaluate

        done: dict[str, int] = {}
        with progress("playing held-out dilemmas", 2 * len(held) * len(entries)) as advance:

            def tell(name: str, count: int, total: int) -> None:
                advance(count - done.get(name, 0))
                done[name] = count

            return evaluate(entries, held, seeds=(self.seed,), out=self.out / "evaluation", progress=tell)

    def _train(self, planned: Plan) -> Outcome:
        from nego_env.errors import MissingExtraError
        from nego_trainers.curves import save_png
        from nego_trainers.grpo import train
        from nego_trainers.panel import watcher

        folder = self.out / "training"
        self.show.planned(planned, self.settings)
        if (folder / "final").exists():  # the clock may have room for one more update, which nobody wants now
            return _trained(folder)
        title = f"{self.show.name} learns by self-play"
        outcome = train(planned.settings(self.settings), folder, watcher=watcher(title))
        if not outcome.interrupted:
            with suppress(MissingExtraError):  # a demo without a picture is a demo
                save_png(outcome.metrics, outcome.validation, folder / "curves.png", title)
        return outcome

    def _found(
        self, planned: Plan, outcome: Outcome, model: Path, results: Results, before: Transcript, after: Transcript
    ) -> dict[str, Any]:
        """Everything measured, for programs."""
        from nego_trainers.demo_show import change, row
        from nego_trainers.grpo import summary

        told = summary(outcome)
        return {
            "folder": str(self.out),
            "model": str(model),
            "from": self.model,
            "seconds": round(self.elapsed, 1),
            "plan": asdict(planned),
            "training": {k: told[k] for k in ("step", "episodes", "tokens", "seconds", "averaged", "first", "last")},
            "dilemma": {
                "id": DILEMMA,
                **{name: _outcome(t) for name, t in (("before", before), ("after", after))},
            },
            "suite": {"dilemmas": len(results.scenarios), "seatings": 2, "sha256": results.sha256},
            "change": {m: change(results, self.show.before, self.show.after, m) for m in ("ca", "regret", "agreement")},
            "rows": [row(results, name) for name in results.names],
        }


def _trained(folder: Path) -> Outcome:
    """What a run that has ended came to."""
    from nego_trainers.checkpoint import checkpoint_path, checkpoints, load_progress
    from nego_trainers.grpo import Outcome
    from nego_trainers.metrics import read_metrics

    progress = load_progress(checkpoint_path(folder, checkpoints(folder)[-1]))
    return Outcome(progress, read_metrics(folder / "metrics.jsonl"), [], False, folder, folder / "final")


def _outcome(t: Transcript) -> dict[str, Any]:
    o = t.outcome
    return {"agreed": o.agreed, "rounds": o.rounds, "ca": o.ca, "gains": o.gains}


def _merged(first: Results, second: Results) -> Results:
    """The entries of both: the same dilemmas, seatings and seeds."""
    return replace(
        first,
        suite="held-out duels",
        runs=first.runs | second.runs,
        agents=first.agents | second.agents,
        files=first.files | second.files,
    )


def _new_folder() -> Path:
    base = Path("runs") / f"demo-{datetime.now().strftime('%Y%m%d-%H%M%S')}"  # local time: a name for a person
    path, number = base, 1
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}.{number}")
    return path
