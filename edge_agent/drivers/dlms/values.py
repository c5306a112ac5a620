"""What one read of a meter asks and what becomes of the answers. No clock, no line.

The first read of an association also asks scaler and unit of every object it meets; they are remembered as long as
the association stands, because a meter that was exchanged cannot go on with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from edge_agent.drivers.dlms import clock
from edge_agent.drivers.dlms.clock import CosemTime, DeviationSign
from edge_agent.drivers.dlms.load_profile import Form, Row, Window, read_form, read_history
from edge_agent.drivers.dlms.profile import ProfileObject
from edge_agent.drivers.dlms.reader import Conversation, Reader, Result
from edge_agent.drivers.dlms.scaling import Scaler, scaled, scaler_of
from edge_agent.drivers.dlms.xdlms import Attribute, Denied, Item
from edge_agent.drivers.transformers import transformer_ratio
from metering.obis import ObisCode


@dataclass(slots=True)
class Taken:
    """What one read has given."""

    values: dict[str, float | None] = field(default_factory=dict)
    dropped: bool = False  # there was a number and it cannot be true
    time: CosemTime | None = None


@dataclass(slots=True)
class Known:
    """What an association has taught about its meter; another association may find another meter."""

    association: int
    scalers: dict[Attribute, Scaler | None] = field(default_factory=dict)
    form: Form | None = None  # of the load profile


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one meter."""

    objects: Sequence[ProfileObject]
    ratios: tuple[float, float] = (1.0, 1.0)  # of current and voltage transformers
    clock: Attribute | None = None
    zone: tzinfo | None = None  # with ``clock``: of a meter that does not name its own
    sign: DeviationSign = "utc_minus_local"


def read(reader: Reader, question: Question, scalers: dict[Attribute, Scaler | None]) -> Conversation[Taken]:
    """Ask everything at once; ``scalers`` are those known in this association, and grow.

    Raises:
        DlmsError: there is no answer that can be used.
    """
    unknown = [entry.scaler for entry in question.objects if entry.scaler not in scalers]
    attributes = [entry.value for entry in question.objects] + unknown
    if question.clock is not None:
        attributes.append(question.clock)
    answers = yield from reader.get_all([Item(attribute) for attribute in attributes])
    results = dict(zip(attributes, answers, strict=True))
    for attribute in unknown:
        if not isinstance(results[attribute], Denied):
            scalers[attribute] = scaler_of(results[attribute])
    taken = Taken()
    for entry in question.objects:
        _take(taken, entry, results[entry.value], scalers.get(entry.scaler), question.ratios)
    if question.clock is not None:
        taken.time = _time(results[question.clock], question)
    return taken


def read_intervals(
    reader: Reader, profile: ObisCode, window: Window, question: Question, known: Known
) -> Conversation[tuple[int, list[tuple[Row, Taken]]]]:
    """How many seconds apart the rows of a load profile stand, and each row with the values of the objects in question.

    Raises:
        DlmsError: there is no answer that can be used.
    """
    form = known.form = known.form or (yield from read_form(reader, profile))
    history = yield from read_history(reader, profile, window, form)
    scalers = known.scalers
    captured = [entry for entry in question.objects if entry.value in form.columns]
    unknown = [entry.scaler for entry in captured if entry.scaler not in scalers]
    answers = yield from reader.get_all([Item(attribute) for attribute in unknown])
    for attribute, answer in zip(unknown, answers, strict=True):
        if not isinstance(answer, Denied):
            scalers[attribute] = scaler_of(answer)
    found = []
    for row in history.rows:
        taken = Taken()
        for entry in captured:
            cell = row.cells[form.columns.index(entry.value)]
            _take(taken, entry, cell, scalers.get(entry.scaler), question.ratios)
        found.append((row, taken))
    return form.period_s, found


def _take(taken: Taken, entry: ProfileObject, raw: Result, scaler: Scaler | None, ratios: tuple[float, float]) -> None:
    if isinstance(raw, Denied) or scaler is None:
        taken.values[entry.quantity] = None
        taken.dropped = taken.dropped or not (isinstance(raw, Denied) or raw is None)
        return
    value = scaled(entry.quantity, raw, scaler, entry.bounds, transformer_ratio(entry.quantity, *ratios))
    taken.values[entry.quantity] = value.number
    taken.dropped = taken.dropped or value.dropped


def _time(result: Result, question: Question) -> CosemTime | None:
    if not isinstance(result, bytes) or len(result) != clock.LENGTH or question.zone is None:
        return None
    return clock.decode(result, question.zone, question.sign)
