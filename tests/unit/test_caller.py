"""What a caller may do. tests/http/test_authorization.py tests the same over HTTP."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.edge.caller import Caller, DoorOnly, NotSignedIn, NotYourBooking, OrganisersOnly
from shared.model import Actor

ACTIONS: dict[str, Callable[[Caller, str], Actor | None]] = {
    "book": Caller.booking_for,
    "confirm": Caller.confirming_for,
    "cancel": Caller.cancelling_for,
    "transfer": Caller.transferring_for,
    "read": Caller.must_be_allowed_to_read,
}
BUYER, SHOP, ORGANISER, DOOR = Actor.BUYER, Actor.SHOP, Actor.ORGANISER, Actor.DOOR
ANNA = Caller(is_signed_in=True, name="anna", user_id="anna")
TILL = Caller(is_signed_in=True, name="till-1", user_id="till-1", is_shop=True)
OLGA = Caller(is_signed_in=True, name="olga", user_id="olga", is_organiser=True)
DORA = Caller(is_signed_in=True, name="dora", user_id="dora", is_door=True)
ANNA_AT_THE_TILL = Caller(is_signed_in=True, name="anna", user_id="anna", is_shop=True)
BOTH = Caller(is_signed_in=True, name="both", user_id="both", is_organiser=True, is_shop=True)


@pytest.mark.parametrize(
    ("caller", "actors", "may_read"),
    [
        (ANNA, (BUYER, BUYER, BUYER), True),
        (Caller(is_signed_in=True, name="ben", user_id="ben"), (None, None, None), False),
        (Caller(is_signed_in=True), (None, None, None), False),
        (TILL, (SHOP, SHOP, SHOP), True),
        (DORA, (None, None, None), False),
        (OLGA, (None, None, ORGANISER), True),
        (ANNA_AT_THE_TILL, (BUYER, SHOP, BUYER), True),
        (BOTH, (SHOP, SHOP, SHOP), True),
    ],
)
def test_who_may_act_for_anna_and_as_whom(
    monkeypatch: pytest.MonkeyPatch, caller: Caller, actors: tuple[Actor | None, ...], may_read: bool
) -> None:
    """A shop acts for any user, an organiser cancels and reads, and a buyer acts for themself.

    `actors` are those of a booking, a confirmation, and a cancellation or a transfer.
    """
    monkeypatch.delenv("OPEN_TO_ALL", raising=False)
    for action, actor in zip(("book", "confirm", "cancel", "transfer"), (*actors, actors[-1]), strict=True):
        if actor is None:
            with pytest.raises(NotYourBooking):
                ACTIONS[action](caller, "anna")
        else:
            assert ACTIONS[action](caller, "anna") is actor
    if may_read:
        caller.must_be_allowed_to_read("anna")
    else:
        with pytest.raises(NotYourBooking):
            caller.must_be_allowed_to_read("anna")


@pytest.mark.parametrize(
    ("caller", "actor"),
    [
        (DORA, DOOR),
        (TILL, SHOP),
        (OLGA, ORGANISER),
        (BOTH, SHOP),
        (replace(OLGA, is_door=True), DOOR),
        (ANNA, None),
        (Caller(is_signed_in=True), None),
    ],
)
def test_who_may_check_in_and_count_those_who_did(
    monkeypatch: pytest.MonkeyPatch, caller: Caller, actor: Actor | None
) -> None:
    """The door, shops and organisers; buyers may not, not even for themselves."""
    monkeypatch.delenv("OPEN_TO_ALL", raising=False)
    assert caller.may_count_check_ins is (actor is not None)
    if actor is None:
        with pytest.raises(DoorOnly):
            caller.checking_in()
    else:
        assert caller.checking_in() is actor


def test_a_shop_is_no_organiser(monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens, changes and cancels no events."""
    monkeypatch.delenv("OPEN_TO_ALL", raising=False)
    with pytest.raises(OrganisersOnly):
        TILL.must_organise()
    BOTH.must_organise()


def test_in_an_open_office_every_caller_may_do_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the buyer; and as the shop that confirms, whatever the event says."""
    monkeypatch.setenv("OPEN_TO_ALL", "true")
    for caller in (Caller(), ANNA):
        actors = {action: act(caller, "ben") for action, act in ACTIONS.items()}
        assert actors == {"book": BUYER, "confirm": SHOP, "cancel": BUYER, "transfer": BUYER, "read": None}
        assert (caller.checking_in(), caller.may_count_check_ins) == (DOOR, True)


@pytest.mark.parametrize("value", [None, "", "false", "1", "TRUE", "yes"])
def test_a_function_is_open_only_if_its_environment_says_so(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Secure by default: with a missing or misspelled variable, callers must sign in."""
    monkeypatch.delenv("OPEN_TO_ALL", raising=False)
    if value is not None:
        monkeypatch.setenv("OPEN_TO_ALL", value)
    with pytest.raises(NotSignedIn):
        Caller().must_organise()
    monkeypatch.setenv("OPEN_TO_ALL", "true")  # the control
    Caller().must_organise()


def test_the_user_id_is_the_claim_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is `sub`."""
    context = {"authorizer": {"jwt": {"claims": {"sub": "5f0c", "email": "anna@example.com"}}}}
    monkeypatch.delenv("USER_CLAIM", raising=False)
    assert Caller.of(context).user_id == "5f0c"
    monkeypatch.setenv("USER_CLAIM", "email")
    assert Caller.of(context).user_id == "anna@example.com"


@pytest.mark.parametrize("context", [{}, {"authorizer": {}}, {"authorizer": {"lambda": {"sub": "anna"}}}])
def test_a_caller_without_verified_claims_is_not_signed_in(context: dict[str, object]) -> None:
    """Claims of other kinds of authorizers do not count."""
    caller = Caller.of(context)
    assert caller == Caller()
    with pytest.raises(NotSignedIn):
        caller.must_organise()
    for act in ACTIONS.values():
        with pytest.raises(NotSignedIn):
            act(caller, "anna")


def _as_api_gateway_writes(claim: Any) -> str:
    return f"[{' '.join(map(str, claim))}]" if isinstance(claim, list) else str(claim)


def _caller(claims: dict[str, Any], header: str | None = None) -> Caller:
    """Read claims as they come from API Gateway: as text, and in the token, unless another `header` is given."""
    if header is None:
        part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        header = f"Bearer e30.{part}.c2ln"
    verified = {name: _as_api_gateway_writes(claim) for name, claim in claims.items()}
    return Caller.of({"authorizer": {"jwt": {"claims": verified, "scopes": None}}}, header)


ORGANISERS: list[dict[str, Any]] = [
    {"cognito:groups": ["organiser"]},
    {"cognito:groups": ["fan", "organiser"]},
    {"groups": ["a b", "organiser", "c"]},
    {"groups": "organiser"},
    {"scope": "openid organiser"},
    {"scope": "ticket-office/organiser"},
    {"scp": ["openid", "organiser"]},
    {"scp": "openid ticket-office/organiser"},
]
OTHERS: list[dict[str, Any]] = [
    {"cognito:groups": ["fan organiser"]},
    {"cognito:groups": ["organiser fan"]},
    {"cognito:groups": ["fan", "chief organiser", "x"]},
    {"groups": ["fan\torganiser", "x"]},
    {"groups": ["fan\norganiser"]},
    {"groups": ["fan\u00a0organiser", "x"]},
    {"groups": ["x", " organiser"]},
    {"groups": ["organiser ", "x"]},
    {"groups": ["x", "[organiser]"]},
    {"groups": "fan organiser"},
    {"groups": "[fan organiser]"},
    {"groups": "[organiser]"},
    {"groups": "fan,organiser"},
    {"groups": [["organiser"], "x"]},
    {"groups": [{"organiser": True}, "x"]},
    {"groups": {"organiser": True}},
    {"groups": []},
    {"groups": [None, True, 1]},
    {"scope": "openid\torganiser"},
    {"scope": "openid\u00a0organiser"},
    {"scp": ["fan organiser", "x"]},
    {"scope": "organiser,openid"},
]


def _of_shop(claims: dict[str, Any], role: str = "shop") -> dict[str, Any]:
    """Return the same claims with "shop", or another role, in place of "organiser"."""
    found: dict[str, Any] = json.loads(json.dumps(claims).replace("organiser", role))
    return found


@pytest.mark.parametrize("claims", ORGANISERS, ids=str)
def test_a_group_or_a_scope_makes_an_organiser_a_shop_or_the_door(claims: dict[str, Any]) -> None:
    """Alone or among others, of people and of programs; one role is not the other."""
    callers = [_caller(claims), _caller(_of_shop(claims)), _caller(_of_shop(claims, "door"))]
    roles = [(caller.is_organiser, caller.is_shop, caller.is_door) for caller in callers]
    assert roles == [(True, False, False), (False, True, False), (False, False, True)]


@pytest.mark.parametrize("claims", OTHERS, ids=str)
def test_a_name_that_contains_the_name_of_a_role_gives_none(claims: dict[str, Any]) -> None:
    """A group is one item of the token's list, whatever it contains."""
    for caller in (_caller(claims), _caller(_of_shop(claims)), _caller(_of_shop(claims, "door"))):
        assert not caller.is_organiser
        assert not caller.is_shop
        assert not caller.is_door


def test_scopes_of_another_resource_server_count_for_nothing() -> None:
    """Cognito writes the server before the scope; only ours is left out. A group with that name is none of ours."""
    assert not _caller({"scope": "other/shop x/ticket-office/shop"}).is_shop
    assert not _caller({"groups": ["ticket-office/shop"]}).is_shop
    assert _caller({"scope": "other/shop ticket-office/shop"}).is_shop


NOT_THE_TOKEN = [
    "",
    "Bearer",
    "Bearer x",
    "Bearer a.b",
    "Bearer e30.%%%.x",
    "Bearer e30.e30.x",
    "Bearer e30.W10.x",
    "e30.bnVsbA.x",
]


@pytest.mark.parametrize("header", NOT_THE_TOKEN)
def test_without_the_token_a_list_of_several_groups_makes_no_organiser(header: str) -> None:
    """Its items cannot be told apart. A list of one is clear, and so is a scope."""
    assert _caller({"cognito:groups": ["organiser"]}, header).is_organiser
    assert not _caller({"cognito:groups": ["fan", "organiser"]}, header).is_organiser
    assert _caller({"scope": "openid organiser"}, header).is_organiser


def test_a_token_that_was_not_verified_adds_nothing() -> None:
    """Its list counts only if it is written as the verified one is."""
    part = base64.urlsafe_b64encode(json.dumps({"groups": ["organiser", "fan"]}).encode()).decode().rstrip("=")
    for verified in (["fan", "x"], [], ["organisers", "fan"], ["organiser", "fan", "x"]):
        assert not _caller({"groups": verified}, f"Bearer e30.{part}.c2ln").is_organiser
    assert _caller({"groups": ["organiser", "fan"]}, f"Bearer e30.{part}.c2ln").is_organiser
    assert not _caller({"sub": "anna"}, f"Bearer e30.{part}.c2ln").is_organiser


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "a", "client_id": "b", "azp": "c"}, "a"),
        ({"client_id": "b", "azp": "c"}, "client_id\nb"),
        ({"sub": "", "azp": "c"}, "azp\nc"),
        ({"sub": "client_id\nb"}, None),
        ({"email": "a"}, None),
    ],
)
def test_a_caller_has_the_name_of_the_user_or_of_the_program(claims: dict[str, str], name: str | None) -> None:
    """A program's name begins with its claim and a line break, which is in no user's name."""
    assert _caller(claims).name == name
    assert _caller(claims).is_unnamed == (name is None)
    assert not Caller().is_unnamed
