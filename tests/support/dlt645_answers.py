"""A DL/T 645 line that answers without a network: from octets written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from edge_agent.drivers.dlt645.pace import LinePace
from edge_agent.drivers.driver import ReadFailure, Reason

BEIJING = ZoneInfo("Asia/Shanghai")


class At:
    """A clock that stands still."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now_ms(self) -> int:
        return int(self.moment.timestamp() * 1000)


@dataclass
class AnswerLine:
    """Answers what it has, and refuses everything else with ``code``."""

    answers: Mapping[str, bytes | list[bytes]]
    code: int = 2
    pace: LinePace = field(default_factory=lambda: LinePace(11 / 2400, 0.05))
    connected: bool = True
    asked: list[str] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    async def connect(self) -> ReadFailure | None:
        return None

    def close(self) -> None:
        self.connected = False

    async def read(self, address: str, identifier: str) -> bytes | ReadFailure:
        del address
        self.asked.append(identifier)
        answer = self.answers.get(identifier)
        if isinstance(answer, list):  # one after the other, then the last for ever
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer is None:
            return ReadFailure(Reason.EXCEPTION, f"error word {self.code:02X}H", self.code)
        self.sent.append(answer)
        return answer
