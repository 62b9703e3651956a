"""Names of the files that tell an office that is drilled which trouble it has."""

SLOW_BUS, REFUSING_BUS = "slow-bus", "refusing-bus"
