"""The caller of a request, and what they may do.

API Gateway verifies the token before a function sees a request (signature, issuer, audience, times) and passes its
claims on, each written as a string. This module decides what they allow, which no setting of a route can express.
A caller without claims is anonymous and may do nothing that needs a user.
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
    """The caller is anonymous, because this route verifies no token."""

    detail = "Sign in first. If you have, this route does not look at tokens."


class NotYourBooking(TicketOfficeError):
    """A user acts for another user."""

    detail = "The token belongs to another user than userId."


class OrganisersOnly(TicketOfficeError):
    """The caller is not an organiser."""

    detail = "Only organisers may do this."


def is_open() -> bool:
    """Tell whether the office verifies no tokens, so that every caller may do everything."""
    return runtime.current.environment.get("OPEN_TO_ALL") == "true"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: `subject` is the issuer's name for them, `user_id` the office's. Both are None for an anonymous one."""

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
        """Allow this user only. Raises NotSignedIn; NotYourBooking."""
        self._require(self.user_id == user_id, NotYourBooking)

    def must_be_or_organise(self, user_id: str) -> None:
        """Allow this user and organisers. Raises NotSignedIn; NotYourBooking."""
        self._require(self.is_organiser or self.user_id == user_id, NotYourBooking)

    def must_organise(self) -> None:
        """Allow organisers only. Raises NotSignedIn; OrganisersOnly."""
        self._require(self.is_organiser, OrganisersOnly)

    def _require(self, allowed: bool, otherwise: type[TicketOfficeError]) -> None:
        if is_open():
            return
        if self.subject is None:
            raise NotSignedIn
        if not allowed:
            raise otherwise


def _names(claim: str) -> list[str]:
    """Read a list as API Gateway writes it, "[a b]", or as OAuth writes scopes, "a b"."""
    return claim.removeprefix("[").removesuffix("]").split()
