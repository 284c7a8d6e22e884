"""Where a chat server is, which key it gets, and what may never be shown of either."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from nego_env.errors import SettingsError

OPENAI = "https://api.openai.com/v1"
_PATH = "/chat/completions"
_SHAPED = re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai|nvapi)[-_][A-Za-z0-9_\-]{12,}")
"""What keys of well-known services look like."""


class Secrets:
    """Words that must not get into an error, a log or a file. Prints as nothing."""

    __slots__ = ("_words",)

    def __init__(self, *words: str) -> None:
        self._words = tuple(sorted({w for w in words if w}, key=len, reverse=True))

    def scrub(self, text: str) -> str:
        """The text without them, and without anything that looks like a service's key."""
        text = self.conceal(text)
        return _SHAPED.sub("[key]", text)

    def conceal(self, text: str) -> str:
        """The text without these very words: for what a model said."""
        for word in self._words:
            if word in text:
                text = text.replace(word, "[key]")
        return text

    def begun(self, text: str) -> int:
        """How many characters at its end may be the beginning of one of them, for text that is still coming."""
        return max(
            (n for word in self._words for n in range(1, min(len(word), len(text) + 1)) if text.endswith(word[:n])),
            default=0,
        )

    def __repr__(self) -> str:
        return "Secrets()"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not written down")


@dataclass(frozen=True)
class Server:
    """A base URL with what belongs to it."""

    url: str
    """Of the chat completions themselves."""
    base: str
    """What the user calls it."""
    host: str
    """Host and port, as errors name it."""
    key_from: str
    """The environment variable its key comes from; empty without one."""
    proxy: str | None = field(repr=False)
    """Of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), never for this machine itself."""
    secrets: Secrets
    _key: Secrets

    @classmethod
    def at(cls, url: str = "", environment: Mapping[str, str] | None = None) -> Server:
        """The server at a base URL (`localhost:8000`, `https://host/v1`), by default the environment's. Raises `SettingsError`
        for what is no URL, and for one with a password in it."""
        env = os.environ if environment is None else environment
        given = url or env.get("OPENAI_BASE_URL", "") or OPENAI
        parts = _parts(given)
        key_from = _key_from(parts, env)
        key, proxy = env.get(key_from, "").strip(), _proxy(parts)
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise SettingsError(f"{key_from} holds no key: it has blanks or characters that no key has")
        base = f"{parts.scheme}://{parts.netloc}{parts.path}"
        password = (urlsplit(proxy).password or "") if proxy else ""
        return cls(
            url=base + _PATH + (f"?{parts.query}" if parts.query else ""),
            base=base,
            host=parts.netloc,
            key_from=key_from if key else "",
            proxy=proxy,
            secrets=Secrets(key, password, unquote(password)),
            _key=Secrets(key),
        )

    def headers(self) -> dict[str, str]:
        """Of every call, the key among them."""
        fixed = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "nego-env"}
        key = next(iter(self._key._words), "")
        return {**fixed, "Authorization": f"Bearer {key}"} if key else fixed

    @property
    def key_names(self) -> str:
        """Where a key may be put, for an error that asks for one."""
        return f"{_own_name(self.host)} or NEGO_API_KEY" + (" or OPENAI_API_KEY" if self.base == OPENAI else "")


def _parts(url: str) -> SplitResult:
    named = url.strip()
    if "://" not in named:
        named = f"{'http' if _is_here(named.split('/')[0].rsplit(':', 1)[0]) else 'https'}://{named}"
    try:
        parts = urlsplit(named)
        _ = parts.port
    except ValueError:
        raise SettingsError("the base URL cannot be read; expected http://HOST:PORT/v1") from None
    if parts.username or parts.password or "@" in parts.netloc:
        raise SettingsError("the base URL holds a user name or password: keys come from the environment (NEGO_API_KEY)")
    if re.search(r"key|token|secret|password", parts.query, re.IGNORECASE):
        raise SettingsError("the base URL holds a key: keys come from the environment (NEGO_API_KEY)")
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", named):
        raise SettingsError(f"{url!r} is no base URL; expected http://HOST:PORT/v1 or https://HOST/v1")
    path = parts.path.rstrip("/").removesuffix(_PATH)
    return parts._replace(path=path or "/v1", netloc=parts.netloc.lower(), fragment="")


def _is_here(host: str) -> bool:
    """The host is this machine."""
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _own_name(host: str) -> str:
    """The variable that holds one host's key: `NEGO_API_KEY_API_OPENAI_COM`."""
    return "NEGO_API_KEY_" + re.sub(r"[^A-Z0-9]+", "_", host.rsplit(":", 1)[0].upper()).strip("_")


def _key_from(parts: SplitResult, env: Mapping[str, str]) -> str:
    """Which variable to take the key from. OpenAI's own key goes to OpenAI, or where OPENAI_BASE_URL says, and nowhere else."""
    own = _own_name(parts.netloc)
    theirs = {urlsplit(OPENAI).netloc}
    if named := env.get("OPENAI_BASE_URL", ""):
        theirs = {_parts(named).netloc}
    if env.get(own):
        return own
    if parts.netloc in theirs and env.get("OPENAI_API_KEY"):
        return "OPENAI_API_KEY"
    return "NEGO_API_KEY"


def _proxy(parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    if _is_here(host) or urllib.request.proxy_bypass(host):
        return None
    found = urllib.request.getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    return proxy if proxy and urlsplit(proxy).scheme in ("http", "https") else None
