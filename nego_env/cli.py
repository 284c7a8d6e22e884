"""The `nego` command. Commands are found through entry points (`nego_env.commands`); each is one dataclass with a `run`.

Exit codes: 0 done, 1 ran but nothing came of it, 2 a mistake in the call, 130 interrupted. A mistake is one line on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from nego_env.errors import Leave, NegoError, unknown_name
from nego_env.registry import entry_points, load_entry_point
from nego_env.safe_text import visible

_ORDER = ("play", "replay", "scenarios", "agents", "demo")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(args)
    except Leave as e:
        return _told(str(e) or "left the table", 0)
    except NegoError as e:
        return _told(f"error: {e}", 2)
    except KeyboardInterrupt:
        return _told("interrupted", 130)
    except BrokenPipeError:  # the reader of a pipe went away: nothing to tell, and nobody to tell it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _told(message: str, code: int) -> int:
    print(f"nego: {visible(message, newlines=False)}", file=sys.stderr)
    return code


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if args[0] in ("-V", "--version"):
        from nego_env import __version__

        print(f"nego-env {__version__}")
        return 0
    known = entry_points("nego_env.commands")
    if args[0] not in known:
        raise unknown_name("command", args[0], known, hint="nego --help shows them")
    command = load_entry_point(known[args[0]])
    code: int = _parsed(command, args[0], args[1:]).run()
    sys.stdout.flush()
    return code


def _parsed(command: Any, name: str, args: list[str]) -> Any:
    import tyro

    try:
        return tyro.cli(command, args=args, prog=f"nego {name}", description=_description(command))
    except SystemExit as e:  # tyro has said what is wrong, on stderr
        raise SystemExit(0 if e.code in (0, None) else 2) from None


def _description(command: Any) -> str:
    doc = (command.__doc__ or "").strip()
    examples = getattr(command, "examples", "").strip("\n")
    return f"{doc}\n\nExamples:\n{examples}" if examples else doc


def _help() -> str:
    known = entry_points("nego_env.commands")
    names = [n for n in _ORDER if n in known] + sorted(set(known) - set(_ORDER))
    width = max(len(n) for n in names) if names else 0
    lines = [
        "usage: nego COMMAND [OPTIONS]",
        "",
        "Negotiation as an environment: play, score and replay dilemmas.",
        "",
        "commands:",
        *(f"  {n:<{width}}  {_summary(known[n])}" for n in names),
        "",
        "examples:",
        "  nego demo",
        "  nego play --scenario thesis-deadline --agents mediator stonewaller",
        "  nego play --agents my_file.py:my_agent boulware --episodes 20 --out run.jsonl",
        "  nego replay run.jsonl",
        "",
        "nego COMMAND --help tells more.",
    ]
    return "\n".join(lines)


def _summary(entry: Any) -> str:
    try:
        doc = load_entry_point(entry).__doc__ or ""
    except NegoError as e:
        return f"(not available: {e})"
    return doc.strip().split("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
