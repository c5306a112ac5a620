"""Approvals of temporary capacity 临时增容: those of the registry file, and those that arrive while we run.

What arrives for a meter is its whole list, and takes the place of the list that arrived before. An approval that
carries the id of one in the file takes its place; others stand beside it. From then on they set the limits: an
approval that arrives after the instants it is about does not rewrite events that were made, and neither does one that
is withdrawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import ValidationError

from collector.registry.records import Approval
from collector.registry.registry import Registry, milliseconds
from metering.errors import DecodeError
from metering.marked_yaml import dotted

ApprovalState = Literal["requested", "refused", "approved", "active", "over", "ended", "unused"]

LARGEST_BYTES: Final = 64 * 1024
"""Of one meter's list: some hundred approvals."""


class Approvals:
    """The approvals in force, by meter."""

    def __init__(self, registry: Registry, arrived: Mapping[str, bytes] | None = None) -> None:
        """Those of the file, and the lists that arrived before and were kept; a kept list that is wrong is left out."""
        self._registry = registry
        self._arrived: dict[str, tuple[Approval, ...]] = {}
        self.unreadable: list[str] = []
        for meter, payload in (arrived or {}).items():
            try:
                self._arrived[meter] = read_approvals(meter, payload)
            except DecodeError as error:
                self.unreadable.append(f"{meter}: {error}")

    def would_change(self, meter: str, payload: bytes) -> bool:
        """Whether a meter's list says anything new.

        Raises:
            DecodeError: the list is wrong, or the registry does not know the meter.
        """
        if meter not in self._registry.meters:
            raise DecodeError(f"the registry knows no meter {meter}")
        return read_approvals(meter, payload) != self._arrived.get(meter, ())

    def arrive(self, meter: str, payload: bytes) -> None:
        """Take a meter's list in the place of the one before.

        Raises:
            DecodeError: the list is wrong; the old one stays.
        """
        self._arrived[meter] = read_approvals(meter, payload)

    def of(self, meter: str) -> list[Approval]:
        """Requests and approvals of a meter by their start."""
        arrived = self._arrived.get(meter, ())
        ids = {one.id for one in arrived}
        filed = [one for one in self._registry.approvals_of(meter) if one.id is None or one.id not in ids]
        return sorted([*filed, *arrived], key=lambda one: (one.starts_at, one.ends_at))

    def by_meter(self) -> dict[str, list[Approval]]:
        """All meters that have any."""
        found = {meter: self.of(meter) for meter in self._registry.meters}
        return {meter: approvals for meter, approvals in found.items() if approvals}


def read_approvals(meter: str, payload: bytes) -> tuple[Approval, ...]:
    """A JSON list of {id, from, to, kva, status, requested_at, approved_at}; no bytes at all are an empty list.

    Raises:
        DecodeError: what is wrong with it, and where.
    """
    if len(payload) > LARGEST_BYTES:
        raise DecodeError(f"{len(payload)} bytes are more than {LARGEST_BYTES}")
    try:
        items = json.loads(payload) if payload else []
    except ValueError as error:
        raise DecodeError(f"not JSON: {error}") from error
    if not isinstance(items, list):
        raise DecodeError("not a list of approvals")
    found = [_approval(meter, i, item) for i, item in enumerate(items)]
    repeated = [one.id for i, one in enumerate(found) if one.id in {other.id for other in found[:i]}]
    if repeated:
        raise DecodeError(f"id {repeated[0]} is given twice")
    return tuple(found)


def state_of(approval: Approval, at_ms: int, *, used: bool, over: bool) -> ApprovalState:
    """Where an approval stands at an instant.

    Args:
        approval: the approval.
        at_ms: the instant, ms.
        used: whether a block in its window was above the contract (``temporary_capacity`` was opened).
        over: whether more than the approved kVA is drawn now (``over_approved`` is open).
    """
    if approval.status != "approved":
        return approval.status
    if at_ms < milliseconds(approval.starts_at):
        return "approved"
    if at_ms < milliseconds(approval.ends_at):
        return "over" if over else "active"
    return "ended" if used else "unused"


def _approval(meter: str, i: int, item: object) -> Approval:
    if not isinstance(item, dict):
        raise DecodeError(f"[{i}]: not an approval")
    if not item.get("id"):
        raise DecodeError(f"[{i}].id: missing")
    if "meter" in item:
        raise DecodeError(f"[{i}].meter: the topic names the meter → leave it out")
    try:
        found = Approval.model_validate({**item, "meter": meter})
    except ValidationError as error:
        said = [f"{dotted((i, *one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
        raise DecodeError("; ".join(said)) from error
    if found.ends_at <= found.starts_at:
        raise DecodeError(f"[{i}].to: the window ends before it starts")
    return found
