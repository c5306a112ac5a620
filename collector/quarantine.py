"""Bringing back what was refused: with a newer program, a wider retention, a repaired database.

A message that decodes now and a line that the store takes now are stored and leave the quarantine. Readings are not
judged: the checks have long passed that instant. Entries of meters' logs are, when the collector starts next.
"""

from __future__ import annotations

from collector.config import Configuration
from collector.engine.checkpoint import Checkpoint
from collector.engine.fleet import Fleet
from collector.engine.frame import blocks_of
from collector.engine.progress import Progress, Refused
from collector.store.store import Store
from metering.codec import decode
from metering.errors import DecodeError
from metering.meter_event import MeterEvents
from metering.round import Gap, unpack


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
                ok = await _store_message(store, fleet, checkpoint, entry.refused)
            if ok:
                checkpoint.release([entry.n])
            stored, left = stored + ok, left + (not ok)
        return stored, left
    finally:
        await store.close()
        checkpoint.close()


async def _store_message(store: Store, fleet: Fleet, checkpoint: Checkpoint, refused: Refused) -> bool:
    try:
        content = decode(refused.payload).content
    except DecodeError:
        return False
    if content.gateway != refused.origin:  # nobody speaks for another gateway, not even later
        return False
    if isinstance(content, Gap):
        return True
    if isinstance(content, MeterEvents):
        if await store.write_log([content]):
            return False
        if content.rows:
            checkpoint.commit(Progress(late_logs={content.gateway: min(unpack(content.at, "q"))}))
        return True
    return not await store.write([block.table(fleet) for block in blocks_of(fleet, [content])])
