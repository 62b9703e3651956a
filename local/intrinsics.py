"""The values of a CloudFormation template: short tags, parameters, conditions.

A value is known here if it needs no deployment: a parameter, a condition, the logical id of a resource. Anything else
(an ARN, a generated name) is refused, but only when it is asked for: most of a template does not concern one machine.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader  # ten times as fast; every process reads the template when it starts
except ImportError:  # a PyYAML that was built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

from local.errors import TemplateError

NO_VALUE: Any = object()  # AWS::NoValue: the property that has it is left out

_PSEUDO_PARAMETERS = {
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "000000000000",
    "AWS::Partition": "aws",
    "AWS::StackName": "local",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": NO_VALUE,
}


def read(path: Path) -> dict[str, Any]:
    """Read a template; short tags such as !Ref become their long form, {"Ref": ...}. Raises: TemplateError."""
    try:
        document = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader, below
    except OSError as error:
        raise TemplateError(f"cannot read the template {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(f"{path} is not a CloudFormation template: it has no Resources")
    return document


class Values:
    """Resolves the values of one template for one choice of its parameters."""

    def __init__(self, document: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        """Take the template's defaults, overridden by `parameters`.

        Raises: TemplateError for a parameter that is unknown, missing or not allowed.
        """
        declared: Mapping[str, Any] = document.get("Parameters") or {}
        if unknown := sorted(parameters.keys() - declared.keys()):
            raise TemplateError(f"the template has no parameter {unknown[0]}")
        self._parameters = {
            name: _parameter(name, declaration, parameters.get(name)) for name, declaration in declared.items()
        }
        self._conditions: Mapping[str, Any] = document.get("Conditions") or {}
        self._resources: Mapping[str, Any] = document["Resources"]

    def resolve(self, node: Any, where: str) -> Any:
        """Return the plain value of `node`; `where` is its place in the template, for error messages.

        Raises: TemplateError for an unsupported function or a value that exists only after deployment.
        """
        if isinstance(node, list):
            return [value for item in node if (value := self.resolve(item, where)) is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name in ("Ref", "Condition") or str(name).startswith("Fn::"):
                return self._call(str(name), argument, where)
        pairs = ((key, self.resolve(value, f"{where}.{key}")) for key, value in node.items())
        return {key: value for key, value in pairs if value is not NO_VALUE}

    def holds(self, condition: str, where: str) -> bool:
        """Return whether a named condition of the template is true."""
        if condition not in self._conditions:
            raise TemplateError(f"{where}: the template has no condition {condition}")
        return bool(self.resolve(self._conditions[condition], f"Conditions.{condition}"))

    def _call(self, name: str, argument: Any, where: str) -> Any:
        if name == "Ref":
            return self._ref(argument, where)
        if name == "Condition":
            return self.holds(argument, where)
        if name == "Fn::If":
            condition, when_true, when_false = argument
            return self.resolve(when_true if self.holds(condition, where) else when_false, where)
        functions: dict[str, Callable[[Any], Any]] = {
            "Fn::Sub": lambda text: re.sub(r"\$\{([^}]*)\}", lambda found: str(self._ref(found[1], where)), text),
            "Fn::Split": lambda of: str(of[1]).split(of[0]),
            "Fn::Equals": lambda of: str(of[0]) == str(of[1]),
            "Fn::Not": lambda of: not of[0],
            "Fn::And": all,
            "Fn::Or": any,
        }
        if name not in functions:
            raise TemplateError(f"{where}: {name} is not supported here, or its value is known only after deployment")
        return functions[name](self.resolve(argument, where))

    def _ref(self, name: str, where: str) -> Any:
        for known in (self._parameters, _PSEUDO_PARAMETERS):
            if name in known:
                return known[name]
        if name in self._resources:
            return name  # the logical id stands for the name that CloudFormation would generate
        raise TemplateError(f"{where}: {name} is not in the template, or its value is known only after deployment")


class _Loader(SafeLoader):
    """A SafeLoader that knows CloudFormation's short tags."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)  # YAML has no fourth kind
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _short_tag)


def _parameter(name: str, declaration: Mapping[str, Any], given: str | None) -> Any:
    value = declaration.get("Default") if given is None else given
    if value is None:
        raise TemplateError(f"the parameter {name} has no default: give it a value")
    allowed = declaration.get("AllowedValues")
    if allowed and str(value) not in map(str, allowed):
        raise TemplateError(f"the parameter {name} cannot be {value}: it is one of {', '.join(map(str, allowed))}")
    pattern = declaration.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, str(value)):
        raise TemplateError(f"the parameter {name} cannot be {value}: it must match {pattern}")
    return value
