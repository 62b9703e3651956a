"""The sweep counts failed records: files of a folder, or objects of a bucket on AWS, up to a limit."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

import functions.sweep.app
from functions.sweep import failed_records
from harness.gateway import Context
from tests.conftest import LogLines


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Lower the limit; return it."""
    monkeypatch.setattr(failed_records, "FILES_MAX", 3)
    return 3


def test_files_of_a_folder_are_counted_up_to_the_limit(
    tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other files in it do not count."""
    monkeypatch.setenv("FAILED_RECORDS", str(tmp_path))
    (tmp_path / "notes.txt").touch()
    for number, expected in enumerate([0, 1, 2, few, few]):
        assert failed_records.kept() == expected
        (tmp_path / f"{number}.json").touch()


@mock_aws
def test_objects_of_a_bucket_are_counted_up_to_the_limit(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One page of the listing is read. A removed object does not count, although its version is kept."""
    monkeypatch.setenv("FAILED_RECORDS", "kept")
    make: Any = boto3.client
    s3 = make("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    for number, expected in enumerate([0, 1, 2, few, few]):
        assert failed_records.kept() == expected
        s3.put_object(Bucket="kept", Key=f"{number}.json", Body=b"{}")
    for number in range(4):
        s3.delete_object(Bucket="kept", Key=f"{number}.json")
    assert failed_records.kept() == 1


@mock_aws
def test_a_bucket_that_cannot_be_listed_fails_the_sweep_after_its_work(
    monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    """SweepErrorsAlarm rings; silence would look like an empty bucket."""
    swept: list[float] = []
    monkeypatch.setattr(functions.sweep.app, "sweep", swept.append)
    monkeypatch.setenv("FAILED_RECORDS", "nobodys")
    with pytest.raises(ClientError):
        functions.sweep.app.handler({}, Context(30))
    assert swept == [30]
    assert not [line for line in log_lines() if "FailedRecordsKept" in line]
