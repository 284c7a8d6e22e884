"""What may stand after `hf:` on a command line: a model's name, then options: `hf:nego-tiny,temperature=0.7,top_p=0.9`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from nego_agents.local.sampling import Sampling
from nego_env.errors import AgentError, unknown_name

TINY = "nego-tiny"


@dataclass(frozen=True)
class Options:
    """An `hf` agent's options."""

    model: str = TINY
    """nego-tiny, a folder, or a name on the hub."""
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    max_new_tokens: int = 96
    """Per utterance; the final answer may have four times as many."""
    completion_temperature: float | None = None
    """For the final answer; `temperature` by default."""
    style: str = ""
    """`full` or `brief`; the model's own by default."""
    device: str = "auto"
    dtype: str = "auto"
    revision: str = ""
    """A branch, tag or commit on the hub."""

    @classmethod
    def parse(cls, argument: str) -> Options:
        """Raises `NotFoundError` for an unknown option, `AgentError` for a value of the wrong kind."""
        model, *pairs = argument.split(",")
        found: dict[str, object] = {"model": model or TINY}
        kinds = {f.name: f.type for f in fields(cls) if f.name != "model"}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if name not in kinds:
                raise unknown_name("option of hf", name, kinds, hint="hf:MODEL,temperature=0.7,max_new_tokens=64")
            kind = float if "float" in str(kinds[name]) else int if kinds[name] == "int" else str
            try:
                found[name] = kind(value if equals else "")
            except ValueError:
                raise AgentError(f"hf: {name} is {value!r}, expected a number ({kind.__name__})") from None
        return cls(**found)  # type: ignore[arg-type]  # each value has been made of its field's type

    @property
    def sampling(self) -> Sampling:
        """For utterances. Raises `SettingsError` for values out of range."""
        return Sampling(self.temperature, self.top_p, self.max_new_tokens)

    @property
    def completion_sampling(self) -> Sampling:
        """For the final answer."""
        return completion_of(self.sampling, self.completion_temperature)


def completion_of(sampling: Sampling, temperature: float | None = None) -> Sampling:
    """How a final answer is sampled by default: as an utterance, but a plan takes more words."""
    return replace(
        sampling,
        temperature=sampling.temperature if temperature is None else temperature,
        max_new_tokens=4 * sampling.max_new_tokens,
    )
