"""Play a few episodes into a file, then read the file back into a table."""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nego_env import play
from nego_env.store import read

with tempfile.TemporaryDirectory() as folder:
    out = Path(folder) / "run.jsonl"
    play("heldout", ["boulware", "conceder"], episodes=8, out=out)
    table = Table("scenario", "stop", "rounds", "CA", "regret", "gains")
    for t in read(out):
        o = t.outcome
        gains = " ".join(f"{g:.2f}" for g in o.gains or ())
        table.add_row(t.scenario.id, t.stop.value, str(o.rounds), f"{o.ca}", f"{o.regret}", gains)
    Console(width=110).print(table)
