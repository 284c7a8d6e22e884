"""A six-seat scorable game in the LLM-Deliberation format: imported, played, and scored exactly."""

from pathlib import Path

from nego_env import load_scenario, play

game = load_scenario(Path(__file__).parent / "river_crossing")
print(f"{game.n} seats, {game.n_deals} deals; all six can live with {int(game.table.met.all(axis=0).sum())} of them\n")
outcome = (transcript := play(game, "revealer")).outcome
print(transcript, "\n")
print(
    "deal", outcome.deal, "| CA", outcome.ca, "| passed", outcome.passed, "| proposer with bonus", outcome.bonus_scores
)
