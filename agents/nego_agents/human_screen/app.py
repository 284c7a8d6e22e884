"""The screen of a person at the table.

1. The engine hands over views and endings (`ask`, `show_end`, from any thread); they are shown one after the other.
2. The dialogue stands left, the table and the person's scores right; under `WIDE` columns the table is short and below.
3. A draft is read as it is typed: what it would do, or its fault, stands under it before anything is sent.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple

from rich.console import RenderableType
from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.widgets import Static, TextArea

from nego_agents.human_lines import acting, fault_text
from nego_agents.human_screen import acts, render
from nego_agents.human_screen.dialogs import Answer, Confirm, Curtain, Sheet
from nego_agents.human_screen.dialogue import Dialogue
from nego_agents.human_screen.draft import Draft
from nego_agents.human_screen.draft_note import note, opens, read, waiting
from nego_agents.human_screen.moves_row import MovesRow
from nego_agents.human_screen.style import CSS
from nego_agents.human_screen.terminal import on_signals
from nego_env.errors import NegoError
from nego_env.moves import Move
from nego_env.replay.frames import episode
from nego_env.replay.player import THEMES, Pane
from nego_env.replay.render import Fitted, safe, standing
from nego_env.replay.style import Palette, Theme, palette, terminal_theme
from nego_env.speaking import Speaking, heard
from nego_env.transcript import Transcript
from nego_env.view import View

WIDE = 110
"""From so many columns on, the table stands beside the dialogue."""


class _Turn(NamedTuple):
    view: View
    answer: Future[Any]


class _End(NamedTuple):
    transcript: Transcript
    answer: Future[Any]


class TableScreen(App[None]):
    """A person's seat, on a screen."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "nego play"
    CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "leave('interrupted')", show=False, priority=True),
        Binding("ctrl+q", "leave('you have left the table')", show=False, priority=True),
        Binding("escape", "ask_to_leave", show=False),
        Binding("enter", "go_on", show=False, priority=True),
        # The field has keys of its own for F6 and F7.
        Binding("f1", "help", show=False, priority=True),
        Binding("f2", "form('propose')", show=False, priority=True),
        Binding("f3", "form('accept')", show=False, priority=True),
        Binding("f4", "form('ask')", show=False, priority=True),
        Binding("f5", "form('reveal')", show=False, priority=True),
        Binding("f6", "form('walk')", show=False, priority=True),
        Binding("f7", "private", show=False, priority=True),
        Binding("f8", "dark", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
    ]

    class Handed(Message):
        """The engine has something for the person."""

        def __init__(self, what: _Turn | _End) -> None:
            super().__init__()
            self.what = what

    class Spoken(Message):
        """Somebody is speaking."""

        def __init__(self, speaking: Speaking) -> None:
            super().__init__()
            self.speaking = speaking

        def can_replace(self, message: Message) -> bool:
            """The newest of one utterance says it all."""
            return isinstance(message, type(self)) and message.speaking.at == self.speaking.at

    def __init__(self, *, theme: Theme | None = None) -> None:
        """`theme`: the terminal's when None."""
        super().__init__()
        self.when_ready: Callable[[], None] = lambda: None
        """Called once the screen stands."""
        self.when_left: Callable[[str], None] = lambda why: None
        """Called with the reason when the person leaves."""
        self.view: View | None = None
        """What the person was last asked with."""
        self.turn: _Turn | None = None
        """What the person is asked now."""
        self.end: _End | None = None
        """The ending on screen."""
        self._coming: deque[_Turn | _End] = deque()
        self._hidden = False
        self._first_theme = terminal_theme() if theme is None else theme
        self._since = time.monotonic()
        self._printed: list[tuple[str, bool]] = []
        self._kept: tuple[int | None, ...] = ()
        self._speaking: Speaking | None = None

    # ------------------------------------------------------------ the engine's side, from any thread
    def ask(self, view: View, answer: Future[Any]) -> None:
        """Show a view; the answer becomes the person's move."""
        self.post_message(self.Handed(_Turn(view, answer)))

    def show_end(self, t: Transcript, seen: Future[Any]) -> None:
        """Show how an episode ended; the answer comes when the person has seen it."""
        self.post_message(self.Handed(_End(t, seen)))

    def hear(self, view: View, piece: str) -> None:
        """Show another seat's words as they come; `view` is that seat's, and of it only what everybody knows is shown."""
        self._speaking = heard(self._speaking, view, piece)
        self.post_message(self.Spoken(self._speaking))

    def close_soon(self) -> None:
        """The run is over."""
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # closed meanwhile
                self._loop.call_soon_threadsafe(self.exit)

    def print_captured(self) -> None:
        """What was printed behind the screen, after it."""
        for text, error in self._printed:
            (sys.stderr if error else sys.stdout).write(text)
        self._printed.clear()

    # ------------------------------------------------------------ set-up
    def compose(self) -> ComposeResult:
        """Title, dialogue, table, moves, draft, preview."""
        yield Static(id="title")
        with Container(id="body"):
            yield Dialogue(id="dialogue")
            with Pane(id="table"):
                yield Static(id="state")
        yield MovesRow(id="moves")
        yield Draft(id="draft")
        yield Static(id="note")

    def on_mount(self) -> None:
        """Colours, signals, then the engine."""
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = f"nego-{self._first_theme}"
        self.begin_capture_print(self)
        if not self.is_headless:
            on_signals(lambda: self.action_leave("interrupted"))
        self.set_interval(1.0, self._tick)
        self.draft.focus()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._draw()
        self.when_ready()

    def on_print(self, event: events.Print) -> None:
        """Keep what agents print: on the screen it would only be in the way."""
        if not self.is_headless and len(self._printed) < 10_000:
            self._printed.append((event.text, event.stderr))

    async def on_resize(self, event: events.Resize) -> None:
        """Beside or below, as there is room."""
        base, narrow = self.screen_stack[0], event.size.width < WIDE
        changed = self.narrow != narrow
        base.set_class(narrow, "narrow")
        base.set_class(event.size.width < 72, "tight")
        if changed and self.view is not None:
            await self._redraw()
        self._draw()

    def on_pane_reflowed(self) -> None:
        """Keep the newest words in sight whatever a new width did to the lines."""
        for dialogue in self.screen_stack[0].query(Dialogue):
            self.call_after_refresh(dialogue.scroll_to_newest)

    @property
    def dialogue(self) -> Dialogue:
        """What was said."""
        return self.screen_stack[0].query_one(Dialogue)

    @property
    def draft(self) -> Draft:
        """The field of the message."""
        return self.screen_stack[0].query_one(Draft)

    @property
    def narrow(self) -> bool:
        """The table is below the dialogue, not beside it."""
        return self.screen_stack[0].has_class("narrow")

    @property
    def colours(self) -> Palette:
        """The palette of the theme in use."""
        return palette("dark" if self.current_theme.dark else "light")

    # ------------------------------------------------------------ turns
    async def on_table_screen_handed(self, event: Handed) -> None:
        """Shown at once, or after what is on screen."""
        self._coming.append(event.what)
        await self._next()

    async def on_table_screen_spoken(self, event: Spoken) -> None:
        """Into the dialogue, while it is nobody's turn at this screen and no ending is being read."""
        here = self.turn is None and self.end is None and not self._hidden
        if here and self.screen_stack[0].query("#note"):  # else the screen is being taken down
            await self.dialogue.show_coming(event.speaking, self.colours)

    async def _next(self) -> None:
        if self.turn is not None or self.end is not None or self._hidden or not self._coming:
            return
        what = self._coming.popleft()
        if what.answer.done():  # the engine gave up waiting
            await self._next()
        elif isinstance(what, _End):
            await self._show_end(what)
        elif self.view is not None and (self.view.episode, self.view.seat) != (what.view.episode, what.view.seat):
            await self._change_seat(what)
        else:
            await self._show_turn(what)

    async def _change_seat(self, turn: _Turn) -> None:
        """Another person at the same keyboard, or another episode."""
        same_episode = self.view is not None and self.view.episode == turn.view.episode
        self.draft.load_text("")
        self.dialogue.forget()
        self._kept = ()
        if not same_episode:
            await self._show_turn(turn)
            return
        self._hidden = True
        while len(self.screen_stack) > 1:  # what the other person had open is not for this one
            self.pop_screen()
        who = safe(turn.view.name, f"bold {self.colours.seat(turn.view.index)}")
        words = Text.assemble("It is the turn of ", who, ". Hand over the keyboard, then press Enter.")

        async def open_(_: None) -> None:
            self._hidden = False
            await self._show_turn(turn)

        await self.push_screen(Curtain(words), open_)

    async def _show_turn(self, turn: _Turn) -> None:
        self.view, self.turn = turn.view, turn
        turn.answer.add_done_callback(lambda _: self._given_up(turn))
        await self.dialogue.show(turn.view, self.colours, with_scores=self.narrow)
        self._draw()
        if len(self.screen_stack) == 1:
            self.draft.focus()

    def _given_up(self, turn: _Turn) -> None:
        """From any thread: the answer came, or nobody waits for it any more."""
        if turn.answer.cancelled():
            self.call_later(self._too_late, turn)

    async def _too_late(self, turn: _Turn) -> None:
        if self.turn is turn:
            self.turn = None
            self._tell("the time for this answer ran out")
            await self._next()
            self._draw()

    async def _send(self, move: Move) -> None:
        turn = self.turn
        assert turn is not None  # nothing is sent otherwise
        self.turn, self._kept, self._since = None, (), time.monotonic()
        self.draft.load_text("")
        await self.dialogue.show_own(turn.view, move, self.colours)
        with suppress(InvalidStateError):  # given up meanwhile
            turn.answer.set_result(move)
        await self._next()
        self._draw()

    async def _show_end(self, end: _End, *, again: bool = False) -> None:
        self.end = end
        seat = self.view.index if self.view is not None else None
        await self.dialogue.show_end(end.transcript, seat, self.colours, again=again)
        self._draw()

    async def action_go_on(self) -> None:
        """The end has been read."""
        end, self.end, self.view, self._since = self.end, None, None, time.monotonic()
        self.dialogue.forget()
        if end is not None:
            with suppress(InvalidStateError):
                end.answer.set_result(None)
        await self._next()
        self._draw()

    # ------------------------------------------------------------ drawing
    async def _redraw(self) -> None:
        """The whole dialogue again: other colours, another width."""
        if self.end is not None:
            await self._show_end(self.end, again=True)
        elif self.view is not None:
            await self.dialogue.show(self.view, self.colours, with_scores=self.narrow, again=True)

    def _draw(self) -> None:
        """Everything but the dialogue."""
        base = self.screen_stack[0]
        if not base.query("#note"):  # the screen is being taken down
            return
        base.query_one("#title", Static).update(
            Fitted(lambda width: render.title(self.view, self.colours, width, over=self.end is not None))
        )
        base.query_one("#state", Static).update(self._state())
        base.query_one("#table", Pane).display = self.end is None or not self.narrow
        over = self.end is not None
        base.query_one(MovesRow).draw(self.view, asked=self.turn is not None, over=over)
        self.draft.display = self.end is None
        self._draw_note()

    def _state(self) -> RenderableType:
        view, colours = self.view, self.colours
        if self.end is not None:
            ep = episode(self.end.transcript)
            return Fitted(lambda width: standing(ep, ep.frames[-1], colours, width))
        if view is None:
            return Text("waiting for the first words", colours.quiet)
        if self.narrow:
            return Fitted(lambda width: render.compact_standing(view, colours, width))
        height = self.size.height - 6
        return Fitted(lambda width: render.standing(view, colours, width, height))

    def _draw_note(self) -> None:
        """Under the draft: what it would do, its fault, or what there is to wait for."""
        for line in self.screen_stack[0].query("#note").results(Static):  # none while the screen is taken down
            if self.end is not None:
                line.update(Text("Enter goes on", self.colours.strong))
            elif self.turn is None:
                line.update(waiting(self.view, time.monotonic() - self._since, self.colours))
            else:
                line.update(note(self.turn.view, self.draft.text.strip(), self.colours))

    def _tick(self) -> None:
        if self.turn is None and self.end is None:
            self._draw_note()

    # ------------------------------------------------------------ the draft
    @on(TextArea.Changed)
    def _typed(self) -> None:
        self._draw_note()

    async def on_draft_sent(self) -> None:
        """Enter: send it, open what it names, or show its fault."""
        text = self.draft.text.strip()
        if not text:
            return
        if self.turn is None:
            self._tell("it is not your turn yet; your draft is kept")
            return
        view = self.turn.view
        if command := opens(view, text):
            self.draft.load_text("")
            known = {"help": "help", "view": "private"}
            await self.run_action(known.get(command, f"form('{command}')"))
            return
        try:
            move = read(view, text)
        except NegoError as e:
            self._tell(f"not sent: {fault_text(e, view.scenario)}")
            return
        await self._send(move)

    def on_draft_asked(self) -> None:
        """A question mark."""
        self.action_help()

    def on_draft_cleaned(self) -> None:
        """A paste that was not all text."""
        self._tell("control characters were left out of what you pasted")

    # ------------------------------------------------------------ forms
    async def on_moves_row_chosen(self, event: MovesRow.Chosen) -> None:
        """A button."""
        if event.kind in ("help", "private"):
            await self.run_action(event.kind)
        else:
            self.action_form(event.kind)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Forms and sheets open over the table, not over each other; Enter goes on at the end alone."""
        if action == "go_on":
            return self.end is not None and len(self.screen_stack) == 1
        return action not in ("form", "help", "private", "ask_to_leave") or len(self.screen_stack) == 1

    def action_form(self, kind: str) -> None:
        """Open the form of a move."""
        if kind == "accept" and self.view is not None and not self.view.scenario.issues:
            kind = "agree"
        if self.turn is None:
            self._tell("it is not your turn")
        elif not acts.legal(self.turn.view, kind):
            self._tell(acts.why_not(self.turn.view, kind))
        else:
            words = self.draft.text.strip()
            self.push_screen(acts.form(self.turn.view, kind, words, self.colours, self._kept), self._formed)

    async def _formed(self, answer: Answer | None) -> None:
        if answer is None:
            return
        if answer.move is not None and self.turn is not None and answer.move.act is not None:
            try:  # the table may have changed while the form was open
                await self._send(acting(self.turn.view, answer.words, answer.move.act))
                return
            except NegoError as e:
                self._tell(f"not sent: {fault_text(e, self.turn.view.scenario)}")
        self._kept = answer.picked if len(answer.picked) > 1 else self._kept
        if answer.words.strip() != self.draft.text.strip():
            self.draft.text = answer.words

    # ------------------------------------------------------------ the rest
    def action_help(self) -> None:
        """The keys."""
        open_dilemma = self.view is not None and not self.view.scenario.issues
        self.push_screen(Sheet(render.help_text(self.colours, open_dilemma=open_dilemma), self.colours))

    def action_private(self) -> None:
        """What is the person's alone."""
        if self.view is not None:
            self.push_screen(Sheet(render.private(self.view, self.colours), self.colours))

    def action_leave(self, why: str) -> None:
        """Leave the table, at once."""
        self.when_left(why)
        self.exit()

    def action_ask_to_leave(self) -> None:
        """Leave, after a question."""
        if self.end is not None:
            self.action_leave("you have left the table")
            return
        words = "Leave the table? The episode so far is kept.  (y: leave, n: stay)"
        self.push_screen(Confirm(Text(words)), self._confirmed)

    def _confirmed(self, yes: bool | None) -> None:
        if yes:
            self.action_leave("you have left the table")

    def action_page(self, by: int) -> None:
        """Scroll the dialogue, or what stands before it, by pages."""
        for pane in self.screen.query("#dialogue, #sheet-body, #form-body"):
            pane.scroll_relative(y=by * max(1, pane.size.height - 2), animate=False)

    async def action_dark(self) -> None:
        """Dark or light."""
        self.theme = "nego-light" if self.current_theme.dark else "nego-dark"
        await self._redraw()
        self._draw()

    def _tell(self, words: str) -> None:
        """A short message in a corner."""
        self.notify(safe(words).plain, timeout=3, markup=False)
