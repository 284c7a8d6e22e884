"""The dialogue on the screen: what was said, from the opening to the end."""

from __future__ import annotations

from rich.console import Group, RenderableType
from textual.widgets import Static

from nego_agents.human_screen import render
from nego_agents.human_screen.talk import Talk
from nego_env.moves import Move
from nego_env.replay.frames import episode
from nego_env.replay.player import Pane
from nego_env.replay.render import Fitted, finish, heading, utterance
from nego_env.replay.style import Palette
from nego_env.speaking import Speaking
from nego_env.transcript import Transcript
from nego_env.view import View


class Entry(Static):
    """One piece of the dialogue."""


class Dialogue(Pane):
    """What the person has seen; the newest is in sight."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.talk = Talk()
        self._drawn = 0
        self._newest: Entry | None = None
        self._coming: dict[int, tuple[Speaking, Entry]] = {}
        """By its place: what is being said, until a view shows it whole."""

    async def show(self, view: View, colours: Palette, *, with_scores: bool, again: bool = False) -> None:
        """What a view adds; everything, where something on screen is no longer right, and when it is to be drawn `again`."""
        await self._drop_coming()
        if self.talk.take_in(view) or again:
            await self.clear()
            await self._mount(render.opening(view, colours, with_scores=with_scores))
        await self._add_new(view, colours)
        if view.phase == "completion" and len(self.talk.said) == view.omitted + len(view.utterances):
            await self._mount(render.plan_request(view, colours))

    async def show_own(self, view: View, move: Move, colours: Palette) -> None:
        """What the person has just said."""
        await self._drop_coming()
        self.talk.add_own(view, move)
        await self._add_new(view, colours)

    async def show_end(self, t: Transcript, seat: int | None, colours: Palette, *, again: bool = False) -> None:
        """What was said since, as `seat` saw it, and how it ended."""
        await self._drop_coming()
        if again:
            await self.clear()
        ep, parts = episode(t), list[RenderableType]()
        for frame in ep.frames[1 + self._drawn :]:
            if frame.kind == "utterance":
                rule, words = heading(ep, frame, colours), utterance(ep, frame, colours, seat)
                parts.append(words if rule is None else Group(rule, words))
        await self._mount(*parts, Fitted(lambda width: finish(ep, colours, width)))

    async def show_coming(self, s: Speaking, colours: Palette) -> None:
        """What somebody is saying, as far as it has come."""
        if s.at < len(self.talk.said):
            return  # it stands there whole
        if not self.talk.said and not self._coming:
            await self.clear()  # of another episode
        before = self._coming.get(s.at - 1)
        words = self.talk.under_way(s, before[0] if before else None, colours)
        if s.at not in self._coming:
            (entry,) = await self._mount(words)
        else:
            entry, at_the_end = self._coming[s.at][1], self.max_scroll_y - self.scroll_y <= 2
            entry.update(words)
            if at_the_end:
                self.call_after_refresh(self.scroll_to_newest)
        self._coming[s.at] = (s, entry)

    def forget(self) -> None:
        """Another episode, or another person."""
        self.talk.clear()

    async def clear(self) -> None:
        """Nothing on screen."""
        self._drawn = 0
        self._coming.clear()
        await self.remove_children()

    def scroll_to_newest(self) -> None:
        """What is new in sight, from its top."""
        if self._newest is not None and self._newest.is_attached:
            self.scroll_to_widget(self._newest, animate=False, top=True)

    async def _add_new(self, view: View, colours: Palette) -> None:
        said = range(self._drawn, len(self.talk.said))
        self._drawn = len(self.talk.said)
        await self._mount(*(self.talk.entry(i, view, colours) for i in said))

    async def _drop_coming(self) -> None:
        for _, entry in self._coming.values():
            await entry.remove()
        self._coming.clear()

    async def _mount(self, *parts: RenderableType) -> list[Entry]:
        entries = [Entry(part, markup=False) for part in parts]
        if entries:
            await self.mount_all(entries)
            self._newest = entries[0]
            self.call_after_refresh(self.scroll_to_newest)
        return entries
