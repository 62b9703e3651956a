"""How many files of records that were given up are kept: objects of a bucket, or files of a folder on one machine."""

import os
from itertools import islice
from pathlib import Path
from typing import Any

FILES_MAX = 1_000  # one page of a listing by S3; nobody needs to know how many more there are


def kept() -> int:
    """Return how many files are kept where FAILED_RECORDS says, up to FILES_MAX.

    A bucket's name has no slash, a folder's has. Raises: botocore's errors, of a missing privilege most likely.
    """
    place = os.environ["FAILED_RECORDS"]
    if "/" in place:
        return sum(1 for _ in islice(Path(place).glob("*.json"), FILES_MAX))
    import boto3  # noqa: PLC0415  # a cold start does not wait for it, nor does the sweep
    from botocore.config import Config  # noqa: PLC0415

    # Both tries end within the time that a sweep leaves (RESERVE_S in shared/booking/background.py).
    config = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2})
    make: Any = boto3.client
    count: int = make("s3", config=config).list_objects_v2(Bucket=place, MaxKeys=FILES_MAX)["KeyCount"]
    return count
