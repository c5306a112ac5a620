"""One meter on a line: an association that is opened when it is needed, kept while it works, and made anew after that.

    converse ──► associate, if there is no association ──► carry requests and answers ──► the conversation's result
                      └── refused although we have keys: ask the public counter, catch up, once more

Every error ends the association; nothing of it is used again. Keys are read for every association, so a changed key
file needs no restart. Counters are on the disk before they are used, the meter's once it has proved itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Final, TypeVar

from edge_agent.drivers.dlms.association import Association, Credentials
from edge_agent.drivers.dlms.counter_store import Counters
from edge_agent.drivers.dlms.errors import Declined, DlmsError, Malformed
from edge_agent.drivers.dlms.initiate import READING, Conformance
from edge_agent.drivers.dlms.link import DlmsLink, Session
from edge_agent.drivers.dlms.reader import Conversation, Limits, Reader
from edge_agent.drivers.dlms.security import Keys, Protection, SecurityContext
from edge_agent.drivers.dlms.xdlms import INVOKE_IDS, Attribute, Item
from metering.obis import ObisCode

T = TypeVar("T")

PUBLIC_CLIENT: Final = 16
_COUNTER_CLASS: Final = 1


@dataclass(frozen=True, slots=True)
class Sealing:
    """What one meter's messages are sealed with."""

    title: bytes  # ours
    protection: Protection
    read_keys: Callable[[], Keys]  # from their files; raises StopAndFix
    counters: Counters
    public_counter: ObisCode  # where everyone may read how far the meter has counted


@dataclass(frozen=True, slots=True)
class Access:
    """How one meter is reached."""

    make_session: Callable[[int], Session]  # for a client
    client: int
    read_credentials: Callable[[], Credentials]  # from their files; raises StopAndFix
    sealing: Sealing | None = None
    longest_list: int = 20


class DlmsClient:
    """Our talk with one meter."""

    def __init__(self, link: DlmsLink, access: Access) -> None:
        # One row of numbers over all associations: a late answer to the last one must not fit a question of the next.
        self._invoke_ids = cycle(range(INVOKE_IDS))
        self.associations_total = 0
        self._link = link
        self._access = access
        self._talk: _Talk | None = None
        self._proposed = READING

    async def converse(self, begin: Callable[[Reader], Conversation[T]]) -> T:
        """Hold one conversation, in an association made for it if there is none.

        Raises:
            DlmsError: it came to nothing; the association is over.
            StopAndFix: keys or counters cannot be used.
        """
        try:
            if self._talk is None:
                self._talk = await self._associate()
            return await self._talk.carry(self._link, begin(self._talk.reader))
        except BaseException:  # a conversation that was cancelled leaves an answer under way, too
            self.forget()
            raise

    async def change(self, begin: Callable[[Reader], Conversation[T]]) -> T:
        """Hold one conversation that may set attributes, in an association of its own.

        No association of ``converse`` can set anything, for it never proposes SET.

        Raises:
            DlmsError: it came to nothing.
            StopAndFix: keys or counters cannot be used.
        """
        self.forget()
        self._proposed = READING | Conformance.SET
        try:
            return await self.converse(begin)
        finally:
            self._proposed = READING
            self.part()

    def forget(self) -> None:
        """Use nothing of the association any more."""
        if self._talk is not None:
            self._talk.association.fail()
            self._talk = None

    def part(self) -> None:
        """Let the meter know that we go, if the line still stands."""
        if self._talk is not None and self._link.connected:
            self._link.part(self._talk.session)
        self.forget()

    async def _associate(self) -> _Talk:
        sealing = self._access.sealing
        if sealing is None:
            return await self._open(self._access.client, self._access.read_credentials(), None)
        try:
            return await self._open_sealed(sealing)
        except Declined:
            if not await self._caught_up(sealing):
                raise
        return await self._open_sealed(sealing)

    async def _open_sealed(self, sealing: Sealing) -> _Talk:
        counters = sealing.counters
        await asyncio.to_thread(counters.prepare)  # fsync may take long on a memory card
        security = SecurityContext(
            sealing.title, sealing.read_keys(), sealing.protection, counters, counters.file.marks().heard
        )
        talk = await self._open(self._access.client, self._access.read_credentials(), security)
        await asyncio.to_thread(counters.file.note_heard, security.heard)
        return talk

    async def _open(self, client: int, credentials: Credentials, security: SecurityContext | None) -> _Talk:
        session = self._access.make_session(client)
        await self._link.open(session)
        association = Association(credentials, security, proposed=self._proposed)
        request: bytes | None = association.open()
        while request is not None:
            request = association.receive(await self._link.exchange(session, request))
        self.associations_total += 1
        limits = Limits(items=self._access.longest_list)
        granted = association.granted.conformance
        reader = Reader(granted, association.largest_request, self._invoke_ids, limits)
        return _Talk(session, association, reader)

    async def _caught_up(self, sealing: Sealing) -> bool:
        """Whether the meter had counted further than we: then a second try makes sense.

        Everyone on the line can say such a number, so ``CounterFile`` believes it only upwards and only so far.
        """
        attribute = Attribute(_COUNTER_CLASS, sealing.public_counter, 2)
        try:
            talk = await self._open(PUBLIC_CLIENT, Credentials(), None)
            counted = await talk.carry(self._link, talk.reader.get(Item(attribute)))
        except DlmsError:
            return False
        if not isinstance(counted, int) or counted < sealing.counters.following:
            return False
        await asyncio.to_thread(sealing.counters.catch_up, counted + 1)
        return True


@dataclass(slots=True)
class _Talk:
    """One association that stands."""

    session: Session
    association: Association
    reader: Reader

    async def carry(self, link: DlmsLink, conversation: Conversation[T]) -> T:
        """Carry requests and answers until the conversation has its result; no longer than the line can be spared.

        Raises:
            DlmsError: it came to nothing.
        """
        now_s = asyncio.get_running_loop().time
        ends_s = now_s() + link.longest_s
        try:
            request = next(conversation)
            while True:
                if now_s() > ends_s:
                    raise Malformed(f"answers without an end after {link.longest_s:g} s")
                answer = await link.exchange(self.session, self.association.request(request))
                request = conversation.send(self.association.response(answer))
        except StopIteration as end:
            result: T = end.value
            return result
