"""Test the checkov step of `make lint`: every finding has an explanation, and every explanation a finding."""

from typing import Any

import pytest

from scripts.check_security import what_is_wrong

LINE = "# checkov CKV_AWS_18 Bucket: an access log needs another bucket."
OF_ALL = "  # checkov CKV_AWS_18 AWS::S3::Bucket: an access log needs another bucket."


def _finding(check: str = "CKV_AWS_18", resource: str = "AWS::S3::Bucket.Bucket") -> dict[str, Any]:
    return {"check_id": check, "check_name": "access log", "resource": resource, "file_line_range": [7, 9]}


@pytest.mark.parametrize("exception", [LINE, OF_ALL])
def test_an_explained_finding_passes(exception: str) -> None:
    """The exception is for one resource, or for all of its type."""
    assert what_is_wrong([_finding()], f"Resources:\n{exception}\n") == []


@pytest.mark.parametrize(
    ("finding", "template"),
    [
        (_finding(), ""),
        (_finding(), "# checkov CKV_AWS_18 Bucket:"),
    ],
    ids=["no exception", "no reason"],
)
def test_an_unexplained_finding_fails(finding: dict[str, Any], template: str) -> None:
    """The message says where and what. An exception without a reason does not count."""
    assert what_is_wrong([finding], template) == ["template.yaml:7: Bucket: CKV_AWS_18 access log"]


@pytest.mark.parametrize(
    "finding", [_finding("CKV_AWS_21"), _finding(resource="AWS::S3::Bucket.Another")], ids=["check", "resource"]
)
def test_an_exception_covers_only_its_check_and_resource(finding: dict[str, Any]) -> None:
    """Another check or resource needs its own exception, and this one is reported as unneeded."""
    found, unneeded = what_is_wrong([finding], LINE)
    assert found.startswith("template.yaml:7: ")
    assert unneeded == "template.yaml: nothing needs the exception CKV_AWS_18 Bucket"


def test_an_unneeded_exception_fails() -> None:
    """A finding that was fixed needs no excuse."""
    assert what_is_wrong([], OF_ALL) == ["template.yaml: nothing needs the exception CKV_AWS_18 AWS::S3::Bucket"]
