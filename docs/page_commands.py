"""Commands as a page shows them: run in process, parsed, and their outputs compared but for numbers and frames."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NUMBER = re.compile(r"\b[0-9a-f]{12,}\b|\d[\d.,:]*(?:e[-+]?\d+)?")
FRAME = str.maketrans(dict.fromkeys("┏━┳┓┃┡╇┩│├┼┤└┴┘─┬╷╵", " "))


class Differs(AssertionError):
    """A block that fails, or whose output is not what the page shows."""


def trimmed(printed: str) -> str:
    """The lines without spaces at their ends."""
    return "".join(line.rstrip() + "\n" for line in printed.splitlines())


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown behind it ("" where none is)."""
    command, shown = "", ""
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:].rstrip("\n"), ""
        elif command.endswith("\\") and not shown:
            command += "\n" + line.rstrip("\n")
        else:
            shown += line
    if command:
        yield command, shown


def alike(shown: str, printed: str, *, some: bool = False) -> bool:
    """Whether two outputs agree but for numbers, frames and white space; `some`: `shown` may have lines more."""
    wanted, got = _masked(shown), _masked(printed)
    if some:
        got = got[: next((i for i, line in enumerate(got) if line.startswith("skipped ")), len(got))]
        rest = iter(wanted)
        return bool(got) and all(line in rest for line in got)
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line + "\n") for line in wanted)
    return re.fullmatch(pattern, "".join(line + "\n" for line in got)) is not None


def _masked(text: str) -> list[str]:
    lines = (" ".join(NUMBER.sub("#", line.translate(FRAME)).split()) for line in text.splitlines())
    return [line for line in lines if line]


def check_parses(command: str) -> None:
    """Raise Differs unless the command's verb, arguments and options exist."""
    import typer.main

    from neuroprompt.cli._app import app

    verb: Any = typer.main.get_command(app)
    words = shlex.split(re.sub(r"\$\w+", "1", command))[1:]  # a shell's variable may be a number
    try:
        while words and words[0] in getattr(verb, "commands", {}):
            verb = verb.commands[words.pop(0)]
        verb.make_context(command, words)
    except SystemExit:  # --help, --version
        return
    except Exception as error:
        raise Differs(f"`{command}` does not parse: {error}") from error


def run_command(command: str) -> tuple[str, int]:
    """What a command prints on stdout (a mistake's line on stderr), and its exit code; neuroprompt runs in process."""
    command, _, file = command.replace("\\\n", " ").partition(" > ")
    if not command.startswith("neuroprompt ") or re.search(r"[|>&;*$]", command + file):
        done = shell(f"{command} > {file}" if file else command)
        return done.stdout or done.stderr, done.returncode
    from neuroprompt.cli import main

    out, err, words = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = shlex.split(command)
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stopped:
        code = stopped.code or 0
    finally:
        sys.argv = words
    if file:
        Path(file.strip()).write_text(out.getvalue())
        return "", int(code)
    if code:  # its last line; what was said on the way there is not compared
        return err.getvalue()[max(0, err.getvalue().rfind("error: ")) :], int(code)
    return out.getvalue(), 0


def shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of bash, which ends at its first failure."""
    words = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(words, env=_environment(), capture_output=True, text=True, check=False, timeout=900)


def _environment() -> dict[str, str]:
    """This process's, with the commands beside its Python first."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
