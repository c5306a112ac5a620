"""Does the gateway know the time?"""

from __future__ import annotations

import pytest

from edge_agent.synchronisation import judged, kernel_synchronised


@pytest.mark.parametrize(
    ("answer", "status", "meaning"),
    [
        (0, 0x2001, True),  # steered by a daemon
        (1, 0x2011, True),  # a leap second is announced
        (5, 0x0040, False),  # nobody steers it
        (0, 0x0041, False),
        (5, 0x0000, False),
        (-1, 0x0000, None),  # not allowed to ask
    ],
)
def test_what_the_kernel_says(answer: int, status: int, meaning: bool | None):
    assert judged(answer, status) is meaning


def test_the_kernel_can_be_asked_without_root():
    assert kernel_synchronised() in (True, False, None)
