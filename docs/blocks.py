"""Runs the code blocks of README.md and of every page in docs/, in order, as a reader would type them.

    python docs/blocks.py [PAGE ...]             run pages, and show where an output differs from the page
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

import yaml
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
    text = page.read_text()
    front = yaml.safe_load(text[4:].partition("\n---\n")[0]) if text.startswith("---\n") else {}
    return str(front.get("needs", "")).replace(",", " ").split()


def run_page(page: Path, materials: Path) -> str:
    """Run the blocks of a page in a new folder; the page's text with the outputs of this run. Raises Differs.

    `materials` is a folder that keeps what pages need, made at the first call.
    """
    lines = page.read_text().splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as name, _parts() as parts, contextlib.chdir(name):
        _lay_out(needs_of(page), materials, Path(name))
        names: dict[str, Any] = {"__name__": "__main__"}
        shift = 0
        for block in blocks_of(page):
            try:
                written = _run(block, names, parts, page)
            except Differs as error:
                raise Differs(f"{page.relative_to(ROOT)}, line {block.line}: {error}") from None
            old = block.text.count("\n")
            lines[block.line + shift : block.line + shift + old] = [written]
            shift += 1 - old
    return "".join(lines)


def _run(block: Block, names: dict[str, Any], parts: Parts, page: Path) -> str:
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
        for command in _commands(block):
            check_parses(command)
        _check_shell(block.text)
    elif block.language == "console":
        return _console(block)
    else:
        return block.text
    return block.text


def _console(block: Block) -> str:
    """Run its commands one by one, compare, and give the block as this run has it."""
    written = ""
    for command, shown in _sessions(block.text):
        printed, code = run_command(command)
        mistake = shown.startswith("error:")
        if code != (2 if mistake else 0):
            raise Differs(f"`{command}` ended with code {code}:\n{printed}")
        if not alike(shown, printed, some=block.mark == "at hand") and not (shown == "" and not mistake):
            raise Differs(f"`{command}` printed\n{printed}\nwhere the page shows\n{shown}")
        same = shown if "\n...\n" in f"\n{shown}" or not shown or block.mark == "at hand" else printed
        written += f"$ {command}\n{same}"
    return written


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
    words = shlex.split(command)[1:]
    try:
        context = verb.make_context("neuroprompt", words)
        while getattr(verb, "commands", None) and words:
            rest = context.protected_args + context.args if hasattr(context, "protected_args") else context.args
            _, verb, words = verb.resolve_command(context, rest)
            context = verb.make_context(words[0] if words else "", list(words), parent=context)
    except SystemExit:
        return
    except Exception as error:
        raise Differs(f"`{command}` does not parse: {error}") from error


def run_command(command: str) -> tuple[str, int]:
    """What a command prints on stdout (a mistake's line on stderr), and its exit code; neuroprompt runs in process."""
    if not command.startswith("neuroprompt ") or re.search(r"[|>&;*$\n]", command):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=_environment(), **_TEXT)
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
    return out.getvalue() if code == 0 else err.getvalue(), int(code)


_TEXT: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "timeout": 900}


def _check_shell(script: str) -> None:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=_environment(), **_TEXT)
    if done.returncode:
        raise Differs(f"ended with code {done.returncode}:\n{done.stdout}{done.stderr}")


def _environment() -> dict[str, str]:
    """This process's, with the commands beside its Python first."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}


def _lay_out(needs: list[str], materials: Path, folder: Path) -> None:
    for need, command in MATERIALS.items() if needs else ():
        made = materials / command.split()[-1]
        if not made.is_dir():
            made.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.chdir(materials):
                printed, code = run_command(command)
            assert code == 0, printed
        shutil.copytree(made, folder / command.split()[-1])
        if need == needs[-1]:
            return


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
    for page in map(Path.resolve, asked.pages):
        print(page.relative_to(ROOT), flush=True)
        written = run_page(page, asked.materials.resolve())
        if asked.write and written != page.read_text():
            page.write_text(written)


if __name__ == "__main__":
    main()
