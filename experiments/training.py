"""Training runs as processes of their own, a few at a time, each resumed where it was when the experiment is run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.recipe import RUNS, flags

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
"""One thread a run: on shared cores two threads a run can be many times slower than one."""


@dataclass(frozen=True)
class Job:
    """One run of `nego train`."""

    name: str
    algorithm: str
    options: dict[str, Any]

    @property
    def out(self) -> Path:
        """Its folder."""
        return RUNS / self.name

    @property
    def best(self) -> Path:
        """The checkpoint that was best on the validation set; the last, where it never looked."""
        best = self.out / "best"
        return best if best.exists() else self.out / "final"

    @property
    def done(self) -> bool:
        """It has been finished."""
        return (self.out / "summary.json").exists()


def train_all(jobs: Iterable[Job], *, at_once: int) -> dict[str, dict[str, Any]]:
    """Every job's summary by name; those that are finished are read, the others run `at_once` at a time."""
    jobs = list(jobs)
    waiting = [j for j in jobs if not j.done]
    running: list[tuple[Job, subprocess.Popen[bytes], float]] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running.append((job, _start(job), time.monotonic()))
                print(f"{job.name}: started", flush=True)
            for entry in [r for r in running if r[1].poll() is not None]:
                running.remove(entry)
                _finish(*entry)
            time.sleep(0.5)
    except BaseException:
        for _, process, _ in running:
            process.terminate()  # its finished episodes and last checkpoint are kept
        raise
    return {j.name: json.loads((j.out / "summary.json").read_text()) for j in jobs}


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "nego_env.cli", "train", job.algorithm, "--out", str(job.out), "--json"]
    log = (RUNS / f"{job.name}.log").open("ab")
    said = (RUNS / f"{job.name}.json").open("wb")
    return subprocess.Popen([*command, *flags(job.options)], stdout=said, stderr=log, env={**os.environ, **ENVIRONMENT})


def _finish(job: Job, process: subprocess.Popen[bytes], began: float) -> None:
    if process.returncode != 0:
        raise RuntimeError(f"{job.name}: exit code {process.returncode}; see {RUNS / f'{job.name}.log'}")
    summary = json.loads((RUNS / f"{job.name}.json").read_text())
    summary["wall_seconds_here"] = round(time.monotonic() - began)
    (job.out / "summary.json").write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n")
    print(f"{job.name}: done in {summary['wall_seconds_here']} s", flush=True)
