"""Rest: the sweep audits an event once after something has happened to it, and then not until something happens again.

Every change of a booking or of tickets is counted on a lane (`changes`), and the same update sets the lane's `sweepId`.
The sweep reads a sparse index of the closed lanes that have one. An audit that found all in order takes it away:

    any change                            the sweep
    1. counts on a lane, sets `sweepId`   1. finds the event of a lane in the index
                                          2. reads the lanes, settles, counts, reads the lanes again
                                          3. takes `sweepId` from lanes that have counted no change since

So a lane that has changed since the last clean audit is in the index, whatever becomes of the change's stream record,
and a resting event costs the sweep nothing. docs/decisions/0026.
"""

from collections.abc import Sequence

from shared.model import Lane
from shared.runtime import Deadline
from shared.store import dynamodb, items
from shared.store.dynamodb import Name, TransactItem


def begin(lanes: Sequence[Lane], deadline: Deadline) -> None:
    """Let an event rest whose lanes were just audited, unless one of them has changed since.

    Safe to repeat and to come late. Raises TryAgain.
    """
    marked: dict[Name, TransactItem] = {("lane", lane.number): _rest(lane) for lane in lanes if lane.sweep_id}
    if marked:
        dynamodb.commit(marked, deadline, retry_conflicts=False)  # refused: the next sweep audits the event again


def retire(event_id: str, deadline: Deadline) -> None:
    """Take a cancelled and emptied event out of the index of cancelled events, for ever. Raises TryAgain."""
    key = items.event_key(event_id)
    dynamodb.update(deadline, TableName=items.EVENTS, Key=key, UpdateExpression="REMOVE sweepId")


def _rest(lane: Lane) -> TransactItem:
    nothing_changed = "changes = :changes"  # P6: what has changed since is not settled yet
    return {
        "Update": {
            "TableName": items.LANES,
            "Key": items.lane_key(lane.event_id, lane.number),
            "UpdateExpression": "REMOVE sweepId",
            "ConditionExpression": nothing_changed,
            "ExpressionAttributeValues": {":changes": items.number(lane.changes)},
        }
    }
