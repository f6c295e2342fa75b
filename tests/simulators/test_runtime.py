"""Runtimes of their own: found, and built once beside other builders, also where one is killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from child_processes import assert_all_gone, needs_proc

from neuroprompt.contracts.deployment import Target
from neuroprompt.errors import RuntimeMissing, WorkerFailed
from neuroprompt.files import cache_folder, sha256
from neuroprompt.simulators.runtime import WORKERS, Runtime


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A runtime of the Python that runs now, without packages, not built yet, in a cache of its own."""
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEUROPROMPT_TINY_PYTHON", sys.executable)
    (tmp_path / "none.txt").write_text("")
    return Runtime("tiny", f"{sys.version_info.major}.{sys.version_info.minor}", tmp_path / "none.txt")


def test_builders_side_by_side_leave_one_whole_runtime(tmp_path: Path, tiny: Runtime) -> None:
    assert not tiny.built
    with pytest.raises(RuntimeMissing, match="run 'neuroprompt targets install tiny'"):
        tiny.run(WORKERS / "watchdog.py", [], 10)
    with ThreadPoolExecutor(3) as pool:
        for builder in [pool.submit(tiny.build) for _ in range(3)]:
            builder.result()
    assert tiny.built
    assert cache_folder() == tmp_path / "cache"
    assert [p.name for p in (tmp_path / "cache/runtimes").iterdir()] == [tiny.folder.name]

    (tmp_path / "none.txt").write_text("numpy==1.26.4")
    assert not tiny.built, "other pins are another runtime"


TINY_WHEEL = "np_tiny-1.0-py3-none-any.whl"
INSTALLER = """
import sys
from pathlib import Path
from neuroprompt.simulators.runtime import Runtime
from neuroprompt.simulators.side_packages import SidePackages

requirements, script = map(Path, sys.argv[1:])
own = Runtime("tiny", f"{sys.version_info.major}.{sys.version_info.minor}", requirements)
beside = SidePackages("beside", requirements=requirements)
for runtime in (own, beside):
    runtime.build()
    for _ in range(3):
        print(runtime.run(script, [str(beside.folder)], 600).strip())
"""


def wheel(folder: Path) -> str:
    """A package of one module in a wheel; its SHA-256."""
    about = "np_tiny-1.0.dist-info"
    files = {
        "np_tiny.py": "WORD = 'installed'\n" + "# a line\n" * 100_000,
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: np-tiny\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(folder / TINY_WHEEL, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return sha256(folder / TINY_WHEEL)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_eight_processes_install_and_use_runtimes_in_one_cache(tmp_path: Path) -> None:
    """From a folder of wheels, without a network: each builds or finds both runtimes, and runs each three times."""
    (tmp_path / "wheels").mkdir()
    requirements = tmp_path / "tiny.txt"
    requirements.write_text(f"np-tiny==1.0 \\\n    --hash=sha256:{wheel(tmp_path / 'wheels')}\n")
    script = tmp_path / "script.py"
    script.write_text("import sys; sys.path.append(sys.argv[1]); import np_tiny; print(np_tiny.WORD)\n")
    cache = tmp_path / "cache"
    folders = {"UV_FIND_LINKS": str(tmp_path / "wheels"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    more = {"NEUROPROMPT_CACHE": str(cache), "NEUROPROMPT_TINY_PYTHON": sys.executable, "UV_NO_INDEX": "1"}
    command = [sys.executable, "-c", INSTALLER, str(requirements), str(script)]
    children = [
        subprocess.Popen(
            command, env={**os.environ, **folders, **more}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    said = [child.communicate() for child in children]
    assert [(child.returncode, out, err) for child, (out, err) in zip(children, said, strict=True)] == [
        (0, "installed\n" * 6, "")
    ] * 8
    assert sorted(p.name.partition("-")[0] for p in (cache / "runtimes").iterdir()) == ["beside", "tiny"]


@needs_proc
def test_a_builder_that_is_killed_leaves_no_uv(mark: bytes, tmp_path: Path) -> None:
    """uv waits for an index that never answers; its parent has no chance to end it."""
    requirements = tmp_path / "tiny.txt"
    requirements.write_text(f"np-tiny==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    code = INSTALLER.split("for runtime in", maxsplit=1)[0] + "beside.build()\n"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        index = f"http://127.0.0.1:{silent.getsockname()[1]}"
        folders = {"NEUROPROMPT_CACHE": str(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv")}
        env = {**os.environ, **folders, "UV_DEFAULT_INDEX": index, "UV_HTTP_TIMEOUT": "600"}
        builder = subprocess.Popen([sys.executable, "-c", code, str(requirements), str(tmp_path)], env=env)
        asked, _ = silent.accept()
        with asked:
            builder.kill()
            builder.wait()
            assert_all_gone(mark)


def test_a_runtime_whose_python_was_removed_is_built_again(tmp_path: Path, tiny: Runtime) -> None:
    tiny.build()
    for link in tiny.executable.parent.glob("python*"):
        link.unlink()
    tiny.executable.symlink_to(tmp_path / "gone")
    assert not tiny.built
    tiny.build()
    script = tmp_path / "script.py"
    script.write_text("import sys, os, json; print(json.dumps([sys.argv[1:], os.environ['OMP_NUM_THREADS']]))")
    assert json.loads(tiny.run(script, ["a", "b c"], 30)) == [["a", "b c"], "1"]


def test_a_worker_writes_nothing_beside_its_script(tmp_path: Path, tiny: Runtime) -> None:
    """Bytecode of another Python there would outlive the package, and stand in the way of an editable install."""
    tiny.build()
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "beside.py").write_text("WORD = 'imported'\n")
    script = folder / "script.py"
    script.write_text(f"import sys; sys.path.append({str(folder)!r}); import beside; print(beside.WORD)\n")
    assert tiny.run(script, [], 20) == "imported\n"
    assert sorted(file.name for file in folder.iterdir()) == ["beside.py", "script.py"]
    assert list((tiny.folder / "pycache").rglob("beside.*.pyc"))


def test_the_last_line_of_a_worker_that_fails_is_told(tmp_path: Path, tiny: Runtime) -> None:
    tiny.build()
    script = tmp_path / "script.py"
    script.write_text("raise ValueError('no such thing')")
    with pytest.raises(WorkerFailed, match=r"^the tiny worker failed with exit code 1: ValueError: no such thing$"):
        tiny.run(script, [], 30)


def test_no_python_of_that_version_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Python 3.10, and not allowed to fetch one."""
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX", "NEUROPROMPT_LAVA_PYTHON"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_PREFERENCE", "only-managed")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    with pytest.raises(
        RuntimeMissing, match=r"^no Python 3.10 was found, which lava needs; expected .*install 3.10'$"
    ) as e:
        Target.part("lava").install()
    assert "\n" not in str(e.value)
    assert not list((tmp_path / "cache").rglob("*"))


def test_a_named_python_that_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path / "cache"))
    shim = tmp_path / "python3.10"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("NEUROPROMPT_LAVA_PYTHON", str(shim))
    with pytest.raises(RuntimeMissing, match=r"^NEUROPROMPT_LAVA_PYTHON=.*python3.10 does not start as Python 3.10"):
        Target.part("lava").install()


def test_a_shim_on_path_that_does_not_start_is_passed_over(
    tmp_path: Path, tiny: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROPROMPT_TINY_PYTHON")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shims, versions = tmp_path / "shims", tmp_path / f"pyenv/versions/{version}.99/bin"
    for folder in (shims, versions):
        folder.mkdir(parents=True)
    (shims / f"python{version}").write_text("#!/bin/sh\nexit 127\n")
    (shims / f"python{version}").chmod(0o755)
    (versions / f"python{version}").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(shims))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert tiny.interpreter() == versions / f"python{version}"
