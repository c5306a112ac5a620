"""Reads attributes in one association: lists are cut to what the meter takes, long answers come block by block.

Each method is a conversation: a generator that gives requests out and takes the answers in, whoever carries them.
Every answer must carry the number of its question; every block its own number and the question's. Blocks, octets and
requests of one conversation are capped, so no meter can keep us for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from edge_agent.drivers.dlms.axdr import Value, decode
from edge_agent.drivers.dlms.errors import Breach, Declined, Malformed, Untrusted
from edge_agent.drivers.dlms.initiate import Conformance
from edge_agent.drivers.dlms.xdlms import (
    Answer,
    Answers,
    Block,
    Denied,
    Done,
    Item,
    Response,
    get_list_request,
    get_next_request,
    get_request,
    parse_response,
    parse_results,
)

T = TypeVar("T")
Conversation: TypeAlias = Generator[bytes, bytes, T]
Result: TypeAlias = "Value | Denied"

_LIST_HEAD: Final = 6  # octets of a list request before its first item


@dataclass(frozen=True, slots=True)
class Limits:
    """What one conversation may cost."""

    items: int = 32  # in one list
    blocks: int = 20_000
    octets: int = 8 * 1024 * 1024


class Reader:
    """Reads with the services that the meter granted."""

    def __init__(
        self, conformance: Conformance, largest_request: int, invoke_ids: Iterator[int], limits: Limits = Limits()
    ) -> None:
        """Take what the association agreed on.

        Args:
            conformance: the services granted.
            largest_request: the longest request before sealing, in octets.
            invoke_ids: numbers for questions, in turn.
            limits: what one conversation may cost.
        """
        self._conformance = conformance
        self._largest_request = largest_request
        self._invoke_ids = invoke_ids
        self._limits = limits
        self._lists = Conformance.MULTIPLE_REFERENCES in conformance

    def get(self, item: Item) -> Conversation[Result]:
        """One attribute, or the selected part of it.

        Raises:
            DlmsError: there is no answer that can be used.
        """
        if item.selection and Conformance.SELECTIVE_ACCESS not in self._conformance:
            raise Declined("the meter gives no part of an attribute")
        response = yield from self._ask(lambda invoke_id: get_request(invoke_id, item))
        if isinstance(response, Answer):
            return response.result
        content = yield from self._collect(response)
        return content if isinstance(content, Denied) else decode(content)

    def get_all(self, items: Sequence[Item]) -> Conversation[list[Result]]:
        """Several attributes, in their order, in as few questions as the meter allows.

        Raises:
            DlmsError: there is no answer that can be used.
        """
        results: list[Result] = []
        for part in self.parts(items):
            if len(part) > 1 and self._lists:
                try:
                    results += yield from self._get_list(part)
                    continue
                except Declined:
                    self._lists = False  # it promised lists, but takes none: from now on one by one
            for item in part:
                results.append((yield from self.get(item)))
        return results

    def change(self, make_request: Callable[[int], bytes]) -> Conversation[None]:
        """One SET that ``allow_list`` has made, given the number of the question.

        Raises:
            DlmsError: the meter did not do it, or it is not known whether it did.
        """
        if Conformance.SET not in self._conformance:
            raise Declined("the meter lets this client set nothing")
        response = yield from self._ask(make_request)
        if not isinstance(response, Done):
            raise Malformed("no answer to a SET")
        if response.code:
            raise Declined(f"the meter does not set it: {Denied(response.code)}", response.code)

    def parts(self, items: Sequence[Item]) -> list[list[Item]]:
        """How ``get_all`` cuts a list."""
        parts: list[list[Item]] = []
        room = 0
        for item in items:
            size = len(item.encode())
            if not self._lists or size > room or len(parts[-1]) >= self._limits.items:
                parts.append([])
                room = self._largest_request - _LIST_HEAD
            parts[-1].append(item)
            room -= size
        return parts

    def _get_list(self, items: Sequence[Item]) -> Conversation[list[Result]]:
        response = yield from self._ask(lambda invoke_id: get_list_request(invoke_id, items))
        if isinstance(response, Answer) and isinstance(response.result, Denied):
            raise Declined(f"the list is refused: {response.result}", response.result.code)
        if isinstance(response, Answers):
            results = response.results
        else:
            content = yield from self._collect(response)
            if isinstance(content, Denied):
                raise Declined(f"the list is refused: {content}", content.code)
            results = parse_results(content)
        if len(results) != len(items):
            raise Malformed(f"{len(results)} results for {len(items)} questions")
        return results

    def _ask(self, question: Callable[[int], bytes]) -> Conversation[Response]:
        invoke_id = next(self._invoke_ids)
        return (yield from self._exchange(question(invoke_id), invoke_id))

    def _exchange(self, request: bytes, invoke_id: int) -> Conversation[Response]:
        response = parse_response((yield request))
        if response.invoke_id != invoke_id:
            raise Untrusted(Breach.WRONG_INVOKE_ID, f"{response.invoke_id}, asked {invoke_id}")
        return response

    def _collect(self, response: Response) -> Conversation[bytes | Denied]:
        """All blocks of a long answer; the first may be the last."""
        octets = bytearray()
        number = 1
        while True:
            if not isinstance(response, Block) or response.number != number:
                raise Malformed(f"block {number} was asked for, not {response}")
            if isinstance(response.content, Denied):
                return response.content
            octets += response.content
            if response.last:
                return bytes(octets)
            if len(octets) > self._limits.octets or number >= self._limits.blocks:
                raise Malformed(f"an answer of more than {len(octets)} octets in {number} blocks")
            response = yield from self._exchange(get_next_request(response.invoke_id, number), response.invoke_id)
            number += 1
