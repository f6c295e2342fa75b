"""Runs the code blocks of README.md and of every page in docs/, in order, as a reader would type them.

    python docs/blocks.py [PAGE ...]             run pages; the first output that differs from its page ends it
    python docs/blocks.py --write [PAGE ...]     put what the commands print into the pages

A page is one story: its blocks share a folder, and its Python blocks share their names.

    ```sh          a shell script
    ```console     `$ ` begins a command, what follows is its output; a line `...` stands for any lines.
                   Numbers may differ. An output that begins with `error:` is a mistake that the page makes on purpose.
    ```python      a piece of Python
    ```toml ...    a block whose first line is a comment with a file's name (`# mine.toml`) becomes that file; a part
                   (`# neuroprompt/prompts/sine.py`) can be named from then on.

What a page needs stands in its front matter: `needs: digits` is the run that README trains, in runs/digits. A block
behind `<!-- not run: REASON -->` is not run, but its neuroprompt commands must parse. Behind `<!-- at hand -->` the
output may have lines that this machine does not print: simulators that are not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    + [page for page in (ROOT / "docs").rglob("*.md") if not {"generated", "_build"} & set(page.parts)]
)
RUN = {"sh", "console", "python"}
FILE = re.compile(r"# ([\w./-]+\.(?:py|toml|json))\n")
COMMENT = re.compile(r"<!-- (not run|at hand)(?:: (.+))? -->")
NUMBER = re.compile(r"\b[0-9a-f]{12,}\b|\d[\d.,:]*(?:e[-+]?\d+)?")
FRAME = str.maketrans(dict.fromkeys("┏━┳┓┃┡╇┩│├┼┤└┴┘─┬╷╵", " "))
MATERIALS = {
    "digits": "neuroprompt train --method spike-nvpt --epochs 6 --batch 32 --out runs/digits",
    "onnx": "neuroprompt export runs/digits --target onnx --out out/onnx",
    "lava": "neuroprompt export runs/digits --target lava --out out/lava",
}
"""What pages may need, and the command that makes it; each needs those before it."""


class Differs(AssertionError):
    """A block that fails, or whose output is not what the page shows."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line of its first line, and the comment before it."""

    language: str
    text: str
    line: int
    mark: str = ""


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page in order; those of MyST's directives and of plain text are not among them."""
    found, mark = [], ""
    for token in MarkdownIt().parse(body_of(page)):
        if token.type == "html_block":
            comment = COMMENT.fullmatch(token.content.strip())
            mark = comment.group(1) if comment else "not run" if token.content.strip() in CI else ""
        elif token.type == "fence":
            language = token.info.strip()
            if language and not language.startswith("{"):
                assert token.map is not None
                found.append(Block(language, token.content, token.map[0] + 1, mark))
            mark = ""
        else:
            mark = ""
    return found


CI = ("<!-- demo -->", "<!-- tests -->")
"""README's marks of the two commands that .ci/run takes from it."""


def body_of(page: Path) -> str:
    """The text of a page, its front matter as empty lines."""
    text = page.read_text()
    if not text.startswith("---\n"):
        return text
    front, _, body = text[4:].partition("\n---\n")
    return "\n" * (front.count("\n") + 3) + body


def needs_of(page: Path) -> list[str]:
    """What the front matter of a page says it needs."""
    front = re.match(r"---\nneeds: (.+)\n---\n", page.read_text())
    return front[1].replace(",", " ").split() if front else []


def run_page(page: Path, materials: Path, *, write: bool = False) -> str:
    """Run the blocks of a page in a new folder; with `write` the page's text with the outputs of this run.

    `materials` is the folder of what pages need, see `prepare`. Raises Differs.
    """
    lines = page.read_text().splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as name, _parts() as parts, contextlib.chdir(name):
        _lay_out(needs_of(page), materials)
        names: dict[str, Any] = {"__name__": "__main__"}
        shift = 0
        for block in blocks_of(page):
            try:
                written = _run(block, names, parts, page, write)
            except Differs as error:
                raise Differs(f"{page.relative_to(ROOT)}, line {block.line}: {error}") from None
            old = block.text.count("\n")
            lines[block.line + shift : block.line + shift + old] = [written]
            shift += 1 - old
    return "".join(lines)


def _run(block: Block, names: dict[str, Any], parts: Parts, page: Path, write: bool) -> str:
    file = FILE.match(block.text)
    if block.mark == "not run":
        for command in _commands(block):
            check_parses(command)
    elif file:
        parts.write(Path(file.group(1)), block.text)
    elif block.language == "python":
        try:
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
        except Exception as error:
            raise Differs(f"{type(error).__name__}: {error}") from error
    elif block.language == "sh":
        done = _shell(block.text)
        if done.returncode:
            raise Differs(f"ended with code {done.returncode}:\n{done.stdout}{done.stderr}")
    elif block.language == "console":
        return _console(block, write)
    else:
        return block.text
    return block.text


def _console(block: Block, write: bool) -> str:
    """Run its commands one by one and compare; with `write` give the block as this run has it."""
    written = ""
    for command, shown in _sessions(block.text):
        printed, code = run_command(command)
        printed = printed.replace(f"{Path.cwd()}/", "")  # an absolute path is one in the page's folder
        if code != (2 if shown.startswith("error:") else 0):
            raise Differs(f"`{command}` ended with code {code}:\n{printed}")
        same = not shown or alike(shown, printed, some=block.mark == "at hand")
        if not (same or write):
            raise Differs(f"`{command}` printed\n{printed}\nwhere the page shows\n{shown}\n{FIX}")
        keep = same and (not shown or block.mark == "at hand" or "\n...\n" in f"\n{shown}")
        written += f"$ {command}\n{shown if keep else _trimmed(printed)}"
    return written


FIX = "'python docs/blocks.py --write PAGE' puts what is printed into the page"


def _trimmed(printed: str) -> str:
    return "".join(line.rstrip() + "\n" for line in printed.splitlines())


def _sessions(text: str) -> Iterator[tuple[str, str]]:
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


def _commands(block: Block) -> list[str]:
    """The neuroprompt commands of a block, without what a shell does with their output."""
    text = block.text.replace("\\\n", " ")
    lines = (line.removeprefix("$ ") for line in text.splitlines())
    steps = (step.strip() for line in lines for step in re.split(r"&&|\||;|(?<!\S)#", line))
    return [step.partition(" > ")[0] for step in steps if step.startswith("neuroprompt ")]


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
        done = _shell(f"{command} > {file}" if file else command)
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


def _shell(script: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(words, env=_environment(), capture_output=True, text=True, check=False, timeout=900)


def _environment() -> dict[str, str]:
    """This process's, with the commands beside its Python first."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}


def prepare(needs: list[str], materials: Path) -> None:
    """Make what is needed in the folder `materials`, unless it is there."""
    for need, command in MATERIALS.items():
        if need in needs and not (materials / command.split()[-1]).is_dir():
            with contextlib.chdir(materials):
                printed, code = run_command(command)
            assert code == 0, printed


def _lay_out(needs: list[str], materials: Path) -> None:
    """Copies of all up to what is needed, in this folder."""
    last = max((list(MATERIALS).index(need) for need in needs), default=-1)
    for command in list(MATERIALS.values())[: last + 1]:
        shutil.copytree(materials / command.split()[-1], command.split()[-1])


class Parts:
    """Files that pages write, and the registries that see them as long as the page runs."""

    def __init__(self) -> None:
        self.shown: list[tuple[ModuleType, str]] = []

    def write(self, file: Path, text: str) -> None:
        """Write a file into the page's folder; one in a registry's folder becomes a part."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if file.suffix != ".py" or len(file.parts) == 1:
            return
        room = ".".join(file.parent.parts).removeprefix("neuroprompt.")
        package = importlib.import_module(f"neuroprompt.{room}")
        place = str(file.parent.resolve())
        if place not in package.__path__:
            package.__path__.append(place)
        self.shown.append((package, file.stem))
        importlib.invalidate_caches()

    def forget(self) -> None:
        """Take the parts out of their registries."""
        for package, name in self.shown:
            package.__path__[:] = [place for place in package.__path__ if not place.startswith(tempfile.gettempdir())]
            sys.modules.pop(f"{package.__name__}.{name}", None)
            vars(package).pop(name, None)


@contextlib.contextmanager
def _parts() -> Iterator[Parts]:
    parts = Parts()
    try:
        yield parts
    finally:
        parts.forget()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    parser.add_argument("--write", action="store_true", help="put what the commands print into the pages")
    parser.add_argument("--materials", type=Path, default=ROOT / "docs" / "_build" / "materials")
    asked = parser.parse_args()
    os.environ["COLUMNS"] = "80"
    asked.materials.mkdir(parents=True, exist_ok=True)
    prepare(list(MATERIALS), asked.materials.resolve())
    for page in map(Path.resolve, asked.pages):
        print(page.relative_to(ROOT), flush=True)
        written = run_page(page, asked.materials.resolve(), write=asked.write)
        if asked.write and written != page.read_text():
            page.write_text(written)


if __name__ == "__main__":
    main()
