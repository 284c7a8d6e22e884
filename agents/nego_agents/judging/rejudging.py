"""Saved transcripts scored again by another judge. The transcripts stay as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from nego_agents.judging.concordance import Concordance, concordance
from nego_env.errors import BudgetError, RunError
from nego_env.judges import Judge
from nego_env.judging import check_verdict, judge_fault
from nego_env.safe_text import visible
from nego_env.transcript import Transcript
from nego_env.verdict import Case, Verdict


class Rejudged(msgspec.Struct, frozen=True):
    """One episode, with its old score and the new one."""

    id: str
    index: int
    scenario: str
    old: Verdict | None
    """What its transcript holds; None where it was never scored."""
    new: Verdict | None
    error: str | None = None
    """Why there is no new score."""

    @property
    def difference(self) -> float | None:
        """New minus old."""
        return None if self.old is None or self.new is None else self.new.value - self.old.value


class Rejudgement(msgspec.Struct, frozen=True):
    """All that came of it."""

    judge: str
    episodes: tuple[Rejudged, ...]
    """Those with a completion, in order."""
    without_completion: int
    """Episodes that were left out: nothing was written that could be scored."""
    stopped: str | None = None
    """Why some were not judged: the budget was spent."""

    @property
    def judged(self) -> int:
        """Episodes with a new score."""
        return sum(e.new is not None for e in self.episodes)

    @property
    def failed(self) -> int:
        """Episodes the judge gave no verdict on."""
        return sum(e.error is not None for e in self.episodes)

    def by_old_judge(self) -> dict[tuple[str, str], Concordance]:
        """Agreement of old and new scores, for each old judge and the label of its figures: unlike figures are not mixed."""
        pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for e in self.episodes:
            if e.old is not None and e.new is not None:
                pairs.setdefault((e.old.judge, e.old.label), []).append((e.old.value, e.new.value))
        return {key: concordance(*zip(*found, strict=True)) for key, found in sorted(pairs.items())}

    def to_json(self) -> dict[str, Any]:
        """For programs: the episodes with both verdicts whole, and the statistics."""
        return {
            "judge": self.judge,
            "episodes": msgspec.to_builtins(self.episodes),
            "judged": self.judged,
            "failed": self.failed,
            "without_completion": self.without_completion,
            "stopped": self.stopped,
            "agreement": [
                {"old_judge": judge, "old_label": label, **figures._asdict()}
                for (judge, label), figures in self.by_old_judge().items()
            ],
        }


def score_case(t: Transcript) -> Case | None:
    """What a judge is asked about the completion of an episode; None where there is none."""
    if not t.completion or not t.completion.strip():
        return None
    lines = tuple((u.seat, u.text) for u in t.utterances if u.phase == "dialogue")
    return Case("score", t.scenario, lines, completion=t.completion, deal=t.deal or ())


def old_score(t: Transcript) -> Verdict | None:
    """The verdict on the completion that the transcript holds."""
    return next((v for v in reversed(t.verdicts) if v.kind == "score"), None)


async def rejudge(
    transcripts: Iterable[Transcript],
    judge: Judge,
    *,
    in_flight: int = 64,
    progress: Callable[[], None] | None = None,
) -> Rejudgement:
    """Scores every completion again, so many at a time. A judge that fails on one loses that one; a spent budget leaves the rest
    unjudged. Raises `RunError`."""
    found: list[Rejudged | None] = []
    todo: list[tuple[int, Transcript, Case]] = []
    without = 0
    for t in transcripts:
        case = score_case(t)
        if case is None:
            without += 1
            continue
        todo.append((len(found), t, case))
        found.append(None)
    waiting = iter(todo)
    stopped: list[str] = []

    async def work() -> None:
        for at, t, case in waiting:
            verdict = None if stopped else await _asked(judge, case, stopped)
            new = verdict if isinstance(verdict, Verdict) else None
            error = verdict if isinstance(verdict, str) else None
            found[at] = Rejudged(t.id, t.index, t.scenario.id, old_score(t), new, error)
            if progress is not None:
                progress()

    await _together([work() for _ in range(max(1, min(in_flight, len(todo))))])
    done = tuple(e for e in found if e is not None)
    return Rejudgement(judge.name, done, without, stopped[0] if stopped else None)


async def _together(works: Sequence[Any]) -> None:
    """All of them; when one fails the others are stopped."""
    tasks = [asyncio.create_task(w) for w in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _asked(judge: Judge, case: Case, stopped: list[str]) -> Verdict | str | None:
    """The verdict, or why there is none; None when the budget is spent, which is then said in `stopped`."""
    ajudge: Any = getattr(judge, "ajudge", None)
    try:
        verdict = await ajudge(case) if ajudge is not None else judge.judge(case)
        return check_verdict(verdict, judge, "score")
    except BudgetError as e:
        stopped.append(str(e))
        return None
    except RunError:
        raise
    except Exception as e:
        return visible(judge_fault(judge, e), newlines=False)
