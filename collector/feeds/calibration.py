"""How often a kind is right: verdicts against scores.

A case counts for each kind it holds, with the highest score of that kind in it. Precision is confirmed / (confirmed +
dismissed), with the 95 % interval of Wilson (1927), which stays honest for small numbers and for 0 and 1. With fewer
than 20 verdicts a figure is said to be too thin to act on [OURS].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from collector.feeds.case import Case

FEWEST_VERDICTS: Final = 20
BANDS: Final = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0))
_Z: Final = 1.959964  # two-sided 95 %


@dataclass(slots=True)
class Tally:
    """Cases of one kind, in one band of scores or in all."""

    kind: str
    band: tuple[float, float] | None  # None: all scores
    confirmed: int = 0
    dismissed: int = 0
    undecided: int = 0

    @property
    def cases(self) -> int:
        """All of them."""
        return self.confirmed + self.dismissed + self.undecided

    @property
    def precision(self) -> float | None:
        """Share of the decided ones that were right."""
        decided = self.confirmed + self.dismissed
        return self.confirmed / decided if decided else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the true share lies with 95 % confidence."""
        decided = self.confirmed + self.dismissed
        return wilson(self.confirmed, decided) if decided else None

    @property
    def thin(self) -> bool:
        """Whether there are too few verdicts to act on."""
        return self.confirmed + self.dismissed < FEWEST_VERDICTS


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Raises:
        ValueError: there was no try.
    """
    if tries < 1:
        raise ValueError("an interval needs at least one try")
    share, weight = hits / tries, _Z * _Z / tries
    middle = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / tries + weight / (4 * tries)) / (1 + weight)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def calibrate(cases: Iterable[Case]) -> list[Tally]:
    """Per kind: all scores first, then band by band where there is a case."""
    tallies: dict[tuple[str, tuple[float, float] | None], Tally] = {}
    for case in cases:
        for kind, score in _scores(case).items():
            for band in (None, _band(score)):
                tally = tallies.setdefault((kind, band), Tally(kind, band))
                if case.verdict is None:
                    tally.undecided += 1
                elif case.verdict.verdict == "confirmed":
                    tally.confirmed += 1
                else:
                    tally.dismissed += 1
    return sorted(tallies.values(), key=lambda one: (one.kind, one.band or (-1.0, -1.0)))


def _scores(case: Case) -> Mapping[str, float]:
    highest: dict[str, float] = {}
    for one in case.conditions:
        if one.withdrawn:
            continue
        highest[one.kind] = max(highest.get(one.kind, 0.0), one.score)
    return highest


def _band(score: float) -> tuple[float, float]:
    return next(band for band in reversed(BANDS) if score >= band[0])
