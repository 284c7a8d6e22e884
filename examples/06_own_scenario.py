"""A scenario of your own is one TOML file."""

from pathlib import Path

from nego_env import load_scenario, play

scenario = load_scenario(Path(__file__).parent / "allotment.toml")
print(scenario.task, "\n")
transcript = play(scenario, ["logroller", "tit-for-tat"])
print(transcript)
print("gain per seat:", transcript.outcome.gains)
