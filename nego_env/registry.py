"""Finding agents, judges, packs, importers and commands by name, through entry points; ours no differently from yours."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nego_env.errors import MissingExtraError, NegoError, NotFoundError, unknown_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS = (
    "nego_env.agents",
    "nego_env.judges",
    "nego_env.backends",
    "nego_env.packs",
    "nego_env.importers",
    "nego_env.commands",
)


@cache
def entry_points(group: str) -> dict[str, EntryPoint]:
    """Everything registered in a group, by name. Reads installed metadata once; imports nothing."""
    # Imported here because it costs more than all the rest of this package's core.
    from importlib.metadata import entry_points as installed

    return {e.name: e for e in installed(group=group)}


def load_entry_point(entry: EntryPoint) -> Any:
    """The object behind an entry point. Raises `MissingExtraError` naming the install command, or `NotFoundError`."""
    try:
        return entry.load()
    except ModuleNotFoundError as e:
        missing = (e.name or "").split(".")[0]
        extras = [x.removeprefix("extra:") for x in entry.extras]
        if extras:
            package = entry.dist.name if entry.dist is not None else "nego-env"
            raise MissingExtraError(
                f"{entry.name!r} needs {missing}: pip install '{package}[{','.join(extras)}]'"
            ) from None
        raise NotFoundError(f"{entry.group} {entry.name!r}: cannot import {entry.value}: {e}") from None
    except AttributeError as e:
        raise NotFoundError(f"{entry.group} {entry.name!r}: {entry.value}: {e}") from None


def load_named(group: str, kind: str, name: str, *, hint: str = "") -> Any:
    """The object registered as `name`. Raises `NotFoundError` with the closest known names."""
    known = entry_points(group)
    if name not in known:
        raise unknown_name(kind, name, known, hint=hint)
    return load_entry_point(known[name])


def load_python(spec: str, kind: str, error: type[NegoError]) -> Any:
    """The object named by `file.py:NAME` or `module:NAME`. Raises `NotFoundError` where there is none, `error` where its
    module does not run; both say `kind` (`agent`, `judge`)."""
    file, _, name = spec.rpartition(":")
    if not file or not name:
        raise NotFoundError(f"{kind} {spec!r}: expected my_file.py:NAME or package.module:NAME")
    if ".py:" in file:
        raise error(f"{kind} {spec!r}: one from a file takes no argument; give it one in the file")
    module = (
        _module_from_file(Path(file), spec, kind, error) if file.endswith(".py") else _module(file, spec, kind, error)
    )
    if not hasattr(module, name):
        public = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise unknown_name(f"{kind} in {file}", name, public)
    return getattr(module, name)


def _module(name: str, spec: str, kind: str, error: type[NegoError]) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        if e.name and (name == e.name or name.startswith(e.name + ".")):
            raise NotFoundError(f"{kind} {spec!r}: no module {name!r} (a file needs its .py: {name}.py:NAME)") from None
        raise error(f"{kind} {spec!r}: importing {name!r} failed: {e}") from None
    except (Exception, SystemExit) as e:
        raise error(f"{kind} {spec!r}: importing {name!r} failed: {type(e).__name__}: {e}") from None


def _module_from_file(path: Path, spec: str, kind: str, error: type[NegoError]) -> Any:
    if not path.is_file():
        raise NotFoundError(f"{kind} {spec!r}: no file {path}")
    name = f"nego_file_{path.stem}_{abs(hash(str(path.resolve())))}"
    if name in sys.modules:
        return sys.modules[name]
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None  # a .py file always has a spec and a loader
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as e:
        del sys.modules[name]
        line = _line_in(e, path)
        raise error(f"{kind} {spec!r}: {path}{line} does not run: {type(e).__name__}: {e}") from None
    return module


def _line_in(e: BaseException, path: Path) -> str:
    if isinstance(e, SyntaxError) and e.lineno:
        return f":{e.lineno}"
    trace, line = e.__traceback__, ""
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line
