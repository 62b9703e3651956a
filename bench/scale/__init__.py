"""Scale, by simulation: the office's own code against a simulated DynamoDB and Lambda, in virtual time."""

import os

from local.template import load

# shared/ reads its environment when it is imported, as on Lambda; no request of it leaves this process.
for _name, _value in {**load().functions["BookFunction"].environment, "AWS_DEFAULT_REGION": "us-east-1"}.items():
    os.environ.setdefault(_name, _value)
