"""Bundles to and from the Hugging Face hub, whole and checked on both ways."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, get_session, get_token
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

import neuroprompt
from neuroprompt.bundles.bundle import FORMAT, MANIFEST, Bundle, check_name
from neuroprompt.errors import BadBundle, HubFailed
from neuroprompt.files import json_of, whole_folder
from neuroprompt.progress import SILENT, Progress

PICKLED = frozenset({".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill"})
"""Files that may run code when they are read; a bundle has none."""


ANSWER_SECONDS = 15.0
"""How long a pull or a push waits for a hub that says nothing to its first question."""
SILENT_SECONDS = 60.0
"""How long an upload waits for a hub that neither takes nor sends a byte; as a whole it may take any time."""


@dataclass(frozen=True)
class Pushed:
    """A bundle on the hub: its repository, where to look at it, the commit, and the files that went up."""

    repo: str
    url: str
    commit: str
    files: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """The fields by name."""
        return {**vars(self), "files": list(self.files)}


def push(bundle: Bundle, repo: str, *, private: bool = False, progress: Progress = SILENT) -> Pushed:
    """Upload a bundle, which is checked first, to the model repository `repo` (OWNER/NAME), made where it is not there.

    The files of the manifest go up in one commit, and no others. The token is the hub's own (HF_TOKEN, or `hf auth
    login`). Raises BadBundle, HubFailed.
    """
    names = (MANIFEST, *_files(Bundle.open(bundle.folder).folder / MANIFEST))
    with _hub_errors(repo):
        api = _api()
        for place in _places(bundle.about):
            progress.say(f"the manifest says where something lay: {place}")
        progress.say(f"uploading {len(names)} files to {repo}")
        with _patience(ANSWER_SECONDS):
            url = api.create_repo(repo, private=private, exist_ok=True)
        words = f"{bundle.about.get('method', 'prompt')} for {bundle.kind}, by neuroprompt"
        operations = [CommitOperationAdd(name, bundle.folder / name) for name in names]
        with _patience(SILENT_SECONDS):
            commit = api.create_commit(repo, operations, commit_message=words)
    return Pushed(repo, str(url), commit.oid, names)


def pull(repo: str, out: Path | str, *, revision: str | None = None, progress: Progress = SILENT) -> Bundle:
    """Download the bundle of a model repository to `out`, where it appears once every SHA-256 of its manifest is right.

    Only the files of the manifest are fetched, all of one commit; one that names a pickle is an error. An earlier
    bundle at `out` is replaced. Raises BadBundle, HubFailed, CannotWrite.
    """
    with whole_folder(Path(out), replaces=MANIFEST) as folder:
        with _hub_errors(repo):
            api = _api()
            commit = api.model_info(repo, revision=revision, timeout=ANSWER_SECONDS).sha

            def fetch(name: str) -> None:
                api.hf_hub_download(repo, name, revision=commit, local_dir=folder)

            fetch(MANIFEST)
            names = _files(folder / MANIFEST)
            for name in progress.track(names, f"downloading {repo}"):
                fetch(name)
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub's notes on what it fetched
        _as_theirs(repo, folder)
    return Bundle.open(out)


def _as_theirs(repo: str, folder: Path) -> None:
    """Open the bundle, and call it by its repository where it is not right: its folder is not there yet."""
    try:
        Bundle.open(folder)
    except BadBundle as error:
        raise BadBundle(str(error).replace(str(folder), repo)) from error


def _files(manifest: Path) -> list[str]:
    """The names in a manifest; raises BadBundle for one that is not ours, or names what a bundle has not."""
    try:
        values = json_of(manifest.read_bytes())
        version, names = values["format"], list(values["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadBundle(f"its {MANIFEST} is no manifest ({error})", "a bundle of 'neuroprompt push'") from error
    if version != FORMAT:
        raise BadBundle(f"a bundle of format {version!r}", FORMAT, "use the version of neuroprompt that made it")
    for name in names:
        check_name(name)
        if PurePosixPath(name).suffix.lower() in PICKLED:
            raise BadBundle(f"a bundle with the pickle {name!r}", "files that cannot run code when they are read")
    return names


def _places(about: dict[str, Any]) -> list[str]:
    """The absolute paths of data and weights that a manifest carries."""
    run = about.get("run", {})
    named = (str(run.get("data", "")).partition(":")[2], (run.get("backbone") or {}).get("weights") or "")
    return [place for place in named if Path(place).is_absolute()]


def _api() -> HfApi:
    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi(
        endpoint=os.environ.get("HF_ENDPOINT"), library_name="neuroprompt", library_version=neuroprompt.__version__
    )


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give up where the hub is silent for so long: its client's requests that write have no limit of their own."""
    session = get_session()
    before, session.timeout = session.timeout, seconds
    try:
        yield
    finally:
        session.timeout = before


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """What the hub raises as one line, without the token."""
    try:
        yield
    except HFValidationError as error:
        raise HubFailed(f"repository {repo!r} ({error})", "OWNER/NAME") from error
    except (GatedRepoError, RepositoryNotFoundError) as error:
        fix = "check the name; for a private one set HF_TOKEN or type 'hf auth login'"
        raise HubFailed(f"the hub has no repository {repo!r} that you may read", fix=fix) from error
    except (RevisionNotFoundError, EntryNotFoundError) as error:
        raise HubFailed(f"{repo} holds no bundle of that revision ({_line(error)})", f"a {MANIFEST}") from error
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        fix = "set HF_TOKEN to a token that may write, or type 'hf auth login'" if code in (401, 403) else "try again"
        raise HubFailed(f"the hub refuses {repo!r} ({_line(error)})", fix=fix) from error
    except (HTTPError, ConnectionError, TimeoutError, RuntimeError) as error:  # RuntimeError: of a large file's upload
        raise HubFailed(
            f"the hub cannot be reached ({_line(error)})", fix="check the network and HF_ENDPOINT"
        ) from error


def _line(error: Exception) -> str:
    """The first line of a message; whatever it says, the token is not in it."""
    line, token = (str(error).strip().splitlines() or [type(error).__name__])[0], get_token()
    return line.replace(token, "***") if token else line
