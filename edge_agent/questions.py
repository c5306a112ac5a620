"""What may be asked at the desk beside ``ReadCommand``: a part of a meter's history, and to set its clock.

They exist on the socket beside the spool only, for who has an account on the gateway. Nothing of this is in the
contract with the centre: no message over MQTT can set a clock.
"""

from __future__ import annotations

from typing import Final

import msgspec

from metering.control import ReadCommand
from metering.errors import DecodeError


class LoadProfileQuestion(msgspec.Struct, frozen=True):
    """The rows of a meter's own history between two instants, both with them, ms since 1970 UTC."""

    id: str  # returns in the reply
    load_profile: str  # the meter
    first_ms: int
    last_ms: int


class RowTold(msgspec.Struct, frozen=True, array_like=True):
    """One of these rows."""

    measured_at: int  # ms since 1970 UTC
    quality: int
    values: dict[str, float | None]


class LoadProfileReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rows, oldest first, or why there are none."""

    id: str
    meter: str
    period_ms: int = 0
    rows: tuple[RowTold, ...] = ()
    failure: str = ""
    detail: str = ""
    code: int | None = None


class SetClockQuestion(msgspec.Struct, frozen=True):
    """Set a meter's clock to the gateway's."""

    id: str
    set_clock: str  # the meter


class SetClockReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Done, or why not."""

    id: str
    meter: str
    failure: str = ""
    detail: str = ""
    code: int | None = None


Question = ReadCommand | LoadProfileQuestion | SetClockQuestion

_KINDS: Final[dict[str, type[LoadProfileQuestion | SetClockQuestion]]] = {
    "load_profile": LoadProfileQuestion,
    "set_clock": SetClockQuestion,
}


def question_of(line: bytes) -> Question:
    """One line of JSON → the question, told by its key.

    Raises:
        DecodeError: it is none.
    """
    try:
        keys = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        kind: type[Question] = next((kind for key, kind in _KINDS.items() if key in keys), ReadCommand)
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"a question that is none: {error}") from error
