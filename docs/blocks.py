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

What a page needs stands in its front matter: `needs: digits` is the run that README trains, in runs/digits. README's
command makes it, once for all pages. A block behind `<!-- not run: REASON -->` is not run, but its neuroprompt commands
must parse. Behind `<!-- at hand -->` a page may show more lines than this machine prints: those of simulators that are
not installed here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from page_commands import Differs, alike, check_parses, run_command, sessions, shell, trimmed
from page_parts import Parts, registered_parts

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    + [page for page in (ROOT / "docs").rglob("*.md") if not {"generated", "_build"} & set(page.parts)]
)

FILE = re.compile(r"# ([\w./-]+\.(?:py|toml|json))\n")
COMMENT = re.compile(r"<!-- (not run|at hand)(?:: (.+))? -->")
MATERIALS = {
    "digits": "neuroprompt train --method spike-nvpt --epochs 6 --batch 32 --out runs/digits",
    "onnx": "neuroprompt export runs/digits --target onnx --out out/onnx",
    "lava": "neuroprompt export runs/digits --target lava --out out/lava",
}
"""What pages may need, and the command that makes it; each needs those before it."""


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
    """What the front matter of a page says it needs; README, which has none, trains the run itself.

    Its command is the one that made the run: it finds it finished, and the page goes on from there.
    """
    text = page.read_text()
    front = re.match(r"---\nneeds: (.+)\n---\n", text)
    if front:
        return front[1].replace(",", " ").split()
    return ["digits"] if f"$ {MATERIALS['digits']}\n" in text else []


def run_page(page: Path, materials: Path, *, write: bool = False) -> str:
    """Run the blocks of a page in a new folder; with `write` the page's text with the outputs of this run.

    `materials` is the folder of what pages need, see `prepare`. Raises Differs.
    """
    lines = page.read_text().splitlines(keepends=True)
    with tempfile.TemporaryDirectory() as name, registered_parts() as parts, contextlib.chdir(name):
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
        done = shell(block.text)
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
    for command, shown in sessions(block.text):
        printed, code = run_command(command)
        printed = printed.replace(f"{Path.cwd()}/", "")  # an absolute path is one in the page's folder
        if code != (2 if shown.startswith("error:") else 0):
            raise Differs(f"`{command}` ended with code {code}:\n{printed}")
        same = not shown or alike(shown, printed, some=block.mark == "at hand")
        if not (same or write):
            raise Differs(f"`{command}` printed\n{printed}\nwhere the page shows\n{shown}\n{FIX}")
        keep = same and (not shown or block.mark == "at hand" or "\n...\n" in f"\n{shown}")
        written += f"$ {command}\n{shown if keep else trimmed(printed)}"
    return written


FIX = "'python docs/blocks.py --write PAGE' puts what is printed into the page"


def _commands(block: Block) -> list[str]:
    """The neuroprompt commands of a block, without what a shell does with their output."""
    text = block.text.replace("\\\n", " ")
    lines = (line.removeprefix("$ ") for line in text.splitlines())
    steps = (step.strip() for line in lines for step in re.split(r"&&|\||;|(?<!\S)#", line))
    return [step.partition(" > ")[0] for step in steps if step.startswith("neuroprompt ")]


def prepare(needs: list[str], materials: Path, *, short: bool = False) -> None:
    """Make what is needed in the folder `materials`, unless it is there.

    `short` trains for one epoch: enough for pages that do not go on from the run.
    """
    for need, command in MATERIALS.items():
        if need in needs and not (materials / command.split()[-1]).is_dir():
            with contextlib.chdir(materials):
                printed, code = run_command(re.sub(r"--epochs \d+", "--epochs 1", command) if short else command)
            assert code == 0, printed


def _lay_out(needs: list[str], materials: Path) -> None:
    """Copies of all up to what is needed, in this folder."""
    last = max((list(MATERIALS).index(need) for need in needs), default=-1)
    for command in list(MATERIALS.values())[: last + 1]:
        shutil.copytree(materials / command.split()[-1], command.split()[-1])


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
