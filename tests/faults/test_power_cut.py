"""The rule: when ``append`` has returned, the round is still there after the power was cut at any moment.

A real ext4 in a loop-mounted image. A child spools rounds and prints each number it may promise; the parent stops it,
shuts the file system down without a flush, mounts it again and compares. The same with ``synchronous=NORMAL`` must
lose rounds: else the cut is no cut and this test is blind. Killing the process alone cannot tell the two apart,
because the kernel still writes what a dead process has handed over. What is not modelled: a card that lies about
flushing.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.spool.spool import Spool
from metering.codec import decode, encode_packed
from metering.message import Envelope
from tests.support import spool_writer
from tests.support.loop_disk import LoopDisk, loop_disk
from tests.support.spool_writer import GATEWAY, numbered_round

CUTS = 15
ROOT = Path(__file__).parents[2]


def cut_once(disk: LoopDisk, promises: Path, synchronous: str, dice: random.Random) -> int:
    """Let a child spool for a moment and cut the power; give the last number it has promised."""
    command = [sys.executable, "-m", spool_writer.__name__, str(disk.folder / "spool.db"), synchronous]
    with promises.open("wb") as out, disk.mounted():
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, cwd=ROOT)
        assert child.stdin is not None
        assert child.stderr is not None
        with child.stdin, child.stderr:
            try:
                child.stdin.write(b"go\n")
                child.stdin.flush()
                while not promises.stat().st_size:  # until it has promised something
                    assert child.poll() is None, child.stderr.read().decode()
                    time.sleep(0.002)
                time.sleep(dice.uniform(0.02, 0.25))
                child.send_signal(signal.SIGSTOP)  # promised is exactly what is printed by now
                os.waitpid(child.pid, os.WUNTRACED)
                disk.cut_the_power()
            finally:
                child.kill()
                child.wait()
    return int(promises.read_text().split("\n")[-2])


def lost_rounds(disk: LoopDisk, promised: int) -> int:
    """Boot again: how many promised rounds are not there; what is there has to be whole."""
    with disk.mounted():
        spool = Spool(disk.folder / "spool.db", GATEWAY, 64 << 20, 0)
        items = spool.next_after(0, 10**7)
        spool.close()
        assert not list(disk.folder.glob("*.corrupt-*")), "the file was damaged"
    assert [item.seq for item in items] == list(range(1, len(items) + 1))
    for item in items[-1000:]:
        assert decode(encode_packed(Envelope(0, item.seq, 0), item.body)).content == numbered_round(item.seq)
    return max(0, promised - len(items))


def cuts(disk: LoopDisk, folder: Path, synchronous: str) -> Iterator[tuple[int, int]]:
    """Promised and lost after each cut; each goes on with the spool the one before has left."""
    dice = random.Random(11)
    for _ in range(CUTS):
        promised = cut_once(disk, folder / "promises", synchronous, dice)
        yield promised, lost_rounds(disk, promised)


def test_no_promised_round_is_lost_by_a_power_cut(tmp_path):
    with loop_disk(tmp_path, 256) as disk:
        found = list(cuts(disk, tmp_path, "FULL"))

    assert [lost for _, lost in found] == [0] * CUTS
    assert found[-1][0] > CUTS


def test_a_spool_without_a_flush_a_round_loses_rounds_or_this_test_is_blind(tmp_path):
    with loop_disk(tmp_path, 256) as disk:
        losses = next((lost for _, lost in cuts(disk, tmp_path, "NORMAL") if lost), 0)

    assert losses > 0
