"""An agent is any callable from a view to words. A tag at the end of the words is a move."""

from nego_env import View, play


def half_and_half(view: View) -> str:
    """Take anything worth half of what I could get; else ask for the deal I like best among those already spoken of."""
    if view.table and view.table.gain >= 0.5 and view.legal.accept:
        return "I can live with that. [Accept]"
    best = [max(zip(row, issue.options, strict=True), key=lambda pair: pair[0])[1].id
            for row, issue in zip(view.stakes.scores, view.scenario.issues, strict=True)]  # fmt: skip
    return f"This is what I would like. [Propose: {' '.join(best)}]"


print(play("theatre-2d764a7cd1b4", [half_and_half, "conceder"]))
