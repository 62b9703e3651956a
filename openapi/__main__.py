"""Write the API description into functions/describe/, for an office that takes tokens and for an open one.

`make describe` runs it.
"""

import json
import sys
from pathlib import Path
from typing import Final

from openapi.document import Json, description

_FOLDER: Final = Path(__file__).resolve().parents[1] / "functions" / "describe"
FILES: Final = {_FOLDER / "openapi.json": False, _FOLDER / "openapi-open.json": True}  # file -> is it of an open office


def written(document: Json) -> str:
    """Return the document as it is stored."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    for file, is_open in FILES.items():
        file.write_text(written(description(is_open=is_open)), encoding="utf-8")
        sys.stdout.write(f"{file.name}\n")


if __name__ == "__main__":
    main()
