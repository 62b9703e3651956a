"""Run checkov over template.yaml, and hold what it finds against the exceptions that the template explains.

Called by `make lint`, in .venv-checkov. An exception is a comment in the template, beside what it is about:

    # checkov CKV_AWS_116 AWS::Serverless::Function: why

It stands for all resources of that type, or with a resource's name for that one. A finding without its exception fails,
and so does an exception that nothing needs any more.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

TEMPLATE = "template.yaml"
EXCEPTION = re.compile(r"^ *# checkov (CKV\w+) ([\w:.]+): \S", re.MULTILINE)

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

explained = set(EXCEPTION.findall(Path(TEMPLATE).read_text(encoding="utf-8")))
needed = set()
wrong = []
for finding in report["results"]["failed_checks"]:
    kind, _, name = finding["resource"].rpartition(".")
    exceptions = {(finding["check_id"], kind), (finding["check_id"], name)} & explained
    needed |= exceptions
    if not exceptions:
        line = finding["file_line_range"][0]
        wrong.append(f"{TEMPLATE}:{line}: {name}: {finding['check_id']} {finding['check_name']}")
wrong += [f"{TEMPLATE}: nothing needs the exception {check} {what}" for check, what in sorted(explained - needed)]
sys.exit("\n".join(wrong) or None)
