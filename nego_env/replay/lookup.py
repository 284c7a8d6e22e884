"""Finding an episode in a file that may hold thousands of them."""

from __future__ import annotations

from nego_env.errors import NotFoundError
from nego_env.store import TranscriptFile


def position(file: TranscriptFile, wanted: str) -> int:
    """The place of an episode in a file, from 0: by its number there (1, 2, ...) or by the beginning of its id.

    A number that is a place wins over an id. Looking for an id reads the file from the front. Raises `NotFoundError`.
    """
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and 1 <= int(wanted) <= len(file):
        return int(wanted) - 1
    if wanted and set(wanted) <= set("0123456789abcdef"):  # ids are hexadecimal: nothing else needs a look
        for i, t in enumerate(file):
            if t.id.startswith(wanted):
                return i
    raise NotFoundError(f"{file.path}: no episode {wanted!r}; it holds {len(file)}: 1 to {len(file)}, or an id")
