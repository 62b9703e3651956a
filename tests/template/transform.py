"""Print the resources that CloudFormation creates from template.yaml, as JSON. Runs in .venv-sam.

    transform.py LAYER [NAME=VALUE ...]

LAYER is the address of the layer's code; the other arguments are parameters that differ from their defaults.
"""

import json
import os
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

# The addresses to which `sam deploy` uploads the artifacts; the transform accepts no folders.
CODE = {"CodeUri": "s3://bucket/function", "ContentUri": sys.argv[1]}


class NoManagedPolicies:
    """Give the transform no policies by name: template.yaml has none."""

    def load(self) -> dict[str, str]:
        """Return names and ARNs."""
        return {}


template = yaml_parse(Path("template.yaml").read_text())
for resource in template["Resources"].values():
    for name in CODE.keys() & resource.get("Properties", {}).keys():
        resource["Properties"][name] = CODE[name]
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"  # the ARNs of managed policies contain the region's partition
parameters = dict(argument.split("=", 1) for argument in sys.argv[2:])
json.dump(transform(template, parameters, NoManagedPolicies()), sys.stdout)
