"""What ids and names may contain, by Unicode category, as ECMA-262 patterns that the API description shows.

The office checks text with the same patterns, so the two cannot differ (docs/decisions/0019). A validator must read
them by code point, in JavaScript with the flag "u", as JSON Schema says. The categories are fixed here, because those
of Python's unicodedata change with its version.
"""

import re
from typing import Final

# Control characters (Cc), line and paragraph separators (Zl, Zp), and U+FFFD, which replaces bytes that were not UTF-8.
_NEVER: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd"

# Format characters (Cf) that no script and no emoji needs: soft hyphen, zero width space, embeddings and overrides of
# direction, isolates, word joiner and invisible operators, byte order mark, annotations. The others are allowed: the
# joiners U+200C and U+200D, the marks of direction U+200E, U+200F and U+061C, and signs and controls of one script.
_NOT_IN_NAMES: Final = _NEVER + r"\u00ad\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"

# All format characters (Cf), and Unicode's other "default ignorable" characters, which are as invisible: fillers,
# variation selectors and vowels that are only implied.
_NOT_IN_IDS: Final = (
    _NEVER
    + r"\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    + r"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)

# Invisible characters, of which a name may not consist: spaces, the default ignorable ones, and blank braille.
_BLANK: Final = (
    _NOT_IN_NAMES
    + r"\s\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
)


def _between(first: int, last: int) -> str:
    """Match one character of a range above U+FFFF.

    Such a character has no escape that all dialects know, so it is written as it is. The range begins below U+D800,
    so that JavaScript without the flag "u", which reads two halves of a character, does not call it out of order.
    """
    return rf"(?![\u3000-{chr(first - 1)}])[\u3000-{chr(last)}]"


_TAGS: Final = _between(0xE0000, 0xE0FFF)  # of emoji flags, and variation selectors
_SCORE: Final = _between(0x1D173, 0x1D17A)  # beams and slurs of musical notation
_SHORTHAND: Final = _between(0x1BCA0, 0x1BCA3)
_HIEROGLYPHS: Final = _between(0x13430, 0x1343F)
_KAITHI: Final = "\U000110bd|\U000110cd"  # number signs
_BLANKS_ABOVE: Final = "|".join((_TAGS, _SCORE, _SHORTHAND))
_FORMATS_ABOVE: Final = "|".join((_BLANKS_ABOVE, _HIEROGLYPHS, _KAITHI))

ID: Final = rf"^(?!\s)(?!.*\s$)(?:(?!{_FORMATS_ABOVE})[^{_NOT_IN_IDS}])+$"
NAME: Final = rf"^[^{_NOT_IN_NAMES}]*(?!{_BLANKS_ABOVE})[^{_BLANK}][^{_NOT_IN_NAMES}]*$"

LINE: Final = rf"^[^{_NOT_IN_NAMES}]*$"  # text that may be blank or empty

# What the functions below use. `re` compiles and keeps them on first use: at the start of a function they would take
# 20 ms, and most ids are ASCII, for which ID says no more than the first.
_ASCII_ID: Final = "[!-~]([ -~]*[!-~])?"
_VISIBLE: Final = f"(?!{_BLANKS_ABOVE})[^{_BLANK}]"
_NO_NAME: Final = f"[{_NOT_IN_NAMES}\ud800-\udfff]"
_SURROGATE: Final = "[\ud800-\udfff]"  # half a character: JSON can escape one, but it is no text


def is_id(value: str) -> bool:
    """Tell whether an id has only visible characters, and spaces inside only; its length is not checked."""
    if value.isascii():
        return bool(re.fullmatch(_ASCII_ID, value))
    return bool(re.fullmatch(ID, value)) and not re.search(_SURROGATE, value)


def may_be_in_name(value: str) -> bool:
    """Tell whether a name may contain each of these characters."""
    return not re.search(_NO_NAME, value)


def is_visible(value: str) -> bool:
    """Tell whether something of a name can be seen."""
    return bool(re.search(_VISIBLE, value))
