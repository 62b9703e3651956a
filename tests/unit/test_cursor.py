"""Cursors: reading returns what was written, and refuses everything else."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.edge import cursor
from shared.edge.cursor import NUMBER_MAX, Place

LISTED = "the list"

places = st.lists(st.text(max_size=60) | st.integers(0, NUMBER_MAX), min_size=1, max_size=3).map(tuple)


def _kinds(place: Place) -> list[type]:
    return [type(part) for part in place]


def _text(content: Any, between: str = ",") -> str:
    written = json.dumps(content, separators=(between, ":"))
    return base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")


def _content(place: Place = (1, "anna")) -> list[Any]:
    """Return the content of a cursor."""
    written = cursor.write(LISTED, place)
    content: list[Any] = json.loads(base64.urlsafe_b64decode(written + "=="))
    return content


@given(place=places)
def test_reading_a_cursor_returns_the_place_that_was_written(place: Place) -> None:
    """For any characters in the place. The cursor needs no quoting in a URL."""
    written = cursor.write(LISTED, place)
    assert cursor.read(written, LISTED, _kinds(place)) == place
    assert set(written) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("user", ["\U0010ffff" * 128, '"' * 128, "ü" * 128])
def test_the_longest_place_makes_a_valid_cursor(user: str) -> None:
    """An id of 128 characters of four bytes each, or of characters that JSON escapes."""
    written = cursor.write(LISTED, (95, user))
    assert cursor.read(written, LISTED, (int, str)) == (95, user)


@given(text=st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_an_arbitrary_text_is_refused(text: str) -> None:
    """Always with a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011  # messages of several libraries
        cursor.read(text, LISTED, (int, str))


@given(place=places, at=st.integers(0, 200), put=st.characters())
def test_changing_a_character_makes_a_refused_cursor_or_another_place(place: Place, at: int, put: str) -> None:
    """A place has only one cursor."""
    written = cursor.write(LISTED, place)
    at %= len(written)
    altered = written[:at] + put + written[at + 1 :]
    try:
        read = cursor.read(altered, LISTED, _kinds(place))
    except ValueError:
        return
    assert (read == place) == (altered == written)
    assert cursor.write(LISTED, read) == altered


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (0, 2),  # a later version
        (0, True),
        (1, "0" * 12),
        (1, None),
        (2, "1"),
        (2, True),
        (2, 1.0),
        (2, None),
        (2, -1),
        (2, NUMBER_MAX + 1),
        (2, 10**400),
        (2, [1]),
        (3, 1),
        (3, None),
    ],
)
def test_a_forged_cursor_with_an_invalid_part_is_refused(part: int, value: Any) -> None:
    """For example, lane -1 or a lane with many digits must never reach the database."""
    content = _content()
    assert cursor.read(_text(content), LISTED, (int, str)) == (1, "anna")
    content[part] = value
    with pytest.raises(ValueError):  # noqa: PT011  # messages of several libraries
        cursor.read(_text(content), LISTED, (int, str))


@pytest.mark.parametrize("content", [[], {}, None, 1, "text", _content()[:3], [*_content(), 1]])
def test_a_cursor_of_another_shape_is_refused(content: Any) -> None:
    """Too few parts, too many, or not a list."""
    with pytest.raises(ValueError):  # noqa: PT011  # messages of several libraries
        cursor.read(_text(content), LISTED, (int, str))


def test_a_cursor_of_another_list_is_refused() -> None:
    """Its place does not exist in this list."""
    with pytest.raises(ValueError, match="of another list"):
        cursor.read(cursor.write("another list", (1, "anna")), LISTED, (int, str))


@pytest.mark.parametrize(
    "text", ["[" * 10_000, _text(["[" * 2_000]), "A" * 2_000, cursor.write(LISTED, (1, "u" * 1_024))]
)
def test_a_cursor_that_is_long_or_deep_is_refused(text: str) -> None:
    """Before it is parsed, because no key in DynamoDB is that long."""
    with pytest.raises(ValueError):  # noqa: PT011  # messages of several libraries
        cursor.read(text, LISTED, (int, str))


def test_another_encoding_of_the_same_place_is_refused() -> None:
    """Spaces, padding, or other characters for the same bits."""
    written = cursor.write(LISTED, (1, "anna"))
    content = json.loads(base64.urlsafe_b64decode(written + "=="))
    assert _text(content) == written
    for other in (f"{written}====", f" {written}", f"{written}\n", _text(content, between=", "), f"{written}!"):
        with pytest.raises(ValueError, match="written otherwise"):
            cursor.read(other, LISTED, (int, str))
