"""One association with one meter, from AARQ to RLRE: octets in, octets out. Make a new one after any error.

    IDLE ── open ──► ASSOCIATING ── accepted ──────────────────► READY ── release ──► RELEASING ── released ──► ENDED
                          └── challenged ──► PROVING ── proved ──┘
    every error ──► ENDED

With keys everything is sealed from the first message on, and what is not is refused: a meter that accepts less than
was asked (another context, another mechanism, no challenge, no seal) is not talked to. Both challenges are made for
this association alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import cycle
from typing import Final

from edge_agent.drivers.dlms.acse import (
    RELEASE_REQUEST,
    AssociationRequest,
    Context,
    Mechanism,
    is_release_response,
    parse_association_response,
)
from edge_agent.drivers.dlms.allow_list import REPLY_TO_HLS, AllowList
from edge_agent.drivers.dlms.axdr import Data, Tag
from edge_agent.drivers.dlms.errors import Breach, Declined, DlmsError, Malformed, Untrusted
from edge_agent.drivers.dlms.initiate import (
    LARGEST_PDU,
    READING,
    Conformance,
    Granted,
    initiate_request,
    parse_initiate_response,
)
from edge_agent.drivers.dlms.keys import KEY_LENGTH, Secret
from edge_agent.drivers.dlms.security import CHALLENGE_LENGTH, SecurityContext, check_challenge
from edge_agent.drivers.dlms.xdlms import INVOKE_IDS, Done, parse_response


class State(Enum):
    """Where the association stands."""

    IDLE = auto()
    ASSOCIATING = auto()
    PROVING = auto()
    READY = auto()
    RELEASING = auto()
    ENDED = auto()


class Event(Enum):
    """What moves it."""

    OPEN = auto()
    ACCEPTED = auto()
    CHALLENGED = auto()
    PROVED = auto()
    SERVICE = auto()
    RELEASE = auto()
    RELEASED = auto()


_MOVES: Final = {
    (State.IDLE, Event.OPEN): State.ASSOCIATING,
    (State.ASSOCIATING, Event.ACCEPTED): State.READY,
    (State.ASSOCIATING, Event.CHALLENGED): State.PROVING,
    (State.PROVING, Event.PROVED): State.READY,
    (State.READY, Event.SERVICE): State.READY,
    (State.READY, Event.RELEASE): State.RELEASING,
    (State.RELEASING, Event.RELEASED): State.ENDED,
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """How we prove who we are, and who we expect."""

    mechanism: Mechanism = Mechanism.NONE
    password: Secret | None = None
    meter_title: bytes = b""  # of the one meter we accept; empty = whoever knows the keys
    dedicated: bool = False  # a fresh key for every association


class Association:
    """One client's association with one meter."""

    def __init__(
        self,
        credentials: Credentials,
        security: SecurityContext | None = None,
        *,
        proposed: Conformance = READING,
        largest_answer: int = LARGEST_PDU,
        random_octets: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Take what is needed; nothing is sent before ``open``.

        Args:
            credentials: how to prove who we are.
            security: keys and counters; without them everything is readable on the line.
            proposed: the services we want.
            largest_answer: the longest message we take, in octets.
            random_octets: where challenges and keys come from.

        Raises:
            ValueError: a mechanism with keys, but none given.
        """
        if security is None and (credentials.mechanism is Mechanism.GMAC or credentials.dedicated):
            raise ValueError("GMAC and dedicated keys need keys")
        self.state = State.IDLE
        self.granted = Granted(Conformance(0), 0)
        self.invoke_ids: Iterator[int] = cycle(range(INVOKE_IDS))
        self._credentials = credentials
        self._security = security
        self._proposed = proposed | (Conformance.GENERAL_PROTECTION if security else Conformance(0))
        self._largest_answer = largest_answer
        self._challenge = random_octets(CHALLENGE_LENGTH) if credentials.mechanism is Mechanism.GMAC else b""
        self._dedicated = Secret(random_octets(KEY_LENGTH)) if credentials.dedicated else None
        self._invoke_id = 0

    @property
    def ready(self) -> bool:
        """Whether services may be asked for."""
        return self.state is State.READY

    @property
    def largest_request(self) -> int:
        """The longest message that the meter takes, before sealing, in octets."""
        largest = self.granted.largest_request or LARGEST_PDU
        return largest - (self._security.overhead if self._security else 0)

    def open(self) -> bytes:
        """The request for the association."""
        self._move(Event.OPEN)
        key = self._dedicated.octets if self._dedicated else b""
        password = self._credentials.password
        proposal = initiate_request(self._proposed, self._largest_answer, key)
        security = self._security
        return AssociationRequest(
            Context.CIPHERED if security else Context.PLAIN,
            self._credentials.mechanism,
            security.protect(proposal) if security else proposal,
            security.title if security else b"",
            self._challenge or (password.octets if password else b""),
        ).encode()

    def receive(self, octets: bytes) -> bytes | None:
        """What the meter said while the association opens or ends → what to say next, if anything.

        Raises:
            DlmsError: there is no association.
        """
        try:
            if self.state is State.ASSOCIATING:
                return self._on_answer(octets)
            if self.state is State.PROVING:
                self._on_proof(octets)
            elif not is_release_response(octets):
                raise Malformed("no answer to the release")
            else:
                self._move(Event.RELEASED)
        except DlmsError:
            self.state = State.ENDED
            raise
        return None

    def request(self, apdu: bytes) -> bytes:
        """Seal one request, if there is something to seal it with."""
        self._move(Event.SERVICE)
        return self._security.protect(apdu) if self._security else apdu

    def response(self, octets: bytes) -> bytes:
        """Check and open one response.

        Raises:
            DlmsError: it must not be believed; the association is over.
        """
        self._move(Event.SERVICE)
        try:
            return self._security.unprotect(octets) if self._security else octets
        except DlmsError:
            self.state = State.ENDED
            raise

    def release(self) -> bytes:
        """Say good-bye."""
        self._move(Event.RELEASE)
        return RELEASE_REQUEST

    def fail(self) -> None:
        """The conversation went wrong: nothing of this association may be used again."""
        self.state = State.ENDED

    def _move(self, event: Event) -> None:
        after = _MOVES.get((self.state, event))
        if after is None:
            raise Declined(f"{event.name.lower()} in state {self.state.name.lower()}")
        self.state = after

    def _on_answer(self, octets: bytes) -> bytes | None:
        answer = parse_association_response(octets)
        if not answer.accepted:
            raise Declined(f"the meter refuses the association: {answer.reason}", answer.diagnostic)
        asked = Context.CIPHERED if self._security else Context.PLAIN
        if answer.context not in (asked, None) or (self._security and answer.context is None):
            raise Untrusted(Breach.DOWNGRADE, f"application context {answer.context}")
        security = self._security
        content = answer.user_information
        if security:
            security.meet(answer.system_title or self._credentials.meter_title, self._credentials.meter_title)
            content = security.unprotect(content)
        self.granted = parse_initiate_response(content, self._proposed)
        if security:
            security.general = Conformance.GENERAL_PROTECTION in self.granted.conformance
            if self._dedicated:
                security.use_dedicated(self._dedicated)
        if security is None or self._credentials.mechanism is not Mechanism.GMAC:
            self._move(Event.ACCEPTED)
            return None
        if answer.mechanism not in (Mechanism.GMAC, None):
            raise Untrusted(Breach.DOWNGRADE, f"mechanism {answer.mechanism}")
        check_challenge(answer.challenge, self._challenge)
        proof = Data(Tag.OCTET_STRING, security.challenge_reply(answer.challenge))
        self._invoke_id = next(self.invoke_ids)
        self._move(Event.CHALLENGED)
        return security.protect(AllowList().action_request(self._invoke_id, REPLY_TO_HLS, proof))

    def _on_proof(self, octets: bytes) -> None:
        security = self._security
        if security is None:
            raise Malformed("a proof without keys")
        done = parse_response(security.unprotect(octets))
        if done.invoke_id != self._invoke_id:
            raise Untrusted(Breach.WRONG_INVOKE_ID, f"{done.invoke_id}, asked {self._invoke_id}")
        if not isinstance(done, Done):
            raise Malformed("no answer to our proof")
        if done.code:
            raise Declined("the meter does not accept our proof: other key?", done.code)
        security.check_reply(done.result, self._challenge)
        self._move(Event.PROVED)
