"""Rounds of several rate groups are kept, and read again, by several threads at once: none may spoil another."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from metering.codec import decode, encode_packed
from metering.message import Envelope
from metering.packed_body import encode_body
from metering.round import Round
from tests.support.rounds import MINUTE, T0, make_round, plausible

METERS = [f"m{n:03d}" for n in range(200)]
THREADS = 4


def rounds_of(seed: int) -> list[Round]:
    rng, energy = random.Random(seed), dict[str, float]()
    return [
        make_round(plausible(rng, METERS, energy), meters=METERS, at=T0 + n * MINUTE, group=f"g{seed}")
        for n in range(8)
    ]


def test_what_threads_encode_and_decode_at_once_is_what_each_does_alone():
    rounds = [rounds_of(seed) for seed in range(THREADS)]
    alone = [[encode_body(content) for content in group] for group in rounds]

    def again(group: int) -> bool:
        for _ in range(60):
            bodies = [encode_body(content) for content in rounds[group]]
            messages = [encode_packed(Envelope(1, n, 0), body) for n, body in enumerate(bodies, 1)]
            if bodies != alone[group] or [decode(message).content for message in messages] != rounds[group]:
                return False
        return True

    with ThreadPoolExecutor(THREADS) as threads:
        at_once = list(threads.map(again, range(THREADS)))

    assert at_once == [True] * THREADS
