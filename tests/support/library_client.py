"""A meter read by dlms-cosem: somebody else's client, to try the simulated meter with. Blocking; run it in a thread."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, Final

import structlog
from dlms_cosem import cosem, enumerations
from dlms_cosem.client import DlmsClient
from dlms_cosem.hdlc.frames import HDLC_FLAG
from dlms_cosem.io import BlockingTcpIO, HdlcTransport, TcpTransport
from dlms_cosem.security import (
    HighLevelSecurityGmacAuthentication,
    LowLevelSecurityAuthentication,
    NoSecurityAuthentication,
)

from tests.support.dlms_park import AK, EK, GMAC, LOW, PASSWORD, READER

IMPORT: Final = cosem.CosemAttribute(enumerations.CosemInterface.REGISTER, cosem.Obis(1, 0, 1, 8, 0), 2)
OBJECTS: Final = cosem.CosemAttribute(enumerations.CosemInterface.ASSOCIATION_LN, cosem.Obis(0, 0, 40, 0, 0), 2)

# It prints what it sends, passwords included.
_QUIET = structlog.make_filtering_bound_logger(logging.CRITICAL)


class NumberedGmac(HighLevelSecurityGmacAuthentication):
    """As the library's, but the proof and the message that carries it do not share a counter."""

    def hls_generate_reply_data(self, connection: Any) -> bytes:
        reply: bytes = super().hls_generate_reply_data(connection)
        connection.client_invocation_counter += 1
        return reply


class FlagByFlag(HdlcTransport):
    """As the library's, which takes the second of two flag octets in a row for the start of a frame.

    It then waits for the end of a frame that has ended, once two stand in a challenge or one ends a checksum.
    """

    def recv_frame(self) -> bytes:
        received: bytes = self.io.recv_until(HDLC_FLAG)
        return received


def silence() -> None:
    """For a whole process that does nothing but measure."""
    structlog.configure(wrapper_class=_QUIET)


def client(port: int, way: str, framing: str = "wrapper", first_counter: int = 10) -> DlmsClient:
    """A client that has not called yet; ``way`` is none, low, gmac or gmac_reusing (as the library does it)."""
    address, authentication = {
        "none": (READER, NoSecurityAuthentication()),
        "low": (LOW, LowLevelSecurityAuthentication(secret=PASSWORD)),
        "gmac": (GMAC, NumberedGmac()),
        "gmac_reusing": (GMAC, HighLevelSecurityGmacAuthentication()),
    }[way]
    io = BlockingTcpIO("127.0.0.1", port, timeout=2)
    transport = (TcpTransport if framing == "wrapper" else FlagByFlag)(
        client_logical_address=address, server_logical_address=1, io=io, timeout=2
    )
    keys = {"encryption_key": EK, "authentication_key": AK} if way.startswith("gmac") else {}
    return DlmsClient(
        transport=transport,
        authentication=authentication,
        client_system_title=b"LIB\0\0\0\0\x01",
        client_initial_invocation_counter=first_counter,
        **keys,
    )


@contextlib.contextmanager
def associated(dlms: DlmsClient) -> Iterator[DlmsClient]:
    """With an association, in silence, and without a connection left over when it fails."""
    ours = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=_QUIET)
    try:
        with dlms.session() as session:
            yield session
    finally:
        structlog.configure(wrapper_class=ours)
        dlms.transport.io.disconnect()
