from __future__ import annotations

import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from edge_agent.drivers.dlms.counter_store import BLOCK, LAST, CounterFile, Counters, Marks
from edge_agent.drivers.dlms.errors import Spent
from metering.errors import StopAndFix

_RESERVER = Path(__file__).with_name("counter_reserver.py")


def test_a_killed_program_never_uses_a_number_twice(tmp_path: Path) -> None:
    rng = random.Random(5)
    path = tmp_path / "meter.json"
    given: list[tuple[int, int]] = []
    for _ in range(6):
        with subprocess.Popen([sys.executable, _RESERVER, path], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it works
            time.sleep(rng.uniform(0.005, 0.08))
            process.kill()
            given += [
                (int(start), int(stop))
                for start, stop in (line.split() for line in process.stdout.read().splitlines() if line.count(" ") == 1)
            ]

    assert len(given) > 6
    assert all(before[1] <= after[0] for before, after in pairwise(given))
    assert CounterFile(path).reserve().start >= given[-1][1]


def test_two_programs_share_a_meter_without_sharing_a_number(tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    programs = [
        subprocess.Popen([sys.executable, _RESERVER, path], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for program in programs:
        assert program.stdout is not None
        program.stdout.readline()
    time.sleep(0.1)
    numbers: list[int] = []
    for program in programs:
        program.kill()
        out, _ = program.communicate()
        numbers += [int(line.split()[0]) for line in out.splitlines()[:-1]]

    assert len(numbers) > 4
    assert len(set(numbers)) == len(numbers)


def test_numbers_rise_over_blocks_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    counters = Counters(CounterFile(path))

    first = [counters() for _ in range(BLOCK + 1)]
    second = Counters(CounterFile(path))()

    assert first == list(range(BLOCK + 1))
    assert second == 2 * BLOCK


def test_the_meter_s_counter_is_kept_and_never_lowered(tmp_path: Path) -> None:
    file = CounterFile(tmp_path / "meter.json")

    for heard in (5, 900, 7):
        file.note_heard(heard)

    assert CounterFile(tmp_path / "meter.json").marks() == Marks(0, 900)


def test_the_meter_s_word_moves_us_up_but_not_out_of_sight(tmp_path: Path) -> None:
    file = CounterFile(tmp_path / "meter.json")
    file.catch_up(1_000_000_000)
    file.catch_up(5)

    assert file.reserve(1).start == 1_000_000_000
    with pytest.raises(Spent, match="too far"):
        file.catch_up(LAST)
    file.catch_up(1_000_500_000)
    assert file.reserve(1).start == 1_000_500_000


def test_the_end_of_the_numbers_stops_this_meter_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    path.write_text(f'{{"reserved": {LAST - 1_000_500}, "heard": 3}}', encoding="ascii")

    with pytest.raises(Spent, match="new keys"):
        CounterFile(path).reserve()
    assert CounterFile(path).marks().reserved == LAST - 1_000_500


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"reserved": 7}', '{"reserved": null, "heard": 1}', '{"reserved": -5, "heard": 1}'),
        *('{"reserved": 5, "heard": -2}', '{"reserved": 1e999, "heard": 1}', '{"reserved": 5, "heard": Infinity}'),
        pytest.param("[" * 100_000, id="nested"),
    ],
)
def test_a_file_that_cannot_be_read_stops_this_meter_instead_of_beginning_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "meter.json"
    path.write_text(text, encoding="ascii")

    with pytest.raises(StopAndFix, match="cannot be read"):
        CounterFile(path).reserve()
    assert path.read_text(encoding="ascii") == text


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")

    with pytest.raises(StopAndFix, match="file"):
        CounterFile(tmp_path / "file" / "meter.json").reserve()
