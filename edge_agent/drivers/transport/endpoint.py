"""Opens the connection to a TCP endpoint, in the clear or inside TLS, or says why it cannot be opened."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final, Protocol

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.transport.stream import Stream

_LEAST_S: Final = 1.0  # a name is looked up and hands are shaken, however fast the meters answer


class Endpoint(Protocol):
    """Where to connect to."""

    @property
    def host(self) -> str:
        """Name or address."""
        ...

    @property
    def port(self) -> int:
        """TCP port."""
        ...

    @property
    def timeout(self) -> float:
        """How long an answer may take, s; connecting may take a second at least."""
        ...


class TlsEndpoint(Endpoint, Protocol):
    """The same inside TLS."""

    @property
    def ca_file(self) -> Path:
        """Who vouches for the endpoint, PEM."""
        ...

    @property
    def certificate_file(self) -> Path | None:
        """Our own certificate, PEM."""
        ...

    @property
    def key_file(self) -> Path | None:
        """Its key, PEM."""
        ...

    @property
    def check_server_name(self) -> bool:
        """Whether the endpoint's certificate must carry its name."""
        ...


async def open_tcp(settings: Endpoint) -> Stream | ReadFailure:
    """A connection in the clear."""
    return await _opened(settings.host, settings.port, settings.timeout, None)


async def open_tls(settings: TlsEndpoint) -> Stream | ReadFailure:
    """A connection inside TLS 1.2 or newer; there is no way back to the clear."""
    try:
        context = _context(settings)
    except (OSError, ValueError) as error:
        return ReadFailure(Reason.UNTRUSTED, f"{_unreadable(settings, error)}")
    return await _opened(settings.host, settings.port, settings.timeout, context)


def _context(settings: TlsEndpoint) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.check_server_name
    if settings.certificate_file is not None:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    return context


def _unreadable(settings: TlsEndpoint, error: Exception) -> str:
    files = [str(path) for path in (settings.ca_file, settings.certificate_file, settings.key_file) if path is not None]
    return f"{', '.join(files)}: {getattr(error, 'strerror', None) or error}"


async def _opened(host: str, port: int, timeout_s: float, context: ssl.SSLContext | None) -> Stream | ReadFailure:
    loop = asyncio.get_running_loop()
    why = _why_lost if context is None else _why_lost_in_tls
    try:
        async with asyncio.timeout(max(timeout_s, _LEAST_S)):
            _, stream = await loop.create_connection(lambda: Stream(why), host, port, ssl=context)
    except OSError as error:
        return _why_not(error, host, port, tls=context is not None)
    except ValueError:  # it can be no name: 10.0..5
        return ReadFailure(Reason.UNKNOWN_HOST, host)
    return stream


def _why_not(error: OSError, host: str, port: int, *, tls: bool) -> ReadFailure:
    place = f"{host}:{port}"
    match error:
        case socket.gaierror():
            return ReadFailure(Reason.UNKNOWN_HOST, host)
        case ConnectionRefusedError():
            return ReadFailure(Reason.REFUSED, place)
        case ssl.SSLCertVerificationError():
            return ReadFailure(Reason.UNTRUSTED, f"{place}: {error.verify_message}")
        case ssl.SSLError():
            return ReadFailure(Reason.TLS_REFUSED, f"{place}: {error.reason or error}")
        case ConnectionError() if tls:  # it took the call and dropped it
            return ReadFailure(Reason.TLS_REFUSED, f"{place}: {error.strerror or error}")
    return ReadFailure(Reason.UNREACHABLE, place)


def _why_lost(_: Stream, error: Exception | None) -> ReadFailure:
    return ReadFailure(Reason.LINK_LOST, "" if error is None else str(error))


def _why_lost_in_tls(stream: Stream, error: Exception | None) -> ReadFailure:
    """With TLS 1.3 an endpoint that refuses our certificate says so, or just hangs up, after the handshake."""
    if isinstance(error, ssl.SSLError):
        return ReadFailure(Reason.TLS_REFUSED, error.reason or str(error))
    if not stream.heard:
        return ReadFailure(Reason.TLS_REFUSED, "closed before the first answer; is our certificate known there?")
    return _why_lost(stream, error)
