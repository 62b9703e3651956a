"""preflight: compare the account's quotas with what an on-sale needs. Changes nothing."""

import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from local import template
from ops import quotas, warm
from ops.quotas import Quota, Stack

BOOKINGS_PER_ENVIRONMENT: Final = 10  # a second: docs/scale.md, 10,000 a second on 791 environments
UNRESERVABLE: Final = 100  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
REQUESTS_PER_BOOKING: Final = 2  # the booking, and a look at the event before it
BURST_S: Final = 0.25  # the requests of so long a time may come at once

_BACKGROUND: Final = {
    "PromoteFunction": "PromoteConcurrency",
    "FollowFunction": "FollowConcurrency",
    "AnnounceFunction": "AnnounceConcurrency",
    "SweepFunction": "SweepConcurrency",
    "ExpireFunction": "ExpireConcurrency",
}
_ENOUGH, _TOO_LITTLE = 0, 1


class _Check(NamedTuple):
    name: str
    available: int
    needed: int
    remedy: str  # if there is too little

    @property
    def is_enough(self) -> bool:
        return self.available >= self.needed


def run(stack: str, bookings_per_s: int) -> int:
    """Show each quota with what is needed; return the exit code, 1 if something must be requested."""
    checks = list(_checks(quotas.stack(stack), bookings_per_s))
    for check in checks:
        verdict = "enough" if check.is_enough else check.remedy
        sys.stdout.write(f"{check.name:<34} {check.available:>9,} of {check.needed:>9,} needed  {verdict}\n")
    return _ENOUGH if all(check.is_enough for check in checks) else _TOO_LITTLE


def _checks(stack: Stack, bookings_per_s: int) -> Iterator[_Check]:
    yield from _concurrency(stack, bookings_per_s)
    requests = REQUESTS_PER_BOOKING * bookings_per_s
    yield _of_account("API Gateway, requests a second", Quota.API_RATE, requests)
    burst = _of_account("API Gateway, requests at once", Quota.API_BURST, int(requests * BURST_S))
    yield burst._replace(remedy="AWS raises it with the requests a second")
    rate = int(stack.parameters.get("RouteRate", 0))
    yield _Check("RouteRate of the stack", rate, bookings_per_s, f"deploy with RouteRate={bookings_per_s}")
    tables = [warm.needed(table, bookings_per_s) for table in warm.TABLES]
    yield _of_account("DynamoDB, write units of a table", Quota.TABLE_WRITES, max(units.writes for units in tables))
    yield _of_account("DynamoDB, read units of a table", Quota.TABLE_READS, max(units.reads for units in tables))
    yield _of_account("EventBridge, PutEvents a second", Quota.PUT_EVENTS, bookings_per_s)
    if "UserPoolId" in stack.outputs:
        yield _of_account("Cognito, sign-ins a second", Quota.SIGN_INS, bookings_per_s)


def _concurrency(stack: Stack, bookings_per_s: int) -> Iterator[_Check]:
    """Yield the checks of Lambda's concurrency: the whole account, and what is left after all reservations."""
    limit = quotas.client("lambda").get_account_settings()["AccountLimit"]
    reserved, requests = _reserved(stack), -(-bookings_per_s // BOOKINGS_PER_ENVIRONMENT)
    total = reserved + max(requests, UNRESERVABLE)
    yield _Check("Lambda, concurrency", limit["ConcurrentExecutions"], total, _request(Quota.CONCURRENCY, total))
    others = limit["ConcurrentExecutions"] - limit["UnreservedConcurrentExecutions"] - reserved
    left = "other functions of the account reserve too much" if others > 0 else _request(Quota.CONCURRENCY, total)
    name = f"  besides the stack's reserved {reserved}"
    yield _Check(name, limit["UnreservedConcurrentExecutions"], max(requests, UNRESERVABLE), left)


def _reserved(stack: Stack) -> int:
    """Return the sum that the stack reserves, by its parameters."""
    system = template.load()
    routed = {route.function for route in system.routes}
    total = int(stack.parameters.get("RequestConcurrency", 0)) * len(routed)
    if stack.parameters.get("Stage") == "prod":
        total += sum(int(stack.parameters.get(name, 0)) for name in _BACKGROUND.values())
    return total


def _of_account(name: str, quota: Quota, needed: int) -> _Check:
    return _Check(name, quotas.of_account(quota), needed, _request(quota, needed))


def _request(quota: Quota, needed: int) -> str:
    return f"request {needed:,} ({quota.code})"
