"""Mutual TLS with a real broker: who is let in, what a wrong certificate says, and that nothing is lost meanwhile."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from collector_script import TOPICS, collector_at
from edge_servers import Broker
from structlog.testing import capture_logs

from edge_agent.publishing.publisher import Publisher, PublishSettings
from edge_agent.signals import Counters
from edge_agent.spool.spool import Spool
from metering.control import EdgeStatus, ReadCommand, ReadReply, encode_control
from metering.ending import end
from metering.errors import LinkLost, StopAndFix
from metering.mqtt_link import MqttLink, Will
from metering.mqtt_settings import MqttSettings
from metering.round import Column, Origin, Round, pack
from simulators.stack import free_port
from tests.support.certificates import authority, certificate

NOW = 1_772_400_000_000
ROUNDS = 5

# paho leaves the socket of a failed handshake to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _collected_here() -> Iterator[None]:
    """The collector shall find those sockets now, and not in the middle of somebody else's test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@dataclass
class SecureBroker(Broker):
    """Lets in who shows a certificate of its authority, and on a second port whoever is on this machine."""

    open_port: int = 0

    async def start(self) -> None:
        self.open_port = self.open_port or free_port()
        await super().start()

    def ports(self) -> list[int]:
        return [self.port, self.open_port]

    def configuration(self) -> str:
        return (
            "user root\nper_listener_settings true\n"
            f"listener {self.port} 127.0.0.1\ncafile {self.folder}/park.crt\ncertfile {self.folder}/broker.crt\n"
            f"keyfile {self.folder}/broker.key\nrequire_certificate true\nuse_identity_as_username true\n"
            f"allow_anonymous true\nlistener {self.open_port} 127.0.0.1\nallow_anonymous true\n"
        )


@pytest.fixture
async def secure(tmp_path: Path):
    park = authority(tmp_path, "park")
    certificate(tmp_path, "broker", park)
    certificate(tmp_path, "gateway", park)
    certificate(tmp_path, "stranger", authority(tmp_path, "elsewhere"))
    broker = SecureBroker(tmp_path, free_port())
    await broker.start()
    yield broker
    await broker.kill()


@pytest.fixture
def spool(tmp_path: Path):
    one = Spool(tmp_path / "spool.db", "park-01", 1 << 20, 86_400_000)
    column = Column.of("active_power", [1.5])
    for i in range(ROUNDS):
        at = NOW + 60_000 * i
        times = pack([at], "q")
        one.append(Round("park-01", "main", Origin.LIVE, 60_000, at, ("m1",), times, pack([0], "I"), (column,)), at)
    yield one
    one.close()


def link_to(broker: SecureBroker, *, ca: str = "park", own: str = "gateway", host: str = "localhost") -> MqttLink:
    files = {"certificate_file": broker.folder / f"{own}.crt", "key_file": broker.folder / f"{own}.key"} if own else {}
    settings = MqttSettings(host=host, port=broker.port, ca_file=broker.folder / f"{ca}.crt", **files)
    will = Will(TOPICS.up("00", "park-01", "status"), encode_control(EdgeStatus("offline")))
    return MqttLink(settings, "park-01", will)


@asynccontextmanager
async def publishing(link: MqttLink, spool: Spool):
    async def status() -> EdgeStatus:
        return EdgeStatus("online")

    async def answer(command: ReadCommand) -> ReadReply:
        return ReadReply(command.id, command.read)

    publisher = Publisher(link, spool, PublishSettings(), TOPICS, "00", "park-01", status, answer, Counters())
    running = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        await end([running])


async def test_both_sides_show_a_certificate_and_rounds_flow(secure: SecureBroker, spool: Spool):
    async with collector_at(secure.open_port, automatic=True) as collector:
        await collector.announce()
        async with publishing(link_to(secure), spool):
            await collector.until(lambda: spool.acknowledged == ROUNDS)

    assert collector.seqs == [1, 2, 3, 4, 5]


async def refusal(link: MqttLink) -> str:
    with pytest.raises(LinkLost) as lost:
        async with asyncio.timeout(20), link.connected() as connection:
            await connection.subscribe(["never/heard"])
    return str(lost.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ca": "elsewhere"}, "certificate verify failed"),  # the broker is not who it should be
        ({"host": "127.0.0.1"}, "certificate is not valid for '127.0.0.1'"),  # nor where it should be
    ],
)
async def test_a_broker_that_is_not_the_one_meant_gets_nothing(
    secure: SecureBroker, options: dict[str, str], said: str
):
    assert said in await refusal(link_to(secure, **options))


async def test_who_shows_a_foreign_certificate_or_none_is_not_let_in(secure: SecureBroker):
    links = [link_to(secure, own="stranger"), link_to(secure, own="")]

    assert all(await asyncio.gather(*(refusal(link) for link in links)))


async def test_with_the_wrong_authority_it_tries_on_and_loses_nothing(secure: SecureBroker, spool: Spool):
    async with collector_at(secure.open_port, automatic=True) as collector:
        await collector.announce()
        with capture_logs() as logged:
            async with publishing(link_to(secure, ca="elsewhere"), spool) as publisher:
                await collector.until(lambda: len(logged) >= 2)
        assert publisher._counters.connections == 0
        assert {(line["event"], line["log_level"]) for line in logged} == {("broker_away", "warning")}
        assert all("certificate verify failed" in line["why"] for line in logged)
        assert (collector.received, spool.state().unacknowledged) == ([], ROUNDS)

        async with publishing(link_to(secure), spool):
            await collector.until(lambda: spool.acknowledged == ROUNDS)

    assert collector.seqs == [1, 2, 3, 4, 5]


def test_a_certificate_that_cannot_be_used_stops_the_start(secure: SecureBroker):
    (secure.folder / "gateway.key").write_text("no key")

    with pytest.raises(StopAndFix, match="cannot use the certificates"):
        link_to(secure)
