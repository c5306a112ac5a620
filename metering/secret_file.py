"""Files that hold secrets: only their owner may read them. Settings name the file, never the secret."""

from __future__ import annotations

from pathlib import Path

from metering.errors import StopAndFix


def read_secret(path: Path) -> str:
    """The first line of a file that only its owner may read.

    Raises:
        StopAndFix: the file is missing, empty, or open to other users.
    """
    return read_secrets(path)[0]


def read_secrets(path: Path) -> list[str]:
    """All lines of a file that only its owner may read.

    Raises:
        StopAndFix: the file is missing, empty, or open to other users.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StopAndFix(f"{path}: cannot read the secret: {error.strerror}") from None
    if mode & 0o077:
        raise StopAndFix(f"{path}: other users may read this secret → chmod 600 {path}")
    if not text:
        raise StopAndFix(f"{path}: the secret is empty")
    return text.splitlines()
