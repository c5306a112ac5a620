"""``wattline-sim consumers``: examples of who consumes the feeds over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal

import typer

from metering.config_file import load_file
from metering.errors import StopAndFix
from metering.language import language
from simulators.consumers.feed import Feed
from simulators.consumers.inspection_list import send_verdict, sheet, work_list
from simulators.consumers.package_recommender import recommend
from simulators.consumers.packages import Packages

app = typer.Typer(no_args_is_help=True, help="Examples of consumers of the feeds over HTTP.")

Url = Annotated[str, typer.Option(help="Base URL of the feeds.")]
TokenFile = Annotated[Path | None, typer.Option(help="File with the token; only its owner may read it.")]
Lang = Annotated[Literal["zh", "en"] | None, typer.Option("--lang", help="Language; default from LANG.")]

_URL = "http://127.0.0.1:8090"


@app.command("recommend")
def recommend_package(
    account: Annotated[str, typer.Argument(help="Pseudonym of the account.")],
    url: Url = _URL,
    token_file: TokenFile = None,
    packages: Annotated[Path | None, typer.Option(help="YAML of packages; by default illustrative ones.")] = None,
    current: Annotated[str, typer.Option(help="The package the account has now.")] = "flat",
    until: Annotated[str | None, typer.Option(help="First local day that does not count; by default tomorrow.")] = None,
    lang: Lang = None,
) -> None:
    """Compare packages on what an account really used."""
    spoken = language(lang)
    with as_file(files("simulators.consumers") / "packages.yaml") as shipped:
        priced = load_file(packages or shipped, Packages, spoken)
    typer.echo(recommend(Feed.at(url, token_file), account, priced, current, _day(until), spoken))


@app.command()
def inspect(
    url: Url = _URL,
    token_file: TokenFile = None,
    site: Annotated[str | None, typer.Option(help="Only this site.")] = None,
    most: Annotated[int, typer.Option(help="Longest list.", min=1)] = 20,
    case: Annotated[str | None, typer.Option(help="Print the evidence sheet of this case.")] = None,
    reader: Annotated[Literal["inspector", "customer"], typer.Option("--for", help="Who reads it.")] = "inspector",
    verdict: Annotated[Literal["confirmed", "dismissed"] | None, typer.Option(help="Send this back.")] = None,
    by: Annotated[str, typer.Option(help="Who found it: a pseudonym.")] = "inspector",
    note: Annotated[str, typer.Option(help="What was found.")] = "",
    lang: Lang = None,
) -> None:
    """Print the ranked cases, or the sheet of one; send a verdict back."""
    spoken, feed = language(lang), Feed.at(url, token_file)
    if case is None and verdict is not None:
        raise StopAndFix("--verdict is about one case → give --case")
    if case is None:
        typer.echo(work_list(feed, spoken, most, site))
    elif verdict is None:
        typer.echo(sheet(feed, case, spoken, reader), nl=False)
    else:
        typer.echo(send_verdict(feed, case, verdict, by, note))


def _day(text: str | None) -> date:
    if text is None:
        return datetime.now(UTC).date() + timedelta(days=2)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise StopAndFix(f"--until: {text!r} is no day → write for example 2026-07-01") from None
