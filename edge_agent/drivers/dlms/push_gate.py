"""Who sent a push, and whether it may be believed: octets in, a meter and a notification out, or a refusal by name.

    DB  general-glo-ciphering   known by the system title in front; then as every sealed message: control octet, tag,
                                counter above every one before, and only then is the counter written down (fsync) and
                                the content looked at
    0F  data-notification       in the clear: known by what the meter calls itself; only a meter that was configured
                                with ``security: none``, and never one whose pushes are sealed

Everything else is refused. Nothing changes before the tag fits. The counter is on the disk before the content is given
out: a push that was seen is never taken twice, not even over a power cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn

from edge_agent.drivers.dlms.counter_store import CounterFile
from edge_agent.drivers.dlms.cursor import Cursor
from edge_agent.drivers.dlms.errors import Breach, Malformed, Spent, Untrusted
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.drivers.dlms.push_list import identity_of
from edge_agent.drivers.dlms.security import GENERAL_GLOBAL, TITLE_LENGTH, Keys, Protection, SecurityContext
from edge_agent.drivers.dlms.xdlms import Apdu, Notification, parse_notification

_NOBODY: Final = bytes(TITLE_LENGTH)  # our own title: we never answer


@dataclass(frozen=True, slots=True)
class PushSeal:
    """What the pushes of one meter are sealed with."""

    protection: Protection
    read_keys: Callable[[], Keys]  # from their files; raises StopAndFix
    counters: CounterFile


class Sender(NamedTuple):
    """One meter."""

    meter: str
    profile: DlmsProfile
    seal: PushSeal | None  # None: in the clear


class Admitted(NamedTuple):
    """A push that may be believed as far as its meter's security goes."""

    meter: str
    notification: Notification


class Refused(Untrusted):
    """A push that is not believed, and whose it claims to be."""

    def __init__(self, breach: Breach, detail: str, meter: str = "") -> None:
        """Remember the meter, if the push names one of ours."""
        super().__init__(breach, detail)
        self.meter = meter


class PushGate:
    """All meters of one door."""

    def __init__(self, senders: Mapping[str, Sender]) -> None:
        """Take the meters by system title (hexadecimal digits) or by what they call themselves."""
        self._senders = senders

    def admit(self, message: bytes) -> Admitted:
        """One message of the wrapper; blocks for the disk.

        Raises:
            Refused: it must not be believed; nothing has changed.
            Malformed: it is no push.
            StopAndFix: keys or counters cannot be used.
        """
        if message[:1] == bytes((GENERAL_GLOBAL,)):
            return self._sealed(message)
        if message[:1] == bytes((Apdu.DATA_NOTIFICATION,)):
            return self._clear(message)
        raise Malformed(f"no push begins with {message[:1].hex() or 'nothing'}")

    def _sealed(self, message: bytes) -> Admitted:
        cursor = Cursor(message)
        cursor.octet()
        title = cursor.string()
        sender = self._senders.get(title.hex())
        if sender is None or sender.seal is None or len(title) != TITLE_LENGTH:
            raise Refused(Breach.WRONG_TITLE, title[: 2 * TITLE_LENGTH].hex() or "none")
        seal = sender.seal
        security = SecurityContext(_NOBODY, seal.read_keys(), seal.protection, _never, seal.counters.marks().heard)
        try:
            security.meet(title, title)
            plain = security.unprotect(message)
        except Untrusted as error:
            raise Refused(error.breach, str(error), sender.meter) from None
        seal.counters.note_heard(security.heard)
        return Admitted(sender.meter, parse_notification(plain))

    def _clear(self, message: bytes) -> Admitted:
        notification = parse_notification(message)
        for name, sender in self._senders.items():
            if sender.seal is None and identity_of(sender.profile.push, notification) == name:
                return Admitted(sender.meter, notification)
        raise Refused(Breach.PLAINTEXT, "in the clear, and of no meter that may")


def _never() -> NoReturn:
    raise Spent("a door seals nothing")
