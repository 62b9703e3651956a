"""Counts the files of failed records: objects in a bucket, or on one machine files in a folder."""

import os
from itertools import islice
from pathlib import Path
from typing import Any

FILES_MAX = 1_000  # one page of an S3 listing; the exact number beyond that does not matter


def kept() -> int:
    """Return the number of files in the place that FAILED_RECORDS names, at most FILES_MAX.

    The place is a folder if its name has a slash, otherwise a bucket. Raises botocore's errors, most likely for a
    missing privilege.
    """
    place = os.environ["FAILED_RECORDS"]
    if "/" in place:
        return sum(1 for _ in islice(Path(place).glob("*.json"), FILES_MAX))
    import boto3  # noqa: PLC0415  # so that neither the cold start nor the sweep waits for it
    from botocore.config import Config  # noqa: PLC0415

    # Both tries end within the sweep's reserve (BACKGROUND_RESERVE_S in shared/model.py).
    config = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2})
    make: Any = boto3.client
    count: int = make("s3", config=config).list_objects_v2(Bucket=place, MaxKeys=FILES_MAX)["KeyCount"]
    return count
