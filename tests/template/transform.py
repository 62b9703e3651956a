"""Print the stack that CloudFormation makes of template.yaml, as JSON. Runs in .venv-sam, which has the transform.

    transform.py LAYER [NAME=VALUE ...]

LAYER is the address of the layer's code; the rest are parameters that do not have their defaults.

AWS::Serverless-2016-10-31 is applied by AWS's own code. AWS::LanguageExtensions, which lets DeletionPolicy depend on a
parameter, is applied by CloudFormation only: its !If stays as it is.
"""

import json
import os
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

# Where `sam deploy` uploads the artifacts; the transform takes no folders.
CODE = {"CodeUri": "s3://bucket/function", "ContentUri": sys.argv[1]}


class NoManagedPolicies:
    """Gives the transform no policies by name: template.yaml spells its own out."""

    def load(self) -> dict[str, str]:
        """Return names and ARNs."""
        return {}


template = yaml_parse(Path("template.yaml").read_text())
for resource in template["Resources"].values():
    for name in CODE.keys() & resource.get("Properties", {}).keys():
        resource["Properties"][name] = CODE[name]
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"  # the ARNs of managed policies carry the region's partition
parameters = dict(argument.split("=", 1) for argument in sys.argv[2:])
json.dump(transform(template, parameters, NoManagedPolicies()), sys.stdout)
