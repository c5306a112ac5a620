"""What the spool still holds tells what the registers counted before the start: the truth goes on where it was.

Only live rounds tell it: what was read back from a meter's history is older than what stands before it.
"""

from __future__ import annotations

from typing import Final

from edge_agent.polling.register_truth import RegisterTruth
from edge_agent.spool.spool import Spool
from metering.codec import Envelope, decode_body, encode_packed
from metering.errors import DecodeError
from metering.round import FAILED, Origin, Round, unpack

_ROUNDS: Final = 64  # the newest; enough for the slowest of twenty rate groups


def remember(spool: Spool, truth: RegisterTruth) -> None:
    """Judge the newest rounds of the spool again. One that cannot be read is passed over."""
    newest = spool.state().next_seq - 1
    for item in spool.next_after(max(newest - _ROUNDS, 0), _ROUNDS):
        envelope = Envelope(spool.epoch, item.seq, 0)
        try:
            content = decode_body(envelope, encode_packed(envelope, item.body)).content
        except DecodeError:
            continue
        if isinstance(content, Round) and content.origin is Origin.LIVE:
            _judge(content, truth)


def _judge(content: Round, truth: RegisterTruth) -> None:
    at, quality = unpack(content.measured_at, "q"), unpack(content.quality, "I")
    columns = {column.quantity: column.values(content.rows) for column in content.columns}
    for row, meter in enumerate(content.meters):
        if not quality[row] & FAILED:
            truth.judge(meter, at[row], {quantity: values[row] for quantity, values in columns.items()})
