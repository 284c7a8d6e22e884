"""Two shipped agents settle a dilemma; the score is exact."""

from nego_env import play

transcript = play("theatre-2d764a7cd1b4", ["revealer", "logroller"])
print(transcript.scenario.task, "\n")
print(transcript)
