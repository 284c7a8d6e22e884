"""What can be wrong with a model."""

from __future__ import annotations

from nego_env.errors import MissingExtraError, NegoError


class ModelError(NegoError, RuntimeError):
    """A language model that cannot be loaded, does not fit, or cannot hold a conversation."""


def missing_extra(e: ImportError) -> MissingExtraError:
    """The error for an import that needs the `llm` extra."""
    name = (e.name or str(e)).partition(".")[0]
    return MissingExtraError(f"language models on this machine need {name}: pip install 'nego-env[llm]'")
