"""Listens for meters that push, and gives what they pushed to whoever polls.

Everybody may connect, so everything is bounded: connections (the one silent longest makes room), the time one may be
silent, the octets of a message (65,535, as its head says at most), and how many messages a connection may bring, which
is then simply read more slowly, so that nothing of an honest meter is thrown away. What is refused is counted by name
and logged once a minute at most. No message ends anything but its own connection, and that only where the stream can
no longer be understood.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from edge_agent.drivers.dlms.clock import DeviationSign
from edge_agent.drivers.dlms.errors import Malformed
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.drivers.dlms.push_gate import PushGate, Refused
from edge_agent.drivers.dlms.push_inbox import PushInbox
from edge_agent.drivers.dlms.push_list import values_of
from edge_agent.drivers.dlms.push_settings import DlmsPushSettings
from edge_agent.drivers.dlms.wrapper import Unwrapper
from edge_agent.drivers.driver import GOOD, Cost, ReadFailure, Reading, Reason
from metering.clock import Clock
from metering.errors import StopAndFix
from metering.log import log
from metering.round import Quality

_READ_OCTETS: Final = 4096
_BURST_S: Final = 10.0  # of its rate a connection may bring at once
_SILENT_PERIODS: Final = 3
_LOG_EVERY_S: Final = 60.0
_AHEAD_MS: Final = 60_000  # that a meter's clock may be before ours until its instants are not believed
_BEHIND_MS: Final = 40 * 86_400_000  # a push that waited longer was not waiting, its clock is wrong


@dataclass(frozen=True, slots=True)
class PushMeter:
    """One meter that pushes."""

    profile: DlmsProfile
    zone: tzinfo
    sign: DeviationSign = "utc_minus_local"
    ratios: tuple[float, float] = (1.0, 1.0)  # of current and voltage transformers


class DlmsPushDriver:
    """All meters that push to one port of ours."""

    def __init__(
        self, settings: DlmsPushSettings, gate: PushGate, meters: Mapping[str, PushMeter], clock: Clock
    ) -> None:
        """Listen to nobody before ``connect``."""
        self.refused: Counter[str] = Counter()  # by the name of the reason
        self.pushes_total = 0
        self._settings = settings
        self._gate = gate
        self._meters = meters
        self._clock = clock
        self._inbox = PushInbox()
        self._refused_of: Counter[tuple[str, str]] = Counter()  # by meter and reason
        self._logged_s: dict[str, float] = {}
        self._server: asyncio.Server | None = None
        self._callers: dict[asyncio.Task[None], float] = {}  # → when it was heard last
        self._one_by_one = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether we listen."""
        return self._server is not None

    @property
    def port(self) -> int:
        """Where we listen, while we do."""
        assert self._server is not None  # noqa: S101 - the caller has connected
        return int(self._server.sockets[0].getsockname()[1])

    async def connect(self) -> ReadFailure | None:
        """Begin to listen; ``None`` means that we do."""
        self.close()
        settings = self._settings
        try:
            self._server = await asyncio.start_server(self._serve, settings.listen, settings.port)
        except OSError as error:
            return ReadFailure(Reason.UNREACHABLE, f"{settings.listen}:{settings.port}: {error.strerror or error}")
        return None

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """The next push that was not read yet, or the last once more while the meter is not silent."""
        wanted = quantities & self.offers(meter)
        if not self._inbox.waits(meter, wanted) and self._is_silent(meter):
            return self._nothing(meter)
        return self._inbox.take(meter, wanted) or self._nothing(meter)

    def newest(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """The last push, for who only looks."""
        return self._inbox.look(meter, quantities & self.offers(meter)) or self._nothing(meter)

    def offers(self, meter: str) -> frozenset[str]:
        """Every quantity of the meter's push list."""
        return self._meters[meter].profile.pushed

    def cost(self, meter: str, quantities: frozenset[str]) -> Cost:
        """Nothing: nobody is asked."""
        return Cost(0, len(quantities & self.offers(meter)), 0.0)

    def close(self) -> None:
        """Listen no more; what was pushed stays to be read."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for caller in self._callers:
            caller.cancel()

    def _is_silent(self, meter: str) -> bool:
        heard_s = self._inbox.heard_s(meter)
        now_s = asyncio.get_running_loop().time()
        return heard_s is None or now_s - heard_s > _SILENT_PERIODS * self._settings.every

    def _nothing(self, meter: str) -> ReadFailure:
        counted = [f"{name} {count}" for (of, name), count in sorted(self._refused_of.items()) if of == meter]
        return ReadFailure(Reason.NO_PUSH, f"refused: {', '.join(counted)}" if counted else "")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One caller until he goes, is silent too long, or cannot be understood."""
        caller = asyncio.current_task()
        assert caller is not None  # noqa: S101 - we run in one
        loop = asyncio.get_running_loop()
        if len(self._callers) >= self._settings.connections:
            min(self._callers, key=self._callers.__getitem__).cancel()
            self._count("crowded")
        self._callers[caller] = loop.time()
        unwrapper = Unwrapper()
        quiet_until_s = 0.0
        try:
            while octets := await asyncio.wait_for(reader.read(_READ_OCTETS), self._settings.idle):
                for packet in unwrapper.feed(octets):
                    self._callers[caller] = now_s = loop.time()
                    async with self._one_by_one:
                        await self._take(packet.message)
                    quiet_until_s = max(quiet_until_s, now_s - _BURST_S) + 1 / self._settings.rate
                    if quiet_until_s > now_s:
                        await asyncio.sleep(quiet_until_s - now_s)
        except Malformed as error:
            self._count("malformed", str(error))
        except (OSError, TimeoutError):
            pass
        except asyncio.CancelledError:
            pass  # we listen no more, or there is no more room: either ends this caller and nothing else
        finally:
            self._callers.pop(caller, None)
            with suppress(OSError, RuntimeError):
                writer.transport.abort()

    async def _take(self, message: bytes) -> None:
        """One message; whatever is wrong with it is counted."""
        try:
            admitted = await asyncio.to_thread(self._gate.admit, message)
            meter = self._meters[admitted.meter]
            pushed = values_of(meter.profile.push, admitted.notification, meter.zone, meter.sign, meter.ratios)
        except Refused as error:
            self._count(error.breach, str(error), error.meter)
            return
        except Malformed as error:
            self._count("malformed", str(error))
            return
        except StopAndFix as error:
            self._count("no_keys", str(error))
            return
        self.pushes_total += 1
        now_ms = self._clock.now_ms()
        quality = Quality.OUT_OF_RANGE if pushed.dropped else GOOD
        if None in pushed.values.values():
            quality |= Quality.PARTIAL
        taken_ms = pushed.taken_ms
        if taken_ms is not None and not now_ms - _BEHIND_MS <= taken_ms <= now_ms + _AHEAD_MS:
            taken_ms, quality = None, quality | Quality.METER_CLOCK_OFF
        reading = Reading(now_ms if taken_ms is None else taken_ms, pushed.values, quality)
        lost = self._inbox.lost[admitted.meter]
        self._inbox.put(admitted.meter, reading, asyncio.get_running_loop().time())
        if self._inbox.lost[admitted.meter] > lost:
            self._count("not_read", "its pushes pile up faster than they are polled", admitted.meter)

    def _count(self, name: str, detail: str = "", meter: str = "") -> None:
        self.refused[name] += 1
        if meter:
            self._refused_of[meter, name] += 1
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._logged_s.get(name, -_LOG_EVERY_S) + _LOG_EVERY_S:
            self._logged_s[name] = now_s
            log.warning(
                "push_refused", bus=self._settings.id, meter=meter, reason=name, why=detail, count=self.refused[name]
            )
