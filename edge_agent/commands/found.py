"""Who was found on a line, for people and for machines."""

from __future__ import annotations

from typing import Final

from edge_agent.commissioning.found import Found, FoundAddress, FoundServer, FoundUnit
from edge_agent.commissioning.guess import Guess, candidates
from edge_agent.words import Words

_MORE: Final = 3  # candidates that are named


def found_text(one: Found, say: Words) -> str:
    """One line for who it is, one for why we believe it."""
    if isinstance(one, FoundUnit):
        return say["scan found"].format(one.unit, guess_text(one.guesses, say))
    if isinstance(one, FoundAddress):
        return say["scan address"].format(one.address, guess_text(one.guesses, say))
    named = [text for text in (one.device_name, one.serial) if text]
    lines = [say["scan server"].format(one.place, " / ".join(dict.fromkeys(named)) or say["scan unnamed"])]
    if one.counter is not None:
        lines.append(say["scan counter"].format(one.counter))
    lines.append(say[f"wants {one.wants}"].format(one.client, one.detail))
    return "\n  ".join(lines)


def guess_text(guesses: list[Guess], say: Words) -> str:
    """The map, or the maps it may be, with the reasons for the best."""
    if not guesses:
        return say["guess none"]
    best = candidates(guesses)
    names = " / ".join(one.profile for one in best[:_MORE])
    reasons = ", ".join(say[f"guess {key}"].format(blank) for key, blank in best[0].reasons)
    text = say["guess sure" if len(best) == 1 else "guess open"].format(names)
    return f"{text}\n  {reasons}" if reasons else text


def found_json(one: Found) -> dict[str, object]:
    """The same as ``scan --json`` promises it."""
    line = one.line.model_dump(mode="json")
    if isinstance(one, FoundServer):
        return {
            "server": one.place.server,
            "physical": one.place.physical,
            "address_octets": one.place.octets,
            "line": line,
            "device_name": one.device_name,
            "serial": one.serial,
            "counter": one.counter,
            "public": one.public,
            "client": one.client,
            "wants": one.wants,
            "detail": one.detail,
        }
    who: dict[str, object] = {"unit": one.unit} if isinstance(one, FoundUnit) else {"address": one.address}
    sure = len(candidates(one.guesses)) == 1 if one.guesses else False
    return who | {
        "line": line,
        "profile": one.guesses[0].profile if sure else None,
        "candidates": [
            {"profile": guess.profile, "score": guess.score, "reasons": [list(reason) for reason in guess.reasons]}
            for guess in one.guesses
        ],
    }
