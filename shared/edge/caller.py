"""The caller of a request, and what they may do.

API Gateway verifies the token before a function sees a request (signature, issuer, audience, times) and passes its
claims on, each written as a string. This module decides what they allow, which no setting of a route can express.
A caller without claims is anonymous and may do nothing that needs a user.

API Gateway writes a list as "[a b]", so the group "fan organiser" looks like two groups. Only the token itself tells
them apart. It is in the Authorization header, and its list counts if it is the list that API Gateway has verified.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from shared import runtime
from shared.model import Actor, TicketOfficeError
from shared.telemetry import logger

ORGANISER: Final = "organiser"  # the name of a group, and of a scope
SHOP: Final = "shop"  # likewise
DOOR: Final = "door"  # likewise
RESOURCE_SERVER: Final = "ticket-office/"  # stands before the names of scopes, as Cognito writes them
GROUP_CLAIMS: Final = ("cognito:groups", "groups")
SCOPE_CLAIMS: Final = ("scope", "scp")
NAME_CLAIMS: Final = ("sub", "client_id", "azp")  # programs may have no subject, only a client id


class NotSignedIn(TicketOfficeError):
    """The caller is anonymous, because this route verifies no token."""

    detail = "Sign in first. If you have, this route does not look at tokens."


class NotYourBooking(TicketOfficeError):
    """A user acts for another user."""

    detail = "The token belongs to another user than userId."


class OrganisersOnly(TicketOfficeError):
    """The caller is not an organiser."""

    detail = "Only organisers may do this."


class DoorOnly(TicketOfficeError):
    """The caller may not check in."""

    detail = "Only the door, shops and organisers may check in."


def is_open() -> bool:
    """Tell whether the office verifies no tokens, so that every caller may do everything."""
    return runtime.current.environment.get("OPEN_TO_ALL") == "true"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: `name` is the issuer's name for a user or a program; `user_id` is the office's name for a user.

    Both are None for an anonymous caller, and for a token without these claims.
    """

    is_signed_in: bool = False
    name: str | None = None
    user_id: str | None = None
    is_organiser: bool = False
    is_shop: bool = False
    is_door: bool = False

    @classmethod
    def of(cls, request_context: Mapping[str, Any], authorization: str | None = None) -> Self:
        """Read the claims that API Gateway has verified, and their lists from the token in the header."""
        claims: Mapping[str, str] | None = request_context.get("authorizer", {}).get("jwt", {}).get("claims")
        if claims is None:
            return cls()
        roles = _roles(claims, authorization or "")
        return cls(
            is_signed_in=True,
            name=_name(claims),
            user_id=claims.get(runtime.current.environment.get("USER_CLAIM", "sub")),
            is_organiser=ORGANISER in roles,
            is_shop=SHOP in roles,
            is_door=DOOR in roles,
        )

    @property
    def is_unnamed(self) -> bool:
        """Tell whether a token was verified that does not say whose it is."""
        return self.is_signed_in and self.name is None

    def booking_for(self, user_id: str) -> Actor:
        """Allow this user and shops; return which of them the caller is. Raises NotSignedIn; NotYourBooking."""
        return self._acting_for(user_id, Actor.SHOP)

    def confirming_for(self, user_id: str) -> Actor:
        """Allow this user and shops, and prefer the shop: it may confirm what its user may not.

        Raises NotSignedIn; NotYourBooking.
        """
        if is_open():
            return Actor.SHOP
        return self._acting_as(Actor.SHOP) if self.is_shop else self._acting_for(user_id)

    def cancelling_for(self, user_id: str) -> Actor:
        """Allow this user, shops and organisers. Raises NotSignedIn; NotYourBooking."""
        return self._acting_for(user_id, Actor.SHOP, Actor.ORGANISER)

    def transferring_for(self, user_id: str) -> Actor:
        """Allow this user, shops and organisers. Raises NotSignedIn; NotYourBooking."""
        return self._acting_for(user_id, Actor.SHOP, Actor.ORGANISER)

    def checking_in(self) -> Actor:
        """Allow the door, shops and organisers; return which of them the caller is. Raises NotSignedIn; DoorOnly.

        In an open office, every caller is the door.
        """
        role = self._role_at_the_door
        self._require(role is not None, DoorOnly)
        return self._acting_as(role or Actor.DOOR)

    @property
    def may_count_check_ins(self) -> bool:
        """Tell whether the caller may see how many tickets were checked in: those who may check in."""
        return is_open() or self._role_at_the_door is not None

    def must_be_allowed_to_read(self, user_id: str) -> None:
        """Allow this user, shops and organisers to read this user's bookings. Raises NotSignedIn; NotYourBooking."""
        self._acting_for(user_id, Actor.SHOP, Actor.ORGANISER)

    def must_organise(self) -> None:
        """Allow organisers only. Raises NotSignedIn; OrganisersOnly."""
        self._require(self.is_organiser, OrganisersOnly)

    @property
    def _role_at_the_door(self) -> Actor | None:
        roles = {Actor.DOOR: self.is_door, Actor.SHOP: self.is_shop, Actor.ORGANISER: self.is_organiser}
        return next((role for role, has_it in roles.items() if has_it), None)

    def _acting_for(self, user_id: str, *others: Actor) -> Actor:
        """Return as which actor the caller acts for the user: in an open office, every caller is that user."""
        if is_open() or (self.is_signed_in and self.user_id == user_id):
            return Actor.BUYER
        roles = {Actor.SHOP: self.is_shop, Actor.ORGANISER: self.is_organiser}
        role = next((other for other in others if roles[other]), None)
        self._require(role is not None, NotYourBooking)
        assert role is not None, "as required"
        return self._acting_as(role)

    def _acting_as(self, role: Actor) -> Actor:
        """Return the role, and let the log name the caller, who is not the user."""
        logger.append_keys(caller=self.name)  # the handler's clear_state removes it
        return role

    def _require(self, allowed: bool, otherwise: type[TicketOfficeError]) -> None:
        if is_open():
            return
        if not self.is_signed_in:
            raise NotSignedIn
        if not allowed:
            raise otherwise


def _name(claims: Mapping[str, Any]) -> str | None:
    """Return the subject of a token, else its client after the claim that names it, so that the two never collide."""
    for claim in NAME_CLAIMS:
        value = str(claims.get(claim, ""))
        if value and "\n" not in value:
            return value if claim == "sub" else f"{claim}\n{value}"
    return None


def _roles(claims: Mapping[str, Any], authorization: str) -> set[str]:
    """Return the groups of a person and the scopes of a program, those of our resource server by their short names."""
    lists = _lists(claims, authorization)
    groups = {str(group) for claim in GROUP_CLAIMS for group in lists.get(claim, ())}
    scopes = {str(scope) for claim in SCOPE_CLAIMS for scope in lists.get(claim, ())}
    return groups | {scope.removeprefix(RESOURCE_SERVER) for scope in scopes}


def _lists(claims: Mapping[str, Any], authorization: str) -> dict[str, list[Any]]:
    """Return the names in the claims that are lists.

    The items of a list come from the token. Without a token in the header, a list counts as one name.
    A scope that is a string is split at spaces, which RFC 6749 excludes from the names of scopes.
    """
    found: dict[str, list[Any]] = {}
    for claim in (*GROUP_CLAIMS, *SCOPE_CLAIMS):
        text = claims.get(claim, "")
        if isinstance(text, list):  # an emulator of API Gateway may leave it as it is
            found[claim] = text
        elif text.startswith("[") and text.endswith("]"):
            names = _content(authorization).get(claim, [text[1:-1]])
            if isinstance(names, list) and f"[{' '.join(map(str, names))}]" == text:  # the verified list
                found[claim] = names
        else:
            found[claim] = text.split(" ") if claim in SCOPE_CLAIMS else [text]
    return found


def _content(authorization: str) -> dict[str, Any]:
    """Return the claims of a token, which is not verified here; nothing if it is none."""
    parts = authorization.rpartition(" ")[2].split(".")
    if len(parts) != 3:  # noqa: PLR2004  # header, claims, signature
        return {}
    try:
        content = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
