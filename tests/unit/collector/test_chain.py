"""Whoever changes, removes, adds or reorders a committed event is seen, in either file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collector.engine.chain_table import read_chain
from collector.engine.checkpoint import Checkpoint
from collector.engine.progress import Progress
from collector.events.chain import GENESIS, walk

BODIES = {f"e-{n}": f'{{"n":{n}}}' for n in range(1, 6)}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    checkpoint = Checkpoint(path)
    for event in BODIES.items():
        checkpoint.commit(Progress(chained=[event]))
    checkpoint.close()
    return path


def tamper(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(statement).rowcount > 0


def test_an_untouched_chain_is_intact_and_has_one_link_an_event(state: Path) -> None:
    found = walk(read_chain(state), BODIES)

    assert found.intact
    assert (found.links, len(found.head)) == (5, 64)
    assert walk([], {}).head == GENESIS


def test_the_same_body_again_is_no_link_and_a_revision_is_the_next(state: Path) -> None:
    checkpoint = Checkpoint(state)
    checkpoint.commit(Progress(chained=[("e-2", BODIES["e-2"]), ("e-2", "revised"), ("e-2", "revised")]))
    checkpoint.commit(Progress(chained=[("e-2", BODIES["e-2"])]))
    checkpoint.close()

    assert [link.id for link in read_chain(state)][5:] == ["e-2", "e-2"]
    assert walk(read_chain(state), BODIES).intact
    assert walk(read_chain(state), BODIES | {"e-2": "revised"}).changed == ["e-2"]


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE chain SET digest = replace(digest, substr(digest, 1, 1), 'z') WHERE n = 3", 3),
        ("UPDATE chain SET id = 'other' WHERE n = 2", 2),
        ("UPDATE chain SET hash = previous WHERE n = 4", 4),
        ("DELETE FROM chain WHERE n = 2", 2),
        ("DELETE FROM chain WHERE n = 1", 1),
    ],
)
def test_a_link_that_was_touched_is_named(state: Path, statement: str, broken_at: int) -> None:
    tamper(state, statement)

    assert walk(read_chain(state), BODIES).broken_at == broken_at


def test_the_last_link_cut_off_leaves_an_event_that_was_never_committed(state: Path) -> None:
    tamper(state, "DELETE FROM chain WHERE n = 5")

    found = walk(read_chain(state), BODIES)

    assert (found.broken_at, found.unlinked, found.intact) == (None, ["e-5"], False)


def test_bodies_that_were_changed_or_removed_are_named(state: Path) -> None:
    touched = BODIES | {"e-3": '{"n":33}', "e-9": "{}"}
    del touched["e-1"]

    found = walk(read_chain(state), touched)

    assert (found.changed, found.missing, found.unlinked) == (["e-3"], ["e-1"], ["e-9"])
    assert found.broken_at is None


def test_a_commit_that_fails_leaves_no_link(state: Path) -> None:
    checkpoint = Checkpoint(state)
    with pytest.raises(AttributeError):
        checkpoint.commit(Progress(chained=[("e-6", "six"), ("e-7", None)]))  # type: ignore[list-item]
    checkpoint.close()

    assert len(read_chain(state)) == 5
