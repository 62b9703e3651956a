"""The characters that a text may contain."""

import re
import unicodedata

import pytest
from pydantic import ValidationError

from shared.edge import contract

CHARACTERS = [chr(code) for code in range(0x110000)]
CONTROLS = [character for character in CHARACTERS if unicodedata.category(character) == "Cc"]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_text_with_a_control_character_is_refused(control: str) -> None:
    """Any character of Unicode's category Cc, anywhere in the text."""
    for text in (control, f"a{control}", f"{control}a"):
        with pytest.raises(ValidationError, match=r"control characters|must not be empty"):
            contract.InitializeRequest.model_validate({"name": text, "totalTickets": 1})
        with pytest.raises(ValidationError, match="control characters"):
            contract.EventPath.model_validate({"eventId": text})


def test_every_other_character_is_accepted() -> None:
    """Also by the pattern in the API description."""
    others = [one for one in CHARACTERS if one not in CONTROLS and not "\ud800" <= one <= "\udfff"]
    for first in range(0, len(others), 100):
        text = "".join(others[first : first + 100])
        assert contract.EventPath.model_validate({"eventId": text}).event_id == text
        assert re.fullmatch(contract.PRINTABLE, text)
