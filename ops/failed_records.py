"""The failed records: one file for each batch that a function gave up, in a bucket or in a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

PAGE_MAX = 1_000  # files, S3's limit for one page of a listing


class FailedRecords(Protocol):
    """What a bucket and a folder have in common."""

    def pages(self) -> Iterator[list[str]]:
        """Yield the names of all files, at most PAGE_MAX at a time."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if another redrive has removed it."""

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""


class Files:
    """On one machine: DATA/failed-records/*.json."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pages(self) -> Iterator[list[str]]:
        """As in FailedRecords."""
        names = sorted(path.name for path in self._folder.glob("*.json"))
        for start in range(0, len(names), PAGE_MAX):
            yield names[start : start + PAGE_MAX]

    def read(self, name: str) -> bytes | None:
        """As in FailedRecords."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """As in FailedRecords."""
        (self._folder / name).unlink(missing_ok=True)


class Bucket:
    """On AWS: every object of the bucket, which keeps a removed version for a day."""

    def __init__(self, s3: Any, name: str) -> None:
        self._s3 = s3
        self._name = name

    def pages(self) -> Iterator[list[str]]:
        """As in FailedRecords."""
        listing = self._s3.get_paginator("list_objects_v2")
        for page in listing.paginate(Bucket=self._name, PaginationConfig={"PageSize": PAGE_MAX}):
            yield [found["Key"] for found in page.get("Contents", ())]

    def read(self, name: str) -> bytes | None:
        """As in FailedRecords."""
        try:
            content: bytes = self._s3.get_object(Bucket=self._name, Key=name)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return None
        return content

    def remove(self, name: str) -> None:
        """As in FailedRecords."""
        self._s3.delete_object(Bucket=self._name, Key=name)
