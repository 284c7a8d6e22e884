"""A list of options in groups, one picked in each: the form of a proposal, and the issues to ask about."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.widget import Widget

from nego_env.replay.render import bar, safe
from nego_env.replay.style import Palette
from nego_env.wording import number


class Choice(NamedTuple):
    """One option of a group."""

    id: str
    label: str
    detail: str = ""
    """What its author wrote about it; shown while the cursor is on it."""
    score: float | None = None
    note: str = ""
    """Stands at the end of its line: `on the table`."""


class Group(NamedTuple):
    """Options of which one is picked."""

    title: str
    choices: tuple[Choice, ...]
    most: float = 0.0
    """The score of a full bar; no bars where it is 0."""


class _Row(NamedTuple):
    group: int
    choice: int
    """-1 for the title."""


class Choices(Widget, can_focus=True):
    """Groups one below the other. Up and down move, space picks, Ctrl-Z takes the last pick back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("left,pageup", "jump(-1)", show=False),
        Binding("right,pagedown", "jump(1)", show=False),
        Binding("space,enter", "pick", show=False),
        Binding("ctrl+z", "undo", show=False),
    ]

    class Changed(Message):
        """Another option is picked, or the cursor is elsewhere."""

    def __init__(
        self, groups: tuple[Group, ...], picked: tuple[int | None, ...], palette: Palette, style: str, **options: str
    ) -> None:
        """`picked`: an option number per group, None where none is."""
        super().__init__(**options)  # type: ignore[arg-type]  # id and classes
        self.groups, self.picked = groups, list(picked)
        self._palette, self._style = palette, style
        self._rows = [_Row(g, c) for g, group in enumerate(groups) for c in range(-1, len(group.choices))]
        first = next((g for g, p in enumerate(picked) if p is None), 0)
        self._at = self._rows.index(_Row(first, picked[first] or 0))
        self._undo: list[list[int | None]] = []

    @property
    def current(self) -> Choice:
        """The option under the cursor."""
        row = self._rows[self._at]
        return self.groups[row.group].choices[row.choice]

    # ------------------------------------------------------------ drawing
    def get_content_width(self, container: Size, viewport: Size) -> int:
        """All there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A line per title and option."""
        return len(self._rows)

    def render(self) -> Text:
        """Every line, cut to the width."""
        width = self.size.width
        return Text("\n").join(self._line(i, row, width) for i, row in enumerate(self._rows))

    def _line(self, number_: int, row: _Row, width: int) -> Text:
        group = self.groups[row.group]
        if row.choice < 0:
            title = safe(group.title, self._palette.strong)
            title.truncate(width, overflow="ellipsis", pad=True)
            return title
        choice, here = group.choices[row.choice], number_ == self._at and self.has_focus
        on = self.picked[row.group] == row.choice
        line = Text.assemble((" ❯ " if here else "   ", self._style), ("● " if on else "○ ", self._style))
        line.append_text(safe(choice.id, self._palette.quiet)).append(" ").append_text(safe(choice.label))
        if on:
            line.stylize("bold")
        end = self._end(group, choice, width)
        line.truncate(max(0, width - end.cell_len), overflow="ellipsis", pad=True)
        line.append_text(end)
        if here:
            line.stylize(f"on {self._palette.rail}")
        return line

    def _end(self, group: Group, choice: Choice, width: int) -> Text:
        end = Text(f" {choice.note}" if choice.note else "", self._palette.quiet)
        if choice.score is None:
            return end
        end.append(f" {number(choice.score):>5} ", self._style)
        if width >= 56 and group.most > 0:
            end.append_text(bar(choice.score / group.most, 10, self._style, self._palette.rail))
        return end

    # ------------------------------------------------------------ moves
    def action_move(self, by: int) -> None:
        """To the next option, over titles."""
        at = self._at + by
        while 0 <= at < len(self._rows) and self._rows[at].choice < 0:
            at += by
        if 0 <= at < len(self._rows):
            self._go(at)
        elif at < 0:
            self.scroll_visible_row(0)  # the first title

    def action_jump(self, by: int) -> None:
        """To the next group."""
        group = self._rows[self._at].group + by
        if 0 <= group < len(self.groups):
            self._go(self._rows.index(_Row(group, self.picked[group] or 0)))

    def action_pick(self) -> None:
        """Pick what the cursor is on, and go on to the next group where nothing is picked."""
        row = self._rows[self._at]
        if self.picked[row.group] != row.choice:
            self._undo.append(list(self.picked))
            self.picked[row.group] = row.choice
        open_ = [g for g in (*range(row.group + 1, len(self.groups)), *range(row.group)) if self.picked[g] is None]
        self._go(self._rows.index(_Row(open_[0], 0)) if open_ else self._at)

    def action_undo(self) -> None:
        """Take the last pick back, and go there."""
        if not self._undo:
            return
        before, self.picked = self.picked, self._undo.pop()
        group = next(g for g, (now, then) in enumerate(zip(self.picked, before, strict=True)) if now != then)
        self._go(self._rows.index(_Row(group, self.picked[group] or 0)))

    def on_click(self, event: events.Click) -> None:
        """Pick what was clicked."""
        at = event.get_content_offset(self)
        if at is not None and at.y < len(self._rows) and self._rows[at.y].choice >= 0:
            self._at = at.y
            self.action_pick()

    def on_focus(self) -> None:
        """Show the cursor."""
        self._go(self._at)

    def on_blur(self) -> None:
        """Hide it."""
        self.refresh()

    def _go(self, at: int) -> None:
        self._at = at
        self.refresh()
        first = at - 1 if self._rows[at - 1].choice < 0 else at  # with its title
        self.scroll_visible_row(first, at)
        self.post_message(self.Changed())

    def scroll_visible_row(self, first: int, last: int | None = None) -> None:
        """Bring lines into sight."""
        rows = (first if last is None else last) - first + 1
        if self.parent is not None and isinstance(self.parent, Widget):
            self.parent.scroll_to_region(Region(0, first, 1, rows), animate=False)
