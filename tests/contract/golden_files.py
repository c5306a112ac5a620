"""Write golden files that do not exist yet: ``python -m tests.contract.golden_files``. Existing ones stay."""

from __future__ import annotations

import json
from pathlib import Path

from metering.codec import encode_packed
from metering.message import Envelope, Message
from metering.meter_event import MeterEvent, MeterEvents
from metering.packed_body import encode_body
from metering.plain_message import encode_plain
from metering.quantity import QUANTITIES
from metering.round import Gap, Origin, Quality
from tests.support.rounds import MINUTE, T0, make_round

GOLDEN = Path(__file__).parent / "golden"


def messages() -> dict[str, Message]:
    live = make_round(
        {
            "active_power": [12.796, -0.5, None],
            "voltage_l1": [230.15, 228.9, None],
            "current_l1": [18.204, 2.31, None],
            "active_energy_import": [123456.789, 0.01, None],
        },
        meters=["shop-101", "works-201", "depot-401"],
        gateway="park-01",
        measured_at=[T0 + 104, T0 + 221, T0 + 1000],
        quality=[0, int(Quality.REGISTER_FELL), int(Quality.NO_ANSWER)],
    )
    wide = make_round({"active_energy_import": [98_765_432_109.876]}, meters=["feeder-1"], gateway="park-01")
    backfill = make_round(
        {"active_energy_import": [1000.25, 1001.5]},
        meters=["shop-101", "shop-101"],
        gateway="park-01",
        group="load_profile",
        period_ms=15 * MINUTE,
        measured_at=[T0 - 30 * MINUTE, T0 - 15 * MINUTE],
        origin=Origin.BACKFILL,
    )
    gap = Gap("park-01", 40, 57, 1800, "evicted")
    events = MeterEvents.of(
        "park-01",
        [
            ("shop-101", T0 - 86_400_000, MeterEvent.POWER_FAILED, Quality(0)),
            ("shop-101", T0 - 86_390_000, MeterEvent.POWER_RESTORED, Quality(0)),
            ("works-201", T0 - 7_000, MeterEvent.COVER_OPENED, Quality.METER_CLOCK_OFF),
            ("works-201", T0 - 7_000, MeterEvent.MAGNETIC_FIELD, Quality.METER_CLOCK_OFF),
        ],
        {"depot-401": 12},
    )
    return {
        "packed_live": Message(Envelope(0xDEADBEEF, 58, 18), live),
        "packed_wide": Message(Envelope(0xDEADBEEF, 59, 19), wide),
        "packed_backfill": Message(Envelope(2**64 - 1, 1, 0), backfill),
        "packed_gap": Message(Envelope(0xDEADBEEF, 57, 17), gap),
        "plain_live": Message(Envelope(0xDEADBEEF, 58, 18), live),
        "plain_gap": Message(Envelope(0xDEADBEEF, 57, 17), gap),
        "packed_meter_events": Message(Envelope(0xDEADBEEF, 60, 20), events),
        "packed_missed_events": Message(Envelope(0xDEADBEEF, 61, 21), MeterEvents.of("park-01", [], {"depot-401": 3})),
        "plain_meter_events": Message(Envelope(0xDEADBEEF, 60, 20), events),
    }


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name, message in messages().items():
        plain = encode_plain(message)
        packed = encode_packed(message.envelope, encode_body(message.content))
        _once(GOLDEN / f"{name}.bin", plain if name.startswith("plain") else packed)
        _once(GOLDEN / f"{name}.json", json.dumps(json.loads(plain), indent=1).encode() + b"\n")
    quantities = {q.name: [str(q.obis), q.unit, q.kind.value, q.decimals] for q in QUANTITIES.values()}
    _once(GOLDEN / "meter_events.json", json.dumps([event.value for event in MeterEvent], indent=1).encode() + b"\n")
    _once(GOLDEN / "quantities.json", json.dumps(quantities, indent=1).encode() + b"\n")
    _once(GOLDEN / "quality.json", json.dumps({b.name: b.value for b in Quality}, indent=1).encode() + b"\n")


def _once(path: Path, content: bytes) -> None:
    if not path.exists():
        path.write_bytes(content)


if __name__ == "__main__":
    main()
