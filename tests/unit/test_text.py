"""What ids and names may contain, for every character of Unicode."""

import itertools
import re
import unicodedata
from collections import defaultdict

import pytest
from pydantic import ValidationError

from shared.edge import contract, text

CHARACTERS = [chr(code) for code in range(0x110000)]
ALLOWED_FORMATS = "\u200c\u200d\u200e\u200f\u061c"  # joiners, and marks of direction
OF_A_SCRIPT = [  # format characters: first and last of each range
    (0x0600, 0x0605), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2), (0x180E, 0x180E),
    (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A),
    (0xE0001, 0xE007F),
]  # fmt: skip
# Unicode's property Default_Ignorable_Code_Point, which Python does not know.
IGNORABLE = [
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip


def _in(ranges: list[tuple[int, int]]) -> set[str]:
    return {chr(code) for first, last in ranges for code in range(first, last + 1)}


CATEGORIES: defaultdict[str, set[str]] = defaultdict(set)
for each in CHARACTERS:
    CATEGORIES[unicodedata.category(each)].add(each)
SURROGATES, FORMATS = CATEGORIES["Cs"], CATEGORIES["Cf"]
SPACES = CATEGORIES["Zs"] | CATEGORIES["Zl"] | CATEGORIES["Zp"]
NEVER = CATEGORIES["Cc"] | SURROGATES | CATEGORIES["Zl"] | CATEGORIES["Zp"] | {"\ufffd"}
NOT_IN_NAMES = (
    NEVER | {"\u2065"} | (FORMATS - _in(OF_A_SCRIPT) - set(ALLOWED_FORMATS))
)  # U+2065 is reserved for a format
NOT_IN_IDS = NEVER | FORMATS | _in(OF_A_SCRIPT) | _in(IGNORABLE)
BLANK = NOT_IN_NAMES | SPACES | _in(IGNORABLE) | {"\u2800"}


def _all_but(refused: set[str]) -> str:
    return "".join(one for one in CHARACTERS if one not in refused)


def test_a_name_may_contain_every_character_but_those() -> None:
    """By category, in the check and in the pattern of the description."""
    allowed, pattern = _all_but(NOT_IN_NAMES), re.compile(text.NAME)
    assert text.may_be_in_name(allowed)
    assert pattern.search(allowed)
    assert [one for one in NOT_IN_NAMES if text.may_be_in_name(one)] == []
    assert [one for one in NOT_IN_NAMES - SURROGATES if pattern.search(f"a{one}b")] == []


def test_a_name_needs_something_visible() -> None:
    """Every other character is a name by itself."""
    others, pattern = _all_but(BLANK), re.compile(text.NAME)
    assert all(map(text.is_visible, others))
    assert all(map(pattern.fullmatch, others))
    for one in ("".join(BLANK - SURROGATES), *BLANK - SURROGATES):
        assert not text.is_visible(one)
        assert not pattern.fullmatch(one)


def test_an_id_has_visible_characters_only() -> None:
    """No format characters, no surrogates, none that is invisible; a space is between others only."""
    assert text.is_id(f"a{_all_but(NOT_IN_IDS)}b")
    assert all(map(text.is_id, _all_but(NOT_IN_IDS | SPACES)))
    assert [one for one in NOT_IN_IDS if text.is_id(f"a{one}b")] == []
    assert [
        one for one in NOT_IN_IDS | SPACES if text.is_id(f"{one}b") or text.is_id(f"a{one}") or text.is_id(one)
    ] == []


def test_an_id_in_ascii_is_checked_as_the_description_says() -> None:
    """For ASCII there is a shorter pattern."""
    ascii_characters = CHARACTERS[:128]
    for value in ("", *ascii_characters, *map("".join, itertools.product(ascii_characters, repeat=2))):
        assert text.is_id(value) == bool(re.fullmatch(text.ID, value))
    for one in ascii_characters:
        assert text.is_id(f"a{one}b") == bool(re.fullmatch(text.ID, f"a{one}b"))


NAMES = {
    "a family emoji, with joiners": "👨\u200d👩\u200d👧",
    "a heart, with a variation selector": "❤\ufe0f",
    "the flag of Scotland, with tags": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "a keycap": "1\ufe0f\u20e3",
    "Persian, with a non-joiner": "\u0646\u0645\u0627\u06cc\u0634\u200c\u0647\u0627",
    "Hindi, with combining vowels": "क्\u200dष संगीत",
    "Sinhala, with a joiner": "ශ්\u200dරී",
    "Mongolian, with a vowel separator and a selector": "ᠮᠣᠩᠭᠣᠯ\u180eᠠ\u180b",
    "Hebrew, with a mark of direction": "קונצרט\u200f!",
    "Arabic, with a number sign": "\u0600\u0661\u0662",
    "Thai": "คอนเสิร์ต",
    "Vietnamese, decomposed": unicodedata.normalize("NFD", "Buổi hòa nhạc"),
    "Japanese, with an ideographic variation": "葛\U000e0100城",
    "French, with narrow spaces": "Entrée\u202f: 5\u202f€",
    "Korean, as jamo": unicodedata.normalize("NFD", "콘서트"),
    "a hieroglyph, with a joiner": "\U00013000\U00013430\U00013001",
    "musical notation, with a beam": "\U0001d173\U0001d15f\U0001d174",
    "a supplementary character": "𝄞",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_what_scripts_and_emoji_need_is_a_name(name: str) -> None:
    """And it is returned as it was sent, in its normal form."""
    assert re.fullmatch(text.NAME, name)
    assert contract.InitializeRequest.model_validate({"name": name, "totalTickets": 1}).name == name


INVISIBLE = [
    "\u200b", "\u200d", "\u200c", "\u2060", "\ufeff", "\u00ad", "\u3164", "\u115f\u1160", "\uffa0", "\u2800", "\u00a0",
    "\u3000", "\ufe0f", "\u034f", "\u180e", "\u200e\u200f", "\U000e0020", "\U000e0100", "\u202e", " \u200b ", "\ufffd",
]  # fmt: skip


@pytest.mark.parametrize("name", INVISIBLE, ids=ascii)
def test_a_name_that_cannot_be_seen_is_refused(name: str) -> None:
    """Spaces of every kind, joiners, fillers, selectors and tags, alone and together."""
    for one in (name, name * 3, f" {name}\u200d\u3000"):
        assert not re.fullmatch(text.NAME, one)
        with pytest.raises(ValidationError):
            contract.InitializeRequest.model_validate({"name": one, "totalTickets": 1})


@pytest.mark.parametrize(
    "name", ["a\u202eb", "a\u200bb", "a\u2066b", "a\ufeffb", "a\u00adb", "a\ufffdb", "a\u2028b"], ids=ascii
)
def test_a_name_does_not_disguise_itself(name: str) -> None:
    """Overrides of direction, invisible separators, and what is left of damaged text."""
    with pytest.raises(ValidationError, match="must not contain control, format or replacement characters"):
        contract.InitializeRequest.model_validate({"name": name, "totalTickets": 1})


@pytest.mark.parametrize(
    "value",
    [" anna", "anna ", "\u00a0anna", "anna\u3000", "an\u200bna", "anna\u200d", "a\ud800", "\ufffd", "anna\n"],
    ids=ascii,
)
@pytest.mark.parametrize("field", ["userId", "eventId", "bookingId"])
def test_an_id_that_looks_like_another_is_refused(field: str, value: str) -> None:
    """Wherever an id is sent."""
    body = {"userId": "u", "eventId": "e", "bookingId": "b", field: value}
    with pytest.raises(ValidationError, match="must have visible characters only"):
        contract.CancelRequest.model_validate(body)


def test_an_id_is_not_normalised() -> None:
    """Its bytes are the id: a composed and a decomposed letter are two users (docs/decisions/0019)."""
    composed, decomposed = "é", "e\u0301"
    ids = {contract.EventPath.model_validate({"eventId": one}).event_id for one in (composed, decomposed)}
    assert ids == {composed, decomposed}
