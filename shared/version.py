"""The version of the ticket office: of its HTTP contract and of the release (CHANGELOG.md).

The first number changes when a client that keeps to the API description may break.
"""

from typing import Final

VERSION: Final = "1.0.0"
