"""Whether the gateway does its work, in one line: everything a technician should look at, the worst first.

Limits: a round is old after three of the longest periods; a meter is poor below 95 % of its rows; readings are stuck
when nothing was acknowledged for ten minutes; a spool is full above half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.commissioning.meter_success import GroupTicks, MeterSuccess
from edge_agent.spool.state import SpoolState
from edge_agent.words import Words

POOR_SHARE: Final = 0.95
_OLD_PERIODS: Final = 3
_STUCK_MS: Final = 600_000
_FULL_SHARE: Final = 0.5
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Health:
    """What is known about a gateway at one instant."""

    now_ms: int
    state: SpoolState
    meters: Sequence[MeterSuccess]
    groups: Sequence[GroupTicks]
    longest_period_ms: int

    @property
    def last_round_age_ms(self) -> int | None:
        """Of the newest round; ``None`` if there is none."""
        newest = max((group.last_at for group in self.groups), default=None)
        return None if newest is None else max(0, self.now_ms - newest)


def concerns(health: Health, say: Words) -> list[str]:
    """What to look at; nothing if all is well."""
    found = _rounds(health, say) + _meters(health, say)
    found += [
        say["ticks missed"].format(group.group, group.missed, group.ticks + group.missed)
        for group in health.groups
        if group.missed
    ]
    return found + _spool(health, say)


def _rounds(health: Health, say: Words) -> list[str]:
    age_ms = health.last_round_age_ms
    if age_ms is None:
        return [say["no round"]]
    if age_ms > _OLD_PERIODS * health.longest_period_ms:
        return [say["old round"].format(age_text(age_ms))]
    return []


def _meters(health: Health, say: Words) -> list[str]:
    read = [meter for meter in health.meters if meter.share is not None]
    failing = [meter for meter in read if meter.failing]
    poor = [meter for meter in read if not meter.failing and (meter.share or 0) < POOR_SHARE]
    doubted = [meter.meter for meter in read if meter.doubts]
    clocks = [meter.meter for meter in read if meter.clock_off]
    found = []
    if failing:
        names = [meter.meter for meter in failing]
        found.append(say["meters failing"].format(len(failing), len(health.meters), _listed(names), names[0]))
    if poor:
        found.append(say["meters poor"].format(len(poor), POOR_SHARE, _listed([meter.meter for meter in poor])))
    if any(meter.clock_doubted for meter in read):
        found.append(say["clock doubted"])
    if doubted:
        found.append(say["registers doubted"].format(_listed(doubted)))
    if clocks:
        found.append(say["clocks off"].format(_listed(clocks), clocks[0]))
    return found


def _spool(health: Health, say: Words) -> list[str]:
    state, since = health.state, health.state.oldest_unacknowledged_at
    found = []
    if since is not None and health.now_ms - since > _STUCK_MS:
        found.append(say["not sent"].format(age_text(health.now_ms - since), state.unacknowledged))
    if state.share > _FULL_SHARE:
        found.append(say["spool full"].format(state.share))
    if state.evicted_rows:
        found.append(say["rows lost"].format(state.evicted_rows))
    return found


def age_text(age_ms: int) -> str:
    """An age in the largest unit that tells enough.

    >>> age_text(4_000), age_text(600_000), age_text(7_200_000 * 24)
    ('4 s', '10 min', '48 h')
    """
    for unit, ms in (("h", 3_600_000), ("min", 60_000)):
        if age_ms >= 2 * ms:
            return f"{age_ms // ms} {unit}"
    return f"{age_ms // 1000} s"


def _listed(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" +{rest}" if rest > 0 else "")
