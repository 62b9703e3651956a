"""Without a container engine, scripts/sam-local-check ends with one line that says what is missing."""

import re
from pathlib import Path

import pytest

from scripts import sam_local_check

FAILS = "#!/bin/sh\necho 'must be root' >&2\nexit 1\n"


@pytest.mark.parametrize(
    ("programs", "docker_host", "said"),
    [
        ({}, None, "docker is not installed"),
        ({"docker": FAILS}, None, "dockerd is not installed"),
        ({"docker": FAILS, "dockerd": FAILS}, None, "dockerd does not start (it needs root): must be root"),
        (
            {"docker": FAILS, "dockerd": "#!/bin/sh\nexit 1\n"},
            None,
            "dockerd does not start (it needs root): it logged",
        ),
        ({}, "unix:///nowhere", "docker is not installed"),
        ({"docker": FAILS}, "unix:///nowhere", "no container engine answers at DOCKER_HOST=unix:///nowhere"),
    ],
    ids=["nothing", "no dockerd", "dockerd fails", "dockerd fails silently", "no docker", "engine does not answer"],
)
def test_a_missing_engine_is_reported_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    programs: dict[str, str],
    docker_host: str | None,
    said: str,
) -> None:
    """No traceback, and nothing is built first."""
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    if docker_host:
        monkeypatch.setenv("DOCKER_HOST", docker_host)
    with pytest.raises(SystemExit, match=re.escape(said)) as stopped:
        sam_local_check.main()
    assert "\n" not in str(stopped.value)
    assert capsys.readouterr().out == ""
