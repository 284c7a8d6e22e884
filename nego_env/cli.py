"""The `nego` command. Commands are found through entry points (`nego_env.commands`).

1. A command is one frozen dataclass with a `run() -> int`. Its docstring is its help, `examples` stands under it, and its
   fields are the flags; a field without a default is positional.
2. A class with `commands` (name -> command) is a group: `nego scenarios list`.
3. A class with `defaults(arguments)` gives the values that flags start from: presets.
4. Exit codes: 0 done, 1 ran but nothing came of it, 2 a mistake in the call, 130 interrupted. A mistake is one line on stderr.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from inspect import cleandoc
from itertools import dropwhile, takewhile
from typing import Any

from nego_env.errors import Leave, NegoError, SettingsError, unknown_name
from nego_env.registry import entry_points, load_entry_point
from nego_env.safe_text import visible

_ORDER = ("play", "replay", "scenarios", "agents", "demo")
_HELP = ("-h", "--help", "help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _outcome(args)
        finally:
            sys.stdout.flush()  # here and not at exit, where a fault would be beyond telling
    except BrokenPipeError:  # the reader of a pipe went away: nothing to tell, and nobody to tell it to
        _drop_stdout()
        return 0
    except OSError as e:
        if e.errno not in _NO_ROOM or e.filename is not None:
            raise
        _drop_stdout()
        return _told(f"error: the output cannot be written: {e.strerror}", 1)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def _drop_stdout() -> None:
    """What is left in the buffer goes nowhere, so that the interpreter does not stumble over it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _outcome(args: list[str]) -> int:
    """The exit code of a call; a mistake or an interruption is told in one line."""
    try:
        return _dispatch(args)
    except Leave as e:
        return _told(str(e) or "left the table", 0)
    except NegoError as e:
        return _told(f"error: {e}", 2)
    except KeyboardInterrupt:
        return _told("interrupted", 130)


def _told(message: str, code: int) -> int:
    print(f"nego: {visible(message, newlines=False)}", file=sys.stderr)
    return code


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in _HELP:
        print(_help())
        return 0
    if args[0] in ("-V", "--version"):
        from nego_env import __version__

        print(f"nego-env {__version__}")
        return 0
    known = entry_points("nego_env.commands")
    if args[0] not in known:
        raise unknown_name("command", args[0], known, hint="nego --help shows them")
    command, name, rest = load_entry_point(known[args[0]]), f"nego {args[0]}", args[1:]
    group: dict[str, Any] | None = getattr(command, "commands", None)
    if group:
        if not rest or rest[0] in _HELP:
            print(_group_help(command, name))
            return 0
        if rest[0] not in group:
            raise unknown_name(f"command {name}", rest[0], group, hint=f"{name} --help tells more")
        command, name, rest = group[rest[0]], f"{name} {rest[0]}", rest[1:]
    code: int = _parsed(command, name, rest).run()
    return code


def _parsed(command: Any, name: str, args: list[str]) -> Any:
    import tyro

    said = io.StringIO()
    defaults = getattr(command, "defaults", None)
    start = {} if defaults is None else {"default": defaults(args)}
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                command,
                args=args,
                prog=name,
                description=_description(command),
                config=(tyro.conf.PositionalRequiredArgs, tyro.conf.FlagCreatePairsOff),
                **start,
            )
    except SystemExit as e:
        if e.code in (0, None):  # the help was asked for and printed
            raise SystemExit(0) from None
        raise SettingsError(f"{_fault(said.getvalue())} ({name} --help tells more)") from None


_FRAME = re.compile(r"^[\s│|]+|[\s│|]+$")
_OPTIONAL = re.compile(r"no type matching \{None\}\|(\S+) could be instantiated from \['(.*)'\]\.?")


def _fault(box: str) -> str:
    """What the parser said, in one line: the first paragraph of its box, and the flag it thinks was meant."""
    rows = [_FRAME.sub("", line) for line in box.splitlines()[1:]]
    said = dropwhile(_is_rule, rows)  # where the screen has no box characters, a rule stands under the title
    fault = " ".join(takewhile(lambda row: not _is_rule(row), said)).removeprefix("Error parsing ") or "wrong arguments"
    fault = _OPTIONAL.sub(r"expected \1, found '\2'", fault)
    meant = re.search(r"Perhaps you meant:[\s│|]*(--[\w-]+)", box)
    return f"{fault}; did you mean {meant[1]}?" if meant else fault


def _is_rule(row: str) -> bool:
    return set(row) <= set("─-╭╮╰╯")


def _description(command: Any) -> str:
    doc = cleandoc(command.__doc__ or "")
    examples = _examples(command)
    return f"{doc}\n\nExamples:\n{examples}" if examples else doc


def _examples(command: Any) -> str:
    return textwrap.indent(textwrap.dedent(getattr(command, "examples", "")).strip(), "  ")


def _help() -> str:
    known = entry_points("nego_env.commands")
    names = [n for n in _ORDER if n in known] + sorted(set(known) - set(_ORDER))
    examples = """
  nego demo
  nego play --scenario thesis-deadline --agents mediator stonewaller
  nego play --agents my_file.py:my_agent boulware --episodes 20 --out run.jsonl
  nego replay run.jsonl
"""
    summaries = [(n, _summary(known[n])) for n in names]
    return _page("nego", "Negotiation as an environment: play, score and replay dilemmas.", summaries, examples)


def _group_help(command: Any, name: str) -> str:
    summaries = [(n, _first_line(c)) for n, c in command.commands.items()]
    return _page(name, (command.__doc__ or "").strip(), summaries, _examples(command))


def _page(name: str, about: str, commands: Iterable[tuple[str, str]], examples: str) -> str:
    rows = list(commands)
    width = max((len(n) for n, _ in rows), default=0)
    lines = [
        f"usage: {name} COMMAND [OPTIONS]",
        "",
        about,
        "",
        "commands:",
        *(f"  {n:<{width}}  {summary}" for n, summary in rows),
    ]
    if examples.strip():
        lines += ["", "examples:", examples.strip("\n")]
    return "\n".join([*lines, "", f"{name} COMMAND --help tells more."])


def _summary(entry: Any) -> str:
    try:
        return _first_line(load_entry_point(entry))
    except NegoError as e:
        return f"(not available: {e})"


def _first_line(command: Any) -> str:
    return (command.__doc__ or "").strip().split("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
