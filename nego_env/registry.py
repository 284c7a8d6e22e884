"""Finding agents, judges, packs, importers and commands by name, through entry points; ours no differently from yours."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from nego_env.errors import MissingExtraError, NotFoundError, unknown_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS = ("nego_env.agents", "nego_env.judges", "nego_env.packs", "nego_env.importers", "nego_env.commands")


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
