"""An engine that runs tasks in the test's own process: what a task's words do, without the start of a child."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence

from neuroprompt.cli import main
from neuroprompt.contracts.work import Ended, Engine, Resources, Task
from neuroprompt.engines._paths import check_paths


def exit_code(*words: object) -> int | str:
    """What the command ends with; 0 where all went well."""
    before, sys.argv = sys.argv, ["neuroprompt", *map(str, words)]
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    finally:
        sys.argv = before
    return 0


class InTurn(Engine):
    """Tasks one after the other; an error is the exit code."""

    about = "for tests"

    def run(self, tasks: Sequence[Task], resources: Resources) -> Generator[Ended, None, None]:
        """Run each as the shell would."""
        check_paths(tasks)
        for task in tasks:
            code = exit_code(*task.words)
            yield Ended(task, "" if code == 0 else f"ended with {code}")
