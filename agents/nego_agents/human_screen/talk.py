"""The dialogue as it is on screen: everything the person's views have shown, remembered beyond their memory window."""

from __future__ import annotations

from rich.console import Group, RenderableType

from nego_agents.human_screen import render
from nego_env.moves import Move, spoken
from nego_env.replay.style import Palette
from nego_env.rules import Utterance
from nego_env.speaking import Speaking
from nego_env.view import View


class Talk:
    """Utterances by their place in the episode; None where no view has shown one."""

    def __init__(self) -> None:
        self.said: list[Utterance | None] = []

    def clear(self) -> None:
        """Another episode, or another person."""
        self.said = []

    def take_in(self, view: View) -> bool:
        """What a view shows; whether something that was on screen is no longer right."""
        if view.omitted + len(view.utterances) < len(self.said):  # the episode failed and is played again
            self.said = []
        changed = not self.said
        self.said += [None] * (view.omitted - len(self.said))
        for i, u in enumerate(view.utterances, view.omitted):
            if i >= len(self.said):
                self.said.append(u)
            elif self.said[i] != u:
                changed = True
                self.said[i] = u
        return changed

    def add_own(self, view: View, move: Move) -> None:
        """The person's own words, before a view shows them."""
        said = spoken(move, view.scenario) if view.phase == "dialogue" else move
        self.said.append(Utterance(view.seat, view.round, view.phase, said.text, said.act))

    def entry(self, at: int, view: View, palette: Palette) -> RenderableType:
        """One utterance, under the line of its round where it is the first."""
        u, before = self.said[at], self.said[at - 1] if at else None
        if u is None:
            return render.forgotten(palette)
        words = render.said(view, u, palette)
        if before is None or (before.round, before.phase) != (u.round, u.phase):
            return Group(render.round_rule(u, view.max_rounds, palette), words)
        return words

    def under_way(self, s: Speaking, before: Speaking | None, palette: Palette) -> RenderableType:
        """An utterance that is still coming, under the line of its round where it is the first."""
        last: Utterance | Speaking | None = before or (self.said[-1] if self.said else None)
        words = render.speaking(s, palette)
        if last is None or (last.round, last.phase) != (s.round, s.phase):
            return Group(render.round_rule(s, s.max_rounds, palette), words)
        return words
