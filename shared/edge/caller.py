"""Who asks, and what they may.

API Gateway has verified the token before a function sees a request (signature, issuer, audience, times), and hands its
claims over, each written as a string. What they allow is decided here, for no condition of a route can say it.
Without claims nobody is known, and who is not known may not do what needs a name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from shared import runtime
from shared.model import TicketOfficeError

ORGANISER_GROUP: Final = "organiser"
ORGANISER_SCOPES: Final = {"organiser", "ticket-office/organiser"}  # the second is how Cognito writes it
GROUP_CLAIMS: Final = ("cognito:groups", "groups")
SCOPE_CLAIMS: Final = ("scope", "scp")


class NotSignedIn(TicketOfficeError):
    """Nobody has verified who asks."""

    detail = "This takes a token, and a route that verifies it."


class NotYourBooking(TicketOfficeError):
    """A user asks in another's name."""

    detail = "The token is another user's than userId."


class OrganisersOnly(TicketOfficeError):
    """Somebody who is no organiser asks for what only organisers may do."""

    detail = "Only organisers may do this."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `subject` is whom the issuer knows, `user_id` whom this office knows; None where nobody is known."""

    subject: str | None = None
    user_id: str | None = None
    is_organiser: bool = False

    @classmethod
    def of(cls, request_context: Mapping[str, Any]) -> Self:
        """Read the claims that API Gateway has verified."""
        claims: Mapping[str, str] | None = request_context.get("authorizer", {}).get("jwt", {}).get("claims")
        if claims is None:
            return cls()
        groups = {name for claim in GROUP_CLAIMS for name in _names(claims.get(claim, ""))}
        scopes = {name for claim in SCOPE_CLAIMS for name in _names(claims.get(claim, ""))}
        is_organiser = ORGANISER_GROUP in groups or not scopes.isdisjoint(ORGANISER_SCOPES)
        return cls(
            claims.get("sub", ""), claims.get(runtime.current.environment.get("USER_CLAIM", "sub")), is_organiser
        )

    def must_be(self, user_id: str) -> None:
        """Let only this user go on. Raises NotSignedIn; NotYourBooking."""
        self._require(self.user_id == user_id, NotYourBooking)

    def must_be_or_organise(self, user_id: str) -> None:
        """Let only this user and organisers go on. Raises NotSignedIn; NotYourBooking."""
        self._require(self.is_organiser or self.user_id == user_id, NotYourBooking)

    def must_organise(self) -> None:
        """Let only organisers go on. Raises NotSignedIn; OrganisersOnly."""
        self._require(self.is_organiser, OrganisersOnly)

    def _require(self, allowed: bool, otherwise: type[TicketOfficeError]) -> None:
        if runtime.current.environment.get("OPEN_TO_ALL") == "true":  # no token is verified: anyone may do anything
            return
        if self.subject is None:
            raise NotSignedIn
        if not allowed:
            raise otherwise


def _names(claim: str) -> list[str]:
    """Read a list as API Gateway writes it, "[a b]", and as OAuth writes scopes, "a b"."""
    return claim.removeprefix("[").removesuffix("]").split()
