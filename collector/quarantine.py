"""Bringing back what was refused: with a newer program, a wider retention, a repaired database.

A message that decodes now and a line that the store takes now are stored and leave the quarantine. They are not judged:
the checks have long passed that instant.
"""

from __future__ import annotations

from collector.config import Configuration
from collector.engine.checkpoint import Checkpoint
from collector.engine.fleet import Fleet
from collector.engine.frame import blocks_of
from collector.store.store import Store
from metering.codec import decode
from metering.errors import DecodeError
from metering.meter_event import MeterEvents
from metering.round import Gap


async def replay(configuration: Configuration) -> tuple[int, int]:
    """Try every entry once; return how many were stored and how many are still refused.

    Raises:
        StoreBusy: the store is away; what was stored before stays stored.
        StoreRefuses: credentials or target are wrong.
        StopAndFix: the state file cannot be opened.
    """
    checkpoint = Checkpoint(configuration.state)
    store = configuration.store()
    try:
        await store.prepare()
        fleet = configuration.rules.fleet()
        stored = left = 0
        for entry in checkpoint.quarantined():
            if entry.refused.kind == "line":
                ok = not await store.write_lines([entry.refused.payload.decode("utf-8", "replace")])
            else:
                ok = await _store_message(store, fleet, entry.refused.origin, entry.refused.payload)
            if ok:
                checkpoint.release([entry.n])
            stored, left = stored + ok, left + (not ok)
        return stored, left
    finally:
        await store.close()
        checkpoint.close()


async def _store_message(store: Store, fleet: Fleet, gateway: str, payload: bytes) -> bool:
    try:
        content = decode(payload).content
    except DecodeError:
        return False
    if content.gateway != gateway:  # nobody speaks for another gateway, not even later
        return False
    if isinstance(content, Gap):
        return True
    if isinstance(content, MeterEvents):
        return not await store.write_log([content])
    return not await store.write([block.table(fleet) for block in blocks_of(fleet, [content])])
