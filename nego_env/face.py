"""What the AEC and the parallel face have in common: a session, what it records, and how it is shown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nego_env.errors import SettingsError
from nego_env.safe_text import visible
from nego_env.session import Session
from nego_env.transcript import Transcript

RENDER_MODES = ("ansi", "human")


def check_render_mode(mode: str | None) -> str | None:
    """The mode, if it is one. Raises `SettingsError`."""
    if mode is not None and mode not in RENDER_MODES:
        raise SettingsError(f"render_mode is {mode!r}, it must be None, {' or '.join(map(repr, RENDER_MODES))}")
    return mode


class Face:
    """Mixed into a PettingZoo environment that keeps its match in `session`."""

    session: Session
    render_mode: str | None
    _printed: int
    """How many lines of the dialogue `human` mode has printed."""

    @property
    def transcript(self) -> Transcript | None:
        """The record of the match once it is over; None while it runs."""
        return self.session.transcript

    def state(self) -> npt.NDArray[np.float32]:
        """(possible seats x F,) float32: every seat's features, for centralised critics; zeros for seats the scenario
        lacks. Raises `SettingsError` on open dilemmas, which have none."""
        session = self.session
        if session.acts is None:
            raise SettingsError("an open dilemma has no numeric state: read the observations")
        return np.concatenate([session.features(i) for i in range(session.shape.seats)])

    def render(self) -> str | None:
        """`ansi`: the dialogue so far as a string. `human`: prints what was said since the last call."""
        if self.render_mode == "ansi":
            return visible(self.session.dialogue)
        if self.render_mode == "human":
            lines = self.session.dialogue_lines
            for line in lines[self._printed :]:
                print(visible(line))  # noqa: T201  # what human mode is for
            self._printed = len(lines)
        return None

    def close(self) -> None:
        """Nothing to release; may be called twice."""
