"""Bytes there and back: one HTTP session per event loop, one call at a time; imports aiohttp.

1. A session belongs to the event loop it was made in and is closed when that loop ends: an asynchronous generator holds it,
   and whoever ends a loop properly (`asyncio.run` does) closes its generators.
2. Redirects are followed on the same host only, by posting again; a key goes to no other.
3. A reply may have no more than `MOST_BYTES`, take no longer than `total` seconds, and not pause for `idle`.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from nego_agents.chat.faults import Fault, elsewhere
from nego_agents.chat.server import Server

MOST_BYTES = 8 * 2**20
"""Of one reply."""
_CONNECT = 15.0
"""Seconds to reach a server."""
_REDIRECTS = (301, 302, 307, 308)
_HOPS = 3
_NO_ROUTE = {
    errno.ECONNREFUSED: "refuses connections: is the server running, and on this port?",
    errno.ENETUNREACH: "cannot be reached: there is no network to it",
    errno.EHOSTUNREACH: "cannot be reached: there is no way to this host",
}


@dataclass(frozen=True)
class Limits:
    """Seconds a call may take, and may pause."""

    total: float = 600.0
    idle: float = 300.0


@dataclass(frozen=True)
class Raw:
    """A reply as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Feed(Protocol):
    """Takes a stream of events apart as it comes."""

    def feed(self, chunk: bytes) -> bool:
        """Takes the next bytes; True when the last event was among them. Raises `Fault`."""
        ...


class Wire:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # it would also send what ~/.netrc holds; proxies are found by `Server`
        )
        self._slots: dict[tuple[str, int], asyncio.Semaphore] = {}
        self._keeper = self._keep()

    def slots(self, host: str, concurrency: int) -> asyncio.Semaphore:
        """So many calls at once to a host."""
        return self._slots.setdefault((host, concurrency), asyncio.Semaphore(concurrency))

    async def _keep(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.session.close()

    async def open(self) -> None:
        """From here on the session ends with its loop."""
        await anext(self._keeper)

    async def close(self) -> None:
        """Before its loop ends."""
        await self._keeper.aclose()


_WIRES: WeakKeyDictionary[asyncio.AbstractEventLoop, Wire] = WeakKeyDictionary()


async def wire() -> Wire:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    found = _WIRES.get(loop)
    if found is None or found.session.closed:
        found = _WIRES[loop] = Wire()
        await found.open()
    return found


async def close_wire() -> None:
    """Closes the running loop's connections, if there are any."""
    found = _WIRES.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


class Line:
    """One server's address with what is sent along, made once for all calls."""

    def __init__(self, server: Server, limits: Limits) -> None:
        self.server, self.limits = server, limits
        self._url = URL(server.url, encoded=True)
        self._fixed: dict[str, Any] = {
            "headers": CIMultiDict(server.headers()),
            "proxy": server.proxy,
            "allow_redirects": False,
            "timeout": aiohttp.ClientTimeout(
                total=limits.total, sock_connect=min(_CONNECT, limits.total), sock_read=limits.idle
            ),
        }

    async def post(self, session: aiohttp.ClientSession, data: bytes, feed: Feed) -> Raw:
        """A reply, whatever its status. Where it is a stream of events, its body goes to the `feed` and comes back empty. Raises
        `Fault` for one that does not arrive."""
        url, server = self._url, self.server
        try:
            for _ in range(_HOPS):
                raw = await self._once(session, url, data, feed)
                if raw.status not in _REDIRECTS:
                    return raw
                url = URL(_same_host(str(url), raw, server), encoded=True)
        except TimeoutError as e:
            raise _timed_out(e, server, self.limits) from None
        except (aiohttp.ClientError, OSError) as e:
            raise _broken(e, server) from None
        raise Fault(f"{server.host} redirects in a circle; is {server.base} the base URL?", passing=False)

    async def _once(self, session: aiohttp.ClientSession, url: URL, data: bytes, feed: Feed) -> Raw:
        async with session.post(url, data=data, **self._fixed) as response:
            streams = response.status == 200 and response.content_type == "text/event-stream"
            content, pieces, size = response.content, [], 0
            while chunk := await content.readany():
                size += len(chunk)
                if size > MOST_BYTES:
                    response.close()
                    raise Fault(f"{self.server.host} sent more than {MOST_BYTES >> 20} MiB for one answer")
                if not streams:
                    pieces.append(chunk)
                elif feed.feed(chunk):
                    break
            return Raw(response.status, response.headers, b"".join(pieces))


def _same_host(url: str, raw: Raw, server: Server) -> str:
    """Where a redirect leads, if that is the same host; http may become https there."""
    target = urljoin(url, raw.headers.get("Location", ""))
    try:
        here, there = urlsplit(url), urlsplit(target)
        same = (here.hostname, here.port) == (there.hostname, there.port) and here.scheme == there.scheme
        safer = here.hostname == there.hostname and (here.scheme, there.scheme) == ("http", "https")
        plain = here.port in (None, 80) and there.port in (None, 443)
    except ValueError:
        raise elsewhere(raw.status, "an address that cannot be read", server) from None
    if not (same or (safer and plain)) or there.username or there.password:
        raise elsewhere(raw.status, f"{there.scheme}://{there.hostname}{there.path}", server)
    return target


def _timed_out(e: TimeoutError, server: Server, limits: Limits) -> Fault:
    if isinstance(e, aiohttp.ConnectionTimeoutError):
        return Fault(f"{server.host} cannot be reached: no connection within {_CONNECT:g} s", reached=False)
    if isinstance(e, aiohttp.SocketTimeoutError):
        return Fault(f"{server.host} sent nothing for {limits.idle:g} s (idle_timeout)")
    return Fault(f"{server.host} did not finish its answer within {limits.total:g} s (timeout)")


def _broken(e: aiohttp.ClientError | OSError, server: Server) -> Fault:
    """The fault behind an error of the connection."""
    if isinstance(e, aiohttp.ClientProxyConnectionError):
        return Fault(
            f"the proxy for {server.host} cannot be reached: see HTTP_PROXY, HTTPS_PROXY and NO_PROXY", reached=False
        )
    if isinstance(e, aiohttp.ClientHttpProxyError):
        return Fault(
            f"the proxy for {server.host} answered {e.status}: see HTTP_PROXY, HTTPS_PROXY and NO_PROXY", reached=False
        )
    if isinstance(e, aiohttp.ClientConnectorDNSError) or isinstance(getattr(e, "os_error", None), socket.gaierror):
        return Fault(f"there is no host {server.host}: check the spelling of {server.base}", reached=False)
    if isinstance(e, aiohttp.ClientSSLError):
        why = server.secrets.scrub(str(getattr(e, "certificate_error", e)))
        return Fault(
            f"{server.host}: no safe connection ({why}): is it https, and its certificate known here?", reached=False
        )
    if isinstance(e, aiohttp.ClientConnectorError):
        what = _NO_ROUTE.get(e.os_error.errno or 0, f"cannot be reached ({e.os_error.strerror or 'no connection'})")
        return Fault(f"{server.host} {what}", reached=False)
    if isinstance(e, aiohttp.ClientPayloadError):
        return Fault(f"{server.host} broke off in the middle of its answer")
    if isinstance(e, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)):
        return Fault(f"{server.host} closed the connection without an answer")
    return Fault(f"{server.host}: the call failed ({type(e).__name__}); does it speak HTTP at {server.base}?")
