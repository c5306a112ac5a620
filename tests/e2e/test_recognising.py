"""Every simulated model is recognised by what it answers, and none of them is suspected when it is read right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from test_commissioning import edge, simulated_bus

from edge_agent.config import load
from simulators.park_settings import Model

MODELS = get_args(Model)
TWINS = {"eastron_sdm120", "eastron_sdm230"}  # the second is the first with a phase angle: nobody can tell


def test_every_model_is_recognised_and_read_without_suspicion(tmp_path: Path):
    trades = "{retail: 4, manufacturing: 4, catering: 3}"
    with simulated_bus(tmp_path, "modbus_tcp", trades=trades, models=f"[{', '.join(MODELS)}]") as bus:
        scan = edge(tmp_path, "scan", bus, "--units", f"1-{len(MODELS)}", "--json", "-c", "none.yaml")
        init = edge(tmp_path, "init", "--bus", bus, "--units", f"1-{len(MODELS)}", "--spool", "spool.db", "--yes")
        check = edge(tmp_path, "check", "--live", "-c", "gateway.yaml", "--json")

    found = {one["unit"]: one for one in json.loads(scan.stdout)["units"]}
    for unit, model in enumerate(MODELS, 1):
        best = {one["profile"] for one in found[unit]["candidates"][: 1 if model not in TWINS else 2]}
        assert found[unit]["profile"] == (None if model in TWINS else model)
        assert best == (TWINS if model in TWINS else {model})
    assert init.returncode == 0, init.stderr
    assert len(load(tmp_path / "gateway.yaml").meters) == len(MODELS)
    meters = json.loads(check.stdout)["meters"]
    assert [one["suspicions"] for one in meters] == [[] for _ in MODELS]
