"""The evidence sheet as one HTML page that prints on a sheet of paper and needs nothing else: no script, no net.

Every text is escaped. The load around the start, if there is any, is a line of inline SVG: one point a quarter of an
hour, a gap where nothing was measured, the time of the condition shaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from collector.feeds.sheet import Sheet, local
from collector.feeds.sheet_words import HEADINGS
from metering.language import Language

WIDTH: Final = 720
HEIGHT: Final = 150
_BLOCK_MS: Final = 900_000
_STYLE: Final = (
    "body{font:14px/1.45 sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#111}"
    "h1{font-size:1.3em;border-bottom:2px solid #111}h2{font-size:1em;margin:1em 0 .2em}p{margin:.2em 0}"
    "th{text-align:left;padding-right:1.5em;font-weight:normal;color:#555}svg{width:100%;height:auto}"
    "@media print{body{margin:0;font-size:11px}}@page{size:A4;margin:15mm}"
)


@dataclass(frozen=True, slots=True)
class Load:
    """Mean power of quarters of an hour, by their start in ms; and the span of the condition."""

    points: tuple[tuple[int, float], ...]  # ms, kW
    started_at: datetime
    ended_at: datetime | None


def as_html(page: Sheet, lang: Language, zone: ZoneInfo, load: Load | None = None) -> str:
    """The whole page."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in page.head)
    sections = "".join(
        f"<h2>{escape(one.heading)}</h2>" + "".join(f"<p>{escape(line)}</p>" for line in one.lines)
        for one in page.sections
    )
    drawn = ""
    if load is not None and len(load.points) > 1:
        drawn = f"<h2>{escape(HEADINGS[lang]['load'])}</h2>{curve(load, zone)}"
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{escape(page.title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(page.title)}</h1><table>{rows}</table>{sections}{drawn}"
        f"<p><small>{escape(page.note)}</small></p></body></html>\n"
    )


def curve(load: Load, zone: ZoneInfo) -> str:
    """The load as inline SVG."""
    first, last = load.points[0][0], load.points[-1][0] + _BLOCK_MS
    top = max(0.001, *(kw for _, kw in load.points))

    def x(at_ms: float) -> float:
        return round((min(max(at_ms, first), last) - first) / (last - first) * WIDTH, 1)

    def y(kw: float) -> float:
        return round((1 - kw / top) * HEIGHT, 1)

    began = load.started_at.timestamp() * 1000
    ended = last if load.ended_at is None else load.ended_at.timestamp() * 1000
    lines = "".join(
        '<polyline fill="none" stroke="#1a5fb4" stroke-width="1.5" points="'
        + " ".join(f"{x(at)},{y(kw)}" for at, kw in run)
        + '"/>'
        for run in _runs(load.points)
    )
    start, end = (local(datetime.fromtimestamp(at / 1000, zone), zone) for at in (first, last))
    return (
        f'<svg viewBox="-2 -14 {WIDTH + 4} {HEIGHT + 32}" role="img" font-size="11" font-family="sans-serif">'
        f'<rect x="{x(began)}" y="0" width="{round(max(x(ended) - x(began), 1), 1)}" height="{HEIGHT}" fill="#f6d9a8"/>'
        f'<path d="M0 0V{HEIGHT}H{WIDTH}" fill="none" stroke="#555"/>{lines}'
        f'<text x="0" y="-3">{top:.1f} kW</text><text x="0" y="{HEIGHT + 14}">{escape(start)}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">{escape(end)}</text></svg>'
    )


def _runs(points: Sequence[tuple[int, float]]) -> Iterator[list[tuple[int, float]]]:
    """Points without a hole between them."""
    run: list[tuple[int, float]] = []
    for point in points:
        if run and point[0] != run[-1][0] + _BLOCK_MS:
            yield run
            run = []
        run.append(point)
    if run:
        yield run
