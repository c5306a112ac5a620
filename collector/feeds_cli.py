"""Commands around the feeds: serve them, cases and verdicts, evidence sheets, the hash chain, schemas.

They stand at the top level of ``wattline-collector``, beside those of ``collector.cli``.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from pydantic import BaseModel, ValidationError

from collector.config import CollectorSettings, load
from collector.engine.chain_table import read_chain
from collector.events.chain import Inspection, walk
from collector.feeding import sources_of, worklist_of
from collector.feeds.calibration import FEWEST_VERDICTS, Tally, calibrate
from collector.feeds.case import Audience, Decision, VerdictGiven
from collector.feeds.feed_message import canonical
from collector.feeds.schema import write as write_schemas
from collector.feeds.worklist import FAR_MS
from collector.options import DEFAULT_CONFIG, AsJson, ConfigPath, Lang
from collector.registry.records import RegistrySettings
from collector.tariff.periods import Tariff
from metering.errors import StopAndFix
from metering.language import language
from metering.log import set_up_log
from metering.settings_schema import write_schemas as write_file_schemas

MODELS: Final[dict[str, type[BaseModel]]] = {
    "collector": CollectorSettings,
    "registry": RegistrySettings,
    "tariff": Tariff,
}
"""The kinds of YAML file that the collector reads."""

_LOOK_AGAIN_S: Final = 1.5
_NAMED: Final = 10

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def feeds(
    config: ConfigPath = DEFAULT_CONFIG,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the feeds over HTTP until SIGTERM; ``run`` does so by itself if ``http`` is configured."""
    # Only this command needs a web framework; the others start quickly without one.
    from collector.feeds.http.server import application, serve  # noqa: PLC0415

    configuration = load(config, language())
    http = configuration.settings.http
    if http is None:
        raise StopAndFix(f"{config}: http is missing → add http: {{port: 8090, tokens_file: feeds.tokens}}")
    set_up_log(log_level)
    serve(http, application(sources_of(configuration), configuration.tokens()), parent)


@cli.command()
def cases(
    config: ConfigPath = DEFAULT_CONFIG,
    status: Annotated[str | None, typer.Option(help="open, ended, confirmed or dismissed.")] = None,
    as_json: AsJson = False,
) -> None:
    """What the inspection team works on, the most urgent first."""
    found = [
        case for case in worklist_of(load(config, language())).cases(datetime.now(UTC)) if status in (None, case.status)
    ]
    if as_json:
        typer.echo(json.dumps([case.model_dump(mode="json") for case in found], ensure_ascii=False))
        return
    for case in found:
        kwh = "-" if case.kwh_at_stake is None else f"{case.kwh_at_stake.best:.1f}"
        kinds = ",".join(case.kinds)
        typer.echo(f"{case.id}  {case.meter:16} {case.status:9} {case.score:.2f} {kwh:>9} kWh  {kinds}")
    if not found:
        typer.echo("-")


@cli.command()
def evidence(
    name: Annotated[str, typer.Argument(metavar="CONDITION_OR_CASE", help="Id of a condition or of a case.")],
    config: ConfigPath = DEFAULT_CONFIG,
    lang: Lang = None,
    audience: Annotated[Literal["customer", "inspector"], typer.Option("--for", help="Who reads it.")] = "inspector",
    html: Annotated[Path | None, typer.Option(help="Write a page that can be printed here.")] = None,
) -> None:
    """The evidence sheet of a finding: what was measured, against what, and what happens next."""
    spoken = language(lang)
    worklist = worklist_of(load(config, spoken))
    case = worklist.subject(name, datetime.now(UTC))
    if case is None:
        raise StopAndFix(f"nothing is called {name} → wattline-collector cases lists what there is")
    reader: Audience = audience
    if html is not None:
        html.write_text(worklist.page(case, spoken, reader), encoding="utf-8")
        typer.echo(str(html))
        return
    typer.echo(worklist.text(case, spoken, reader), nl=False)


@cli.command()
def verdict(
    name: Annotated[str, typer.Argument(metavar="CASE", help="Id of the case.")],
    decision: Annotated[Literal["confirmed", "dismissed"], typer.Argument(help="What was found on site.")],
    by: Annotated[str, typer.Option(help="Who says so: a pseudonym of a person or team.")],
    note: Annotated[str, typer.Option(help="What was found.")] = "",
    cause: Annotated[str, typer.Option(help="The cause in a few words.")] = "",
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Say what an inspection found; it becomes a label for ``calibration``."""
    worklist = worklist_of(load(config, language()))
    now = datetime.now(UTC)
    case = worklist.case(name, now)
    if case is None:
        raise StopAndFix(f"there is no case {name} → wattline-collector cases lists what there is")
    said: Decision = decision
    try:
        given = VerdictGiven(verdict=said, by=by, note=note, cause=cause)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise StopAndFix(f"--{first['loc'][0]}: {first['msg']}") from None
    worklist.give(case, given, now)
    typer.echo(f"{case.id} {case.meter}: {said}")


@cli.command()
def calibration(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """How often each kind was right, by the verdicts: all scores, then band by band."""
    tallies = calibrate(worklist_of(load(config, language())).cases(datetime.now(UTC)))
    if as_json:
        typer.echo(json.dumps([_row(one) for one in tallies]))
        return
    typer.echo(f"{'kind':26} {'score':9} {'cases':>5} {'confirmed':>9} {'dismissed':>9} {'open':>5}  precision (95 %)")
    for one in tallies:
        band = "all" if one.band is None else f"{one.band[0]:.1f}-{one.band[1]:.1f}"
        said = "-"
        if one.precision is not None and one.interval is not None:
            low, high = one.interval
            said = f"{one.precision:.2f} ({low:.2f}-{high:.2f})"
        if one.band is None and one.thin:
            said += f"  too few verdicts: {one.confirmed + one.dismissed} of {FEWEST_VERDICTS}"
        typer.echo(
            f"{one.kind:26} {band:9} {one.cases:5} {one.confirmed:9} {one.dismissed:9} {one.undecided:5}  {said}"
        )
    if not tallies:
        typer.echo("no case yet")


@cli.command()
def schema(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    readme: Annotated[Path | None, typer.Option(help="Markdown file whose option tables are written anew.")] = None,
) -> None:
    """Write the JSON Schemas of all messages of the feeds, the AsyncAPI document, and the schemas of our YAML files."""
    try:
        of_feeds = write_schemas(out)
    except OSError as error:
        raise StopAndFix(f"{error.filename}: cannot be written: {error.strerror}") from error
    for path in [*of_feeds, *write_file_schemas(out, MODELS, readme)]:
        typer.echo(str(path))


@cli.command()
def verify(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Walk the hash chain over all events and compare with the store; exit status 1 if anything differs.

    It shows what was changed, removed or put in by parts. Who can write the state file can make a whole new chain:
    only a head hash that was noted elsewhere (printed, mailed, on another machine) shows that.
    """
    configuration = load(config, language())
    queries = configuration.queries()

    def look() -> Inspection:
        bodies = {event["id"]: canonical(event) for event in queries.events(0, FAR_MS)}
        return walk(read_chain(configuration.state), bodies)

    found = look()
    if found.unlinked:  # written a moment ago, and committed by now
        time.sleep(_LOOK_AGAIN_S)
        found = look()
    if found.intact:
        typer.echo(f"intact: {found.links} links, head {found.head}")
        return
    if found.broken_at is not None:
        typer.echo(f"broken: link {found.broken_at} of {found.links} does not follow from the one before")
    for what, names in (
        ("another body in the store", found.changed),
        ("missing in the store", found.missing),
        ("in the store, but never committed", found.unlinked),
    ):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            typer.echo(f"{what}: {', '.join(names[:_NAMED])}{more}")
    raise typer.Exit(1)


def _row(one: Tally) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "band": one.band,
        "cases": one.cases,
        "confirmed": one.confirmed,
        "dismissed": one.dismissed,
        "open": one.undecided,
        "precision": one.precision,
        "interval": one.interval,
        "thin": one.thin,
    }
