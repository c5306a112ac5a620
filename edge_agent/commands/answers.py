"""How one meter's answer is shown, to people and to machines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import typer

from edge_agent import survey
from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.words import Words
from metering.quantity import QUANTITIES
from metering.round import Quality

_WRONG_MAP_CODES: Final = (1, 2, 3)
_NO_ANSWER_BEHIND: Final = (10, 11)
_EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    10: "gateway path unavailable",
    11: "target device failed to respond",
}


def print_answer(answer: survey.Answer, say: Words) -> None:
    """Every value beside its unit, or why there is none."""
    outcome = answer.outcome
    if isinstance(outcome, ReadFailure):
        typer.echo(f"{answer.meter}: {why(outcome, say)}")
        return
    typer.echo(f"{answer.meter}: {answer.elapsed_ms:.0f} ms")
    for name, value in outcome.values.items():
        typer.echo(f"  {name:26} {shown(name, value, say)}")


def local_minute(at_ms: int) -> str:
    """An instant (ms since 1970 UTC) as this gateway's clock shows it."""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


def shown(quantity: str, value: float | None, say: Words) -> str:
    """A value at its resolution, with its unit."""
    known = QUANTITIES[quantity]
    return say["missing value"] if value is None else f"{value:.{known.decimals}f} {known.unit}".rstrip()


def why(failure: ReadFailure, say: Words) -> str:
    """Why a read failed and what to look at."""
    if failure.reason is not Reason.EXCEPTION or failure.code is None:
        return f"{say[failure.reason]} ({failure.detail})" if failure.detail else say[failure.reason]
    hint = say["wrong map"] if failure.code in _WRONG_MAP_CODES else say["busy"]
    if failure.code in _NO_ANSWER_BEHIND:
        hint = say["silent"]
    return say["exception"].format(failure.code, _EXCEPTIONS.get(failure.code, "?"), hint)


def as_json(answer: survey.Answer, say: Words) -> dict[str, object]:
    """The answer as ``probe --json`` promises it: values with unit, quality bits and the instant in UTC."""
    outcome = answer.outcome
    if isinstance(outcome, ReadFailure):
        reason = {"reason": outcome.reason, "code": outcome.code, "text": why(outcome, say)}
        return {
            "meter": answer.meter,
            "values": {},
            "failure": reason,
            "requests": 0,
            "elapsed_ms": round(answer.elapsed_ms, 1),
        }
    values = {
        name: {
            "value": None if value is None else round(value, QUANTITIES[name].decimals),
            "unit": QUANTITIES[name].unit,
            "quality": bits(outcome.quality),
            "measured_at": iso(outcome.measured_at),
        }
        for name, value in outcome.values.items()
    }
    return {
        "meter": answer.meter,
        "values": values,
        "requests": outcome.requests,
        "elapsed_ms": round(answer.elapsed_ms, 1),
    }


def bits(quality: Quality) -> list[str]:
    """The names of the bits that are set."""
    return [bit.name.lower() for bit in Quality if bit in quality and bit.name]


def iso(instant_ms: int) -> str:
    """Milliseconds since 1970 as an ISO 8601 instant in UTC.

    >>> iso(1772400000123)
    '2026-03-01T21:20:00.123Z'
    """
    return datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
