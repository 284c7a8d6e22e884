"""Two shipped agents settle a dilemma; the score is exact."""

from nego_env import play

transcript = play("heldout", ["revealer", "boulware"], episodes=1)[0]
print(transcript.scenario.task, "\n")
print(transcript)
