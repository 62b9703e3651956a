"""How every part begins and ends as a child process of the supervisor."""

import json
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local import gate, runtime
from local.errors import LocalError
from local.lifeline import Lifeline
from local.system import System

AFTER_ENGINE = 5  # the niceness of every part: all of them wait for the engine, so it gets the processor first
LOW_PRIORITY = 10  # what a part that no client waits for adds to it


@contextmanager
def child() -> Iterator[tuple[dict[str, Any], Lifeline, System]]:
    """Yield the supervisor's arguments, the lifeline and the system; the process ends with the block.

    The system comes from the supervisor, too: to read the template anew would take each part 75 ms. A LocalError
    becomes the last line of the log.
    """
    os.nice(AFTER_ENGINE)
    arguments = json.loads(sys.argv[1])
    lifeline = Lifeline(arguments["lifeline"], arguments["parent"])
    system: System = pickle.load(sys.stdin.buffer)  # noqa: S301 - the supervisor wrote it
    sys.path.insert(0, str(system.path.parent))
    gate.use(os.environ.get("AWS_ENDPOINT_URL_DYNAMODB", ""))
    try:
        yield arguments, lifeline, system
    except LocalError as error:
        runtime.explain(error)
        os._exit(1)
    os._exit(0)
