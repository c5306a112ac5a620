"""The images read back with the vendors' words: address, width and divisor stand here a second time."""

import struct

import pytest

from simulators.meter_image import MeterImage
from simulators.meter_images import CHINT_DTSU666, EASTRON_SDM630
from simulators.physics import Flow, Reading

READING = Reading(
    flow=Flow((230.5, 231.25, 229.75), (10.5, 20.25, 30.125), (2.25, 4.5, 6.75), (0.5, 1.0, 1.5), 49.98),
    import_kwh=(1000.5, 2000.25, 3000.125),
    import_kvarh=(100.5, 200.25, 300.125),
    export_kwh=(1.5, 2.5, 3.5),
    export_kvarh=(0.25, 0.5, 0.75),
)
TOTAL_KVA = (13.5**2 + 3.0**2) ** 0.5

SDM630 = {
    0x0000: 230.5, 0x0002: 231.25, 0x0004: 229.75, 0x0006: 10.5, 0x0008: 20.25, 0x000A: 30.125,
    0x000C: 2250, 0x000E: 4500, 0x0010: 6750, 0x0012: 230.5 * 10.5, 0x0014: 231.25 * 20.25, 0x0016: 229.75 * 30.125,
    0x0018: 500, 0x001A: 1000, 0x001C: 1500, 0x001E: 2250 / (230.5 * 10.5), 0x0022: 6750 / (229.75 * 30.125),
    0x0034: 13500, 0x0038: TOTAL_KVA * 1000, 0x003C: 3000, 0x003E: 13.5 / TOTAL_KVA, 0x0046: 49.98,
    0x0048: 6000.875, 0x004A: 7.5, 0x004C: 600.875, 0x004E: 1.5, 0x0156: 6008.375, 0x0158: 602.375,
    0x015A: 1000.5, 0x015C: 2000.25, 0x015E: 3000.125, 0x0160: 1.5, 0x0164: 3.5, 0x0166: 1002.0,
    0x016C: 100.5, 0x0172: 0.25, 0x0178: 100.75, 0x017C: 300.875,
    0x0040: 0, 0x00C8: 0,
}  # fmt: skip
DTSU666 = {
    0x101E: 6000.875, 0x1020: 1000.5, 0x1022: 2000.25, 0x1024: 3000.125, 0x1028: 7.5, 0x102A: 1.5, 0x102E: 3.5,
    0x2006: 2305, 0x2008: 2312.5, 0x200A: 2297.5, 0x200C: 10500, 0x200E: 20250, 0x2010: 30125,
    0x2012: 135000, 0x2014: 22500, 0x2018: 67500, 0x201A: 30000, 0x201C: 5000, 0x2020: 15000,
    0x202A: 1000 * 13.5 / TOTAL_KVA, 0x202C: 1000 * 2250 / (230.5 * 10.5), 0x2044: 4998,
}  # fmt: skip


def ask(image: MeterImage, address: int, count: int, function: int | None = None) -> bytes:
    return image.answer(struct.pack(">BHH", function or image.functions[0], address, count), READING)


def floats(answer: bytes) -> list[float]:
    assert answer[1] == len(answer) - 2
    return [struct.unpack_from(">f", answer, at)[0] for at in range(2, len(answer), 4)]


@pytest.mark.parametrize(("image", "expected"), [(EASTRON_SDM630, SDM630), (CHINT_DTSU666, DTSU666)])
def test_every_parameter_stands_where_the_vendor_says(image: MeterImage, expected: dict[int, float]) -> None:
    for address, value in expected.items():
        assert floats(ask(image, address, 2)) == pytest.approx([value], rel=1e-6), hex(address)


def test_one_block_holds_the_same_as_single_reads() -> None:
    block = floats(ask(EASTRON_SDM630, 0x0000, 80))

    assert block == [floats(ask(EASTRON_SDM630, address, 2))[0] for address in range(0, 80, 2)]


def test_a_request_may_cut_a_float_in_two() -> None:
    whole = ask(EASTRON_SDM630, 0x0000, 4)[2:]

    assert ask(EASTRON_SDM630, 0x0001, 2)[2:] == whole[2:6]
    assert ask(EASTRON_SDM630, 0x0000, 3)[2:] == whole[:6]


@pytest.mark.parametrize(
    ("image", "address", "count", "function", "code"),
    [
        (EASTRON_SDM630, 0, 2, 3, 1),
        (EASTRON_SDM630, 0, 2, 6, 1),
        (CHINT_DTSU666, 0x2006, 2, 4, 1),
        (EASTRON_SDM630, 0x0180, 2, None, 2),
        (EASTRON_SDM630, 0x017E, 4, None, 2),
        (EASTRON_SDM630, 0xFFFF, 2, None, 2),
        (CHINT_DTSU666, 0x1000, 2, None, 2),
        (CHINT_DTSU666, 0x1030, 4, None, 2),
        (CHINT_DTSU666, 0x1FFE, 2, None, 2),
        (EASTRON_SDM630, 0, 0, None, 3),
        (EASTRON_SDM630, 0, 82, None, 3),
        (CHINT_DTSU666, 0x2006, 126, None, 3),
    ],
)
def test_what_a_meter_refuses(image: MeterImage, address: int, count: int, function: int | None, code: int) -> None:
    answer = ask(image, address, count, function)

    assert answer == bytes(((function or image.functions[0]) | 0x80, code))


@pytest.mark.parametrize("request_pdu", [b"", b"\x04", b"\x04\x00\x00\x00", b"\x04\x00\x00\x00\x02\x00"])
def test_a_request_of_the_wrong_length_is_refused(request_pdu: bytes) -> None:
    answer = EASTRON_SDM630.answer(request_pdu, READING)

    assert len(answer) == 2
    assert answer[0] & 0x80


def test_an_idle_phase_has_power_factor_one() -> None:
    idle = Reading(Flow((230, 230, 230), (0, 0, 0), (0, 0, 0), (0, 0, 0), 50), (0, 0, 0), (0, 0, 0))
    answer = EASTRON_SDM630.answer(struct.pack(">BHH", 4, 0x001E, 2), idle)

    assert floats(answer) == [1.0]
