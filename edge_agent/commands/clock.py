"""``wattline-edge clock METER``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from edge_agent import config
from edge_agent.commands.answers import why
from edge_agent.commands.options import FAILED_LIVE, WRONG_CONFIG, ConfigFile, Json, Lang, complain, print_json
from edge_agent.drivers.driver import ReadFailure, Reading
from edge_agent.polling.clock_watch import CLOCK_OFFSET
from edge_agent.recall import Recall
from edge_agent.words import Words, words
from metering.clock import SystemClock
from metering.language import language
from metering.log import set_up_log


def clock(
    meter: str,
    config_file: ConfigFile,
    set_it: Annotated[bool, typer.Option("--set", help="set it to the time of this gateway")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="with --set: do not ask")] = False,
    json_wanted: Json = False,
    lang: Lang = None,
) -> None:
    """Compare a meter's clock with ours, or set it. Works while the agent runs. Exit 1 if the meter does not do it.

    Nothing else in this program ever sets a clock, and nothing can do it from afar.
    """
    spoken = language(lang)
    say = words(spoken)
    set_up_log("warning")
    settings = config.load(config_file, spoken)
    known = [one.id for one in settings.meters]
    if meter not in known:
        complain(say["no meter"].format(meter, ", ".join(known)))
        raise typer.Exit(WRONG_CONFIG)
    if set_it and json_wanted and not yes:
        complain(say["clock set yes"])
        raise typer.Exit(WRONG_CONFIG)
    recall = Recall(settings, SystemClock(), meter)
    before = asyncio.run(recall.clock_offset())
    told = _Told(meter, say, json_wanted)
    told.shows("before" if set_it else "offset_s", before)
    if set_it:
        if not yes and not typer.confirm(say["clock set?"].format(meter)):
            typer.echo(say["clock kept"].format(meter))
            return
        failure = asyncio.run(recall.set_clock())
        told.was_set(failure)
        if failure is None:
            told.shows("after", asyncio.run(recall.clock_offset()))
    told.end()


class _Told:
    """What is said, line by line to a person, at the end to a machine."""

    def __init__(self, meter: str, say: Words, json_wanted: bool) -> None:
        self._document: dict[str, object] = {"meter": meter}
        self._meter = meter
        self._say = say
        self._json_wanted = json_wanted
        self._failed = False

    def shows(self, key: str, outcome: Reading | ReadFailure) -> None:
        """What the clock is ahead, or why that is not known."""
        if isinstance(outcome, ReadFailure):
            self._fails(outcome)
            return
        offset_s = outcome.values.get(CLOCK_OFFSET)
        self._document[key if key == "offset_s" else f"{key}_s"] = offset_s
        if offset_s is None:
            self._line(self._say["clock unknown"].format(self._meter))
            return
        way = self._say["clock behind" if offset_s < 0 else "clock ahead"].format(abs(offset_s))
        self._line(self._say["clock shows"].format(self._meter, way))

    def was_set(self, failure: ReadFailure | None) -> None:
        """What came of setting it."""
        self._document["set"] = failure is None
        if failure is not None:
            self._fails(failure)
        else:
            self._line(self._say["clock set"].format(self._meter))

    def end(self) -> None:
        """Say what is for machines, and leave with the code that fits."""
        if self._json_wanted:
            print_json(self._document)
        if self._failed:
            raise typer.Exit(FAILED_LIVE)

    def _fails(self, failure: ReadFailure) -> None:
        self._failed = True
        text = why(failure, self._say)
        self._document["failure"] = {"reason": failure.reason, "code": failure.code, "text": text}
        self._line(f"{self._meter}: {text}")

    def _line(self, text: str) -> None:
        if not self._json_wanted:
            typer.echo(text)
