"""Scale, by simulation: the office's own code against a simulated DynamoDB and Lambda, in virtual time."""
