"""A person at the screen, driven by a pilot, with the engine behind it in the same loop."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from nego_agents import HumanAgent
from nego_agents.human_screen.app import TableScreen
from nego_agents.human_screen.stage import Stage
from nego_env.replay.style import Theme
from nego_env.rollout import rollout
from nego_env.run import Run
from nego_env.scenario import Scenario
from nego_env.store import TranscriptWriter
from nego_env.transcript import Transcript

SMALL, LARGE = (80, 24), (140, 40)
_KEYS = {
    " ": "space", "/": "slash", "[": "left_square_bracket", "]": "right_square_bracket", ":": "colon", ".": "full_stop",
    ",": "comma", "-": "minus", "?": "question_mark",
}  # fmt: skip


class Sitting:
    """One run with a person at the screen."""

    def __init__(
        self, app: TableScreen, pilot: Pilot[None], played: list[Transcript], task: asyncio.Task[None]
    ) -> None:
        self.app, self.pilot, self.played, self.task = app, pilot, played, task

    async def until(self, true: Callable[[], Any], what: str = "it") -> None:
        """Wait for something the engine or the screen has to do."""
        for _ in range(400):
            await self.pilot.pause()
            if true():
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{what} did not happen; the screen shows:\n{self.shown()}")

    async def asked(self, round: int = 1) -> None:
        """Wait for the person's turn."""
        turn = lambda: self.app.turn is not None and self.app.turn.view.round == round  # noqa: E731
        await self.until(turn, f"the turn in round {round}")

    async def over(self) -> Transcript:
        """Wait for the end of the run; its last episode."""
        await asyncio.wait_for(asyncio.shield(self.task), 10)
        return self.played[-1]

    async def press(self, *keys: str) -> None:
        """Keys, and what they set off."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Text, key by key."""
        await self.press(*(_KEYS.get(c, c) for c in text))

    async def say(self, text: str) -> None:
        """Text put into the field at once, and Enter."""
        self.app.draft.text = text
        await self.press("enter")

    def shown(self) -> str:
        """What is on the screen, a line per line."""
        return screen(self.app)

    async def sees(self, *words: str) -> str:
        """Wait until all of this is on the screen; everything that is then."""
        shown = ""
        for _ in range(100):
            await self.pilot.pause()
            shown = self.shown()
            if all(w in shown for w in words):
                return shown
            await asyncio.sleep(0.02)
        raise AssertionError(f"the screen does not show {[w for w in words if w not in shown]}:\n{shown}")

    def enabled(self) -> set[str]:
        """The moves whose buttons can be pressed."""
        buttons = self.app.screen_stack[0].query("MovesRow Button").results()
        return {str(b.id).removeprefix("do-") for b in buttons if b.display and not b.disabled}


def screen(app: TableScreen) -> str:
    """What is on the screen, as text."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for at, words in re.findall(r"<text([^>]*)>(.*?)</text>", app.export_screenshot(), re.DOTALL):
        place = re.search(r' x="([\d.]+)" y="([\d.]+)"', at)
        if place and "textLength" in at:
            rows.setdefault(float(place[2]), []).append((float(place[1]), words))
    lines = ("".join(words for _, words in sorted(row)) for _, row in sorted(rows.items()))
    return html.unescape("\n".join(lines)).replace("\xa0", " ")


@asynccontextmanager
async def sitting(
    scenario: Scenario,
    *others: Any,
    size: tuple[int, int] = LARGE,
    theme: Theme = "dark",
    episodes: int = 1,
    out: TranscriptWriter | None = None,
    first: bool = True,
    timeout: float | None = None,
    watch: bool = False,
    **settings: Any,
) -> AsyncIterator[Sitting]:
    """A person (in the first seat, or the last) against `others`, on a screen of that size. `watch`: the others stream."""
    app, person, played = TableScreen(theme=theme), HumanAgent(), list[Transcript]()
    person._stage = stage = Stage(app)
    run = Run(scenario, [person, *others] if first else [*others, person], seed=1, **settings)
    for other in others if watch else ():
        other.watch = stage.hear

    async def play() -> None:
        async for t in rollout(run, episodes, writer=out, timeout=timeout):
            played.append(t)
            await stage.show(t)

    async with app.run_test(size=size, notifications=True) as pilot:
        task = asyncio.create_task(play())
        try:
            yield Sitting(app, pilot, played, task)
        finally:
            stage.handover.leave("the test is over")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
