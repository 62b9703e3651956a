"""Keeps unreadable records beside those that Lambda gives up, so that the records behind them are announced."""

import hashlib
import json
from pathlib import Path
from typing import Any

from functions.announce.announcements import Record
from shared import runtime

FUNCTION = "AnnounceFunction"  # by which a redrive knows what to do with a file


def keep(record: Record) -> None:
    """Write a record to the place that FAILED_RECORDS names, as Lambda writes those that it gives up.

    The place is a folder if its name has a slash, otherwise a bucket. The name follows from the record, so a repetition
    writes the same file. Raises OSError or botocore's errors.
    """
    payload = json.dumps({"Records": [record]})
    document = {"requestContext": {"functionArn": FUNCTION, "condition": "Unreadable"}, "payload": payload}
    name = f"unreadable-{hashlib.sha256(payload.encode()).hexdigest()[:32]}.json"
    place = runtime.current.environment["FAILED_RECORDS"]
    if "/" in place:
        (Path(place) / name).write_text(json.dumps(document), encoding="utf-8")
        return
    import boto3  # noqa: PLC0415  # so that a cold start does not wait for it
    from botocore.config import Config  # noqa: PLC0415

    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
    make: Any = boto3.client
    make("s3", config=config).put_object(Bucket=place, Key=name, Body=json.dumps(document).encode())
