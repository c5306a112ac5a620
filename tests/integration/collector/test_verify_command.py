"""``verify`` sees every hand that was laid on an event, in the store or in the state file; sheets come by command."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.feeds import Desk, desk
from tests.support.findings import event
from tests.support.rounds import T0


@pytest.fixture
def room(tmp_path: Path) -> Desk:
    one = desk(tmp_path)
    one.add([event(meter=f"shop-{n}", start=T0 + n, registry=one.registry) for n in (1, 2, 3)])
    return one


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement).rowcount > 0


def test_untouched_events_are_intact_and_the_head_can_be_noted(room: Desk) -> None:
    status, out = room.run("verify")
    again = room.run("verify")

    assert status == 0
    assert out.startswith("intact: 3 links, head ")
    assert len(out.split()[-1]) == 64
    assert again == (status, out)

    room.add([event(meter="shop-1", start=T0 + 9, registry=room.registry)])
    status, more = room.run("verify")
    assert (status, more.startswith("intact: 4 links")) == (0, True)
    assert more.split()[-1] != out.split()[-1]


@pytest.mark.parametrize(
    ("file", "statement", "says"),
    [
        ("readings.db", "UPDATE event SET body = replace(body, '0.9', '0.1') WHERE meter = 'shop-2'", "another body"),
        ("readings.db", "DELETE FROM event WHERE meter = 'shop-2'", "missing in the store"),
        (
            "readings.db",
            "INSERT INTO event SELECT 'forged', time, kind, lifecycle, gateway, meter,"
            " replace(body, id, 'forged') FROM event LIMIT 1",
            "never committed: forged",
        ),
        ("state.db", "UPDATE chain SET digest = 'x' WHERE n = 2", "link 2 of 3"),
        ("state.db", "DELETE FROM chain WHERE n = 1", "link 1 of 2"),
    ],
)
def test_a_hand_laid_on_either_file_is_seen(room: Desk, file: str, statement: str, says: str) -> None:
    change(room.folder / file, statement)

    status, out = room.run("verify")

    assert status == 1
    assert says in out
    assert "intact" not in out


def test_a_sheet_comes_by_the_name_of_a_case_or_of_a_condition(room: Desk, tmp_path: Path) -> None:
    status, listed = room.run("cases")
    case = listed.split()[0]
    condition = event(meter="shop-1", start=T0 + 1, registry=room.registry).condition

    assert status == 0
    assert case in room.run("evidence", case, "--lang", "en")[1]
    status, out = room.run("evidence", condition, "--lang", "zh", "--for", "customer")
    assert status == 0
    assert "shop-1" in out
    status, _ = room.run("evidence", case, "--html", str(tmp_path / "sheet.html"))
    assert (tmp_path / "sheet.html").read_text().startswith("<!doctype html>")
    status, out = room.run("evidence", "nothing")
    assert status == 2
    assert "wattline-collector cases" in out
