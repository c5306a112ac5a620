"""What a subject finds, and the table of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``keys`` is what goes into ``bench.json``."""

    subject: str
    ours: float
    unit: str
    keys: dict[str, float]
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None  # how many times better than the peer


def compared(
    subject: str, key: str, ours: float, unit: str, peer: float, peer_name: str, ratio_key: str | None = None
) -> Figure:
    """A figure of which more is better, beside a peer's, which has the key ``….peer``."""
    keys = {key: ours, f"{key}.peer": peer} | ({ratio_key: ours / peer} if ratio_key else {})
    return Figure(subject, ours, unit, keys, peer, peer_name, ours / peer)


def compared_cost(
    subject: str, key: str, ours: float, unit: str, peer: float, peer_name: str, ratio_key: str | None = None
) -> Figure:
    """A figure of which less is better, beside a peer's, which has the key ``….peer``."""
    keys = {key: ours, f"{key}.peer": peer} | ({ratio_key: peer / ours} if ratio_key else {})
    return Figure(subject, ours, unit, keys, peer, peer_name, peer / ours)


def table(figures: Iterable[Figure]) -> str:
    """All figures as text, in columns."""
    heads = ("subject", "this system", "unit", "peer", "ratio", "what the peer is")
    lines = [heads, *(_line(figure) for figure in figures)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    right = (1, 3, 4)

    def padded(line: tuple[str, ...]) -> str:
        cells = (c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([padded(lines[0]), rule, *(padded(line) for line in lines[1:])])


def number(value: float) -> str:
    """Three digits that count, thousands apart."""
    if abs(value) >= 1000:
        digits = len(str(int(abs(value)))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _line(figure: Figure) -> tuple[str, ...]:
    peer = "" if figure.peer is None else number(figure.peer)
    ratio = "" if figure.ratio is None else f"{number(figure.ratio)}x"
    return figure.subject, number(figure.ours), figure.unit, peer, ratio, figure.peer_name
