"""A logical device: its objects, who may read them and how, and what it remembers of its readers.

The device remembers the highest counter that a reader used under its keys, over all associations, as real meters do:
a reader that goes back is turned away until it has found out where it stands (0-0:43.1.0, readable by everyone).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from simulators.dlms.data import Data, array, logical_name, structure
from simulators.dlms.faults import DlmsFaults
from simulators.dlms.objects import OBJECT_UNDEFINED, READ_WRITE_DENIED, CosemObject, Denied, Plain, Settable
from simulators.dlms.seal import MeterKeys

PUBLIC_CLIENT: Final = 16
COUNTER_NAME: Final = logical_name("0-0:43.1.0")
_FOR_EVERYONE: Final = frozenset(map(logical_name, ("0-0:1.0.0", "0-0:42.0.0", "0-0:43.1.0", "0-0:96.1.0")))

GENERAL_PROTECTION: Final = 0x400000
BLOCK_GET: Final = 0x1000
BLOCK_SET: Final = 0x800
LISTS: Final = 0x200
GET: Final = 0x10
SET: Final = 0x08
SELECTIVE: Final = 0x04
ACTION: Final = 0x01
EVERYTHING: Final = GENERAL_PROTECTION | BLOCK_GET | BLOCK_SET | LISTS | GET | SET | SELECTIVE | ACTION

MechanismName = Literal["none", "low", "gmac"]
MECHANISMS: Final[dict[MechanismName, int]] = {"none": 0, "low": 1, "gmac": 5}


@dataclass(frozen=True)
class Access:
    """How one client may open an association."""

    mechanism: MechanismName = "none"
    password: bytes = b""
    control: int = 0  # security control octet of every message; 0 = readable
    everything: bool = True  # all objects, or only those for everyone


@dataclass
class LogicalDevice:
    """One meter behind one address."""

    objects: Mapping[tuple[int, bytes], CosemObject]
    accesses: Mapping[int, Access]
    title: bytes = b"SIM\0\0\0\0\x01"
    keys: MeterKeys = field(default_factory=lambda: MeterKeys(bytes(16), bytes(16)))
    conformance: int = EVERYTHING
    largest_pdu: int = 1024
    longest_list: int = 1000
    faults: DlmsFaults = field(default_factory=DlmsFaults)
    on_set: Callable[[int, bytes, int, Data], None] | None = None  # in the place of the objects
    random_octets: Callable[[int], bytes] = secrets.token_bytes
    heard: int = -1  # the highest counter of a reader
    sent: int = 0  # the next counter of ours

    @classmethod
    def of(cls, objects: Iterable[CosemObject], accesses: Mapping[int, Access], **rest: object) -> LogicalDevice:
        """A device with these objects and the one that tells its counter."""
        found: dict[tuple[int, bytes], CosemObject] = {(one.class_id, one.name): one for one in objects}
        device = cls(found, accesses, **rest)  # type: ignore[arg-type]
        found[1, COUNTER_NAME] = Plain(COUNTER_NAME, lambda _: ("double-long-unsigned", max(device.heard, 0)))
        return device

    def next_counter(self) -> int:
        """Used once."""
        self.sent += 1
        return self.sent

    def get(
        self, access: Access, place: tuple[int, bytes, int], at_ms: int, selection: tuple[int, Data] | None
    ) -> Data:
        """One attribute, as this client may see it.

        Raises:
            Denied: it may not, or there is none.
        """
        class_id, name, attribute = place
        if (class_id, name) == (15, logical_name("0-0:40.0.0")) and attribute == 2:  # noqa: PLR2004 - object list
            return self._object_list()
        if not access.everything and name not in _FOR_EVERYONE:
            raise Denied(READ_WRITE_DENIED)
        found = self.objects.get((class_id, name))
        if found is None:
            raise Denied(OBJECT_UNDEFINED)
        return found.get(attribute, at_ms, selection)

    def set(self, access: Access, place: tuple[int, bytes, int], value: Data, at_ms: int) -> None:
        """Change one attribute.

        Raises:
            Denied: this client may not, or nobody may.
        """
        class_id, name, attribute = place
        if self.on_set is not None:
            self.on_set(class_id, name, attribute, value)
            return
        found = self.objects.get((class_id, name))
        if found is None:
            raise Denied(OBJECT_UNDEFINED)
        if not access.everything or not isinstance(found, Settable):
            raise Denied(READ_WRITE_DENIED)
        found.set(attribute, value, at_ms)

    def _object_list(self) -> Data:
        rights = structure(("array", []), ("array", []))
        return array(
            [
                structure(("long-unsigned", class_id), ("unsigned", 0), ("octet-string", name), rights)
                for class_id, name in self.objects
            ]
        )
