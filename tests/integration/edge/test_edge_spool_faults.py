"""The spool through kill -9, a disk that is full, and files that have rotted."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from spool_writer import NOW, a_round

from edge_agent.errors import DiskFull, NoSpool
from edge_agent.spool.spool import Spool
from edge_agent.spool.state import PAGE_BYTES, read_state
from metering.codec import decode, encode_packed
from metering.message import Envelope
from metering.packed_body import encode_body
from metering.round import Column, Gap, Origin, Round, pack

WRITER = Path(__file__).with_name("spool_writer.py")


def start_writer(path: Path, file_limit: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(WRITER), str(path), str(file_limit)], stdout=subprocess.PIPE)


def contents(spool: Spool) -> list[object]:
    items = spool.next_after(0, 10**6)
    return [decode(encode_packed(Envelope(spool.epoch, i.seq, 0), i.body)).content for i in items]


def test_kill_9_loses_no_round_that_append_had_confirmed(tmp_path: Path):
    path, dice = tmp_path / "spool.db", random.Random(4)
    epochs = set()
    confirmed = 0
    for _ in range(6):
        writer = start_writer(path)
        assert writer.stdout is not None
        for _ in range(dice.randrange(2, 60)):
            confirmed = int(writer.stdout.readline())
        time.sleep(dice.random() * 0.01)
        writer.kill()
        confirmed = max([confirmed, *(int(n) for n in writer.stdout.read().split(b"\n")[:-1])])
        writer.wait()
        writer.stdout.close()
        spool = Spool(path, "g", 64 << 20, 0)
        epochs.add(spool.epoch)
        kept = contents(spool)
        spool.close()

        assert len(kept) >= confirmed
        assert kept == [a_round(i + 1) for i in range(len(kept))]
    assert len(epochs) == 1


def test_a_full_disk_is_told_and_what_is_kept_stays_whole(tmp_path: Path):
    path = tmp_path / "spool.db"
    writer = start_writer(path, file_limit=256 * 1024)
    said, _ = writer.communicate(timeout=20)
    lines = said.decode().split("\n")[:-1]

    assert writer.returncode == 0
    assert lines[-1].startswith("full ")
    spool = Spool(path, "g", 64 << 20, 0)
    kept = contents(spool)
    assert len(kept) == int(lines[-2])
    assert spool.append(a_round(len(kept) + 1), NOW) == len(kept) + 1
    spool.close()


def test_a_round_larger_than_the_spool_is_refused_and_the_next_one_kept(tmp_path: Path):
    spool = Spool(tmp_path / "spool.db", "g", 1, 0)
    rounds = [a_round(i) for i in range(3)]
    spool.append(rounds[0], NOW)
    dice = random.Random(1)
    huge = a_round(9)
    huge = type(huge)(
        *(getattr(huge, name) for name in ("gateway", "group", "origin", "period_ms", "scheduled_at")),
        tuple(f"{dice.randrange(10**40)}" for _ in range(9000)),
        b"",
        b"",
        (),
    )
    with pytest.raises(DiskFull):
        spool.append(huge, NOW)

    assert spool.append(rounds[1], NOW) == 2
    spool.close()


@pytest.mark.parametrize("damage", ["header", "random", "cut", "text"])
def test_a_rotten_file_is_set_aside_and_polling_goes_on(tmp_path: Path, damage: str):
    path = tmp_path / "spool.db"
    spool = Spool(path, "g", 64 << 20, 0)
    epoch = spool.epoch
    for i in range(300):
        spool.append(a_round(i), NOW)
    spool.close()
    data, dice = bytearray(path.read_bytes()), random.Random(2)
    if damage == "header":
        data[:100] = dice.randbytes(100)
    elif damage == "random":
        for _ in range(20):
            at = dice.randrange(100, len(data))
            data[at : at + 64] = dice.randbytes(64)
    elif damage == "cut":
        del data[len(data) // 2 :]
    else:
        data = bytearray(b"not a database, but long enough to be read as one" * 100)
    path.write_bytes(data)

    spool = Spool(path, "g", 64 << 20, 0)
    seq = spool.append(a_round(1000), NOW)
    first, *saved, last = contents(spool)
    assert spool.epoch != epoch
    assert (seq, last) == (len(saved) + 2, a_round(1000))
    assert len(saved) > 100 or damage != "random"
    assert set(saved) <= {a_round(i) for i in range(300)}
    assert isinstance(first, Gap)
    assert first.reason == "corrupt"
    assert (tmp_path / "spool.db.corrupt-1").exists()
    spool.close()


def rotten_spool(folder: Path, rounds: int) -> Path:
    """A file with unacknowledged rounds of which one page cannot be read."""
    folder.mkdir()
    path = folder / "spool.db"
    spool = Spool(path, "g", 64 << 20, 0)
    for i in range(rounds):
        spool.append(a_round(i), NOW)
    spool.close()
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES * 8)
        file.write(b"\xa5" * PAGE_BYTES)
    return path


def opened_by_another(path: Path, file_limit: int) -> subprocess.Popen[bytes]:
    """A child that opens the spool and ends; ``file_limit`` as of the writer."""
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({file_limit}, {file_limit}))" if file_limit else "pass"
    opening = f"from pathlib import Path; Spool(Path({str(path)!r}), 'g', 64 << 20, 0)"
    program = f"import resource; from edge_agent.spool.spool import Spool; {limit}; {opening}"
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("cut_off", ["kill -9", "full disk"])
def test_what_is_saved_of_a_rotten_file_is_all_saved_even_if_that_is_cut_off(tmp_path: Path, cut_off: str):
    path = rotten_spool(tmp_path / "cut", 1200)
    shutil.copytree(path.parent, tmp_path / "whole")
    whole = Spool(tmp_path / "whole" / "spool.db", "g", 64 << 20, 0)
    child = opened_by_another(path, 0 if cut_off == "kill -9" else 128 * 1024)
    if cut_off == "kill -9":
        while child.poll() is None and not path.with_name("spool.db.corrupt-1").exists():
            time.sleep(0.001)
        child.kill()
    child.wait(30)

    spool = Spool(path, "g", 64 << 20, 0)

    assert len(contents(whole)) > 1000
    assert contents(spool) == contents(whole)
    spool.close()
    whole.close()


def test_rot_under_a_running_spool_heals_too(tmp_path: Path):
    path = tmp_path / "spool.db"
    spool = Spool(path, "g", 64 << 20, 0)
    for i in range(300):
        spool.append(a_round(i), NOW)
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spool._db.execute("PRAGMA cache_size=1")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))

    for _ in range(3):
        spool.next_after(0, 1000)
        spool.append(a_round(7), NOW)

    assert a_round(7) in contents(spool)
    spool.close()


def test_what_was_given_up_is_not_forgotten_with_a_rotten_file(tmp_path: Path):
    path = tmp_path / "spool.db"
    spool = Spool(path, "g", 1, 0)
    given_up = 0
    while not spool.state().evicted_rows:
        given_up += 1
        spool.append(a_round(given_up), NOW + given_up)
    spool.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b"\xa5" * (len(data) - len(data) // 2)
    path.write_bytes(data)

    spool = Spool(path, "g", 64 << 20, 0)
    untold = spool.loss
    spool.acknowledge(1)
    told = spool.loss
    spool.close()
    spool = Spool(path, "g", 64 << 20, 0)
    spool.acknowledge(1)
    remembered = spool.loss
    spool.close()

    assert untold is None
    assert told is not None
    assert told == remembered
    assert NOW < told.since <= told.until <= NOW + given_up


def test_an_acknowledgement_says_nothing_about_a_file_that_takes_the_place_of_its_own(tmp_path: Path):
    path = tmp_path / "spool.db"
    spool = Spool(path, "g", 64 << 20, 0)
    for i in range(100):
        spool.append(a_round(i), NOW)
    numbers = spool._db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone()[0]
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spool._db.execute("PRAGMA cache_size=1")
    epoch = spool.epoch
    with path.open("r+b") as file:
        file.seek((numbers - 1) * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)

    spool.acknowledge(42, epoch)  # finds the rot
    found = spool.epoch, spool.acknowledged
    spool.acknowledge(43, epoch)  # was under way meanwhile

    assert found[0] != epoch
    assert (found[1], spool.acknowledged) == (0, 0)
    assert len(contents(spool)) == 101
    spool.close()


def test_only_some_rotten_files_are_kept(tmp_path: Path):
    path = tmp_path / "spool.db"
    for _ in range(5):
        path.write_bytes(b"rotten " * 2000)
        Spool(path, "g", 1 << 20, 0).close()

    assert sorted(p.name for p in tmp_path.glob("*.corrupt-*")) == [f"spool.db.corrupt-{n}" for n in (3, 4, 5)]


def test_a_disk_that_lost_our_last_rounds_begins_a_new_epoch(tmp_path: Path):
    spool = Spool(tmp_path / "spool.db", "g", 1 << 20, 0)
    epoch = spool.epoch
    spool.append(a_round(1), NOW)

    spool.acknowledge(5)

    assert spool.epoch != epoch
    assert (spool.acknowledged, spool.append(a_round(2), NOW)) == (0, 2)
    assert contents(spool) == [a_round(1), a_round(2)]
    spool.close()


def test_acknowledged_rounds_are_kept_for_a_while_and_then_trimmed(tmp_path: Path):
    spool = Spool(tmp_path / "spool.db", "g", 16 << 20, 60_000)
    for i in range(100):
        spool.append(a_round(i), NOW)
    spool.acknowledge(100)
    assert spool.oldest() == 1

    for i in range(40):
        spool.append(a_round(i), NOW + 61_000)

    assert spool.oldest() == 101
    assert spool.state().unacknowledged == 40
    spool.close()


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path: Path):
    with pytest.raises(NoSpool):
        Spool(tmp_path / "nowhere" / "spool.db", "g", 1 << 20, 0)
    with pytest.raises(NoSpool):
        read_state(tmp_path / "spool.db", 1 << 20)
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(NoSpool):
        read_state(tmp_path / "other.db", 1 << 20)


def test_a_round_takes_its_pages_once(tmp_path: Path):
    spool = Spool(tmp_path / "spool.db", "park-01", 1 << 20, 0)
    dice, rows = random.Random(1), 9000
    column = Column.of("active_power", [dice.uniform(-9e5, 9e5) for _ in range(rows)])
    times, quality = pack([NOW] * rows, "q"), pack([0] * rows, "I")
    meters = tuple(f"m{i}" for i in range(rows))
    large = Round("park-01", "main", Origin.LIVE, 60_000, NOW, meters, times, quality, (column,))

    for _ in range(2):
        spool.append(large, NOW)

    (pages,) = spool._db.execute("PRAGMA page_count").fetchone()
    spool.close()
    assert pages * PAGE_BYTES < 2 * len(encode_body(large)) + 8 * PAGE_BYTES
