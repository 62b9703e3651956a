"""What a change of each parameter does to the stack: which versions are published, and which resources change.

The stack is transformed twice, with and without the change, and what CloudFormation would resolve is resolved.

    python -m tests.template.changes    writes the table into docs/deployments.md
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from bench import record
from local import intrinsics
from local.errors import TemplateError
from tests.template.stack import ROOT, deployed

PAGE: Final = ROOT / "docs" / "deployments.md"
MARK: Final = "tests/template/changes"

# A value of each parameter that differs from its default.
VALUES: Final[Mapping[str, str]] = {
    "Stage": "prod",
    "Architecture": "x86_64",
    "LogLevel": "DEBUG",
    "LogRetentionDays": "7",
    "JwtIssuer": "https://id.example",
    "JwtAudience": "shop",
    "UserClaim": "email",
    "PublicStatus": "true",
    "OrganiserClient": "true",
    "ShopClient": "true",
    "SignUp": "closed",
    "Mfa": "OPTIONAL",
    "UserPoolTier": "LITE",
    "SesIdentityArn": "arn:aws:ses:eu-central-1:000000000000:identity/tickets.example",
    "MailFrom": "tickets@tickets.example",
    "DomainName": "api.tickets.example",
    "CertificateArn": "arn:aws:acm:eu-central-1:000000000000:certificate/1",
    "DomainTruststore": "s3://certificates/cas.pem",
    "PageUrl": "https://a.example/",
    "PageClientId": "page",
    "CorsOrigins": "https://a.example",
    "RouteRate": "7",
    "AlarmTopicArn": "arn:aws:sns:r:1:t",
    "Tracing": "Active",
    "Rollout": "AllAtOnce",
    "SnapStart": "PublishedVersions",
    "RequestConcurrency": "5",
    "PromoteConcurrency": "5",
    "FollowConcurrency": "5",
    "AnnounceConcurrency": "5",
    "SweepConcurrency": "5",
    "ExpireConcurrency": "5",
    "SweepTimeout": "270",
    "DeploymentAlarms": "false",
    "RunbookUrl": "https://wiki.example/runbook",
    "WebhookUrl": "https://shop.example/announcements",
    "WebhookSecret": "sixteen-characters",
}
# Parameters that have an effect only together with others.
TOGETHER: Final[Mapping[str, tuple[str, ...]]] = {
    "JwtAudience": ("JwtIssuer=https://id.example",),
    "PageClientId": ("JwtIssuer=https://id.example",),
    "MailFrom": (f"SesIdentityArn={VALUES['SesIdentityArn']}",),
    "CertificateArn": (f"DomainName={VALUES['DomainName']}",),
    "DomainTruststore": (f"DomainName={VALUES['DomainName']}",),
    "WebhookSecret": (f"WebhookUrl={VALUES['WebhookUrl']}",),
    **dict.fromkeys(
        ("Rollout", *(f"{name}Concurrency" for name in ("Promote", "Follow", "Announce", "Sweep", "Expire"))),
        ("Stage=prod",),
    ),
}
# A second value of parameters that can have any; the others change back to their default.
OTHERS: Final[Mapping[str, str]] = {
    "JwtIssuer": "https://other.example",
    "JwtAudience": "another",
    "UserClaim": "username",
    "PageUrl": "https://b.example/",
    "PageClientId": "another",
}
# Situations in which everything is set: with an issuer, and with the user pool.
WITH_ISSUER: Final = VALUES
WITH_POOL: Final[Mapping[str, str]] = {**VALUES, "JwtIssuer": "", "JwtAudience": ""}
# Properties of a function that Lambda does not put into a version. https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
NOT_PUBLISHED: Final = {"ReservedConcurrentExecutions", "Tags"}


def situations(parameter: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the stack's parameters before and after a change of one: where nothing else is set, and where all is.

    The second is left out for a quiet parameter: of those see `quietly`.
    """
    yield _before_and_after(parameter)
    if not _is_quiet(parameter):
        other = OTHERS.get(parameter, _default(parameter))
        for everything in (WITH_ISSUER, WITH_POOL):
            yield _arguments(everything), _arguments({**everything, parameter: other})


def quietly() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the stack's parameters before and after all quiet ones change at once, where all are set."""
    others = {parameter: _default(parameter) for parameter in VALUES if _is_quiet(parameter)}
    for everything in (WITH_ISSUER, WITH_POOL):
        yield _arguments(everything), _arguments({**everything, **others})


def _is_quiet(parameter: str) -> bool:
    """Return whether a parameter publishes no function where nothing else is set, and has no second value."""
    return parameter not in OTHERS and not reconfigured(*_before_and_after(parameter))


def renamed(before: tuple[str, ...], after: tuple[str, ...]) -> set[str]:
    """Return the functions whose version CloudFormation replaces, which publishes one."""
    return _different(_versions(*before), _versions(*after))


def reconfigured(before: tuple[str, ...], after: tuple[str, ...]) -> set[str]:
    """Return the functions of which something changes that a version contains. Lambda publishes only those."""
    return _different(_published(*before), _published(*after))


def changed(parameter: str) -> Counter[str]:
    """Return the types of the resources that change, with how many do, besides versions and deployments."""
    before, after = (_resolved(*values) for values in _before_and_after(parameter))
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    types = (str((after.get(name) or before[name])["Type"]).removeprefix("AWS::") for name in names)
    return Counter(type_ for type_ in types if type_ not in ("Lambda::Version", "Lambda::Alias"))


def table() -> str:
    """Return the table of the page."""
    everything = len(deployed().functions)
    rows = []
    for parameter in VALUES:
        versions = len(renamed(*_before_and_after(parameter)))
        new = {0: "none", 1: "1 function", everything: "all functions"}.get(versions, f"{versions} functions")
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(changed(parameter).items()))
        rows.append([f"`{parameter}`", new, kinds])
    return record.table(["parameter", "new versions", "resources that change"], rows, figures=False)


def page() -> str:
    """Return the page with the table as it is now."""
    return record.put_between_marks(PAGE.read_text(encoding="utf-8"), MARK, f"\n{table()}\n\n")


def _before_and_after(parameter: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    with_it = TOGETHER.get(parameter, ())
    return with_it, (*with_it, f"{parameter}={VALUES[parameter]}")


def _arguments(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in values.items())


def _default(parameter: str) -> str:
    return str(_document()["Parameters"][parameter]["Default"])


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def _versions(*parameters: str) -> dict[str, Any]:
    """Return for each function what makes CloudFormation publish: the version's logical id, and its description.

    CloudFormation replaces a version when its description changes:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-version.html
    """
    return {
        resource["Properties"]["FunctionName"]: (name, resource["Properties"]["Description"])
        for name, resource in _resolved(*parameters).items()
        if resource["Type"] == "AWS::Lambda::Version"
    }


def _published(*parameters: str) -> dict[str, Any]:
    return {
        name: {key: value for key, value in resource["Properties"].items() if key not in NOT_PUBLISHED}
        for name, resource in _resolved(*parameters).items()
        if resource["Type"] == "AWS::Lambda::Function"
    }


@cache
def _resolved(*parameters: str) -> dict[str, Any]:
    """Return the stack's resources with all parameters and conditions resolved."""
    values = _Values(_document(), dict(one.split("=", 1) for one in parameters))
    resources = deployed("s3://bucket/layer", *parameters).resources
    return {
        name: values.resolve(resource, name)
        for name, resource in resources.items()
        if "Condition" not in resource or values.holds(resource["Condition"], name)
    }


@cache
def _document() -> dict[str, Any]:
    return intrinsics.read(ROOT / "template.yaml")


class _Values(intrinsics.Values):
    """Resolves parameters and conditions, and keeps what only AWS knows."""

    def _call(self, name: str, argument: Any, where: str) -> Any:
        try:
            return super()._call(name, argument, where)
        except (TemplateError, TypeError):  # TypeError: the long form of Fn::Sub
            text = argument[0] if isinstance(argument, list) else argument
            given = re.findall(r"\$\{(\w+)\}", text) if name == "Fn::Sub" else []
            values = [self._parameters[one] for one in given if one in self._parameters]
            return {name: [self.resolve(argument, where) if isinstance(argument, list) else argument, *values]}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
