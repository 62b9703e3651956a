"""A deployment publishes a version of each function that changes, and of no other.

Lambda refuses to publish an unchanged function, and CloudFormation would roll the deployment back.
https://github.com/aws/serverless-application-model/issues/3281 and /3820
"""

import pytest

from local import intrinsics
from tests.template import changes
from tests.template.stack import ROOT, deployed


def test_the_list_has_every_parameter() -> None:
    """The other tests go through it."""
    assert list(changes.VALUES) == list(intrinsics.read(ROOT / "template.yaml")["Parameters"])


@pytest.mark.parametrize("parameter", changes.VALUES)
def test_a_parameter_publishes_exactly_the_functions_that_it_changes(parameter: str) -> None:
    """A function that reads it runs with the new value; a function that does not is left alone.

    Whatever else is set: with a user pool, for example, no function has the address of the page.
    """
    for before, after in changes.situations(parameter):
        assert changes.renamed(before, after) == changes.reconfigured(before, after), before
    assert changes.changed(parameter), "a parameter without an effect"


def test_parameters_that_change_no_function_publish_none_where_all_are_set() -> None:
    """All at once: what one of them published alone, they publish together."""
    for before, after in changes.quietly():
        assert changes.renamed(before, after) == changes.reconfigured(before, after) == set(), before


def test_a_change_of_the_layer_publishes_every_function() -> None:
    """The layer holds the protocol; an alias on an old version would run the old protocol."""
    before, after = (deployed(f"s3://bucket/{layer}").of_type("AWS::Lambda::Version") for layer in ("layer", "another"))
    assert before.keys().isdisjoint(after)
    assert len(before) == len(after) == len(deployed().functions)


def test_the_page_shows_what_each_parameter_changes() -> None:
    """`python -m tests.template.changes` writes the table."""
    assert changes.page() == changes.PAGE.read_text(encoding="utf-8")
