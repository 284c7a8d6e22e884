"""A person at a terminal, as an agent.

1. Each turn shows what is new: the others' words, the deal on the table and what it is worth, what can be done now.
2. A line is checked before it is sent. One whose tag does not parse or looks mistyped, whose move is not legal now, or that
   holds control characters is shown with its fault and asked for again: nothing is spent.
3. What others wrote is shown, never obeyed: control characters are spelled out and markup stays text.
4. Works on any pair of text streams, a terminal or not; on a terminal the line can be edited.
5. End of input (Ctrl-D) raises `Leave`, and so does Ctrl-C, or being told to end, while a line is waited for.
6. Where a command offers to run inside a screen (`stage`) and the terminal can show one, the person sits at that instead
   (`nego_agents.human_screen`).
7. On a terminal the words of agents that stream are printed as they come, where a command offers them (`listener`).
"""

from __future__ import annotations

import copy
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Self, TextIO

from nego_agents.aloud import Aloud
from nego_agents.arguments import no_argument
from nego_agents.human_lines import (
    fault_text,
    holds_control_characters,
    how_it_ends,
    moves_line,
    moves_text,
    plan,
    plan_ending,
    typed,
)
from nego_env.accounting import best_score, gain, score
from nego_env.errors import AgentError, Leave, NegoError
from nego_env.moves import Move
from nego_env.rules import Utterance
from nego_env.safe_text import visible
from nego_env.scenario import Scenario
from nego_env.view import View
from nego_env.wording import number

if TYPE_CHECKING:
    from rich.console import Console

    from nego_agents.human_screen.stage import ScreenSeat, Stage

_COMMON = """\
/view            the dilemma, your aim and your scores again
/moves           what you can do now
/help            this text
Ctrl-D, Ctrl-C   leave; what was said so far is kept"""

_STRUCTURED = """\
Anything you type is said to everyone. These do something as well:
/propose A2 B1   put a deal on the table, one option for every issue
/accept          accept the deal on the table
/ask A           ask the others what issue A means to them
/reveal A        publish your true scores for issue A
/walk            leave the table for good
Add words after a dash: /accept - that will do.
Or end a message with a tag: That will do. [Accept]
/worth A2 B1     what a deal would be worth to you (said to nobody)
"""

_OPEN = """\
Anything you type is said to everyone.
/agree           say that you consent to the plan just stated
Add words after a dash: /agree - that is fair.
Or end a message with a tag: That is fair. [Agree]
"""


class HumanAgent:
    """A person at a terminal; type /help for what can be done."""

    name = "human"
    spec = "human"
    one_at_a_time = True

    def __init__(self, argument: str = "", *, input: TextIO | None = None, output: TextIO | None = None) -> None:
        """`input` and `output` are text streams; standard input and output when None."""
        no_argument(self.name, argument)
        self._input = input
        self._output = output
        self._seen = 0
        self._met = False
        self._stage: Stage | None = None
        self._aloud = Aloud()  # one for all seats of this person

    def stage(self) -> Stage | None:
        """The screen to run a command in: every seat spawned from now on sits at it. None where the terminal cannot show one
        (`human_screen.terminal.can_show`), and for streams of one's own."""
        from nego_agents.human_screen.terminal import can_show

        if self._input is not None or self._output is not None or not can_show():
            return None
        from nego_agents.human_screen.stage import Stage

        self._stage = Stage()
        return self._stage

    def listener(self) -> Callable[[View, str], None] | None:
        """What is given the others' words as they come, (view, piece) for (view, piece). None where no terminal shows them."""
        file = self._file()
        return (lambda view, piece: self._aloud.hear(view, piece, file)) if file.isatty() else None

    def ended(self, episode: str) -> None:
        """An episode is over: what is printed next begins a line."""
        self._aloud.finish(self._file())

    def spawn(self, seat: str, scenario: Scenario) -> Self | ScreenSeat:
        """The same person, for one episode and seat."""
        if self._stage is not None:
            return self._stage.seat()
        fresh = copy.copy(self)
        fresh._seen, fresh._met = 0, False
        return fresh

    def close(self) -> None:
        """Nothing to let go of: the streams belong to the caller."""

    def act(self, view: View) -> Move:
        """What the person says. Raises `Leave` when they leave (module docstring, point 5), and `AgentError` for input that
        is no text."""
        console = _console(self._output)
        if not self._met:
            show_private(console, view)
            self._met = True
        self._aloud.finish(console.file)
        self._show_news(console, view)
        self._aloud.meet(view.episode)
        if view.phase == "completion":
            return self._completion(console, view)
        show_table(console, view)
        if view.notice:
            _print(console, f"Your last tag did not count: {view.notice}.")
        _print(console, f"{moves_line(view)}  (/help)")
        while True:
            line = self._read(console, f"round {view.round}/{view.max_rounds}, {view.name} > ")
            try:
                move = self._move(console, view, line)
            except NegoError as e:
                fault = fault_text(e, view.scenario)
                _print(console, f"Not sent: {fault}{'' if fault.endswith('?') else '.'}")
                continue
            if move is not None:
                return move

    def _read(self, console: Console, prompt: str) -> str:
        """One line without control characters, stripped. Raises `Leave` where the input ends or the person is interrupted."""
        while True:
            try:
                with _interruptible():
                    line = self._line(console, visible(prompt))
            except UnicodeDecodeError as e:
                raise AgentError(f"human: the input is not text: {e}") from None
            except (KeyboardInterrupt, EOFError, OSError) as e:
                with suppress(OSError):  # the terminal itself may be gone
                    _print(console, "")
                raise Leave("interrupted" if isinstance(e, KeyboardInterrupt) else "you have left the table") from None
            if not holds_control_characters(line):
                return line.strip()
            _print(console, "Not sent: the line holds control characters.")

    def _line(self, console: Console, prompt: str) -> str:
        """A line as it was typed, without its end. Raises `EOFError` where there is none, and what the stream raises."""
        if self._can_edit():
            with suppress(ImportError):  # not on every platform; where it is, `input` edits lines with it
                import readline  # noqa: F401
            return input(prompt)
        console.print(prompt, end="", markup=False, highlight=False, soft_wrap=True)
        console.file.flush()
        stream = sys.stdin if self._input is None else self._input
        line = stream.readline()
        if not line:
            raise EOFError
        line = line.rstrip("\r\n")
        if not stream.isatty():
            _print(console, line)  # a terminal has shown it already
        return line

    def _file(self) -> TextIO:
        return sys.stdout if self._output is None else self._output

    def _can_edit(self) -> bool:
        """On the process's own terminal. Only in the main thread: another may be given up in the middle of a line, which
        would leave the terminal in the editor's mode."""
        own = self._input is None and self._output is None and sys.stdin.isatty() and sys.stdout.isatty()
        return own and _in_main_thread()

    def _show_news(self, console: Console, view: View) -> None:
        if view.omitted > self._seen:
            _print(console, f"({view.omitted - self._seen} earlier messages are out of your memory.)")
        first = max(0, self._seen - view.omitted)
        for at, u in enumerate(view.utterances[first:], view.omitted + first):
            if u.seat == view.seat:
                continue
            if not self._aloud.printed(view, at, u.text):
                show_words(console, view, u)
            show_published(console, view, u)
        self._seen = view.omitted + len(view.utterances)

    def _move(self, console: Console, view: View, line: str) -> Move | None:
        """The move a line stands for; None when it was a question to the terminal. Raises `NegoError` for a fault."""
        head, _, rest = line.partition(" ")
        shown: dict[str, Callable[[], None]] = {
            "/help": lambda: _print(console, (_STRUCTURED if view.scenario.issues else _OPEN) + _COMMON),
            "/moves": lambda: _print(console, moves_text(view)),
            "/view": lambda: show_private(console, view),
        }
        if (command := head.lower()) in shown:
            shown[command]()
            return None
        if command == "/worth" and view.scenario.issues:
            deal = tuple(rest.replace(",", " ").split())
            _print(console, f"Worth {number(view.worth(deal))} to you (gain {view.gain(deal):.2f}).")
            return None
        return typed(view, line)

    def _completion(self, console: Console, view: View) -> Move:
        _print(console, "\nThe talk is over, and you write the plan for everyone, in one paragraph.")
        for seat, persona in zip(view.scenario.seats, view.personas or (), strict=False):
            _print(console, f"  {seat.name}: {persona}")
        if ending := plan_ending(view):
            _print(console, f"It must end in {ending}; that is added if you leave it out.")
        while True:
            line = self._read(console, f"the plan, {view.name} > ")
            try:
                return plan(view, line)
            except AgentError as e:
                _print(console, f"Not sent: {e}.")


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP raise `KeyboardInterrupt` at once; the handlers there were come back afterwards.

    The handler of `asyncio.run` only cancels a task, which a blocking read never learns of. Changes nothing outside the main
    thread, where Python takes no signals.
    """
    with ExitStack() as restored:
        for name in ("SIGINT", "SIGTERM", "SIGHUP") if _in_main_thread() else ():
            number = getattr(signal, name, None)  # no SIGHUP on Windows
            if number is not None and (previous := signal.getsignal(number)) is not None:  # None could not be put back
                restored.callback(signal.signal, number, previous)
                signal.signal(number, signal.default_int_handler)
        yield


# ---------------------------------------------------------------- what the person sees
def show_private(console: Console, view: View) -> None:
    """The dilemma, the person's own aim and scores."""
    _print(console, f"\n{view.task}\n")
    names = [s.name for s in view.scenario.seats if s.name != view.name]
    _print(console, f"You are {view.name}. With you at the table: {', '.join(names)}.")
    _print(console, how_it_ends(view))
    _print(console, f"Your aim, which the others do not know: {view.persona}\n")
    if view.stakes is not None:
        _show_stakes(console, view)


def _show_stakes(console: Console, view: View) -> None:
    from rich.table import Table
    from rich.text import Text

    stakes = view.stakes
    assert stakes is not None  # asked for on structured dilemmas only
    table = Table(title="What the options are worth to you", title_justify="left", show_edge=False)
    table.add_column("issue")
    table.add_column("id", no_wrap=True)
    table.add_column("option")
    table.add_column("score", justify="right", no_wrap=True)
    for issue, row in zip(view.scenario.issues, stakes.scores, strict=True):
        for j, (option, x) in enumerate(zip(issue.options, row, strict=True)):
            first = f"{issue.id}  {visible(issue.name, newlines=False)}" if j == 0 else ""
            label = visible(f"{option.label} ({option.text})" if option.text else option.label, newlines=False)
            table.add_row(Text(first), Text(option.id), Text(label), Text(number(x)))
    console.print(table)
    _print(
        console,
        f"Your best deal is worth {number(best_score(stakes))}; without a deal you have {number(stakes.walk_away)}.\n",
    )


def show_words(console: Console, view: View, u: Utterance) -> None:
    """What somebody else said."""
    who = view.scenario.seats[int(u.seat.removeprefix("seat_"))].name
    _print(console, f"{who}: {u.text if u.text.strip() else '(silence)'}")


def show_published(console: Console, view: View, u: Utterance) -> None:
    """The scores somebody published with what they said."""
    who = view.scenario.seats[int(u.seat.removeprefix("seat_"))].name
    if u.act is None or u.act.kind != "reveal":
        return
    for r in view.revealed:
        if r.seat == u.seat and r.issue == u.act.issue:
            issue = view.scenario.issues[view.scenario.issue_index[r.issue.upper()]]
            pairs = ", ".join(f"{o.id} {number(x)}" for o, x in zip(issue.options, r.scores, strict=True))
            _print(console, f"  (true scores of {who} for {issue.name}: {pairs})")


def show_table(console: Console, view: View) -> None:
    """The deal on the table and what it is worth to the person."""
    if not view.scenario.issues:
        return
    if view.table is None or view.stakes is None:
        _print(console, "\nNothing is on the table yet.")
        return
    deal = view.scenario.deal(view.table.deal)
    by = view.scenario.seats[int(view.table.by.removeprefix("seat_"))].name
    worth, best = score(view.stakes, deal), best_score(view.stakes)
    _print(console, f"\nOn the table, by {by}: {' '.join(view.table.deal)} ({', '.join(view.scenario.labels(deal))})")
    verdict = "a loss" if worth < view.stakes.walk_away else f"gain {gain(view.stakes, deal):.2f}"
    _print(
        console,
        f"Worth {number(worth)} to you: {verdict}; your best is {number(best)}, without a deal {number(view.stakes.walk_away)}.",
    )


def _print(console: Console, text: str) -> None:
    console.print(visible(text), markup=False, highlight=False)


def _console(output: TextIO | None) -> Console:
    from rich.console import Console

    return Console(file=sys.stdout if output is None else output, markup=False, highlight=False, emoji=False)
