"""Runs one function in a process of its own, as Lambda does: a payload per line in, what came of it per line out.

    python -m tests.artifact.invoke functions.book.app.handler

Each line that comes out is {"answer": ..., "requests": [[action, resource], ...]}: what the function answered, and what
it asked of AWS, in the terms of an IAM policy. Logs go to the error output.
"""

import importlib
import json
import os
import sys

from harness.gateway import Context
from harness.privileges import noted


def main(handler_name: str) -> None:
    """Answer payloads until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, _, name = handler_name.rpartition(".")
    with noted() as requests:
        handler = getattr(importlib.import_module(module), name)
        for line in sys.stdin:
            requests.clear()
            answer = handler(json.loads(line), Context())
            print(json.dumps({"answer": answer, "requests": sorted(requests)}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
