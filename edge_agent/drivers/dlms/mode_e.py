r"""The opening of an optical head or a current loop: IEC 62056-21 mode E, which ends in HDLC.

At 300 Bd, seven bits and even parity, the reader says ``/?ADDRESS!`` and the meter who it is:
``/MMMB\2IDENT``, where B stands for the highest speed and ``\2`` for mode E. The reader confirms both with
``ACK 2 B 2``; the meter says the same, and then both go over to the new speed, eight bits, no parity.

Text in, text out; the line itself is the link's.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edge_agent.drivers.dlms.errors import Declined, Malformed

BAUDRATES: Final = {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
_END: Final = b"\r\n"
_LONGEST: Final = 128  # octets of an identification with all that may stand before it
_SHORTEST: Final = 5  # slash, three letters, speed


class SignOn(NamedTuple):
    """What the reader answers to the identification, and how it goes on afterwards."""

    confirmation: bytes
    baudrate: int
    identification: str


def request(address: str = "") -> bytes:
    r"""The words that wake the meter; an address where several hang on one loop.

    >>> request("00012345")
    b'/?00012345!\r\n'
    """
    return f"/?{address}!".encode("ascii") + _END


def answer(heard: bytes, fastest_baud: int = 9600) -> SignOn | None:
    """What was heard so far → how to go on; ``None`` while the identification is not complete.

    Args:
        heard: all octets since the request, parity taken off; an echo of the request is passed over, and so is what
            an optical head makes of the light before the slash.
        fastest_baud: the highest speed to agree to.

    Raises:
        Declined: the meter does not know mode E.
        Malformed: what came is no identification.
    """
    begun = [line[line.rfind(b"/") :] for line in heard.split(_END)[:-1] if b"/" in line]
    lines = [line for line in begun if not line.startswith(b"/?")]
    if not lines:
        if len(heard) > _LONGEST:
            raise Malformed(f"no identification in {len(heard)} octets")
        return None
    text = lines[0].decode("latin-1")
    if len(text) < _SHORTEST or text[4] not in BAUDRATES:
        raise Malformed(f"no speed in the identification {text!r}")
    if "\\2" not in text[_SHORTEST:]:
        raise Declined(f"{text!r} does not offer mode E")
    speed = min(text[4], max(letter for letter, baud in BAUDRATES.items() if baud <= fastest_baud))
    return SignOn(b"\x06" + f"2{speed}2".encode("ascii") + _END, BAUDRATES[speed], text[1:])
