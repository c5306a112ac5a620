"""What one meter refuses: models of one series differ in the registers they have.

A block that is refused is cut in two at its widest hole and both parts are asked, the larger pieces first, in the same
read. Whatever a refusal proves is remembered, so that later reads cost no useless request:

    both parts were answered          the hole between them cannot be read across
    a single value was refused twice  the meter does not have it; once, between two answers, is a passing trouble

A refusal whose parts were refused in turn proves nothing about its own hole: the parts are to blame, and the next read
tries the hole again. Every read with a refusal proves something, so this ends. All is forgotten when the line is opened
anew and after ``TRUSTED_MS``: the meter may have been exchanged.

No clock, no I/O: answers and refusals go in, the next request comes out.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from edge_agent.drivers.modbus.read_plan import Span, hole_between
from edge_agent.drivers.modbus.request import Request

ILLEGAL: Final = frozenset({2, 3})
"""Exceptions that say that the meter does not have what was asked: illegal data address, illegal data value."""

TRUSTED_MS: Final = 6 * 3_600_000
MOST_REFUSALS: Final = 16
"""A meter that has answered nothing so far is asked no more: the whole map is wrong."""

_BELIEVED_AFTER: Final = 2

Stretch = tuple[int, Span]
"""Registers of one function; an empty span is the edge between two values."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known to be refused."""

    holes: frozenset[Stretch] = frozenset()
    values: frozenset[Stretch] = frozenset()

    def stretches(self, function: int) -> tuple[Span, ...]:
        """What no request with this function may go over."""
        return tuple(sorted(span for of, span in self.holes | self.values if of == function))


@dataclass(slots=True)
class Refusals:
    """What one meter has refused so far."""

    _since_ms: int
    known: Known = Known()
    _doubts: Counter[Stretch] = field(default_factory=Counter)

    def at(self, now_ms: int) -> Known:
        """What is known at an instant."""
        if now_ms - self._since_ms > TRUSTED_MS:
            self.known = Known()
            self._doubts.clear()
            self._since_ms = now_ms
        return self.known

    def learn(self, inquiry: Inquiry) -> None:
        """Take what one read has proved; nothing if it was refused everything."""
        if not inquiry.answers:
            return
        proof = inquiry.proof()
        for value in list(self._doubts):
            if any(of == value[0] and block.holds(value[1]) for of, block in proof.answered):
                del self._doubts[value]
        self._doubts.update(proof.values)
        believed = {value for value, times in self._doubts.items() if times >= _BELIEVED_AFTER}
        self.known = Known(self.known.holes.union(proof.holes), self.known.values.union(believed))


@dataclass(slots=True)
class _Proof:
    """What the answers and the refusals of one read say."""

    holes: list[Stretch] = field(default_factory=list)  # that cannot be read across
    values: list[Stretch] = field(default_factory=list)  # that were refused alone
    answered: list[Stretch] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Question:
    request: Request
    answered: bool = False
    illegal: bool = False
    parts: tuple[_Question, ...] = ()


class Inquiry:
    """One read as it unfolds."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._first = [_Question(request) for request in requests]
        self._open = deque(self._first)
        self.asked = 0
        self.answers = 0

    def next(self) -> Request | None:
        """What to ask now; ``None`` when there is nothing left to ask."""
        if not self._open or (not self.answers and self.asked >= MOST_REFUSALS):
            return None
        self.asked += 1
        return self._open[0].request

    def answered(self) -> None:
        """The request was answered."""
        self._open.popleft().answered = True
        self.answers += 1

    def refused(self, code: int | None) -> None:
        """The request was refused with this exception; its parts will be asked if that may help."""
        question = self._open.popleft()
        if code in ILLEGAL:
            question.illegal = True
            question.parts = tuple(map(_Question, _parts(question.request)))
            self._open.extend(question.parts)

    def proof(self) -> _Proof:
        """What the read says about the meter."""
        proof = _Proof()
        for question in self._first:
            _prove(question, proof)
        return proof


def _parts(request: Request) -> list[Request]:
    """A refused request without what nobody asked for, or cut at its widest hole; nothing is left of a single value."""
    spans = request.spans
    if request.bare != request.block:
        return [request.part(spans)]
    if len(spans) == 1:
        return []
    middle = len(spans) / 2  # between holes of one width the one that halves the block
    cut = max(range(1, len(spans)), key=lambda i: (hole_between(spans[i - 1], spans[i]).count, -abs(i - middle)))
    return [request.part(spans[:cut]), request.part(spans[cut:])]


def _prove(question: _Question, proof: _Proof) -> None:
    request, parts = question.request, question.parts
    here = (request.function, request.block)
    if question.answered:
        proof.answered.append(here)
    elif parts and all(part.answered for part in parts):
        proof.holes.append((request.function, _hole(request, [part.request for part in parts])))
    elif question.illegal and not parts:
        proof.values.append(here)
    for part in parts:
        _prove(part, proof)


def _hole(request: Request, parts: list[Request]) -> Span:
    """What the request had and its parts have not."""
    if len(parts) == 1:
        return Span(parts[0].block.end, request.block.end - parts[0].block.end)
    return hole_between(parts[0].block, parts[1].block)
