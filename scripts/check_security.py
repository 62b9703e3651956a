"""Run checkov on template.yaml and compare its findings with the exceptions that the template explains.

Called by `make lint`, in .venv-checkov. An exception is a comment in the template, beside what it is about:

    # checkov CKV_AWS_116 AWS::Serverless::Function: why

It stands for all resources of that type, or with a resource's name for that one. A finding without its exception fails,
and so does an exception that nothing needs any more.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TEMPLATE = "template.yaml"
EXCEPTION = re.compile(r"^ *# checkov (CKV\w+) ([\w:.]+): \S", re.MULTILINE)


def main() -> None:
    """Ask checkov; exit with what is wrong, a line for each."""
    checkov = [str(Path(sys.executable).with_name("checkov")), "--file", TEMPLATE, "--framework", "cloudformation"]
    result = subprocess.run(
        [*checkov, "--compact", "--quiet", "--skip-download", "--soft-fail", "--output", "json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    report = json.loads(result.stdout)
    if not report["summary"]["passed"] or report["summary"]["parsing_errors"]:
        sys.exit(f"checkov could not read {TEMPLATE}")
    wrong = what_is_wrong(report["results"]["failed_checks"], Path(TEMPLATE).read_text(encoding="utf-8"))
    sys.exit("\n".join(wrong) or None)


def what_is_wrong(findings: Iterable[Mapping[str, Any]], template: str) -> list[str]:
    """Return a line for each of checkov's findings that has no exception, and each exception that has no finding."""
    explained = set(EXCEPTION.findall(template))
    needed = set()
    wrong = []
    for finding in findings:
        kind, _, name = finding["resource"].rpartition(".")
        exceptions = {(finding["check_id"], kind), (finding["check_id"], name)} & explained
        needed |= exceptions
        if not exceptions:
            line = finding["file_line_range"][0]
            wrong.append(f"{TEMPLATE}:{line}: {name}: {finding['check_id']} {finding['check_name']}")
    unneeded = sorted(explained - needed)
    return wrong + [f"{TEMPLATE}: nothing needs the exception {check} {what}" for check, what in unneeded]


if __name__ == "__main__":
    main()
