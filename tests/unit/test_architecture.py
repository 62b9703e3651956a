"""The shape of the code: handlers fit on a screen, cold starts load only what they need, nothing names this machine."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.template import load

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = sorted((ROOT / "functions").glob("*/app.py"))
HANDLER_LINES_MAX = 60  # a screen

DESCRIPTION = "shared.edge.openapi"  # no request is served with it
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
    """Parse, one call, answer: no SDK, no `try`, no environment."""
    source = handler.read_text()
    assert len(source.splitlines()) <= HANDLER_LINES_MAX
    assert not {"boto3", "botocore", "os"} & {_package(name) for name in _imports(handler)}
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Try | ast.TryStar)]


@pytest.mark.parametrize("function", ["announce", "follow", "promote", "sweep"])
def test_what_needs_no_http_does_not_load_it(function: str) -> None:
    """Those who read streams, and the sweep, start without pydantic (150 ms)."""
    loaded = _loaded_by(f"functions.{function}.app")
    assert "shared.telemetry" in loaded
    assert not {"pydantic", "pydantic_core", *EDGE} & loaded


def test_what_needs_no_models_does_not_load_them() -> None:
    """What describes the office answers requests, and has read its answers from files."""
    loaded = _loaded_by("functions.describe.app")
    assert "shared.edge.api" in loaded
    assert not {"pydantic", "shared.edge.contract", "shared.edge.pages"} & loaded


def test_what_needs_http_loads_it() -> None:
    """The control of the tests above: what is looked for is found where it is."""
    assert {"pydantic", "pydantic_core", "shared.edge.api", "shared.edge.contract"} <= _loaded_by("functions.book.app")
    assert "shared.edge.pages" in _loaded_by("functions.events.app")


@pytest.mark.parametrize("function", [path.parent.name for path in HANDLERS])
def test_the_sdk_is_loaded_by_the_check_only(function: str) -> None:
    """With a client it is 280 ms of a cold start; nobody waits for the check; the sweep loads it late."""
    loaded = _loaded_by(f"functions.{function}.app")
    assert "shared.telemetry" in loaded
    assert {"boto3", "botocore.session"} & loaded == ({"boto3", "botocore.session"} if function == "check" else set())


@pytest.mark.parametrize("function", [path.parent.name for path in HANDLERS])
def test_no_function_loads_a_router_or_what_describes_it(function: str) -> None:
    """API Gateway is the router, and OpenAPI is for those who write the description: no cold start pays for them."""
    loaded = _loaded_by(f"functions.{function}.app")
    assert "aws_lambda_powertools" in loaded
    assert not {DESCRIPTION, f"functions.{function}.description", ROUTER} & loaded


def test_what_describes_loads_openapi() -> None:
    """The control of the test above: those are its names."""
    assert {DESCRIPTION, "functions.book.description", ROUTER} <= _loaded_by("functions.book.description")


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
    """What is committed, or about to be, works on any machine behind any mirror."""
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
def test_what_is_forbidden_is_recognised(forbidden: re.Pattern[str], line: str) -> None:
    """The control of the test above."""
    assert forbidden.search(line)
