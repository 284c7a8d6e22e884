"""How many tokens a model sampled in an episode: from the token file where there is one, else from the sidecar."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nego_env.store import EpisodeMeta, meta_path
from nego_env.tokens import EpisodeTokens, read_tokens, tokens_path

USAGE = ("completion_tokens", "output_tokens")
"""What endpoints and local models call sampled tokens in their usage."""


def sampled(tokens: EpisodeTokens) -> int:
    """Tokens sampled in an episode, by all seats that a model played."""
    return sum(len(turn.said) for turn in tokens.turns)


def token_counts(path: str | Path) -> dict[tuple[str, int], int]:
    """Sampled tokens by (episode id, attempt) for a transcript file; episodes nothing is known of are missing."""
    path = Path(path)
    found = _from_sidecar(path)
    if tokens_path(path).exists():
        found |= {key: sampled(episode) for key, episode in read_tokens(path).items() if episode.turns}
    return found


def _from_sidecar(path: Path) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    if not meta_path(path).exists():
        return found
    decoder = msgspec.json.Decoder(EpisodeMeta)
    for line in meta_path(path).read_bytes().split(b"\n"):
        try:
            meta = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):  # torn, or empty: the sidecar is never needed
            continue
        counts = [next((turn.usage[u] for u in USAGE if u in turn.usage), None) for turn in meta.turns]
        if any(c is not None for c in counts):
            found[meta.id, meta.attempt] = sum(c or 0 for c in counts)
    return found
