"""Modbus/TCP Security: whom we trust, what a refused certificate says, and that nothing goes out in the clear."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusTlsSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.mbap_link import MbapLink
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.modbus.rtu_link import RtuLink
from metering.clock import SystemClock
from simulators.modbus_meter import ModbusServer
from tests.support.certificates import authority, certificate
from tests.support.metered import FUNCTION, endpoint, registers

BLOCK = Span(0, 10)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    ca = authority(folder, "park")
    certificate(folder, "meter", ca)
    certificate(folder, "gateway", ca)
    certificate(folder, "elsewhere", ca, "DNS:elsewhere.example")
    authority(folder, "stranger")
    return folder


@pytest.fixture
async def server(request: pytest.FixtureRequest, papers: Path) -> AsyncIterator[ModbusServer]:
    name, wants_ours = getattr(request, "param", ("meter", True))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=papers / "park.crt")
    context.load_cert_chain(papers / f"{name}.crt", papers / f"{name}.key")
    if wants_ours:
        context.verify_mode = ssl.CERT_REQUIRED
    started = ModbusServer(endpoint(), SystemClock(), tls=context)
    await started.start()
    yield started
    await started.stop()
    await asyncio.sleep(0.01)


def link_to(port: int, papers: Path, ours: str | None = "gateway", **more: object) -> MbapLink | RtuLink:
    document: dict[str, object] = {"id": "b", "type": "modbus_tls", "host": "localhost", "port": port}
    document |= {"ca_file": str(papers / "park.crt"), "timeout": "2s"}
    if ours is not None:
        document |= {"certificate_file": str(papers / f"{ours}.crt"), "key_file": str(papers / f"{ours}.key")}
    return make_link(ModbusTlsSettings.model_validate(document | more))


async def outcome(link: MbapLink | RtuLink) -> list[int] | ReadFailure:
    """What a first read says, refused at the handshake or behind it."""
    failure = await link.connect()
    said = await link.read(1, FUNCTION, BLOCK) if failure is None else failure
    link.close()
    return said


async def test_both_sides_show_their_papers(server: ModbusServer, papers: Path):
    assert await outcome(link_to(server.port, papers)) == registers(BLOCK)


@pytest.mark.parametrize(("ours", "reason"), [(None, Reason.TLS_REFUSED), ("stranger", Reason.TLS_REFUSED)])
async def test_an_endpoint_that_does_not_know_us_ends_it(server: ModbusServer, papers: Path, ours, reason: Reason):
    failure = await outcome(link_to(server.port, papers, ours))

    assert isinstance(failure, ReadFailure)
    assert failure.reason is reason
    assert failure.detail


async def test_an_endpoint_of_another_authority_is_not_trusted(server: ModbusServer, papers: Path):
    failure = await outcome(link_to(server.port, papers, ca_file=str(papers / "stranger.crt")))

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.UNTRUSTED


@pytest.mark.parametrize("server", [("elsewhere", False)], indirect=True)
async def test_the_name_in_the_certificate_is_checked_unless_told_otherwise(server: ModbusServer, papers: Path):
    failure = await outcome(link_to(server.port, papers))

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.UNTRUSTED
    assert "localhost" in failure.detail
    assert await outcome(link_to(server.port, papers, check_server_name=False)) == registers(BLOCK)


async def test_nothing_goes_out_in_the_clear_to_an_endpoint_without_tls(papers: Path):
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(1000))
        writer.write(bytes.fromhex("0001000000050103020000"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as plain:
        failure = await outcome(link_to(plain.sockets[0].getsockname()[1], papers))

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.TLS_REFUSED
    assert heard[:2] == b"\x16\x03"  # a TLS handshake record, and nothing else


async def test_papers_that_cannot_be_read_are_named(server: ModbusServer, papers: Path, tmp_path: Path):
    (tmp_path / "empty.crt").touch()

    failure = await outcome(link_to(server.port, papers, ca_file=str(tmp_path / "empty.crt")))

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.UNTRUSTED
    assert "empty.crt" in failure.detail
