"""Who may ask: a bearer token with the right scope, or everybody if no token is configured."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from collector.feeds.http.problem import Refusal
from collector.feeds.http.settings import Scope, Token, bearer

_SCHEME: Final = HTTPBearer(auto_error=False, description="Authorization: Bearer TOKEN, from the file of tokens.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]


class Access:
    """Lets a request pass, or refuses it."""

    def __init__(self, tokens: Sequence[Token] | None, *scopes: Scope) -> None:
        """Let tokens of these scopes pass; everybody if ``tokens`` is ``None``."""
        self._tokens = tokens
        self._scopes = {"all", *scopes}

    def __call__(self, credentials: Credentials) -> None:
        """Check one request.

        Raises:
            Refusal: 401 without a known token, 403 with one of another scope.
        """
        if self._tokens is None:
            return
        token = bearer(self._tokens, credentials.credentials) if credentials else None
        if token is None:
            said = "this token is not known" if credentials else "a token is missing"
            detail = f"{said} → send the header Authorization: Bearer TOKEN"
            raise Refusal(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})
        if token.scope not in self._scopes:
            wanted = " or ".join(sorted(self._scopes))
            raise Refusal(
                HTTPStatus.FORBIDDEN, f"the token of {token.name} is for {token.scope} → use one for {wanted}"
            )
