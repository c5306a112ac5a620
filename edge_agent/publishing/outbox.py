"""Which messages may be under way: a bounded window behind the collector's cumulative acknowledgement.

    acknowledged        sent_up_to                 newest
    ------|------ under way ---|------ waiting -------|

- Nothing is sent while the collector is not there; what was under way then counts as not sent.
- At most ``window`` messages are under way: the smaller of ours and the collector's.
- Only an acknowledgement of our own epoch moves ``acknowledged``. A lower number is a collector that lost
  its memory: it is followed.
- ``resend`` in an acknowledgement, or no progress for ``resend_after_s``, sends again from ``acknowledged`` on.
  Without progress the wait doubles each time: a slow store is not helped by duplicates.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from metering.control import Ack
from metering.message import epoch_text

LONGEST_WAIT_S: Final = 300.0
RESEND_PAUSE_S: Final = 1.0
"""A collector that misses one message says so with every later one: one resend answers them all."""


class Outbox:
    """The window of one gateway."""

    def __init__(self, epoch: int, acknowledged: int, window: int, resend_after_s: float) -> None:
        self.epoch = epoch
        self.acknowledged = acknowledged
        self.sent_up_to = acknowledged
        self.collector_online = False
        self.resends = 0
        self._own_window = window
        self._window = window
        self._resend_after_s = resend_after_s
        self._wait_s = resend_after_s
        self._under_way: deque[int] = deque()
        self._progress_at_s = 0.0
        self._resent_at_s = -RESEND_PAUSE_S

    @property
    def under_way(self) -> int:
        """Messages sent and not acknowledged."""
        return len(self._under_way)

    @property
    def room(self) -> int:
        """How many messages may be sent now, those after ``sent_up_to``."""
        return max(0, self._window - len(self._under_way)) if self.collector_online else 0

    def sent(self, seq: int, now_s: float) -> None:
        """One message has been handed to the connection."""
        if not self._under_way:
            self._progress_at_s = now_s
        self._under_way.append(seq)
        self.sent_up_to = seq

    def disconnected(self) -> None:
        """The connection is gone, and with it all knowledge of the collector."""
        self.collector_online = False
        self._send_again()

    def on_collector(self, online: bool) -> None:
        """The collector said that it is there, or is not. It may say the same again at any time."""
        if online == self.collector_online:
            return
        self.collector_online = online
        self._wait_s = self._resend_after_s
        self._send_again()

    def on_ack(self, ack: Ack, now_s: float) -> bool:
        """Follow one acknowledgement; ``True`` if ``acknowledged`` has moved."""
        if ack.epoch != epoch_text(self.epoch) or ack.seq < 0:
            return False
        self._window = max(0, min(self._own_window, ack.window))
        moved = ack.seq != self.acknowledged
        if ack.seq < self.acknowledged:
            self.acknowledged = ack.seq
            self._send_again()
        elif moved:
            self._advance(ack.seq, now_s)
        if ack.resend and self._under_way and now_s - self._resent_at_s >= RESEND_PAUSE_S:
            self._resent_at_s = now_s
            self.resends += 1
            self._send_again()
        return moved

    def on_time(self, now_s: float) -> bool:
        """Whether the wait for progress has run out; if so everything under way is to be sent again."""
        if not self._under_way or now_s - self._progress_at_s < self._wait_s:
            return False
        self._wait_s = min(self._wait_s * 2, max(LONGEST_WAIT_S, self._resend_after_s))
        self.resends += 1
        self._send_again()
        return True

    def _advance(self, seq: int, now_s: float) -> None:
        self.acknowledged = seq
        self.sent_up_to = max(self.sent_up_to, seq)
        while self._under_way and self._under_way[0] <= seq:
            self._under_way.popleft()
        self._progress_at_s = now_s
        self._wait_s = self._resend_after_s

    def _send_again(self) -> None:
        self._under_way.clear()
        self.sent_up_to = self.acknowledged
