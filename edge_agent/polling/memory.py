"""What the spool still holds tells what the registers counted before the start: the truth goes on where it was.

Only live rounds tell it: what was read back from a meter's history is older than what stands before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge_agent.polling.clock_watch import CLOCK_OFFSET
from edge_agent.polling.register_truth import RegisterTruth
from edge_agent.spool.spool import Spool
from metering.codec import decode_body, encode_packed
from metering.errors import DecodeError
from metering.message import Envelope
from metering.round import FAILED, Origin, Round, unpack

_ROUNDS: Final = 64  # the newest; enough for the slowest of twenty rate groups
_ITEMS: Final = 1024  # among so many: histories, logs and clocks stand between them


def remember(spool: Spool, truth: RegisterTruth) -> None:
    """Judge the newest live rounds of the spool again. One that cannot be read is passed over."""
    newest = up_to = spool.state().next_seq - 1
    found: list[Round] = []
    while up_to > 0 and newest - up_to < _ITEMS and len(found) < _ROUNDS:
        after = max(up_to - _ROUNDS, 0)
        found = [*_live_rounds(spool, after, up_to), *found]
        up_to = after
    for content in found:
        _judge(content, truth)


def _live_rounds(spool: Spool, after: int, up_to: int) -> Iterator[Round]:
    for item in spool.next_after(after, up_to - after):
        envelope = Envelope(spool.epoch, item.seq, 0)
        try:
            content = decode_body(envelope, encode_packed(envelope, item.body)).content
        except DecodeError:
            continue
        if item.seq <= up_to and isinstance(content, Round) and _tells_registers(content):
            yield content


def _tells_registers(content: Round) -> bool:
    return content.origin is Origin.LIVE and {column.quantity for column in content.columns} != {CLOCK_OFFSET}


def _judge(content: Round, truth: RegisterTruth) -> None:
    at, quality = unpack(content.measured_at, "q"), unpack(content.quality, "I")
    columns = {column.quantity: column.values(content.rows) for column in content.columns}
    for row, meter in enumerate(content.meters):
        if not quality[row] & FAILED:
            truth.judge(meter, at[row], {quantity: values[row] for quantity, values in columns.items()})
