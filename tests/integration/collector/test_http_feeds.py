"""The feeds over HTTP as their consumers meet them: a real server, real sockets, real tokens."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.feeds.http.settings import read_tokens
from metering.errors import StopAndFix
from tests.support.feeds import METERS, TOKENS, Desk, desk, judged, serving, serving_process
from tests.support.findings import DAY_MS, HOUR_MS, event
from tests.support.rounds import T0

DAYS = 4
SPAN = "since=2026-06-18&until=2026-06-22"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    one = desk(tmp_path_factory.mktemp("feeds"))
    one.keep(judged(one.registry, DAYS))
    with serving(one):
        yield one


def test_days_are_those_of_the_store_and_add_up_by_period(room: Desk) -> None:
    days = room.items(f"/v1/pricing/days?{SPAN}")

    assert [(day["meter"], day["day"]) for day in days] == [
        (meter, f"2026-06-{18 + n}") for meter in METERS for n in range(DAYS)
    ]
    status, out = room.run("query", "energy", "--json", "--until", "2026-06-22")
    assert status == 0
    stored = {(row["meter"], row["day"]): row["total"] for row in json.loads(out)}
    for day in days:
        assert day["total_kwh"] == pytest.approx(stored[day["meter"], day["day"]])
        parts = sum(day[f"{period}_kwh"] for period in ("sharp", "peak", "flat", "valley"))
        assert parts == pytest.approx(day["total_kwh"])
        assert day["complete"]
        assert day["account"] == f"A-{METERS.index(day['meter']) + 1}"


@pytest.mark.parametrize(
    ("filters", "meters"),
    [
        ("account=A-2", {"shop-2"}),
        ("site=street", {"shop-3"}),
        ("meter=shop-1", {"shop-1"}),
        ("site=park", {"shop-1", "shop-2"}),
        ("site=park&account=A-3", set()),
        ("meter=nobody", set()),
    ],
)
def test_filters_choose_meters(room: Desk, filters: str, meters: set[str]) -> None:
    assert {day["meter"] for day in room.items(f"/v1/pricing/days?{SPAN}&{filters}")} == meters


def test_a_running_month_says_that_it_runs(room: Desk) -> None:
    months = room.items("/v1/pricing/months?since=2026-06-01&until=2026-07-01")

    assert [(month["meter"], month["month"], month["running"]) for month in months] == [
        (meter, "2026-06-01", True) for meter in METERS
    ]
    assert not any(month["complete"] for month in months)


@pytest.mark.parametrize("limit", [1, 5, 12, 1000])
def test_pages_of_any_size_hold_every_day_once(room: Desk, limit: int) -> None:
    whole = room.items(f"/v1/pricing/days?{SPAN}")

    assert room.items(f"/v1/pricing/days?{SPAN}", limit) == whole


def test_a_case_has_its_evidence_and_its_sheet_in_both_languages_and_forms(room: Desk) -> None:
    (case,) = room.items("/v1/inspection/cases?status=ended&kind=current_loss&site=park")
    assert (case["meter"], case["account"], case["severity"]) == ("shop-1", "A-1", "inspect")
    path = f"/v1/inspection/cases/{case['id']}"
    assert room.ask(path).json() == case

    english = room.ask(f"{path}/sheet?lang=en&for=customer")
    chinese = room.ask(f"{path}/sheet?lang=zh")
    page = room.ask(f"{path}/sheet?lang=en", headers={"Accept": "text/html"})

    assert english.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "needs inspection" in english.body.decode()
    assert "计量需要检查" in chinese.body.decode()
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<polyline" in page.body
    assert b"http" not in page.body.replace(b"<!doctype html>", b"")


def test_what_a_client_has_already_is_not_sent_again(room: Desk) -> None:
    for path in (f"/v1/pricing/days?{SPAN}", "/v1/inspection/cases", "/v1/events"):
        first = room.ask(path)
        again = room.ask(path, headers={"If-None-Match": first.headers["ETag"]})
        other = room.ask(path, headers={"If-None-Match": '"something else"'})

        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/v1/pricing/days", None, 401),
        ("/v1/pricing/days", "a token nobody knows", 401),
        ("/v1/pricing/days", TOKENS["inspection"], 403),
        ("/v1/pricing/days", TOKENS["pricing"], 200),
        ("/v1/inspection/cases", TOKENS["pricing"], 403),
        ("/v1/inspection/cases", TOKENS["inspection"], 200),
        ("/v1/events", TOKENS["pricing"], 200),
        ("/v1/events", None, 401),
        ("/v1/health", None, 200),
        ("/v1/pricing/months", TOKENS["all"], 200),
    ],
)
def test_tokens_and_scopes(room: Desk, path: str, token: str | None, status: int) -> None:
    answer = room.ask(path, token)

    assert answer.status == status
    if status in (401, 403):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "→" in answer.json()["detail"]
        assert answer.headers["WWW-Authenticate"] == ("Bearer" if status == 401 else None)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/pricing/days?since=yesterday", 422, "since"),
        ("/v1/pricing/days?since=2026-06-20&until=2026-06-18", 422, "not before"),
        ("/v1/pricing/days?since=2020-01-01&until=2026-06-18", 422, "at most 400"),
        ("/v1/pricing/days?limit=1001", 422, "limit"),
        ("/v1/pricing/days?acount=A-1", 422, "acount"),
        ("/v1/pricing/days?cursor=nonsense", 422, "cursor"),
        ("/v1/pricing/days?cursor=%F0%9F%92%A9", 422, "cursor"),
        ("/v1/inspection/cases?status=perhaps", 422, "status"),
        ("/v1/inspection/cases/case-0000", 404, "/v1/inspection/cases"),
        ("/v1/inspection/cases/case-0000/sheet", 404, "/v1/inspection/cases"),
        ("/v1/events?since=2026-06-18", 422, "since"),
        ("/v1/nothing", 404, "/openapi.json"),
    ],
)
def test_a_wrong_question_is_told_what_to_send_instead(room: Desk, path: str, status: int, says: str) -> None:
    answer = room.ask(path)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["instance"]) == (status, path.partition("?")[0])
    assert says in problem["detail"]
    assert "→" in problem["detail"]
    assert b"Traceback" not in answer.body


def test_a_cursor_of_another_question_is_refused(room: Desk) -> None:
    page = room.ask(f"/v1/pricing/days?{SPAN}&limit=1").json()

    assert room.ask(f"/v1/pricing/days?{SPAN}&limit=1&cursor={page['next']}").status == 200
    assert room.ask(f"/v1/pricing/days?{SPAN}&meter=shop-1&cursor={page['next']}").status == 422
    assert room.ask(f"/v1/pricing/months?{SPAN}&cursor={page['next']}").status == 422


@pytest.mark.parametrize(
    ("body", "says"),
    [({"verdict": "guilty", "by": "x"}, "verdict"), ({"verdict": "confirmed"}, "by"), (b"not json", "JSON")],
)
def test_a_wrong_verdict_is_refused(room: Desk, body: object, says: str) -> None:
    case = room.items("/v1/inspection/cases")[0]["id"]

    answer = room.ask(f"/v1/inspection/cases/{case}/verdict", body=body)

    assert answer.status == 422
    assert says in answer.json()["detail"]


def test_a_body_that_would_fill_the_memory_is_refused(room: Desk) -> None:
    case = room.items("/v1/inspection/cases")[0]["id"]
    large = {"verdict": "confirmed", "by": "x", "note": "x" * 300_000}

    answer = room.ask(f"/v1/inspection/cases/{case}/verdict", TOKENS["inspection"], large)

    assert answer.status == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "send less" in answer.json()["detail"]


def test_approvals_are_checked_before_they_are_taken(room: Desk) -> None:
    window = {"from": "2026-07-01T00:00:00+08:00", "to": "2026-07-02T00:00:00+08:00", "kva": 60}

    def give(meter: str, *approvals: dict[str, object]) -> tuple[int, str]:
        answer = room.ask("/v1/approvals", TOKENS["pricing"], {"meter": meter, "approvals": approvals})
        return answer.status, answer.body.decode()

    assert give("shop-1", {"id": "a"} | window) == (202, '{"meter":"shop-1","approvals":1}')
    for status, said in (
        give("nobody", {"id": "a"} | window),
        give("shop-1", window),
        give("shop-1", {"id": "a"} | window | {"kva": -1}),
        give("shop-1", {"id": "a"} | window | {"to": "2026-06-01T00:00:00+08:00"}),
        give("shop-1", {"id": "a"} | window, {"id": "a"} | window),
    ):
        assert status == 422
        assert "→" in said


def test_openapi_describes_every_route_with_examples(room: Desk) -> None:
    document = room.ask("/openapi.json", None).json()

    assert set(document["paths"]) >= {
        "/v1/pricing/days",
        "/v1/pricing/months",
        "/v1/inspection/cases",
        "/v1/inspection/cases/{case}",
        "/v1/inspection/cases/{case}/sheet",
        "/v1/inspection/cases/{case}/verdict",
        "/v1/events",
        "/v1/health",
    }
    assert document["components"]["schemas"]["VerdictGiven"]["examples"]
    for route in ("/v1/pricing/days", "/v1/inspection/cases", "/v1/events"):
        assert any(one["schema"].get("examples") for one in document["paths"][route]["get"]["parameters"])


def test_a_verdict_comes_back_is_durable_and_becomes_a_label(tmp_path: Path) -> None:
    one = desk(tmp_path)
    one.add([event(meter="shop-1", registry=one.registry), event(meter="shop-2", registry=one.registry)])
    with serving(one):
        first, second = one.items("/v1/inspection/cases")
        given = {"verdict": "confirmed", "by": "team-3", "note": "L2 open", "cause": "transformer"}
        answer = one.ask(f"/v1/inspection/cases/{first['id']}/verdict", body=given)
        assert answer.status == 201, answer.body
        decided = one.ask(f"/v1/inspection/cases/{first['id']}").json()
    assert (decided["status"], decided["verdict"]["by"], decided["verdict"]["cause"]) == (
        "confirmed",
        "team-3",
        "transformer",
    )

    status, out = one.run("verdict", second["id"], "dismissed", "--by", "team-4")
    assert (status, "dismissed" in out) == (0, True)
    status, out = one.run("calibration", "--json")
    whole = json.loads(out)[0]
    assert (whole["confirmed"], whole["dismissed"], whole["precision"], whole["thin"]) == (1, 1, 0.5, True)
    assert "too few verdicts" in one.run("calibration")[1]
    assert one.run("verdict", "case-0", "dismissed", "--by", "x")[0] == 2


def test_pages_neither_lose_nor_repeat_an_event_while_others_are_stored(tmp_path: Path) -> None:
    one = desk(tmp_path)
    before = [event(meter="shop-1", part=f"L{n}", start=T0 + n // 4 * HOUR_MS) for n in range(40)]
    one.add(before)
    found: list[str] = []
    with serving(one):
        cursor, n = "", 0
        while True:
            page = one.ask(f"/v1/events?limit=7{cursor}").json()
            found += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
            n += 1  # behind the cursor and before it
            one.add([event(meter="shop-2", start=T0 - n * DAY_MS), event(meter="shop-3", start=T0 + n * HOUR_MS)])

    assert len(found) == len(set(found))
    assert {item.id for item in before} <= set(found)


def test_anybody_on_this_machine_may_ask_only_if_that_is_said(tmp_path: Path) -> None:
    one = desk(tmp_path, tokens_file=None, allow_anonymous=True)
    one.add([event(meter="shop-1", registry=one.registry)])
    with serving(one):
        assert one.ask("/v1/events", None).status == 200

    for wrong in ({}, {"allow_anonymous": True, "host": "0.0.0.0"}):
        other = desk(tmp_path / "other", tokens_file=None, **wrong)
        status, out = other.run("check", "--lang", "en")
        assert status == 2
        assert "http.host" in out
        assert "tokens_file" in out


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("ops:operations-token-0123456789\n", 0o644, "chmod 600"),
        ("ops:short\n", 0o600, ":1: no token"),
        ("# a comment\nops:operations-token-0123456789:root\n", 0o600, ":2: no scope is called root"),
        ("", 0o600, "empty"),
    ],
)
def test_a_file_of_tokens_that_cannot_be_used_is_refused(tmp_path: Path, text: str, mode: int, says: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    path.chmod(mode)

    with pytest.raises(StopAndFix, match=says):
        read_tokens(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_token_never_shows_in_a_representation(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"ops:{TOKENS['all']}\n")
    path.chmod(0o600)

    (token,) = read_tokens(path)

    assert token.scope == "all"
    assert TOKENS["all"] not in repr(token)


def test_a_store_that_is_away_is_said_and_nothing_else(tmp_path: Path) -> None:
    one = desk(tmp_path)
    with serving(one):
        answer = one.ask("/v1/health", None)

    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert str(tmp_path).encode() not in answer.body


def test_sigterm_ends_the_server_with_status_0(tmp_path: Path) -> None:
    one = desk(tmp_path)
    with serving_process(one) as process:
        assert one.ask("/v1/events", None).status == 401
    assert process.returncode == 0
