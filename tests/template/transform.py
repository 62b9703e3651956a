"""Say which resources CloudFormation creates from template.yaml. Runs in .venv-sam, until its input ends.

Each line of input is a JSON list: the address of the layer's code, and parameters that differ from their defaults, as
NAME=VALUE. Each line of output has the resources, as JSON.
"""

import copy
import gc
import json
import os
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """Give the transform no policies by name: template.yaml has none."""

    def load(self) -> dict[str, str]:
        """Return names and ARNs."""
        return {}


os.environ["AWS_DEFAULT_REGION"] = "us-east-1"  # the ARNs of managed policies contain the region's partition
gc.set_threshold(1_000_000)  # a transform makes little garbage, and many objects to look through
source = yaml_parse(Path("template.yaml").read_text())
for line in sys.stdin:
    layer, *arguments = json.loads(line)
    # The addresses to which `sam deploy` uploads the artifacts; the transform accepts no folders.
    code = {"CodeUri": "s3://bucket/function", "ContentUri": layer}
    template = copy.deepcopy(source)
    for resource in template["Resources"].values():
        for name in code.keys() & resource.get("Properties", {}).keys():
            resource["Properties"][name] = code[name]
    parameters = dict(argument.split("=", 1) for argument in arguments)
    sys.stdout.write(json.dumps(transform(template, parameters, NoManagedPolicies())["Resources"]) + "\n")
    sys.stdout.flush()
