"""A store with days and findings, and the feeds over it as a user would start and ask them."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from email.message import Message
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

from collector.cli import main
from collector.config import Configuration, load
from collector.engine.checkpoint import Checkpoint
from collector.engine.engine import Outcome
from collector.engine.progress import Progress
from collector.events.event import Event
from collector.feeding import sources_of
from collector.feeds.http.server import application, server_of
from collector.registry.registry import Registry, load_registry
from metering.round import Round
from simulators.stack import script
from tests.support.engines import engine, judge
from tests.support.rounds import MINUTE, T0, make_round, plausible
from tests.support.servers import free_port, wait_for_port

TOKENS = {
    "pricing": "pricing-token-0123456789",
    "inspection": "inspection-token-0123456789",
    "all": "operations-token-0123456789",
}
METERS = ("shop-1", "shop-2", "shop-3")


@dataclass
class Answer:
    """What the server said."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Desk:
    """A folder with a configured collector, its store and its state."""

    folder: Path
    config: Path
    port: int

    @property
    def configuration(self) -> Configuration:
        return load(self.config)

    @property
    def registry(self) -> Registry:
        return load_registry(self.folder / "registry.yaml")

    def keep(self, outcome: Outcome) -> None:
        """Store and commit what an engine came to, in the order of a commit."""

        async def write() -> None:
            store = self.configuration.store()
            await store.prepare()
            await store.write(outcome.tables, outcome.events)
            await store.close()

        asyncio.run(write())
        checkpoint = Checkpoint(self.folder / "state.db")
        checkpoint.commit(Progress(chained=[(one.id, one.body()) for one in outcome.events]))
        checkpoint.close()

    def add(self, events: Iterable[Event]) -> None:
        """Store and commit some events."""
        self.keep(Outcome(events=list(events)))

    def ask(
        self,
        path: str,
        token: str | None = TOKENS["all"],
        body: object | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Answer:
        """One request over a real socket."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        request = Request(f"http://127.0.0.1:{self.port}{path}", data, sent, method=method)
        try:
            with urlopen(request, timeout=20) as response:
                return Answer(response.status, response.headers, response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def items(self, path: str, limit: int = 1000) -> list[dict[str, Any]]:
        """All items of a route, page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            mark = "&" if "?" in path else "?"
            answer = self.ask(f"{path}{mark}limit={limit}{cursor}")
            assert answer.status == 200, answer.body
            page = answer.json()
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    def run(self, *words: str) -> tuple[int, str]:
        """Exit status and output of ``wattline-collector <words> -c …``, in this process."""
        said, file = StringIO(), ["-c", str(self.config)]
        with (
            redirect_stdout(said),
            redirect_stderr(said),
            patch.object(sys, "argv", ["", *words, *file]),
        ):
            try:
                main()
            except SystemExit as ended:
                return int(ended.code or 0), said.getvalue()
        return 0, said.getvalue()


def desk(folder: Path, billing_day: int = 1, **http: object) -> Desk:
    """Write the files of a collector with the feeds configured."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    tokens = folder / "feeds.tokens"
    tokens.write_text("# who may ask\n" + "".join(f"{name}:{one}:{name}\n" for name, one in TOKENS.items()))
    tokens.chmod(0o600)
    document = {
        "mqtt": {"port": free_port()},
        "state": "state.db",
        "registry": "registry.yaml",
        "store": {"type": "sqlite", "path": "readings.db"},
        "http": {"port": port, "tokens_file": "feeds.tokens"} | http,
    }
    registry = {
        "sites": [{"id": name, "billing_day": billing_day} for name in ("park", "street")],
        "meters": [
            {"id": name, "site": "street" if name == "shop-3" else "park", "account": f"A-{n}", "trade": "retail"}
            | {"contract_kva": 30, "base_current_a": 10, "maximum_current_a": 80}
            for n, name in enumerate(METERS, 1)
        ],
    }
    (folder / "registry.yaml").write_text(yaml.safe_dump(registry))
    config = folder / "collector.yaml"
    config.write_text(yaml.safe_dump(document))
    return Desk(folder, config, port)


def readings(days: int, meters: Sequence[str] = METERS, minutes: int = 15) -> list[Round]:
    """Honest readings of some days; a phase of the first meter is lost on the second day, from 10:00 to 20:00."""
    rng, energy = random.Random(5), dict[str, float]()
    found = []
    for n in range(days * 1440 // minutes + 2):
        values = plausible(rng, meters, energy, minutes)
        at = T0 + n * minutes * MINUTE
        if 1440 + 600 <= n * minutes < 1440 + 1200:
            values["current_l2"][0] = 0.0
        found.append(make_round(values, meters=meters, at=at, period_ms=minutes * MINUTE))
    return found


def judged(registry: Registry, days: int) -> Outcome:
    """What the engine comes to."""
    return judge(engine(registry), readings(days))


@contextmanager
def serving(one: Desk) -> Iterator[None]:
    """The server of ``wattline-collector feeds`` on its port, in a thread, for the length of the block."""
    configuration = one.configuration
    http = configuration.settings.http
    assert http is not None
    server = server_of(http, application(sources_of(configuration), configuration.tokens()))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for_port(one.port, 20.0)
        yield
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def serving_process(one: Desk) -> Iterator[subprocess.Popen[bytes]]:
    """``wattline-collector feeds`` itself, for the length of the block."""
    command = [script("wattline-collector"), "feeds", "-c", str(one.config)]
    with (one.folder / "feeds.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_for_port(one.port, 60.0)
        yield process
    finally:
        process.terminate()
        process.wait(20)
