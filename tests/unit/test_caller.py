"""Who may do what, where it is decided; over HTTP it is in tests/http/test_authorization.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.edge.caller import Caller, NotSignedIn

ROOT = Path(__file__).resolve().parents[2]
PRINT = "from shared.edge import caller; print(caller.OPEN_TO_ALL, caller.USER_CLAIM)"


@pytest.mark.parametrize("value", [None, "", "false", "1", "TRUE", "yes"])
def test_a_function_is_open_only_where_it_is_told_so(value: str | None) -> None:
    """Secure by default: a variable that is missing, or misspelled, lets nobody in."""
    told = {} if value is None else {"OPEN_TO_ALL": value}
    assert _seen(told) == ["False", "sub"]
    assert _seen({"OPEN_TO_ALL": "true", "USER_CLAIM": "email"}) == ["True", "email"]  # the control


def _seen(variables: dict[str, str]) -> list[str]:
    environment = {"PATH": os.defpath, **variables}
    command = [sys.executable, "-c", PRINT]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize("context", [{}, {"authorizer": {}}, {"authorizer": {"lambda": {"sub": "anna"}}}])
def test_who_comes_without_verified_claims_is_nobody(context: dict[str, object]) -> None:
    """Another kind of authorizer is none that is known here."""
    nobody = Caller.of(context)
    assert nobody == Caller()
    for ask in (nobody.must_organise, lambda: nobody.must_be("anna"), lambda: nobody.must_be_or_organise("anna")):
        with pytest.raises(NotSignedIn):
            ask()
