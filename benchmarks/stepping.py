"""Steps a second with scripted agents, beside TextArena and OpenSpiel's bargaining game through Shimmy.

1. Every contender plays the same number of utterances an episode. Wherever there are words, each utterance is as long,
   and offers, talk and the closing acceptance come in the same places.
2. Every observation is consumed: a seat's text is encoded, its arrays are copied out. What is read is counted.
3. Resets and scoring are inside: each episode is a new game (a dilemma drawn from 64, or what the peer draws), ends in
   an acceptance or at the peer's turn limit, and both sides' rewards are read.
4. TextArena is driven as its users drive it: a fresh `textarena.make` per episode (its observation wrapper is not cleared
   by `reset`), then the loop of its README. Its bare class, reused and without wrappers, is reported too.
5. CPU time of one thread, in one process, contenders in turns.

What the wrapped TextArena shows a seat leaves out what the other side said; ours shows it all, beside two arrays. The row
"not observed" is what rules and bookkeeping alone cost us.

    make bench-peers          # or: python -m benchmarks.stepping --no-peers
"""

from __future__ import annotations

import asyncio
import cProfile
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import CodeType
from typing import Any

import tyro

import nego_env
from benchmarks.dilemmas import dilemma
from benchmarks.record import Spread, as_dict, interleaved, machine, ratio, versions, write
from nego_env import Act
from nego_env.codec import ActTable
from nego_env.packs import LooseScenarios
from nego_env.rollout import rollout
from nego_env.run import Run
from nego_env.scenario import Scenario
from nego_env.view import View

DILEMMAS = 64
TALK = "I have thought about what you said, and about what it would mean for both of us over the year ahead. "
GAMES = {"SimpleNegotiation-v0-short": 7, "SimpleNegotiation-v0": 11, "SimpleNegotiation-v0-long": 31}
"""TextArena's three lengths, with the utterances an episode really has (its limit is tested before the turn is counted)."""
MAIN = "SimpleNegotiation-v0"
TEXTARENA, BARE, OPENSPIEL = (
    "TextArena SimpleNegotiation",
    "TextArena, bare class reused",
    "OpenSpiel bargaining, Shimmy",
)
TARGETS = {TEXTARENA: 1.5, OPENSPIEL: 10.0}

Episodes = Callable[[int], int]
"""Plays so many episodes and returns how many characters and bytes their seats read."""


@dataclass(frozen=True)
class Stepping:
    """Time every contender, in turns."""

    rounds: int = 15
    episodes: int = 60
    """Episodes a contender plays in each round."""
    chars: int = 320
    """Length of every utterance: about 60 words."""
    peers: bool = True
    """Compare with TextArena and OpenSpiel, which must be installed."""
    out: Path | None = None
    """Where the result goes; by default `benchmarks/results/stepping.json`."""

    def run(self) -> None:
        if self.peers and not all(find_spec(name) for name in ("textarena", "shimmy", "pyspiel")):
            sys.exit("TextArena, Shimmy or OpenSpiel is not installed: use make bench-peers, or --no-peers")
        us, read = self.measure(contenders(GAMES[MAIN], self.chars, self.peers), GAMES[MAIN])
        figures: dict[str, dict[str, Any]] = {
            name: {
                "us a step": as_dict(Spread.of(values, 2)),
                "steps a second": round(1e6 / Spread.of(values).median),
                "read a step": read[name],
            }
            for name, values in us.items()
        }
        result: dict[str, Any] = {
            "machine": machine(),
            "versions": versions("nego-env", "pettingzoo", "numpy", "msgspec", "textarena", "open_spiel", "shimmy"),
            "unit": "CPU microseconds a step (one utterance), resets, scoring and consumed observations included",
            "setup": {
                "utterances an episode": GAMES[MAIN],
                "characters an utterance": self.chars,
                "dilemmas": f"{DILEMMAS} structured, 2 seats, 3 issues x 4 options, one drawn at each reset",
                "episodes a round": self.episodes,
                "rounds": self.rounds,
            },
            "figures": figures,
            "profile of raw_env": profile(GAMES[MAIN], self.chars),
        }
        for name, f in figures.items():
            print(f"{name:34s} {Spread(**f['us a step'])} us a step, reads {f['read a step']:g}")
        if self.peers:
            result |= self.against_peers(us)
        print(f"-> {write('stepping', result, self.out).name}")

    def against_peers(self, us: dict[str, list[float]]) -> dict[str, Any]:
        """How often `raw_env` steps while a peer steps once; also at other lengths of game and of utterance."""
        times = {name: ratio(us[name], us["raw_env, text"]) for name in (TEXTARENA, BARE, OPENSPIEL)}
        other = {
            f"{utterances} utterances, {chars} characters": self.pair(game, utterances, chars)
            for game, utterances in GAMES.items()
            for chars in sorted({80, self.chars, 1000})
        }
        for name, r in times.items():
            print(f"raw_env over {name:32s} {r}")
        for name, pair in other.items():
            print(f"raw_env over {TEXTARENA}, {name:32s} {Spread(**pair)}")
        return {
            "raw_env over": {name: as_dict(r) for name, r in times.items()},
            "raw_env over TextArena at other lengths": other,
            "targets": {name: {"at least": t, "met": times[name].median >= t} for name, t in TARGETS.items()},
        }

    def pair(self, game: str, utterances: int, chars: int) -> dict[str, float]:
        """`raw_env` against TextArena at another length of game and of utterance."""
        two = {
            "ours": aec(nego_env.raw_env(suite(utterances)), words(utterances, chars)),
            "theirs": textarena_made(game, utterances, chars),
        }
        us, _ = self.measure(two, utterances)
        return as_dict(ratio(us["theirs"], us["ours"]))

    def measure(
        self, episodes: dict[str, Episodes], utterances: int
    ) -> tuple[dict[str, list[float]], dict[str, float]]:
        """CPU microseconds a step of each contender, and what its seats read a step."""
        read = {name: round(play(DILEMMAS) / (DILEMMAS * utterances), 1) for name, play in episodes.items()}
        timed = {name: self._us(play, utterances) for name, play in episodes.items()}
        return interleaved(timed, self.rounds), read

    def _us(self, play: Episodes, utterances: int) -> Callable[[], float]:
        def timed() -> float:
            began = time.process_time()
            play(self.episodes)
            return (time.process_time() - began) / (self.episodes * utterances) * 1e6

        return timed


# ---------------------------------------------------------------- what is said
def offers(utterances: int) -> list[bool]:
    """Which utterances carry an offer: about half, and the one before the closing acceptance."""
    return [i % 3 == 1 or i == utterances - 2 or i % 5 == 4 for i in range(utterances - 1)]


def padded(tag: str, chars: int) -> str:
    """Talk that ends in `tag`, `chars` long."""
    end = f" {tag}" if tag else "."
    return (TALK * (chars // len(TALK) + 1))[: chars - len(end)] + end


def acts(utterances: int) -> list[Act | None]:
    """The script as acts: offers that walk through the options, talk, then acceptance."""
    made = [
        Act("propose", deal=tuple(f"{letter}{(i + k) % 4 + 1}" for k, letter in enumerate("ABC"))) if offer else None
        for i, offer in enumerate(offers(utterances))
    ]
    return [*made, Act("accept")]


def words(utterances: int, chars: int) -> list[str]:
    """The script in words."""
    return [padded(_tag(act), chars) for act in acts(utterances)]


def _tag(act: Act | None) -> str:
    if act is None:
        return ""
    return f"[Propose: {' '.join(act.deal)}]" if act.kind == "propose" else "[Accept]"


def textarena_words(utterances: int, chars: int) -> list[str]:
    """TextArena's script: offers any inventory can pay for, in the same places."""
    said = ["[Offer: 1 Wheat, 1 Wood -> 1 Sheep]" if offer else "" for offer in offers(utterances)]
    return [padded(tag, chars) for tag in [*said, "[Accept]"]]


# ---------------------------------------------------------------- our faces
def suite(utterances: int) -> LooseScenarios:
    """The dilemmas, with rounds enough."""
    rounds = (utterances + 1) // 2
    return LooseScenarios("stepping", [dilemma(i, max_rounds=rounds) for i in range(DILEMMAS)])


def contenders(utterances: int, chars: int, peers: bool) -> dict[str, Episodes]:
    """Everybody, by name."""
    dilemmas, said = suite(utterances), words(utterances, chars)
    table = ActTable(dilemmas.shape)
    first = dilemmas.get(dilemmas.ids()[0])
    numbers = [table.ask if act is None else table.encode(act, first) for act in acts(utterances)]
    ours: dict[str, Episodes] = {
        "raw_env, text": aec(nego_env.raw_env(dilemmas), said),
        "raw_env, text, not observed": aec(nego_env.raw_env(dilemmas), said, observe=False),
        "env(), text": aec(nego_env.env(dilemmas), said),
        "raw_env, act": aec(nego_env.raw_env(dilemmas, codecs="act"), numbers),
        "parallel_env, text": parallel(nego_env.parallel_env(dilemmas, codecs="text"), said),
        "parallel_env, act": parallel(nego_env.parallel_env(dilemmas), numbers),
        "engine, text": engine(dilemmas, said),
    }
    if not peers:
        return ours
    return ours | {
        TEXTARENA: textarena_made(MAIN, utterances, chars),
        BARE: textarena_bare(utterances, chars),
        OPENSPIEL: openspiel(utterances),
    }


def consume(observation: dict[str, Any]) -> int:
    """Every string encoded, every array copied out; how much that was."""
    read = 0
    for value in observation.values():
        read += len(value.encode() if isinstance(value, str) else value.tobytes())
    return read


def aec(env: Any, script: list[Any], *, observe: bool = True) -> Episodes:
    """An AEC environment through the loop PettingZoo documents; without `observe`, rules and bookkeeping alone."""
    env.reset(seed=0)

    def play(episodes: int) -> int:
        read, earned = 0, 0.0
        for _ in range(episodes):
            env.reset()
            said = iter(script)
            for _ in env.agent_iter():
                observation, reward, terminated, truncated, _ = env.last(observe=observe)
                read += consume(observation) if observe else 0
                earned += reward
                env.step(None if terminated or truncated else next(said))
            _spoken(said)
        return read

    return play


def parallel(env: Any, script: list[Any]) -> Episodes:
    """The parallel face: one seat's action counts, every seat's observation is consumed."""
    env.reset(seed=0)

    def play(episodes: int) -> int:
        read, earned = 0, 0.0
        for _ in range(episodes):
            observations, _ = env.reset()
            said = iter(script)
            read += sum(map(consume, observations.values()))
            while env.agents:
                observations, rewards, _, _, _ = env.step(dict.fromkeys(env.agents, next(said)))
                read += sum(map(consume, observations.values()))
                earned += sum(rewards.values())
            _spoken(said)
        return read

    return play


class Reader:
    """An agent that reads its view and says the next line."""

    def __init__(self, script: list[str], read: list[int] | None = None) -> None:
        self.script, self.read = script, [0] if read is None else read

    def spawn(self, seat: str, scenario: Scenario) -> Reader:
        """One for each episode and seat; what is read is counted together."""
        return Reader(self.script, self.read)

    def act(self, view: View) -> str:
        """The line that is due."""
        texts = [view.task, view.persona, view.rules, *(u.text for u in view.utterances)]
        self.read[0] += sum(len(text.encode()) for text in texts)
        return self.script[len(view.utterances)]


def engine(dilemmas: LooseScenarios, script: list[str]) -> Episodes:
    """The rollout engine, 64 episodes at once in one event loop."""
    reader = Reader(script)
    run = Run(dilemmas, reader)

    async def played(episodes: int) -> None:
        async for t in rollout(run, episodes, in_flight=64):
            _spoken(iter(script[len(t.utterances) :]))

    def play(episodes: int) -> int:
        before = reader.read[0]
        asyncio.run(played(episodes))
        return reader.read[0] - before

    return play


def _spoken(rest: Iterator[Any]) -> None:
    if (left := len(list(rest))) > 0:
        sys.exit(f"an episode ended {left} utterances early: the comparison would not be fair")


# ---------------------------------------------------------------- peers
def textarena_made(game: str, utterances: int, chars: int) -> Episodes:
    """TextArena as its README runs it, a fresh environment an episode."""
    import textarena as ta  # type: ignore[import-not-found,unused-ignore]

    script, seeds = textarena_words(utterances, chars), count()

    def play(episodes: int) -> int:
        read = 0
        for _ in range(episodes):
            env = ta.make(env_id=game)
            env.reset(num_players=2, seed=next(seeds))
            said, done = iter(script), False
            while not done:
                _, observation = env.get_observation()
                read += len(observation.encode())
                done, _ = env.step(action=next(said))
            _rewarded(env)
            _spoken(said)
        return read

    return play


def textarena_bare(utterances: int, chars: int) -> Episodes:
    """TextArena's class without its wrappers, made once: observations are the messages that are new to a player."""
    from textarena.envs.SimpleNegotiation.env import (  # type: ignore[import-not-found,unused-ignore]
        SimpleNegotiationEnv,
    )

    env = SimpleNegotiationEnv(max_turns=utterances - 1)
    script, seeds = textarena_words(utterances, chars), count()

    def play(episodes: int) -> int:
        read = 0
        for _ in range(episodes):
            env.reset(num_players=2, seed=next(seeds))
            said, done = iter(script), False
            while not done:
                _, observation = env.get_observation()
                read += sum(len(message.encode()) for _, message, _ in observation)
                done, _ = env.step(action=next(said))
            _rewarded(env)
            _spoken(said)
        return read

    return play


def _rewarded(env: Any) -> None:
    rewards, _ = env.close()
    if set(rewards) != {0, 1}:
        sys.exit(f"TextArena rewarded {rewards}: both sides must be scored")


def openspiel(utterances: int) -> Episodes:
    """OpenSpiel's bargaining through Shimmy's AEC class: offers where there are offers or talk, then agreement."""
    from shimmy import OpenSpielCompatibilityV0  # type: ignore[import-not-found,unused-ignore]

    env = OpenSpielCompatibilityV0(game_name="bargaining", config={"max_turns": utterances + 1})
    offer_nothing, agree = 0, env.action_space(env.possible_agents[0]).n - 1
    script, seeds = [*[offer_nothing] * (utterances - 1), agree], count()

    def play(episodes: int) -> int:
        read, earned = 0, 0.0
        for _ in range(episodes):
            env.reset(seed=next(seeds))
            said = iter(script)
            for _ in env.agent_iter():
                observation, reward, terminated, truncated, info = env.last()
                read += consume({"observation": observation, **info})
                earned += reward
                env.step(None if terminated or truncated else next(said))
            _spoken(said)
        return read

    return play


# ---------------------------------------------------------------- where the time goes
STAGES = {
    "reset": ("session", "reset"),
    "rules: an utterance (parse, act, next state)": ("rules", "utter"),
    "judge: the verdict due at the end": ("judging", "settle"),
    "observation": ("session", "observation"),
    "observation: its text fields": ("session", "texts"),
    "observation: what the table decides, looked up": ("codec", "shown"),
    "observation: its arrays": ("codec", "arrays"),
    "infos": ("session", "infos"),
    "the benchmark itself: consuming": ("stepping", "consume"),
}
"""Stages of a step by (module, function)."""


def profile(utterances: int, chars: int, episodes: int = 400, most: int = 16) -> dict[str, Any]:
    """What `raw_env` with text seats spends its time on (`cProfile`, which makes small calls look dearer than they are)."""
    play = aec(nego_env.raw_env(suite(utterances)), words(utterances, chars))
    play(DILEMMAS)
    profiler = cProfile.Profile()
    profiler.runcall(play, episodes)
    own: dict[tuple[str, str], float] = defaultdict(float)
    whole: dict[tuple[str, str], float] = defaultdict(float)
    for entry in profiler.getstats():
        own[_place(entry.code)] += entry.inlinetime
        whole[_place(entry.code)] += entry.totaltime
    total = sum(own.values())
    dearest = sorted(own.items(), key=lambda item: -item[1])[:most]
    return {
        "share of all time, callees included": {name: f"{whole[at] / total:.0%}" for name, at in STAGES.items()},
        "share of all time, own": {".".join(at): f"{t / total:.1%}" for at, t in dearest},
    }


def _place(code: CodeType | str) -> tuple[str, str]:
    """(module, function) of a profiled piece of code."""
    if isinstance(code, str):  # a function in C: `<built-in method math.fsum>`
        return "builtin", code.removeprefix("<").removesuffix(">").split(" of ")[0].split()[-1].strip("'")
    return Path(code.co_filename).stem, code.co_name


if __name__ == "__main__":
    tyro.cli(Stepping).run()
