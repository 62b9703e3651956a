"""All scenarios, each with the bounds that it is searched with."""

from proof.group_scenarios import GROUP_PLANS
from proof.hold_scenarios import HOLD_PLANS
from proof.scenarios import PLANS
from proof.transfer_scenarios import TRANSFER_PLANS

ALL_PLANS = (*PLANS, *HOLD_PLANS, *GROUP_PLANS, *TRANSFER_PLANS)
