"""`make lint` and checkov: a finding needs its explanation, and an explanation its finding."""

from typing import Any

import pytest

from scripts.check_security import what_is_wrong

LINE = "# checkov CKV_AWS_18 Bucket: an access log needs a bucket of its own."
OF_ALL = "  # checkov CKV_AWS_18 AWS::S3::Bucket: an access log needs a bucket of its own."


def _finding(check: str = "CKV_AWS_18", resource: str = "AWS::S3::Bucket.Bucket") -> dict[str, Any]:
    return {"check_id": check, "check_name": "access log", "resource": resource, "file_line_range": [7, 9]}


@pytest.mark.parametrize("exception", [LINE, OF_ALL])
def test_a_finding_that_is_explained_passes(exception: str) -> None:
    """For one resource, or for all of its type."""
    assert what_is_wrong([_finding()], f"Resources:\n{exception}\n") == []


@pytest.mark.parametrize(
    ("finding", "template"),
    [
        (_finding(), ""),
        (_finding(), "# checkov CKV_AWS_18 Bucket:"),
    ],
    ids=["no exception", "no reason"],
)
def test_a_finding_without_an_explanation_fails(finding: dict[str, Any], template: str) -> None:
    """It says where and what; an exception has a reason, or is none."""
    assert what_is_wrong([finding], template) == ["template.yaml:7: Bucket: CKV_AWS_18 access log"]


@pytest.mark.parametrize(
    "finding", [_finding("CKV_AWS_21"), _finding(resource="AWS::S3::Bucket.Another")], ids=["check", "resource"]
)
def test_an_exception_is_for_its_check_and_its_resource(finding: dict[str, Any]) -> None:
    """Another check, or another resource, needs one of its own; and this one is then for nothing."""
    found, unneeded = what_is_wrong([finding], LINE)
    assert found.startswith("template.yaml:7: ")
    assert unneeded == "template.yaml: nothing needs the exception CKV_AWS_18 Bucket"


def test_an_exception_that_nothing_needs_fails() -> None:
    """What was mended is not excused any more."""
    assert what_is_wrong([], OF_ALL) == ["template.yaml: nothing needs the exception CKV_AWS_18 AWS::S3::Bucket"]
