"""The player: an episode step by step on a terminal.

1. The dialogue stands left, the table right; under `WIDE` columns the table moves below and gets short.
2. A step is a `Frame`; each one is a widget, mounted when the replay reaches it and removed when it goes back.
3. Episodes are decoded when they are looked at: a file of thousands opens at once.
"""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.theme import Theme as TextualTheme
from textual.timer import Timer
from textual.widgets import Footer, Input, Static

from nego_env.errors import NegoError
from nego_env.replay.frames import Episode, Frame, episode, seat_number
from nego_env.replay.lookup import position
from nego_env.replay.render import (
    Fitted,
    bar,
    compact_standing,
    finish,
    heading,
    opening,
    private_view,
    safe,
    standing,
    utterance,
)
from nego_env.replay.style import Palette, Theme, palette
from nego_env.store import TranscriptFile

WIDE = 110
"""From so many columns on, the table stands beside the dialogue."""
KEEP = 150
"""So many steps are kept on screen to scroll back through; earlier ones come back by stepping back."""
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
LIMIT = 20_000
"""Characters of one utterance that the player shows."""

THEMES = (
    TextualTheme(
        "nego-dark", primary="#6cb6ff", secondary="#8b98a5", accent="#e3b341", foreground="#d6dde4",
        background="#10151b", surface="#161c24", panel="#1d252f", dark=True,
    ),
    TextualTheme(
        "nego-light", primary="#0b5cad", secondary="#5c6670", accent="#8a5a00", foreground="#1f262e",
        background="#ffffff", surface="#f3f5f7", panel="#e9edf0", dark=False,
    ),
)  # fmt: skip

_KEYS = (
    ("space", "play or pause"),
    ("→ l   ← h", "one step on, one back"),
    ("home g   end G", "to the start, to the end"),
    ("/ :", "go to an utterance by its number"),
    ("+   -", "faster, slower"),
    ("n   p", "next, previous episode"),
    ("e", "go to an episode by its number or id"),
    ("1 to 9", "what one seat knew: its persona, its scores"),
    ("0", "back to what everybody can see afterwards"),
    ("↑ ↓ k j", "scroll the dialogue; page up, page down by pages"),
    ("d", "dark or light"),
    ("q", "quit"),
)


class Pane(VerticalScroll, can_focus=False):
    """A scrolling region that leaves the keys to the player."""

    class Reflowed(Message):
        """Its content has another height now."""

    def watch_virtual_size(self) -> None:
        """Tell the player, which knows what should be in sight."""
        self.post_message(self.Reflowed())


class Step(Static):
    """One frame in the dialogue."""

    def __init__(self, number: int, content: RenderableType) -> None:
        super().__init__(content, markup=False)
        self.number = number


class Transport(Static):
    """The line that says where the replay is; a click on it goes there."""

    class Seek(Message):
        """Asks for a place in the episode, as a fraction in [0, 1]."""

        def __init__(self, fraction: float) -> None:
            super().__init__()
            self.fraction = fraction

    START = 13
    """Columns before the bar."""

    def bar_width(self) -> int:
        """Columns of the bar."""
        return max(4, self.content_size.width - self.START - 7)

    def on_click(self, event: events.Click) -> None:
        """Seek, when the click was on the bar."""
        at = event.get_content_offset(self)
        if at is not None and self.START <= at.x < self.START + self.bar_width():
            self.post_message(self.Seek((at.x - self.START) / max(1, self.bar_width() - 1)))


class Ask(ModalScreen[str | None]):
    """One line of input at the bottom; Escape leaves without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        """The question and a field."""
        with Vertical(id="ask"):
            yield Static(Text(self.question), markup=False)
            yield Input(compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand the answer back."""
        self.dismiss(event.value.strip() or None)


class Help(ModalScreen[None]):
    """The keys; any key closes it."""

    def compose(self) -> ComposeResult:
        """A list of keys."""
        width = max(len(keys) for keys, _ in _KEYS)
        lines = [Text.assemble((f"{keys:<{width}}", "bold"), "   ", words) for keys, words in _KEYS]
        with VerticalScroll(id="help"):
            yield Static(Group(*lines), markup=False)

    def on_key(self, event: events.Key) -> None:
        """Close."""
        event.stop()
        self.dismiss(None)

    def on_click(self) -> None:
        """Close."""
        self.dismiss(None)


class Player(App[None]):
    """Plays the episodes of a transcript file."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "nego replay"
    CSS = """
    Screen { background: $background; color: $foreground; }
    #title { height: 1; padding: 0 1; background: $panel; }
    #body { layout: horizontal; height: 1fr; }
    #dialogue { width: 1fr; padding: 1 1 0 2; }
    Step { width: 1fr; height: auto; margin-bottom: 1; }
    #table { width: 40%; min-width: 46; max-width: 66; padding: 1 2; background: $surface; scrollbar-background: $surface; }
    #table > Static { width: 1fr; height: auto; }
    Screen.narrow #body { layout: vertical; }
    Screen.narrow #dialogue { padding: 0 1; }
    Screen.narrow #table { width: 100%; max-width: 100%; min-width: 0; height: auto; max-height: 50%; padding: 0 1; }
    #transport { height: 1; padding: 0 1; background: $panel; }
    Ask, Help { align: center bottom; background: $background 0%; }
    #ask { height: 2; padding: 0 1; background: $panel; dock: bottom; }
    #ask Input { background: $panel; }
    Help { align: center middle; background: $background 60%; }
    #help { width: 72; max-width: 94%; height: auto; max-height: 90%; padding: 1 3; background: $surface; }
    #help > Static { width: 1fr; height: auto; }
    VerticalScroll { scrollbar-background: $background; scrollbar-color: $panel-lighten-2; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "play"),
        Binding("right,l", "step(1)", "step", key_display="← →"),
        Binding("left,h", "step(-1)", show=False),
        Binding("home,g", "first", show=False),
        Binding("end,G", "last", show=False),
        Binding("slash,colon", "seek", "go to", key_display="/"),
        Binding("plus,equals_sign", "speed(1)", "speed", key_display="+ -"),
        Binding("minus,underscore", "speed(-1)", show=False),
        Binding("n", "episode(1)", "episode", key_display="n p"),
        Binding("p", "episode(-1)", show=False),
        Binding("e", "go_to_episode", show=False),
        Binding("1", "seat(1)", "seat", key_display="0-9"),
        *(Binding(str(i), f"seat({i})", show=False) for i in (0, *range(2, 10))),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("d", "dark", show=False),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q,ctrl+c", "quit", "quit", key_display="q"),
    ]

    def __init__(self, file: TranscriptFile, *, first: int = 0, seat: str | None = None, theme: Theme = "dark") -> None:
        """`first` is the place of the episode to open, from 0. Raises `NegoError` when that one cannot be shown, or has no
        such seat; a broken one met later is a message on the screen."""
        super().__init__()
        self.file = file
        self.place = first
        self.shown: Episode | None = episode(file[first])
        """None where the record could not be read."""
        self.trouble = ""
        self.at = 0
        """The step on screen."""
        self.seat = None if seat is None else seat_number(self.shown.scenario, seat)
        """Whose private view is shown."""
        self.playing = False
        self.speed = 1.0
        self._first_theme = theme
        self._timer: Timer | None = None

    # ------------------------------------------------------------ set-up
    def compose(self) -> ComposeResult:
        """Title, dialogue, table, transport, keys."""
        yield Static(id="title", markup=False)
        with Container(id="body"):
            yield Pane(id="dialogue")
            with Pane(id="table"):
                yield Static(id="state", markup=False)
        yield Transport(id="transport", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Colours first, then the first frame once there is a size to draw it for."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = f"nego-{self._first_theme}"
        self.call_after_refresh(self._show)
        for note in self.file.notes:
            self._tell(note)

    async def on_resize(self, event: events.Resize) -> None:
        """Beside or below, as there is room."""
        self.screen_stack[0].set_class(event.size.width < WIDE, "narrow")
        self._draw_state()

    def on_pane_reflowed(self) -> None:
        """Keep the newest step in sight whatever a new width did to the lines."""
        self.call_after_refresh(self._scroll_to_step)

    @property
    def colours(self) -> Palette:
        """The palette of the theme in use."""
        return palette("dark" if self.current_theme.dark else "light")

    @property
    def last(self) -> int:
        """The number of the last step."""
        return len(self.shown.frames) - 1 if self.shown else 0

    # ------------------------------------------------------------ drawing
    async def _show(self) -> None:
        """Bring the dialogue to the current step, then everything else."""
        low = self._earliest()
        dialogue = self.screen_stack[0].query_one("#dialogue", Pane)
        steps = list(dialogue.query(Step))
        if not steps or steps[0].number != low:
            await dialogue.remove_children()
            steps = []
        gone = [s for s in steps if s.number > self.at]
        if gone:
            await dialogue.remove_children(gone)
        fresh = [Step(i, self._content(i)) for i in range(low + len(steps) - len(gone), self.at + 1)]
        if fresh:
            await dialogue.mount_all(fresh)
        self._draw_state()
        self.call_after_refresh(self._scroll_to_step)

    def _earliest(self) -> int:
        """The first step kept on screen; moves in jumps, so that most steps only add one."""
        return max(0, (self.at - KEEP) // 50 * 50 + 50)

    def _scroll_to_step(self) -> None:
        """The newest step in sight, a long one from its top."""
        dialogue = self.screen_stack[0].query_one("#dialogue", Pane)
        steps = dialogue.query(Step)
        if steps:
            dialogue.scroll_to_widget(steps.last(), animate=False, top=True)

    async def _redraw(self) -> None:
        """Everything again: another episode, another seat, other colours."""
        await self.screen_stack[0].query_one("#dialogue", Pane).remove_children()
        await self._show()

    def _content(self, number: int) -> RenderableType:
        """What a step shows."""
        ep, colours = self.shown, self.colours
        if ep is None:
            words = f"episode {self.place + 1} cannot be shown\n{self.trouble}\n\nn and p lead to the others"
            return safe(words, colours.bad, newlines=True)
        frame = ep.frames[number]
        if frame.kind == "start":
            return opening(ep, colours)
        if frame.kind == "end":
            return Fitted(lambda width: finish(ep, colours, width))
        said = utterance(ep, frame, colours, self.seat, limit=LIMIT)
        parts: list[RenderableType] = [said]
        rule = heading(ep, frame, colours)
        if rule is not None:
            parts.insert(0, rule)
        if number == self._earliest():
            parts.insert(0, Text(f"… {number} earlier steps: go back to see them", colours.quiet))
        return Group(*parts)

    def _draw_state(self) -> None:
        """The title, the table and the transport. The end repeats the table, so on a narrow screen it takes its room."""
        base = self.screen_stack[0]
        over = self.shown is None or self.shown.frames[self.at].kind == "end"
        base.query_one("#table", Pane).display = not (over and self.seat is None and base.has_class("narrow"))
        base.query_one("#title", Static).update(Fitted(self._title))
        base.query_one("#state", Static).update(self._table())
        transport = base.query_one(Transport)
        transport.update(self._transport(transport.bar_width()))

    def _title(self, width: int) -> Text:
        ep, colours = self.shown, self.colours
        left = Text(no_wrap=True, overflow="ellipsis")
        left.append_text(safe(ep.scenario.id if ep else str(self.file.path), colours.strong))
        right = f"episode {self.place + 1} of {len(self.file)}"
        room = width - len(right) - 2
        if room < 8:
            left.truncate(width, overflow="ellipsis")
            return left
        left.truncate(room, overflow="ellipsis", pad=True)
        return left.append(f"  {right}", colours.quiet)

    def _table(self) -> RenderableType:
        ep, colours = self.shown, self.colours
        if ep is None:
            return Text()
        frame: Frame = ep.frames[self.at]
        if self.seat is not None:
            return private_view(ep, self.seat, colours, frame)
        narrow = self.screen_stack[0].has_class("narrow")
        draw = compact_standing if narrow else standing
        return Fitted(lambda width: draw(ep, frame, colours, width))

    def _transport(self, width: int) -> Text:
        """`▶ 12/23 ━━━━╸─── 1x`; the numbers take a fixed room, so that the bar does not jump."""
        colours = self.colours
        sign = "▶" if self.playing else "‖"
        line = Text.assemble(
            (f"{sign} ", colours.strong), (f"{self.at}/{self.last}".ljust(Transport.START - 2), colours.quiet)
        )
        line.append_text(bar(self.at / max(1, self.last), width, colours.seat(0), colours.rail))
        return line.append(f" {self.speed:g}x".rjust(7), colours.quiet)

    # ------------------------------------------------------------ steps
    async def _go(self, at: int) -> None:
        self.at = min(self.last, max(0, at))
        await self._show()

    async def action_step(self, by: int) -> None:
        """One step on or back; pauses."""
        self._pause()
        await self._go(self.at + by)

    async def action_first(self) -> None:
        """To the start."""
        self._pause()
        await self._go(0)

    async def action_last(self) -> None:
        """To the end."""
        self._pause()
        await self._go(self.last)

    async def on_transport_seek(self, event: Transport.Seek) -> None:
        """To where the bar was clicked."""
        self._pause()
        await self._go(round(event.fraction * self.last))

    def action_seek(self) -> None:
        """Ask for an utterance by number."""
        self._pause()
        self.push_screen(Ask(f"go to utterance (0 to {self.last})"), self._seek)

    async def _seek(self, answer: str | None) -> None:
        if answer is None:
            return
        if not (answer.isascii() and answer.isdigit() and len(answer) < 10):
            self._tell(f"{answer!r} is no number")
            return
        await self._go(int(answer))

    # ------------------------------------------------------------ time
    async def action_play(self) -> None:
        """Play or pause; from the end, play again from the start."""
        if self.playing:
            self._pause()
            return
        self.playing = True
        if self.at >= self.last:
            await self._go(0)
        self._draw_state()
        self._schedule()

    def _pause(self) -> None:
        self.playing = False
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._draw_state()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(self.seconds(), self._tick)

    def seconds(self) -> float:
        """How long the step on screen stays: longer for longer words, divided by the speed."""
        u = self.shown.frames[self.at].utterance if self.shown else None
        return min(6.0, 1.0 + len(u.text if u else "") / 60) / self.speed

    async def _tick(self) -> None:
        if not self.playing:
            return
        await self._go(self.at + 1)
        if self.at >= self.last:
            self._pause()
        else:
            self._schedule()

    def action_speed(self, by: int) -> None:
        """Faster or slower."""
        i = SPEEDS.index(self.speed) + by
        self.speed = SPEEDS[min(len(SPEEDS) - 1, max(0, i))]
        self._draw_state()
        if self.playing:
            self._schedule()

    # ------------------------------------------------------------ episodes and seats
    async def action_episode(self, by: int) -> None:
        """The next or previous episode of the file."""
        if 0 <= self.place + by < len(self.file):
            await self._open(self.place + by)
        else:
            self._tell("this is the last episode" if by > 0 else "this is the first episode")

    def action_go_to_episode(self) -> None:
        """Ask for an episode."""
        self._pause()
        self.push_screen(Ask(f"go to episode (1 to {len(self.file)}, or an id)"), self._go_to_episode)

    async def _go_to_episode(self, answer: str | None) -> None:
        if answer is None:
            return
        try:
            place = position(self.file, answer)
        except NegoError as e:
            self._tell(str(e))
            return
        await self._open(place)

    async def _open(self, place: int) -> None:
        self._pause()
        self.place, self.at = place, 0
        try:
            self.shown, self.trouble = episode(self.file[place]), ""
        except NegoError as e:
            self.shown, self.trouble = None, str(e)
        if self.shown is None or (self.seat or 0) >= self.shown.scenario.n:
            self.seat = None
        await self._redraw()

    async def action_seat(self, number: int) -> None:
        """The private view of the first, second, ... seat; 0 for the public one."""
        if self.shown is None or number > self.shown.scenario.n:
            self._tell(f"there are {self.shown.scenario.n if self.shown else 0} seats")
            return
        self.seat = number - 1 if number else None
        await self._redraw()

    # ------------------------------------------------------------ the rest
    def action_scroll(self, by: int) -> None:
        """Scroll the dialogue by lines."""
        self.query_one("#dialogue", Pane).scroll_relative(y=2 * by, animate=False)

    def action_page(self, by: int) -> None:
        """Scroll the dialogue by pages."""
        dialogue = self.query_one("#dialogue", Pane)
        dialogue.scroll_relative(y=by * max(1, dialogue.size.height - 2), animate=False)

    async def action_dark(self) -> None:
        """Dark or light."""
        self.theme = "nego-light" if self.current_theme.dark else "nego-dark"
        await self._redraw()

    def action_help(self) -> None:
        """Show the keys."""
        self._pause()
        self.push_screen(Help())

    def _tell(self, words: str) -> None:
        """A short message in a corner."""
        self.notify(safe(words).plain, timeout=3, markup=False)
