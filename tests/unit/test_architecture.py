"""The structure of the code: short handlers, cold starts that load only what they need, no names of this machine."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from local.template import load

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = sorted((ROOT / "functions").glob("*/app.py"))
HANDLER_LINES_MAX = 60  # a screen

ROUTER = "aws_lambda_powertools.event_handler"
EDGE = {f"shared.edge.{name}" for name in ("api", "caller", "contract", "pages")}


def _imports(path: Path) -> Iterator[str]:
    """Yield the names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _package(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda path: path.parent.name)
def test_a_handler_fits_on_a_screen(handler: Path) -> None:
    """It parses, makes one call, and responds: no SDK, no `try`, no environment."""
    source = handler.read_text()
    assert len(source.splitlines()) <= HANDLER_LINES_MAX
    assert not {"boto3", "botocore", "os"} & {_package(name) for name in _imports(handler)}
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Try | ast.TryStar)]


@pytest.mark.parametrize("function", ["announce", "expire", "follow", "promote", "sweep"])
def test_background_functions_do_not_load_http(function: str) -> None:
    """Stream consumers and schedules start without pydantic, which takes 150 ms."""
    loaded = _loaded_by(f"functions.{function}.app")
    assert "shared.telemetry" in loaded
    assert not {"pydantic", "pydantic_core", *EDGE} & loaded


def test_the_description_function_does_not_load_the_models() -> None:
    """It serves files, so it needs HTTP, but no models."""
    loaded = _loaded_by("functions.describe.app")
    assert "shared.edge.api" in loaded
    assert not {"pydantic", "shared.edge.contract", "shared.edge.pages"} & loaded


def test_http_functions_load_http() -> None:
    """The control of the tests above: they look for names that exist."""
    assert {"pydantic", "pydantic_core", "shared.edge.api", "shared.edge.contract"} <= _loaded_by("functions.book.app")
    assert "shared.edge.pages" in _loaded_by("functions.events.app")


@pytest.mark.parametrize("function", [path.parent.name for path in HANDLERS])
def test_only_the_check_loads_the_sdk_and_none_loads_a_router(function: str) -> None:
    """The SDK costs 280 ms of a cold start; no user waits for the check, and the sweep loads it late.

    API Gateway is the router: no cold start pays for another.
    """
    loaded = _loaded_by(f"functions.{function}.app")
    assert {"shared.telemetry", "aws_lambda_powertools"} <= loaded
    assert {"boto3", "botocore.session"} & loaded == ({"boto3", "botocore.session"} if function == "check" else set())
    assert ROUTER not in loaded


@cache
def _loaded_by(module: str) -> set[str]:
    program = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    environment = os.environ | load().functions["CheckFunction"].environment
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return set(found.stdout.split())


# A registry's host, or an address that npm's lock files give a package.
REGISTRY = re.compile(
    r"""pypi\.org|pythonhosted\.org|npmjs\.(org|com)|https?://(registry|files|index)\.|"resolved": *"http"""
)
STANDARD_FOLDERS = {Path("/") / name for name in ("", "builds", "home", "mnt", "opt", "srv", "tmp", "usr", "var")}


def _of_this_machine() -> re.Pattern[str]:
    places = {ROOT, ROOT.parent, Path.home()} - STANDARD_FOLDERS
    return re.compile("|".join(rf"(?<![\w.]){re.escape(str(place))}(?![\w.-])" for place in sorted(places)))


@pytest.mark.parametrize("forbidden", [REGISTRY, _of_this_machine()], ids=["registry", "path of this machine"])
def test_no_file_names_a_registry_or_this_machine(forbidden: re.Pattern[str]) -> None:
    """All files work on any machine, behind any mirror."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert ROOT / "package-lock.json" in files
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in files
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("forbidden", "line"),
    [
        (REGISTRY, '"resolved": ' + '"https://packages.example.com/x.tgz"'),
        (REGISTRY, "--index-url https://" + "pypi" + ".org/simple"),
        (_of_this_machine(), f"python = {ROOT}/.venv/bin/python"),
    ],
)
def test_the_forbidden_names_are_recognised(forbidden: re.Pattern[str], line: str) -> None:
    """The control of the test above."""
    assert forbidden.search(line)
