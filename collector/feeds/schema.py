"""JSON Schemas (draft 2020-12) of every message of the feeds, and one AsyncAPI 3.0 document about their topics.

They are made of the models that make the messages, so they cannot drift from them. The committed copies under
``config/schema`` are the contract: a field may be added, none may be removed or change its type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from collector.events.message import EventMessage
from collector.feeds.approval_list import ApprovalList
from collector.feeds.case import Case, Verdict, VerdictGiven
from collector.feeds.feed_message import CaseMessage, DayMessage, MonthMessage
from collector.feeds.pricing import DayDeterminants, MonthDeterminants
from metering.topics import Topics

MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "event": EventMessage,
    "day": DayDeterminants,
    "day_message": DayMessage,
    "month": MonthDeterminants,
    "month_message": MonthMessage,
    "case": Case,
    "case_message": CaseMessage,
    "verdict": Verdict,
    "verdict_given": VerdictGiven,
    "approval_list": ApprovalList,
}
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_CHANNELS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "events": (Topics("{prefix}").event("{kind}", "{meter}"), "What was found, with its evidence.", ("event",)),
    "pricing": (
        Topics("{prefix}").feed("pricing", "{meter}"),
        "A local day or a billing month of a meter is final, or was revised.",
        ("day_message", "month_message"),
    ),
    "inspection": (
        Topics("{prefix}").feed("inspection", "{meter}"),
        "A case was opened, has changed, or was closed by its end or by a verdict.",
        ("case_message",),
    ),
}
_PARAMETERS: Final[Mapping[str, str]] = {
    "prefix": "mqtt.prefix of the collector's file, wattline by default.",
    "kind": "The kind, for example current_loss.",
    "meter": "The meter: a technical identifier.",
}


def documents() -> dict[str, str]:
    """File name → content of every schema and of the AsyncAPI document."""
    found = {f"{name}.json": _text(schema_of(name)) for name in MODELS}
    found["asyncapi.json"] = _text(asyncapi())
    return found


def write(folder: Path) -> list[Path]:
    """Write all documents into a folder; return their paths.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in documents().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def schema_of(name: str) -> dict[str, Any]:
    """The schema of one message."""
    return {"$schema": _DIALECT, "$id": f"urn:wattline:{name}:1"} | MODELS[name].model_json_schema(mode="serialization")


def asyncapi() -> dict[str, Any]:
    """What the collector sends over MQTT."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Wattline feeds over MQTT",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 as JSON, QoS 1, at least once: a consumer drops an id that it knows. "
            "Nothing is retained; what was missed is asked for over HTTP.",
        },
        "defaultContentType": "application/json",
        "channels": {
            name: {
                "address": address,
                "description": description,
                "parameters": {
                    word: {"description": said} for word, said in _PARAMETERS.items() if f"{{{word}}}" in address
                },
                "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in messages},
            }
            for name, (address, description, messages) in _CHANNELS.items()
        },
        "operations": {
            f"send_{name}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{one}"} for one in messages],
            }
            for name, (_, _, messages) in _CHANNELS.items()
        },
        "components": {
            "messages": {
                one: {"name": one, "title": MODELS[one].__doc__, "payload": {"$ref": f"{one}.json"}}
                for _, _, messages in _CHANNELS.values()
                for one in messages
            }
        },
    }


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
