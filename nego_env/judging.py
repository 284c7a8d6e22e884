"""Who judges a scenario under which settings, and what becomes of a judge's answer; the same for every face and the engine."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Literal, Unpack, cast

import msgspec
import numpy as np

from nego_env.errors import JudgeError
from nego_env.judges import Judge
from nego_env.registry import entry_points, load_named, load_python
from nego_env.rules import State, StopReason, case, fail, judged
from nego_env.scenario import Scenario
from nego_env.settings import CodecName, Options, Settings, resolve
from nego_env.verdict import Verdict


class Terms:
    """What every scenario of a suite is played under: settings as given, and a judge for each kind of scenario."""

    def __init__(
        self,
        *,
        codecs: CodecName | Sequence[CodecName] = "text",
        judge: str | Judge | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Settings as for `nego_env.settings.resolve`; codecs may name more seats than a scenario has."""
        self._codecs: CodecName | tuple[CodecName, ...] = codecs if isinstance(codecs, str) else tuple(codecs)
        self._judge = judge
        self._judges: dict[str, Judge] = {}
        self._options = options

    def judge(self, scenario: Scenario) -> Judge:
        """Who judges a scenario."""
        if scenario.kind not in self._judges:
            self._judges[scenario.kind] = resolve_judge(self._judge, scenario.kind)
        return self._judges[scenario.kind]

    def settings(self, scenario: Scenario) -> Settings:
        """The settings of a scenario. Raises `SettingsError` for one that does not fit it."""
        codecs = self._codecs if isinstance(self._codecs, str) else self._codecs[: scenario.n]
        return resolve(scenario, codecs=codecs, judge=self.judge(scenario).name, **self._options)


def resolve_judge(judge: str | Judge | None, kind: Literal["structured", "open"]) -> Judge:
    """A judge by registered name, as `file.py:NAME` or `module:NAME`, or as an object; None is `exact` on structured
    dilemmas and `heuristic` on open ones."""
    if judge is None:
        judge = "exact" if kind == "structured" else "heuristic"
    if isinstance(judge, str):
        name, colon, argument = judge.partition(":")
        if colon and name not in entry_points("nego_env.judges"):
            found: Any = load_python(judge, "judge", JudgeError)
            judge = cast("Judge", found() if inspect.isclass(found) else found)
        else:
            factory = load_named("nego_env.judges", "judge", name, hint="your own: my_file.py:MyJudge")
            judge = factory(argument) if argument else factory()
    if not callable(getattr(judge, "judge", None)) and not callable(getattr(judge, "ajudge", None)):
        raise JudgeError(f"a judge has a method judge(case), {type(judge).__name__} has none")
    if not isinstance(getattr(judge, "name", None), str):
        raise JudgeError(f"judge {type(judge).__name__} has no name")
    return judge  # type: ignore[return-value]


def check_verdict(verdict: object, judge: Judge, kind: str) -> Verdict:
    """The verdict, if it is one of the kind asked for and a record can hold it; else `JudgeError`."""
    if not isinstance(verdict, Verdict):
        raise JudgeError(f"judge {judge.name!r} returned {type(verdict).__name__}, expected a Verdict")
    if verdict.kind != kind:
        raise JudgeError(f"judge {judge.name!r} returned a verdict of kind {verdict.kind!r}, asked for was {kind!r}")
    value: object = verdict.value
    if isinstance(value, (np.floating, np.integer)):  # the mean of several votes, as numpy has it
        verdict = msgspec.structs.replace(verdict, value=float(value))
    try:
        return msgspec.convert(msgspec.to_builtins(verdict), Verdict)
    except (msgspec.ValidationError, TypeError) as e:
        raise JudgeError(f"judge {judge.name!r} returned a verdict that no record can hold: {e}") from None


def judge_fault(judge: Judge, error: BaseException) -> str:
    """What is recorded of a judge that failed: the same words from every face."""
    return f"{judge.name}: {type(error).__name__}: {error}"


def settle(state: State, judge: Judge) -> State:
    """The state after every verdict that is due. A judge that fails ends the episode (`judge_error`)."""
    while (due := state.awaiting) is not None and due != "utterance":
        try:
            state = judged(state, check_verdict(judge.judge(case(state)), judge, due))
        except Exception as e:
            return fail(state, StopReason.JUDGE_ERROR, judge_fault(judge, e))
    return state
