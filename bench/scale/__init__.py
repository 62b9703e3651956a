"""Scale, by simulation: the office's own code against a simulated DynamoDB and Lambda, in virtual time."""

import os

from local.template import load

# shared/ reads its environment when it is imported, as on Lambda. No request of it leaves this process.
_nowhere = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
for _name, _value in {**load().functions["BookFunction"].environment, **_nowhere}.items():
    os.environ.setdefault(_name, _value)
