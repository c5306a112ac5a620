"""The languages that Wattline speaks to people, and which one this person wants."""

from __future__ import annotations

import os
from typing import Literal

Language = Literal["en", "zh"]


def language(wanted: str | None = None) -> Language:
    """The language asked for, or that of the environment (``LC_ALL``, ``LC_MESSAGES``, ``LANG``)."""
    said = wanted or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or "en"
    return "zh" if said.lower().startswith("zh") else "en"
