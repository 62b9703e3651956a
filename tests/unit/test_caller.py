"""What a caller may do. tests/http/test_authorization.py tests the same over HTTP."""

from pathlib import Path

import pytest

from shared.edge.caller import Caller, NotSignedIn

ROOT = Path(__file__).resolve().parents[2]


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
    for check in (caller.must_organise, lambda: caller.must_be("anna"), lambda: caller.must_be_or_organise("anna")):
        with pytest.raises(NotSignedIn):
            check()
