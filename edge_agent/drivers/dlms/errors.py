"""What may go wrong in a conversation with one meter, by what the caller does next.

DlmsError
├── Malformed       these bytes are not what the standard says: drop the association, count it
├── Untrusted       somebody may have touched the answer: drop the association, count it by name
├── Silent          nothing came in time: drop the association, the line may stand
│   └── Noise           octets came, and no answer among them: the same
├── Lost            the line broke: connect anew
├── Declined        the meter said no: the association may stand, the value is missing
└── Spent           the invocation counters are used up: stop asking this meter, tell a person

None of these leaves the driver: it turns them into a ``ReadFailure``.
"""

from __future__ import annotations

from enum import StrEnum

from edge_agent.drivers.driver import ReadFailure
from metering.errors import WattlineError


class DlmsError(WattlineError):
    """Root of the errors of this driver."""


class Malformed(DlmsError):  # noqa: N818 - the name says what the bytes are
    """The bytes are not exactly one well-formed message within the limits."""


class Silent(DlmsError):  # noqa: N818
    """No answer in time."""


class Noise(Silent):
    """Octets came, and no answer among them: another speed, or somebody else's line."""


class Lost(DlmsError):  # noqa: N818
    """The line broke."""

    def __init__(self, failure: ReadFailure | None = None) -> None:
        """Keep why, as the line says it."""
        super().__init__(str(failure or "not connected"))
        self.failure = failure


class Breach(StrEnum):
    """How an answer broke the rules of a protected association; the counters carry these names."""

    PLAINTEXT = "plaintext"  # no protection at all where some was agreed
    DOWNGRADE = "downgrade"  # a weaker or another protection than agreed
    FORGED = "forged"  # the authentication tag does not fit
    REPLAY = "replay"  # the invocation counter did not rise
    WRONG_TITLE = "wrong_title"  # the system title of another device
    WRONG_INVOKE_ID = "wrong_invoke_id"  # the answer to another request
    FAILED_CHALLENGE = "failed_challenge"  # the meter could not prove that it knows the key


class Untrusted(DlmsError):  # noqa: N818
    """An answer that must not be believed."""

    def __init__(self, breach: Breach, detail: str = "") -> None:
        """Remember the name under which it is counted."""
        super().__init__(f"{breach}: {detail}" if detail else str(breach))
        self.breach = breach


class Declined(DlmsError):  # noqa: N818
    """The meter refused the association or the service."""

    def __init__(self, what: str, code: int | None = None) -> None:
        """Keep the number that the meter gave, if it gave one."""
        super().__init__(what)
        self.code = code


class Spent(DlmsError):  # noqa: N818
    """There are no more invocation counters, or none that can be believed."""
