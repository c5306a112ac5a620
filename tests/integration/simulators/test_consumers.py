"""The examples of consumers work on a real feed as a user runs them: a package compared, a case inspected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulators.cli import app
from tests.support.engines import engine, judge
from tests.support.feeds import TOKENS, Desk, desk, readings, serving
from tests.support.findings import event


@dataclass
class Consumer:
    """A user with a token."""

    desk: Desk
    token: Path

    def run(self, *words: str) -> str:
        where = ["--url", f"http://127.0.0.1:{self.desk.port}", "--token-file", str(self.token), "--lang", "en"]
        done = CliRunner().invoke(app, ["consumers", *words, *where])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return f"refused: {done.exception}"
        return done.output


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consumer]:
    folder = tmp_path_factory.mktemp("consumers")
    one = desk(folder, billing_day=18)
    one.keep(judge(engine(one.registry), readings(31, minutes=60)))
    one.add([event(meter="shop-2", registry=one.registry)])
    token = folder / "token"
    token.write_text(TOKENS["all"])
    token.chmod(0o600)
    with serving(one):
        yield Consumer(one, token)


def test_packages_are_compared_on_the_real_load(user: Consumer) -> None:
    out = user.run("recommend", "A-2", "--until", "2026-07-20", "--current", "tou")

    lines = out.splitlines()
    (month,) = user.desk.items("/v1/pricing/months?account=A-2&since=2026-06-18&until=2026-07-18")
    assert month["complete"]
    assert f"{month['total_kwh']:.1f} kWh in 1 billing months that are over (1 complete)" in lines[0]
    rows = {line[1:].split()[0]: line[1:].split()[1:] for line in lines if line[:1] in "* " and len(line.split()) == 4}
    assert float(rows["flat"][0]) == pytest.approx(month["total_kwh"] * 0.68, abs=0.006)
    prices = {"sharp": 1.25, "peak": 1.02, "flat": 0.65, "valley": 0.33}
    tou = sum(month[f"{period}_kwh"] * price for period, price in prices.items())
    assert float(rows["tou"][0]) == pytest.approx(tou, abs=0.006)
    assert float(rows["flat"][1]) == pytest.approx((month["total_kwh"] * 0.68 - tou) * 12, abs=0.02)
    assert "projected from 1 complete months" in out
    assert "illustrative" in out


def test_what_cannot_be_compared_is_said(user: Consumer) -> None:
    assert "knows no month of account A-9" in user.run("recommend", "A-9", "--until", "2026-07-20")
    assert "no package is called gold" in user.run("recommend", "A-2", "--current", "gold")
    assert "write for example" in user.run("recommend", "A-2", "--until", "soon")


def test_a_case_is_listed_shown_and_decided(user: Consumer) -> None:
    listed = user.run("inspect")
    (row,) = [line for line in listed.splitlines() if line.startswith("case-")]
    case = row.split()[0]
    assert "shop-2" in row

    shown = user.run("inspect", "--case", case, "--for", "customer")
    assert "needs inspection" in shown
    assert case in shown

    assert user.run("inspect", "--case", case, "--verdict", "dismissed", "--by", "team-1").split()[-1] == "dismissed"
    assert "nothing to inspect" in user.run("inspect")
    assert "there is no case" in user.run("inspect", "--case", "case-0")
    assert "give --case" in user.run("inspect", "--verdict", "dismissed")


def test_a_wrong_token_and_a_wrong_address_are_said_with_what_to_do(user: Consumer, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("nobody knows this token")
    wrong.chmod(0o600)

    assert "Authorization: Bearer TOKEN" in Consumer(user.desk, wrong).run("inspect")
    away = CliRunner().invoke(app, ["consumers", "inspect", "--url", "http://127.0.0.1:9"])
    assert "wattline-collector run" in str(away.exception)
    odd = CliRunner().invoke(app, ["consumers", "inspect", "--url", "ftp://127.0.0.1"])
    assert "http://127.0.0.1:8090" in str(odd.exception)
