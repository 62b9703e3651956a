"""A shell into which a test pastes the blocks of a page, in a folder that looks like the project's."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.artifact import aws_cli
from tests.artifact.emulator import OWNER, ROOT, Emulator

END = "--- end of the block ---"

# What is not to be had here, or is made once for all tests. `make build` takes the layer's code as it is now, and
# `make rehearsal` installs nothing.
STAND_INS = rf"""
make() {{ if [ "$1" = rehearsal ]; then .venv/bin/python -m rehearsal ${{2#ARGS=}}; else
  cp shared/model.py .aws-sam/build/SharedLayer/python/shared/model.py; echo "$BUILT"; fi; }}
git() {{ cp '{ROOT}/shared/model.py' shared/model.py; }}
"""


@dataclass
class Shell:
    """A running shell, and the file through which it gets a block."""

    process: subprocess.Popen[str]
    block: Path
    pasted: list[str] = field(default_factory=list)

    def paste(self, block: str) -> str:
        """Run a block; return what it printed, on both outputs. The test's own time limit ends what hangs."""
        assert self.process.stdin
        assert self.process.stdout
        self.block.write_text(block)
        self.process.stdin.write(f"source '{self.block}' </dev/null\necho; echo '{END}'\n")
        self.process.stdin.flush()
        printed: list[str] = []
        for line in self.process.stdout:
            if line == f"{END}\n":
                break
            printed.append(line)
        self.pasted.append("".join(printed))
        return self.pasted[-1]


@contextmanager
def shell(emulator: Emulator, folder: Path, build: Path, built: str) -> Iterator[Shell]:
    """Start a shell in a new folder with the artifacts of a build; `built` is what `make build` prints last."""
    (folder / "shared").mkdir(parents=True)
    shutil.copy(ROOT / "shared" / "model.py", folder / "shared")
    for environment in (".venv", ".venv-sam"):
        (folder / environment).symlink_to(ROOT / environment)
    artifacts = folder / ".aws-sam" / "build"
    artifacts.mkdir(parents=True)
    for artifact in build.iterdir():
        if artifact.name == "SharedLayer":
            shutil.copytree(artifact, artifacts / artifact.name)
        elif artifact.is_dir():
            (artifacts / artifact.name).symlink_to(artifact)
    environ = {
        "PATH": os.environ["PATH"],  # curl, and python3
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ENDPOINT_URL": emulator.url,
        "BUILT": built,
        **OWNER,
    }
    with aws_cli.running(emulator.url) as aws, _bash(folder, environ) as started:
        assert started.paste(f"aws() {{ {aws}; }}\n{STAND_INS}").strip() == ""
        yield started


@contextmanager
def _bash(folder: Path, environ: dict[str, str]) -> Iterator[Shell]:
    process = subprocess.Popen(
        ["bash", "--norc"],
        cwd=folder,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Shell(process, folder / "block.sh")
    finally:
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            process.communicate("exit\n", timeout=5)
        process.kill()
