"""Ray Core: this machine, or a cluster by its address; where a node dies, its tasks go on at another."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Generator, Sequence
from typing import Annotated, Any

from neuroprompt.contracts.work import Ended, Engine, Resources, Task
from neuroprompt.engines._child import run_child
from neuroprompt.engines._paths import check_paths, missing_here, probes, reads_of
from neuroprompt.errors import BadData, BadSetting, RuntimeMissing
from neuroprompt.extras import need

HERE = "local"
CHECK_SECONDS = 120
CONNECT_SECONDS = 10


class Ray(Engine):
    """A Ray task waits for each child; its words go to the node as strings, and nothing comes back but what happened.

    Ray places tasks by their threads and GPUs, so that a head without a GPU serves as well. The child is a command of
    its own: DDP in it starts the same command again, whatever script started Ray.
    """

    about = "Ray Core: this machine, or a cluster by its address"

    def __init__(
        self,
        address: Annotated[str, "of the head node (HOST:6379), auto for one that runs here, or local"] = HERE,
        retries: Annotated[int, "tries after the death of a node or worker"] = 5,
    ) -> None:
        self.address, self.retries = address, retries

    def run(self, tasks: Sequence[Task], resources: Resources) -> Generator[Ended, None, None]:
        """Run all tasks; `at_once` is as many as the nodes have cores or GPUs for."""
        check_paths(tasks)
        need("ray")
        import ray

        self._connect(ray)
        _check_room(ray, resources)
        _check_nodes(ray, tasks)
        share = {"num_cpus": resources.threads, "num_gpus": resources.gpus or 0, "max_retries": self.retries}
        remote = ray.remote(**share)(run_child)
        waiting = deque(tasks)
        running: dict[Any, Task] = {}
        try:
            while waiting or running:
                while waiting and len(running) < (resources.at_once or len(tasks)):
                    task = waiting.popleft()
                    running[remote.options(name=task.name).remote(task, resources)] = task
                for ended in ray.wait(list(running), num_returns=1)[0]:
                    yield Ended(running.pop(ended), _error_of(ray, ended))
        finally:
            for left in running:
                ray.cancel(left, force=True)

    def _connect(self, ray: Any) -> None:
        """Start Ray here or join a cluster; raises RuntimeMissing."""
        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked to be counted
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        host, colon, port = self.address.rpartition("://")[2].rpartition(":")
        only_here = {"include_dashboard": False} if self.address == HERE else {}
        try:
            if colon and port.isdecimal():  # Ray itself would try for minutes
                socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR", **only_here)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            got = f"Ray cannot be reached at {self.address!r} ({error})"
            raise RuntimeMissing(
                got, "a head node", "start one with 'ray start --head', or --engine-set address=local"
            ) from error


def _error_of(ray: Any, ended: Any) -> str:
    """What became of a task, where its node may have died more often than it is tried again."""
    try:
        error: str = ray.get(ended)
    except ray.exceptions.RayError as lost:
        return f"was lost with its node ({type(lost).__name__})"
    return error


def _alive(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _check_room(ray: Any, resources: Resources) -> None:
    """Raise BadSetting where no node can ever hold a task, which Ray would wait for."""
    wanted = {"CPU": resources.threads, "GPU": resources.gpus or 0}
    for node in _alive(ray):
        if all(node["Resources"].get(kind, 0) >= count for kind, count in wanted.items()):
            return
    most = {kind: max((node["Resources"].get(kind, 0) for node in _alive(ray)), default=0) for kind in wanted}
    got = f"tasks with {resources.threads} threads and {resources.gpus or 0} GPUs"
    raise BadSetting(
        got, f"at most {most['CPU']:g} and {most['GPU']:g}, the largest node's", "lower --threads or --gpus"
    )


def _check_nodes(ray: Any, tasks: Sequence[Task]) -> None:
    """Raise BadData where a node does not see the paths of the tasks, RuntimeMissing where it cannot run ours."""
    pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    ask = ray.remote(num_cpus=0, max_retries=0)(missing_here)
    with probes(tasks) as new:
        paths = ([str(path) for path in reads_of(tasks)], [str(path) for path in new])
        asked = {
            ask.options(scheduling_strategy=pinned(node["NodeID"], soft=False)).remote(*paths): node[
                "NodeManagerHostname"
            ]
            for node in _alive(ray)
            if node["Resources"].get("CPU")
        }
        for answer, host in asked.items():
            try:
                missing = ray.get(answer, timeout=CHECK_SECONDS)
            except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
                continue  # it died a moment ago, and Ray did not know yet
            except ray.exceptions.RayError as error:
                got = f"node {host} cannot run neuroprompt ({type(error).__name__})"
                raise RuntimeMissing(got, "the same Python environment on every node") from error
            if missing:
                raise BadData(
                    f"node {host} does not see {missing[0]}", "storage that all nodes share", "use its path there"
                )
