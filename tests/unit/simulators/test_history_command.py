from pathlib import Path

import pytest
from typer.testing import CliRunner

from metering.errors import StopAndFix
from simulators.cli import app
from simulators.history.span import parse_span


def test_the_command_writes_three_files_and_says_what_they_are(tmp_path: Path) -> None:
    out = tmp_path / "town"
    result = CliRunner().invoke(app, ["history", "--out", str(out), "--meters", "12", "--days", "7"])

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["readings.csv.gz", "registry.yaml", "truth.jsonl"]
    assert "13 meters, 7 days" in result.output


def test_a_step_of_five_minutes_gives_three_times_the_rows(tmp_path: Path) -> None:
    lengths = []
    for step in ("15min", "5min"):
        out = tmp_path / step
        arguments = ["--out", str(out), "--meters", "10", "--days", "7", "--format", "csv", "--step", step]
        assert CliRunner().invoke(app, ["history", *arguments, "--quantities", "energy"]).exit_code == 0
        lengths.append(len((out / "readings.csv").read_text(encoding="utf-8").splitlines()) - 1)

    assert lengths[1] == pytest.approx(3 * lengths[0], rel=0.02)


@pytest.mark.parametrize("step", ["7min", "0min", "90min", "15", "15s", "2h", "x"])
def test_a_step_that_does_not_divide_an_hour_is_told_with_those_that_do(step: str) -> None:
    with pytest.raises(StopAndFix, match=r"an hour does not divide into it → write one of 1min, .*15min, .*60min"):
        parse_span("2026-03-01", 7, step)


@pytest.mark.parametrize(("step", "step_min"), [("15min", 15), ("1min", 1), ("1h", 60), ("60min", 60)])
def test_a_step_has_its_unit(step: str, step_min: int) -> None:
    assert parse_span("2026-03-01", 7, step).step_min == step_min


def test_a_wrong_date_is_told_with_a_right_one() -> None:
    with pytest.raises(StopAndFix, match="--start 1 March: not a date → write it like 2026-03-01"):
        parse_span("1 March", 7, "15min")


@pytest.mark.parametrize("argument", [("--days", "3"), ("--meters", "0"), ("--seed", "-1"), ("--format", "xlsx")])
def test_what_is_out_of_range_writes_nothing(argument: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "town"
    result = CliRunner().invoke(app, ["history", "--out", str(out), *argument])

    assert result.exit_code == 2
    assert argument[0] in result.output
    assert not out.exists()
