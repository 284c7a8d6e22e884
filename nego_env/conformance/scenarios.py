"""What a scenario promises: see `check_scenario`."""

from __future__ import annotations

import numpy as np

from nego_env.accounting import CA_MAX, report
from nego_env.conformance.samples import ConformanceError, partner, play_at
from nego_env.scenario import Scenario, decode_scenario, encode_scenario
from nego_env.transcript import Transcript, decode
from nego_env.view import rules_text
from nego_env.wording import issues_text, stakes_text


def check_scenario(scenario: Scenario, *, episodes: int = 2, seed: int = 0) -> None:
    """Raises `ConformanceError` at the first promise that a scenario breaks. A scenario

    1. *round-trips*: encoded and decoded it is the same, and so is its content hash;
    2. has a task that ends in a question, and seats that *want different things*: no two share a persona (and stakes);
    3. keeps them *private*: nothing that another seat reads holds a persona;
    4. when structured, has finite accounts, and a best deal that is worth CA 5 and costs nobody his walk-away value, unless
       it is `no_zopa`;
    5. *plays*: whatever is said, an episode ends within the cap, with rewards in [0, 5], and its transcript round-trips.
    """
    _check_round_trip(scenario)
    _check_words(scenario)
    if scenario.issues:
        _check_accounts(scenario)
    for t in play_at([partner] * scenario.n, scenario, episodes, seed):
        _check_episode(scenario, t)


def _unsound(s: Scenario, promise: str, what: str) -> ConformanceError:
    return ConformanceError(f"scenario {s.id!r} breaks its promise: {promise}: {what}")


def _check_round_trip(s: Scenario) -> None:
    again = decode_scenario(encode_scenario(s), s.id)
    if again != s:
        raise _unsound(s, "round-trips", "decoded from its own JSON it is another scenario")
    if again.content_hash != s.content_hash:
        raise _unsound(s, "round-trips", f"content hash {s.content_hash[:12]} became {again.content_hash[:12]}")


def _check_words(s: Scenario) -> None:
    if not s.task.rstrip().rstrip("\"'”’»)").endswith(("?", "？", "؟")):
        raise _unsound(s, "the task ends in a question", f"it ends {s.task.rstrip()[-40:]!r}")
    said = [" ".join(seat.persona.casefold().split()) for seat in s.seats]
    wants = [(persona, seat.stakes) for persona, seat in zip(said, s.seats, strict=True)]
    for i, want in enumerate(wants):
        if wants.index(want) != i:
            raise _unsound(s, "seats want different things", f"seat_{wants.index(want)} and seat_{i} have one persona")
    for me in range(s.n):
        own = s.for_seat(me)
        read = "\n".join(
            (
                own.task,
                rules_text(own, me, s.protocol.max_rounds),
                issues_text(own),
                stakes_text(own, own.seats[me].stakes),
            )
        )
        seen = " ".join(read.casefold().split())
        for i, persona in enumerate(said):
            if i != me and persona in seen:
                raise _unsound(s, "personas are private", f"seat_{me} reads the persona of seat_{i}")


def _check_accounts(s: Scenario) -> None:
    table = s.table
    if not (np.isfinite(table.scores).all() and np.isfinite(table.gains).all() and np.isfinite(table.ca).all()):
        raise _unsound(s, "finite accounts", "a deal has a score, gain or CA that is no finite number")
    if s.no_zopa:
        return
    best = report(s, table.best_deal)
    if best.ca != CA_MAX or not all(best.thresholds_met):
        raise _unsound(s, "the best deal is worth CA 5 and costs nobody", f"{' '.join(best.deal)} has CA {best.ca:g}")


def _check_episode(s: Scenario, t: Transcript) -> None:
    if not t.scored:
        raise _unsound(s, "plays to an end", f"stopped by {t.stop.value}: {t.error}")
    spoken = sum(u.phase == "dialogue" for u in t.utterances)
    if spoken > t.settings.max_rounds * s.n:
        raise _unsound(s, "ends within the cap", f"{spoken} utterances in {t.settings.max_rounds} rounds of {s.n}")
    if t.rewards is None or not all(0.0 <= r <= CA_MAX for r in t.rewards):
        raise _unsound(s, "rewards lie in [0, 5]", f"{t.rewards}")
    if decode(t.encode(), s.id) != t:
        raise _unsound(s, "its transcript round-trips", f"episode {t.id} decoded is another")
