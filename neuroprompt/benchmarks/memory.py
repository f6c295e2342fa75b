"""The most memory that a computation holds at once, counted tensor by tensor: the same on every machine."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(run: Callable[[], object], resident: Iterable[Tensor] = ()) -> int:
    """The largest sum of bytes of all tensors that `run` made and that are alive, and of those `resident` before.

    Every storage counts once, whoever shares it. What a kernel takes for itself and gives back is not in it.
    """
    living = _Living()
    living.enter(resident)
    with living:
        run()
    return living.peak


class _Living(TorchDispatchMode):
    """Adds up the storages that operations make, and takes each off when it dies."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.known: set[int] = set()

    def enter(self, tensors: Iterable[object]) -> None:
        """Count the storages of tensors that are not counted yet."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage._cdata not in self.known:
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.leave, storage._cdata, storage.nbytes()).atexit = False
        self.peak = max(self.peak, self.now)

    def leave(self, key: int, size: int) -> None:
        """A storage died."""
        self.known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count what it gives."""
        result = func(*args, **(kwargs or {}))
        self.enter(tree_leaves(result))
        return result
