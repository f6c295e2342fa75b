"""What targets with packages of their own share: whether they are built, how they are built, how long they may run."""

from __future__ import annotations

from typing import ClassVar

from neuroprompt.contracts.deployment import Availability, SpikingTarget
from neuroprompt.errors import BadSetting
from neuroprompt.simulators.runtime import Runtime


class OwnRuntimeTarget(SpikingTarget):
    """A simulator that runs in a child process, with packages of its own: `runtime`.

    `package` is the one of them whose version is shown, where it is not called as the runtime is; `time_limit` in
    seconds ends a run that hangs.
    """

    runtime: ClassVar[Runtime]
    package: ClassVar[str] = ""

    def __init__(self, time_limit: float = 600.0) -> None:
        if not time_limit > 0:
            raise BadSetting(f"time_limit {time_limit}", "seconds above 0")
        self.time_limit = time_limit

    @classmethod
    def available(cls) -> Availability:
        """Whether its packages are there; if not, what to type."""
        runtime = cls.runtime
        package = cls.package or runtime.name
        fix = "" if runtime.built else f"run 'neuroprompt targets install {runtime.name}'"
        return Availability(runtime.built, runtime.how, f"{package} {runtime.pinned(package)}", fix)

    @classmethod
    def install(cls) -> None:
        """Put them in a folder of the cache; raises RuntimeMissing."""
        cls.runtime.build()
