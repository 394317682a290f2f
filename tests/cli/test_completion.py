"""Scripts that complete the command line in a shell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nnef_tools.cli.completion import SHELLS
from nnef_tools.cli.main import COMMANDS, main


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_name_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab", reason="completion needs shtab")
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert shell == "tcsh" or "--include-pooling" in script


def test_bash_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab", reason="completion needs shtab")
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    assert main(["--print-completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out, "utf-8")
    lines = (
        "source ./script; COMP_WORDS=(nnef-tools gmac --include-p); COMP_CWORD=2; "
        "$(complete -p nnef-tools | sed 's/.*-F \\([^ ]*\\).*/\\1/') nnef-tools --include-p gmac; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--include-pooling"], done.stderr


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion"]) == 1
    assert main(["--print-completion", "fish"]) == 1
    assert "bash|zsh|tcsh" in capsys.readouterr().err
