"""Heartbeat, log lines and the command line's own mistakes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from edge_agent.cli import cli
from edge_agent.heartbeat import notify
from edge_agent.signals import Counters
from metering.log import log, set_up_log


def test_systemd_hears_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        notify("READY=1")

        assert systemd.recv(100) == b"READY=1"


def test_while_systemd_starts_anew_nothing_ends_and_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notify("WATCHDOG=1")  # nobody is there

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        for _ in range(1000):  # more than its queue holds
            notify("WATCHDOG=1")

        assert systemd.recv(100) == b"WATCHDOG=1"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    notify("READY=1")


def test_a_log_line_is_json_for_the_journal(capsys: pytest.CaptureFixture[str]):
    set_up_log("info")
    log.info("stopped", **Counters(reads_good=3).as_dict())
    log.debug("not this one")
    structlog.reset_defaults()

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line).items() >= {"event": "stopped", "level": "info", "reads_good": 3}.items()


def test_profiles_are_listed():
    shown = CliRunner().invoke(cli, ["profiles", "--lang", "zh"])

    assert shown.exit_code == 0
    assert "eastron_sdm630: Eastron SDM630 (未在实物上核对)" in shown.output


@pytest.mark.parametrize("arguments", [["run", "-c", "x", "--simulated-clock", "noon"], ["run"], ["dance"]])
def test_a_wrong_command_ends_with_2(arguments: list[str]):
    assert CliRunner().invoke(cli, arguments).exit_code == 2


def test_a_gateway_without_protected_meters_carries_no_ciphers():
    code = "import edge_agent.cli, sys; sys.exit('cryptography' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
