"""What others have to take is offered until they take it, or until the collector is told to stop.

A store that is away or busy is asked again with jitter, ever more slowly; one that refuses us (a wrong token, a full
disk) needs a person and is asked now and then. It is said once when it begins to fail and once when it is over.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final, TypeVar

from collector.signals import Counters
from metering.errors import Alarm, BackOff
from metering.log import log

_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 15.0
_ALARM_DELAY_S: Final = 10.0

Result = TypeVar("Result")


class Stopping(Exception):  # noqa: N818 - not an error: the commit is given up, nothing of it was acknowledged
    """The collector was asked to stop while the store was away."""


class Retrying:
    """Patience, as long as the collector runs."""

    def __init__(self, counters: Counters) -> None:
        """Count every attempt that failed."""
        self._counters = counters
        self._stop = asyncio.Event()

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """An attempt under way may end; none is made again."""
        self._stop.set()

    async def until_done(self, what: str, attempt: Callable[[], Awaitable[Result]], most: float = inf) -> Result:
        """The result of the first attempt that does not fail; ``what`` names it in the log.

        Raises:
            Stopping: ``stop`` was called, and the last attempt had failed.
            BackOff: ``most`` attempts have failed.
        """
        delay_s, failing, attempts = _FIRST_DELAY_S, False, 0
        while True:
            try:
                result = await attempt()
            except BackOff as error:
                attempts += 1
                if attempts >= most:
                    raise
                wait_s = error.after_s or random.uniform(delay_s / 2, delay_s)  # noqa: S311 - jitter
                delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
                if not failing:
                    log.warning(f"{what} does not take our data; trying on", why=str(error))
            except Alarm as error:
                wait_s = _ALARM_DELAY_S
                log.error(f"{what} refuses us; nothing is lost, but a person has to act", why=str(error))
            else:
                if failing:
                    log.info(f"{what} takes our data again")
                return result
            failing = True
            self._counters.store_retries += 1
            await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), wait_s)
        except TimeoutError:
            return
        raise Stopping
