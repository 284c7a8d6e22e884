"""What stands before the table for a moment: a form per move, the private view, the keys, the hand-over of the keyboard.

A form answers with a move that counts now, or with the words to go back to the draft.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from nego_agents.human_lines import acting, fault_text
from nego_agents.human_screen.choices import Choice, Choices
from nego_agents.human_screen.choices import Group as Options
from nego_agents.human_screen.render import deal, limits, worth
from nego_env.accounting import best_score
from nego_env.errors import NegoError
from nego_env.moves import Act, Move
from nego_env.replay.render import Fitted, joined, safe
from nego_env.replay.style import Palette
from nego_env.view import View
from nego_env.wording import number


class Answer(NamedTuple):
    """What a form came to."""

    move: Move | None
    """None where it was closed without one."""
    words: str
    """What stood in its field."""
    picked: tuple[int | None, ...] = ()
    """What was chosen in it, to open it again as it was."""


class Form(ModalScreen[Answer]):
    """A move: what it means, words to say with it, and a button that sends it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", show=False),
        Binding("ctrl+s", "send", "send", show=False),
    ]
    title_text = ""
    button = ""

    def __init__(self, view: View, words: str, palette: Palette) -> None:
        super().__init__()
        self.view, self.words, self.palette = view, words, palette

    def compose(self) -> ComposeResult:
        """Title, body, figures, words, buttons."""
        with Vertical(id="form"):
            yield Static(Text(self.title_text, self.palette.strong), id="form-title")
            yield from self.body()
            yield Static(id="form-figures")
            yield Input(
                self.words, placeholder="words to say with it, if any", compact=True, select_on_focus=False, id="words"
            )
            yield Static(id="form-fault")
            with Horizontal(id="form-buttons"):
                yield Button(self.button, id="send")
                yield Button("Back", id="back")
                yield Static(Text(self.keys, self.palette.quiet, no_wrap=True, overflow="ellipsis"), id="form-keys")

    keys = "Enter sends, Escape goes back"

    def body(self) -> Iterator[Widget]:
        """What the move means."""
        raise NotImplementedError

    def act(self) -> Act | None:
        """The act as it stands; None while it is incomplete."""
        raise NotImplementedError

    def figures(self) -> RenderableType | None:
        """What it is worth."""
        return None

    def picked(self) -> tuple[int | None, ...]:
        """What was chosen."""
        return ()

    def on_mount(self) -> None:
        """Figures and faults, first."""
        self.draw()

    def on_resize(self, event: events.Resize) -> None:
        """The body scrolls where the rest leaves it too little room."""
        self.set_class(event.size.height < 32, "short")
        rest = 10 if event.size.height < 32 else 15
        for body in self.query("#form-body"):
            body.styles.max_height = max(4, event.size.height - rest)

    def draw(self) -> None:
        """Figures, the fault, and whether the move can be sent."""
        fault = self.fault()
        figures, told = self.query_one("#form-figures", Static), self.query_one("#form-fault", Static)
        if (drawn := self.figures()) is not None:
            figures.update(drawn)
        figures.display = drawn is not None
        told.update(safe(fault, self.palette.warn))
        told.display = bool(fault)
        self.query_one("#send", Button).disabled = self.act() is None or bool(fault)

    def fault(self) -> str:
        """Why the move cannot be sent as it is; empty while it is incomplete or fine."""
        act = self.act()
        if act is None:
            return ""
        try:
            acting(self.view, self.query_one("#words", Input).value, act)
        except NegoError as e:
            return fault_text(e, self.view.scenario)
        return ""

    @on(Input.Changed)
    @on(Choices.Changed)
    def changed(self) -> None:
        """Anything else than before."""
        self.draw()

    @on(Input.Submitted)
    @on(Button.Pressed, "#send")
    def action_send(self) -> None:
        """Send it, if it is complete and legal."""
        act, words = self.act(), self.query_one("#words", Input).value
        if act is not None and not self.fault():
            self.dismiss(Answer(acting(self.view, words, act), words, self.picked()))

    @on(Button.Pressed, "#back")
    def action_back(self) -> None:
        """Without a move."""
        self.dismiss(Answer(None, self.query_one("#words", Input).value, self.picked()))


class Proposal(Form):
    """A deal: an option for every issue, with what it comes to."""

    title_text, button = "Propose a deal", "Propose"
    keys = "↑↓ move, space picks, Ctrl-Z undoes, Ctrl-S sends"

    def __init__(self, view: View, words: str, palette: Palette, picked: tuple[int | None, ...] = ()) -> None:
        """`picked` opens it as it was left; else it starts from the deal on the table."""
        super().__init__(view, words, palette)
        table = view.scenario.deal(view.table.deal) if view.table else (None,) * len(view.scenario.issues)
        self._first = picked or tuple(table)

    def body(self) -> Iterator[Widget]:
        """The issues."""
        stakes = self.view.stakes
        assert stakes is not None  # proposals are for structured dilemmas
        on_table = set(self.view.table.deal if self.view.table else ())
        groups = tuple(
            Options(
                f"{issue.id}  {issue.name}",
                tuple(
                    Choice(o.id, o.label, o.text, x, "on the table" if o.id in on_table else "")
                    for o, x in zip(issue.options, row, strict=True)
                ),
                max(max(row) for row in stakes.scores),
            )
            for issue, row in zip(self.view.scenario.issues, stakes.scores, strict=True)
        )
        with VerticalScroll(id="form-body", can_focus=False):
            yield Choices(groups, self._first, self.palette, self.palette.seat(self.view.index), id="choices")

    def picked(self) -> tuple[int | None, ...]:
        """An option number per issue."""
        return tuple(self.query_one(Choices).picked)

    def act(self) -> Act | None:
        """The proposal, once every issue has its option."""
        picked = [p for p in self.picked() if p is not None]
        issues = self.view.scenario.issues
        if len(picked) < len(issues):
            return None
        return Act("propose", deal=tuple(i.options[p].id for i, p in zip(issues, picked, strict=True)))

    def figures(self) -> RenderableType:
        """The total and the gain, and the same of the deal on the table."""
        act, stakes = self.act(), self.view.stakes
        assert stakes is not None  # proposals are for structured dilemmas
        quiet = self.palette.quiet
        detail = safe(self.query_one(Choices).current.detail, f"{quiet} italic")
        if act is None:
            pairs = list(zip(self.view.scenario.issues, stakes.scores, self.picked(), strict=True))
            so_far = sum(row[p] for _, row, p in pairs if p is not None)
            open_ = joined((safe(i.id, self.palette.warn) for i, _, p in pairs if p is None), ", ", quiet)
            line = Text.assemble((f"{number(so_far)} so far; still to choose: ", quiet), open_)
            return Group(line, limits(self.view, self.palette), detail)
        return Group(Fitted(lambda width: self._total(act, width)), self._compared(act), detail)

    def _total(self, act: Act, width: int) -> Text:
        assert self.view.stakes is not None  # proposals are for structured dilemmas
        total = worth(self.view, act.deal, self.palette, min(20, width - 44))
        return total.append(f"  of {number(best_score(self.view.stakes))}", self.palette.quiet)

    def _compared(self, act: Act) -> Text:
        table = self.view.table
        if table is None:
            return limits(self.view, self.palette)
        if table.deal == act.deal:
            return Text("this is the deal on the table: to propose it is to accept it", self.palette.quiet)
        more = self.view.worth(act.deal) - table.worth
        than = f"{number(abs(more))} {'more' if more > 0 else 'less'} than" if more else "as much as"
        return Text(f"{than} the deal on the table", self.palette.quiet)


class IssueForm(Form):
    """Ask about an issue, or reveal the own scores for one."""

    def __init__(self, view: View, words: str, palette: Palette, *, reveal: bool) -> None:
        super().__init__(view, words, palette)
        self.reveal = reveal
        self.title_text = (
            "Publish your true scores for an issue" if reveal else "Ask what an issue is worth to the others"
        )
        self.button = "Reveal" if reveal else "Ask"
        self.keys = "↑↓ move, space picks, Ctrl-S sends"

    def body(self) -> Iterator[Widget]:
        """The issues left."""
        left = self.view.legal.reveal if self.reveal else self.view.legal.ask
        done = "published already" if self.reveal else "asked already"
        choices = tuple(
            Choice(i.id, i.name, i.text, None, "" if i.id in left else done) for i in self.view.scenario.issues
        )
        with VerticalScroll(id="form-body", can_focus=False):
            style = self.palette.seat(self.view.index)
            yield Choices((Options("issue", choices),), (None,), self.palette, style, id="choices")

    def act(self) -> Act | None:
        """The act, once an issue is picked that is still to be asked about or published."""
        (picked,) = self.query_one(Choices).picked
        if picked is None:
            return None
        issue = self.view.scenario.issues[picked].id
        if issue not in (self.view.legal.reveal if self.reveal else self.view.legal.ask):
            return None
        return Act("reveal" if self.reveal else "ask", issue=issue)

    def figures(self) -> RenderableType | None:
        """What everybody would read."""
        stakes, current = self.view.stakes, self.query_one(Choices).current
        if not self.reveal or stakes is None:
            return safe(current.detail, self.palette.quiet) if current.detail else None
        at = self.view.scenario.issue_index[current.id.upper()]
        options = self.view.scenario.issues[at].options
        shown = ", ".join(f"{o.id} {number(x)}" for o, x in zip(options, stakes.scores[at], strict=True))
        return Text(f"everybody would read: {shown}", self.palette.quiet)


class Plain(Form):
    """Accept, walk away, or agree: nothing to choose."""

    def __init__(self, view: View, words: str, palette: Palette, kind: Act) -> None:
        super().__init__(view, words, palette)
        self.kind = kind
        self.title_text, self.button = {
            "accept": ("Accept the deal on the table", "Accept"),
            "walk": ("Walk away from the table, for good", "Walk away"),
        }.get(kind.kind, ("Consent to the plan just stated", "Agree"))

    def body(self) -> Iterator[Widget]:
        """What it means."""
        yield Static(self._meaning(), id="form-text")

    def _meaning(self) -> RenderableType:
        view, palette = self.view, self.palette
        if self.kind.kind == "walk" and view.stakes is not None:
            words = f"Without a deal you have {number(view.stakes.walk_away)}."
            return Text(words, palette.quiet)
        if self.kind.kind == "accept" and view.table is not None:
            missing = view.scenario.n - len(view.table.accepted)
            last = "you are the last to accept it" if missing <= 1 else f"{missing - 1} more would have to accept it"
            of = Fitted(lambda width: worth(view, view.table.deal if view.table else (), palette, min(20, width - 32)))
            return Group(deal(view, view.table.deal, palette), of, Text(last, palette.quiet))
        return Text("It holds once all of you consent to the same plan.", palette.quiet)

    def act(self) -> Act:
        """The act."""
        return self.kind


class Sheet(ModalScreen[None]):
    """Something to read; a key that does not scroll closes it."""

    def __init__(self, content: RenderableType, palette: Palette) -> None:
        super().__init__()
        self._content, self._palette = content, palette

    def compose(self) -> ComposeResult:
        """What there is to read."""
        with Vertical(id="sheet"):
            with VerticalScroll(id="sheet-body"):
                yield Static(self._content)
            yield Static(Text("↑↓ scroll, any other key closes", self._palette.quiet))

    def on_resize(self, event: events.Resize) -> None:
        """The body scrolls, and the line below it stays."""
        self.query_one("#sheet-body").styles.max_height = max(3, event.size.height * 94 // 100 - 4)

    def on_key(self, event: events.Key) -> None:
        """Close, unless it scrolls."""
        if event.key not in ("up", "down", "pageup", "pagedown", "home", "end", "tab", "shift+tab"):
            event.stop()
            self.dismiss(None)

    def on_click(self) -> None:
        """Close."""
        self.dismiss(None)


class Confirm(ModalScreen[bool]):
    """A question answered by yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", show=False),
        Binding("n,escape", "answer(False)", show=False),
    ]

    def __init__(self, question: Text) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(id="confirm"):
            yield Static(self.question)

    def action_answer(self, yes: bool) -> None:
        """Hand it back."""
        self.dismiss(yes)


class Curtain(ModalScreen[None]):
    """Hides one person's view from the next, who shares the keyboard."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", show=False)]

    def __init__(self, words: Text) -> None:
        super().__init__()
        self._words = words

    def compose(self) -> ComposeResult:
        """Who is next."""
        with Vertical(id="confirm"):
            yield Static(self._words)

    def action_open(self) -> None:
        """The next person is there."""
        self.dismiss(None)
