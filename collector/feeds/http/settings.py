"""Where the feeds listen, and who may ask them.

Tokens stand in a file that only its owner may read, one ``name:token`` or ``name:token:scope`` a line. Without such a
file nobody is let in, except on the loopback interface with ``allow_anonymous: true``.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from pydantic import Field

from metering.errors import StopAndFix
from metering.secret_file import read_secrets
from metering.settings import Settings

Scope = Literal["pricing", "inspection", "all"]

_SCOPES: Final[dict[str, Scope]] = {scope: scope for scope in get_args(Scope)}
_SHORTEST: Final = 16


class HttpSettings(Settings):
    """The feeds over HTTP."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8090, ge=1, le=65535, description="TCP port to listen on.")
    tokens_file: Path | None = Field(
        None, description="File with one name:token[:scope] a line; scopes: pricing, inspection, all."
    )
    allow_anonymous: bool = Field(
        False, description="Let everybody on this machine in; only on the loopback interface."
    )

    @property
    def open_to_all(self) -> bool:
        """Whether it would answer anybody who asks from elsewhere, or without saying so."""
        return self.tokens_file is None and not (self.allow_anonymous and _is_loopback(self.host))


@dataclass(frozen=True, slots=True)
class Token:
    """Who may ask what."""

    name: str
    secret: str = field(repr=False)
    scope: Scope


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file.

    Raises:
        StopAndFix: the file is missing, empty, open to other users, or has a line that is none of ours.
    """
    tokens = []
    for n, line in enumerate(read_secrets(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        secret, _, scope = rest.partition(":")
        if not name or len(secret) < _SHORTEST:
            hint = f"write name:token or name:token:scope; a token has {_SHORTEST} characters or more"
            raise StopAndFix(f"{path}:{n}: no token → {hint}")
        known = _SCOPES.get(scope or "all")
        if known is None:
            raise StopAndFix(f"{path}:{n}: no scope is called {scope} → pricing, inspection or all")
        tokens.append(Token(name, secret, known))
    return tuple(tokens)


def bearer(tokens: Sequence[Token], secret: str) -> Token | None:
    """Whose token this is; every token is compared, in constant time."""
    found = None
    for token in tokens:
        if hmac.compare_digest(token.secret.encode(), secret.encode()):
            found = token
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
