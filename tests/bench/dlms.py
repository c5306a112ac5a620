"""DLMS: what a GET costs, in the clear and sealed, how many meters one core reads, beside dlms-cosem's blocking client.

The simulated meter runs in a process of its own, so that only the client's CPU time counts. A read of ours is the
whole driver: association kept, list of attributes, scalers of the meter, values in our units. The peer gets one
attribute and hands out octets; its log is off.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from edge_agent.drivers.dlms.axdr import Data, Tag, decode, encode
from edge_agent.drivers.dlms.bus_settings import DlmsAccessSettings, DlmsTcpSettings
from edge_agent.drivers.dlms.dlms_driver import DlmsDriver
from edge_agent.drivers.dlms.lines import make_dlms_driver
from edge_agent.drivers.dlms.profile import load_dlms_profile
from edge_agent.drivers.driver import Reading
from edge_agent.drivers.registry import shipped_profiles
from metering.clock import SystemClock
from tests.bench.figures import Figure, compared, compared_cost
from tests.bench.readings import TEN
from tests.bench.timing import Turn, rates
from tests.support.dlms_park import AK, EK, GMAC, READER
from tests.support.library_client import IMPORT, client, silence

_OURS: Final = 2  # a meter that remembers our counters; the peer has one of its own
_READS: Final = 1000
_MEETINGS: Final = 50
_ENERGY: Final = frozenset({"active_energy_import"})
_PEER: Final = "dlms-cosem 25.1.0, blocking client, octets only"

_SERVER: Final = """
import asyncio, sys
from tests.support.dlms_park import device, serving

async def main():
    async with serving({1: device(), 2: device()}) as server:
        print(server.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def run(quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    silence()
    repeats = 3 if quick else 7
    with _server() as port, TemporaryDirectory() as name, asyncio.Runner() as runner:
        ways = _Ways(runner, port, Path(name))
        plain, theirs = rates(ways.reads("none", _ENERGY), ways.gets("none"), repeats=repeats)
        yield compared_cost("DLMS GET in the clear", "dlms.cpu_us_per_get", 1e6 / plain, "us", 1e6 / theirs, _PEER)
        sealed, theirs = rates(ways.reads("gmac", _ENERGY), ways.gets("gmac"), repeats=repeats)
        yield compared_cost("DLMS GET sealed", "dlms.cpu_us_per_ciphered_get", 1e6 / sealed, "us", 1e6 / theirs, _PEER)
        listed, one_by_one = rates(ways.reads("gmac", frozenset(TEN)), ways.gets("gmac", len(TEN)), repeats=repeats)
        yield compared(
            "DLMS meters of ten values, association kept", "dlms.meters_per_s", listed, "1/s", one_by_one, _PEER
        )
        (met,) = rates(ways.meetings(), repeats=repeats)
        yield Figure("DLMS meters, full session each", met, "1/s", {"dlms.sessions_per_s": met})
    (rows,) = rates(_profiles(), repeats=repeats)
    yield Figure("DLMS rows of a load profile decoded", rows, "1/s", {"dlms.profile_rows_per_s": rows})


class _Ways:
    """Clients of one meter."""

    def __init__(self, runner: asyncio.Runner, port: int, folder: Path) -> None:
        self._runner = runner
        self._port = port
        self._folder = folder
        for name, key in (("ek", EK), ("ak", AK)):
            (folder / name).write_text(key.hex(), encoding="ascii")
            (folder / name).chmod(0o600)

    def reads(self, way: str, quantities: frozenset[str]) -> Iterator[Turn]:
        """Reads through the driver."""
        driver = self._driver(way)
        assert self._runner.run(driver.connect()) is None

        async def reads() -> int:
            for _ in range(_READS):
                assert isinstance(await driver.read("m", quantities), Reading)
            return _READS

        yield from _for_ever(self._runner, reads)

    def meetings(self) -> Iterator[Turn]:
        """Connect, associate with both proofs, read ten values, part."""
        driver = self._driver("gmac")

        async def meetings() -> int:
            for _ in range(_MEETINGS):
                assert await driver.connect() is None
                assert isinstance(await driver.read("m", frozenset(TEN)), Reading)
                driver.close()
            return _MEETINGS

        yield from _for_ever(self._runner, meetings)

    def gets(self, way: str, attributes: int = 1) -> Iterator[Turn]:
        """Attributes one by one through the peer; a unit is so many of them."""
        peer = client(self._port, way, first_counter=self._ahead())
        peer.connect()
        peer.associate()

        def gets() -> int:
            for _ in range(_READS // attributes):
                for _ in range(attributes):
                    peer.get(IMPORT)
            return _READS // attributes

        try:
            while True:
                yield gets
        finally:
            peer.transport.io.disconnect()

    def _ahead(self) -> int:
        """Counters that the meter has not heard of yet: its memory is one for all clients of a key."""
        self._counters = getattr(self, "_counters", 0) + 10_000_000
        return self._counters

    def _driver(self, way: str) -> DlmsDriver:
        bus = DlmsTcpSettings(
            id="b",
            type="dlms_tcp",
            host="127.0.0.1",
            port=self._port,
            system_title="57544c0000000001",
            counters=self._folder,
        )
        secrets: dict[str, Any] = {
            "encryption_key_file": str(self._folder / "ek"),
            "authentication_key_file": str(self._folder / "ak"),
        }
        access = (
            DlmsAccessSettings(server=_OURS, client=READER, security="none")
            if way == "none"
            else DlmsAccessSettings(server=_OURS, client=GMAC, **secrets)
        )
        profile = load_dlms_profile(shipped_profiles() / "dlms" / "iec_generic.yaml")
        return make_dlms_driver(bus, {"m": (access, profile, (1.0, 1.0))}, SystemClock())


@contextmanager
def _server() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


def _profiles() -> Iterator[Turn]:
    row = Data(
        Tag.STRUCTURE,
        (Data(Tag.OCTET_STRING, bytes(12)), Data(Tag.UINT8, 0), *(Data(Tag.UINT32, 1_000_000) for _ in range(3))),
    )
    octets = encode(Data(Tag.ARRAY, (row,) * 2880))

    def decoded() -> int:
        for _ in range(10):
            decode(octets)
        return 28_800

    while True:
        yield decoded


def _for_ever(runner: asyncio.Runner, reads: Callable[[], Coroutine[None, None, int]]) -> Iterator[Turn]:
    while True:
        yield lambda: runner.run(reads())
