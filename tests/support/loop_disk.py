"""A disk of our own: an ext4 in a file behind a loop device, whose power can be cut and whose room can run out.

Needs root, loop devices and mkfs.ext4. Where one of them is missing the tests that need a disk are skipped, visibly:
it is the only thing our tests may skip for. Device and mount are always let go of.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2  # drop everything that is not on the device yet, the journal included
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class LoopDisk:
    """One file system; mounted or not."""

    def __init__(self, device: str, folder: Path) -> None:
        self.device = device
        self.folder = folder

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """Mount it for the length of the block; mounting replays the journal, as a boot does."""
        _run("mount", self.device, str(self.folder))
        try:
            yield self.folder
        finally:
            _run("umount", str(self.folder))

    def cut_the_power(self) -> None:
        """Lights out: nothing that is still in memory reaches the device."""
        directory = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(directory)

    def fill(self, leave_bytes: int = 0) -> Path:
        """Put a file of ballast on it, so that only ``leave_bytes`` are left."""
        ballast = self.folder / "ballast"
        free = os.statvfs(self.folder)
        with ballast.open("wb") as file:
            left = free.f_bavail * free.f_frsize - leave_bytes
            try:
                while left > 0:
                    left -= file.write(bytes(min(left, 4096)))
                    file.flush()
            except OSError:
                pass  # not even the last block
        return ballast


@contextmanager
def loop_disk(folder: Path, size_mb: int) -> Iterator[LoopDisk]:
    """A fresh ext4 of so many MiB; skips the test where there can be none."""
    why = _missing()
    if why:
        pytest.skip(f"cannot make a disk of our own: {why}")
    image, mount = folder / "image", folder / "disk"
    mount.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    device = _run("losetup", "-f", "--show", str(image))
    try:
        yield LoopDisk(device, mount)
    finally:
        _run("losetup", "-d", device)
        image.unlink()


@cache
def _missing() -> str:
    """What this machine lacks, or nothing."""
    if os.geteuid() != 0:
        return "not root"
    lacking = [name for name in ("mkfs.ext4", "losetup", "mount", "umount") if not shutil.which(name, path=_PATH)]
    if lacking:
        return f"{', '.join(lacking)} not installed"
    found = subprocess.run(["losetup", "-f"], capture_output=True, text=True, check=False, env={"PATH": _PATH})
    return "" if found.returncode == 0 else f"no loop device: {found.stderr.strip()}"


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": _PATH})
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout.strip()
