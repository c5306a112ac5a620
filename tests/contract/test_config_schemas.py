"""Schemas and option tables are those of the settings; shipped YAML files fit, files wrong in structure do not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from collector.feeds_cli import MODELS as COLLECTOR
from edge_agent.commands.schema import MODELS as EDGE
from metering.settings_schema import schema_text, with_tables
from simulators.cli import MODELS as SIMULATORS

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "config" / "schema"
MODELS = EDGE | COLLECTOR | SIMULATORS
SHIPPED = sorted([*(ROOT / "config").rglob("*.yaml"), ROOT / "simulators" / "demo_park.yaml"])
CASES = ROOT / "tests" / "cases" / "edge" / "config"
MODELINE = "# yaml-language-server: $schema="


class AsText(yaml.SafeLoader):
    """As an editor reads it (YAML 1.2): dates are text, and so is ``on``; ``1e-05`` is a number."""


AsText.yaml_implicit_resolvers = {
    sign: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith("timestamp") and sign not in "oOyYnN"]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
AsText.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+"), list("-+0123456789")
)


def mistakes(file: Path, schema: Path) -> list[str]:

    validator = Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    data: Any = yaml.load(file.read_text(encoding="utf-8"), AsText)
    return [error.message for error in validator.iter_errors(data)]


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_schema_is_that_of_the_settings(name: str):
    shipped = (SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")

    assert shipped == schema_text(name, MODELS[name]), "write them anew: make schemas"


def test_the_option_tables_are_those_of_the_settings():
    readme = (ROOT / "config" / "README.md").read_text(encoding="utf-8")

    assert readme == with_tables(readme, MODELS), "write them anew: make schemas"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_the_first_line_of_a_shipped_file_names_a_schema_that_it_fits(file: Path):
    first = file.read_text(encoding="utf-8").splitlines()[0]
    schema = file.parent / first.removeprefix(MODELINE)

    assert first.startswith(MODELINE)
    assert schema.resolve().is_relative_to(SCHEMAS)
    assert mistakes(file, schema) == []


@pytest.mark.parametrize(
    "case",
    [
        "missing_keys",
        "unknown_key",
        "wrong_values",
        "names_instead_of_entries",
        "list_instead_of_mapping",
        "password_in_the_file",
        "period_without_unit",
        "wrong_ratio",
        "unit_as_text",
    ],
)
def test_a_file_that_is_wrong_in_structure_does_not_fit(case: str):
    assert mistakes(CASES / case / "gateway.yaml", SCHEMAS / "gateway.schema.json")


def test_every_key_says_what_it_means():
    readme = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    silent = [line for line in readme.splitlines() if line.startswith("| `") and line.endswith("|  |")]

    assert silent == []
