"""Approvals: what a list may say, whose word counts, and that limits change from then on and not before."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from collector.config import ChecksSettings, all_checks
from collector.engine.checkpoint import Checkpoint, read_approval_lists
from collector.engine.engine import Engine
from collector.engine.fleet import Fleet
from collector.ingest.approval_desk import ApprovalDesk
from collector.registry.approvals import Approvals, read_approvals, state_of
from collector.registry.registry import Registry
from metering.errors import DecodeError
from metering.round import Round
from metering.topics import Topics
from tests.support.engines import judge, registry, tariffs
from tests.support.rounds import MINUTE, T0, make_round

GOOD = {"id": "a-1", "from": "2026-06-18T10:00:00+08:00", "to": "2026-06-18T12:00:00+08:00", "kva": 40}


def listed(*items: dict[str, Any]) -> bytes:
    return json.dumps(items).encode()


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"{", "not JSON"),
        (b"{}", "not a list of approvals"),
        (b"[1]", r"\[0\]: not an approval"),
        (listed({**GOOD, "id": None}), r"\[0\].id: missing"),
        (listed(GOOD, GOOD), "id a-1 is given twice"),
        (listed({**GOOD, "kva": 0}), r"\[0\].kva: .*greater than 0"),
        (listed({**GOOD, "kva": "many"}), r"\[0\].kva"),
        (listed({**GOOD, "from": "2026-06-18T10:00:00"}), r"\[0\].from: .*timezone"),
        (listed({**GOOD, "to": "2026-06-18T10:00:00+08:00"}), r"\[0\].to: the window ends before it starts"),
        (listed({**GOOD, "status": "perhaps"}), r"\[0\].status"),
        (listed({**GOOD, "customer": "Li"}), r"\[0\].customer"),
        (listed({**GOOD, "meter": "m-2"}), r"\[0\].meter: the topic names the meter"),
        (b" " * 70_000, "70000 bytes are more than 65536"),
    ],
)
def test_a_wrong_list_is_refused_with_the_place_of_the_mistake(payload: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        read_approvals("m-1", payload)


def test_no_bytes_are_an_empty_list() -> None:
    assert read_approvals("m-1", b"") == ()


def test_an_arrived_approval_takes_the_place_of_its_namesake_in_the_file_and_others_stand_beside_it() -> None:
    filed = [
        {"meter": "m-1", **GOOD},
        {"meter": "m-1", **GOOD, "id": "a-2", "kva": 35},
        {"meter": "m-1", **GOOD, "id": None},
    ]
    approvals = Approvals(registry(["m-1", "m-2"], approvals=filed))

    approvals.arrive("m-1", listed({**GOOD, "kva": 50}))

    assert sorted((one.id or "", one.kva) for one in approvals.of("m-1")) == [("", 40), ("a-1", 50), ("a-2", 35)]
    assert approvals.of("m-2") == []
    approvals.arrive("m-1", b"")
    assert sorted((one.id or "", one.kva) for one in approvals.of("m-1")) == [("", 40), ("a-1", 40), ("a-2", 35)]


@pytest.mark.parametrize(
    ("at", "status", "used", "over", "state"),
    [
        ("09:59:59", "requested", False, False, "requested"),
        ("11:00:00", "refused", False, False, "refused"),
        ("09:59:59", "approved", False, False, "approved"),
        ("10:00:00", "approved", False, False, "active"),
        ("11:59:59", "approved", True, True, "over"),
        ("12:00:00", "approved", True, False, "ended"),
        ("12:00:00", "approved", False, False, "unused"),
    ],
)
def test_the_states_of_an_approval_have_exact_boundaries(
    at: str, status: str, used: bool, over: bool, state: str
) -> None:
    (approval,) = read_approvals("m-1", listed({**GOOD, "status": status}))
    at_ms = round(datetime.fromisoformat(f"2026-06-18T{at}+08:00").timestamp() * 1000)

    assert state_of(approval, at_ms, used=used, over=over) == state


def power(kw: float, start: float, hours: float) -> list[Round]:
    return [
        make_round({"active_power": [kw]}, meters=["m-1"], at=T0 + round(start * 60 + i) * MINUTE)
        for i in range(round(hours * 60))
    ]


def an_engine(known: Registry, approvals: Approvals) -> Engine:
    return Engine(Fleet(known, tariffs(), approvals), all_checks(ChecksSettings()), "test", "1")


def test_an_approval_holds_from_its_arrival_on_and_rewrites_nothing() -> None:
    known = registry(["m-1"])
    approvals = Approvals(known)
    judging = an_engine(known, approvals)
    before = judge(judging, power(35, 10, 1)).events

    approvals.arrive("m-1", listed(GOOD))
    judging.fleet.approve("m-1")
    after = judge(judging, power(35, 11, 1.5)).events

    assert [(event.kind, event.lifecycle) for event in before if event.kind == "over_capacity"] == [
        ("over_capacity", "opened")
    ]
    assert [(event.kind, event.lifecycle) for event in after] == [
        ("temporary_capacity", "opened"),
        ("over_capacity", "closed"),
        ("temporary_capacity", "closed"),
    ]


def test_an_approval_that_is_withdrawn_ends_with_the_block_under_way() -> None:
    known = registry(["m-1"])
    approvals = Approvals(known)
    approvals.arrive("m-1", listed(GOOD))
    judging = an_engine(known, approvals)
    judge(judging, power(35, 10, 1))

    approvals.arrive("m-1", b"")
    judging.fleet.approve("m-1")
    events = judge(judging, power(35, 11, 1)).events

    assert [(event.kind, event.lifecycle) for event in events if event.kind != "capacity_warning"] == [
        ("temporary_capacity", "closed"),
        ("over_capacity", "opened"),
    ]


async def test_what_the_desk_took_is_there_after_a_restart_and_a_wrong_list_changes_nothing(tmp_path: Path) -> None:
    known = registry(["m-1"])
    checkpoint = Checkpoint(tmp_path / "state.db")
    approvals = Approvals(known, checkpoint.approvals())
    desk = ApprovalDesk(approvals, checkpoint)

    assert await desk.take("m-1", listed(GOOD))
    assert not await desk.take("m-1", listed(GOOD))  # a retained message comes again with every connection
    assert not await desk.take("m-1", b"rubbish")
    assert not await desk.take("m-9", listed(GOOD))  # the registry knows no such meter
    assert desk.changed() == ["m-1"]
    assert desk.changed() == []
    checkpoint.close()

    again = Checkpoint(tmp_path / "state.db")
    assert Approvals(known, again.approvals()).of("m-1") == approvals.of("m-1")
    again.close()
    assert read_approval_lists(tmp_path / "state.db") == {"m-1": listed(GOOD)}


def test_a_kept_list_that_cannot_be_read_is_left_out_and_told() -> None:
    approvals = Approvals(registry(["m-1"]), {"m-1": b"rubbish"})

    assert approvals.of("m-1") == []
    assert approvals.unreadable[0].startswith("m-1: not JSON")


@pytest.mark.parametrize("topic", ["wattline/v1/registry/approvals/", "wattline/v1/registry/approvals/a/b", "x/m-1"])
def test_other_topics_are_no_approvals(topic: str) -> None:
    assert Topics().parse_approvals(topic) is None
    assert Topics().parse_approvals(Topics().approvals("m-1")) == "m-1"
