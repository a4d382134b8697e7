from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import papermill
import psutil
import pytest
from ipykernel.kernelapp import IPKernelApp

import opsnb
from opsnb.catalog import RunbookInfo, runbooks
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.kernels.imports import imports
from opsnb.headless.kernels.kernel import KernelApp
from opsnb.machine import imported
from tests.headless import notebook
from tests.processes import lives


@pytest.fixture
def server() -> Iterator[ForkServer]:
    with ForkServer(["import json"]) as server:
        yield server


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that temporary ones are made in, short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="opsnb-test-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def execute(path: Path, server: ForkServer | None, **options: Any) -> Any:
    return papermill.execute_notebook(
        path, path.with_name("out.ipynb"), engine_name="opsnb", server=server,
        progress_bar=False, **options,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, f"{what} did not come about"
        time.sleep(0.02)


def test_a_kernel_is_forked_and_leaves_nothing(
    tmp_path: Path, server: ForkServer, scratch: Path
) -> None:
    path = notebook.write(tmp_path / "in.ipynb", "import os; print(os.getppid(), os.getsid(0))")
    (told,) = notebook.texts(execute(path, server))
    parent, session = map(int, told.split())
    assert parent == server.pid
    assert session != os.getsid(0)
    assert psutil.Process(server.pid).children() == []
    assert list(scratch.iterdir()) == []


def test_nothing_leaks_from_one_kernel_to_the_next(tmp_path: Path, server: ForkServer) -> None:
    path = notebook.write(
        tmp_path / "in.ipynb",
        "import json, os, random\n"
        "print(hasattr(json, 'left'), os.environ.get('LEFT'), os.getcwd())\n"
        "json.left = os.environ['LEFT'] = 'behind'\nos.chdir('/')",
        "print(random.random())",
    )
    first, second = (notebook.texts(execute(path, server, cwd=tmp_path)) for _ in range(2))
    assert first[0] == second[0] == f"False None {tmp_path}\n"
    assert first[1] != second[1]


def test_kernels_do_not_share_the_position_in_a_file_that_is_open_before_the_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letters").write_text("abcdefgh")
    module = tmp_path / "reading.py"
    module.write_text(
        f"file = open({str(tmp_path / 'letters')!r}, 'rb', buffering=0)\nfile.read(2)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = notebook.write(tmp_path / "in.ipynb", "import reading; print(reading.file.read(3))")
    with ForkServer(["import reading"]) as server:
        told = [notebook.texts(execute(path, server)) for _ in range(2)]
    assert told == [["b'cde'\n"]] * 2


def test_the_process_that_forks_has_one_thread_and_no_secret(
    tmp_path: Path, server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    path = notebook.write(
        tmp_path / "in.ipynb", "import os; print(os.environ['DATABASE_PASSWORD'])"
    )
    assert notebook.texts(execute(path, server)) == ["hunter2\n"]
    process = psutil.Process(server.pid)
    assert process.num_threads() == 1
    assert process.net_connections(kind="inet") == []
    assert "PASSWORD" not in process.environ()


def test_changed_code_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "lib" / "changing.py"
    module.parent.mkdir()
    module.write_text("VALUE = 'old'")
    monkeypatch.setenv("PYTHONPATH", str(module.parent))
    path = notebook.write(tmp_path / "in.ipynb", "from changing import VALUE; print(VALUE)")
    with ForkServer(["import changing"]) as server:
        assert notebook.texts(execute(path, server)) == ["old\n"]
        module.write_text("VALUE = 'changed'")
        assert notebook.texts(execute(path, server)) == ["changed\n"]


def test_of_installed_packages_the_folder_is_watched() -> None:
    watched = imported.files()
    assert {sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")} < set(watched)
    assert opsnb.__file__ in watched
    assert not {psutil.__file__, json.__file__} & set(watched)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--HistoryManager.hist_file=:memory:"],
        ["--IPKernelApp.log_level=40"],
        ["--debug"],
    ],
)
def test_a_forked_kernel_reads_its_options_as_a_stock_kernel_does(options: list[str]) -> None:
    given = ["-f", "/tmp/kernel.json", *options]
    kinds: tuple[Any, ...] = (KernelApp, IPKernelApp)
    ours, stock = (kind() for kind in kinds)
    for app in (ours, stock):
        app.parse_command_line(given)
    assert ours.connection_file == stock.connection_file == "/tmp/kernel.json"
    assert ours.log_level == stock.log_level
    assert ours.config.get("HistoryManager") == stock.config.get("HistoryManager")


def test_a_killed_fork_server_is_replaced(tmp_path: Path, server: ForkServer) -> None:
    path = notebook.write(tmp_path / "in.ipynb", "print('fine')")
    os.kill(server.pid, signal.SIGKILL)
    assert notebook.texts(execute(path, server)) == ["fine\n"]


_OWNER = """
import sys, time
from opsnb.headless.kernels.forkserver import ForkServer
server = ForkServer([])
print(server.pid, flush=True)
time.sleep(600)
"""


def test_the_fork_server_dies_with_its_owner() -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE)
    assert owner.stdout
    server = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.communicate()
    server.wait(30)


_RUNNER = """
import sys, papermill
from opsnb.headless.kernels.forkserver import ForkServer
with ForkServer([], once=sys.argv[3] == "once") as server:
    papermill.execute_notebook(
        *sys.argv[1:3], engine_name="opsnb", server=server, progress_bar=False)
"""


@pytest.mark.parametrize("how", ["once", "fork"])
def test_a_kernel_whose_runner_is_killed_cleans_up_and_ends(tmp_path: Path, how: str) -> None:
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    path = notebook.write(
        tmp_path / "in.ipynb",
        "import os, pathlib, time\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        f"try:\n    pathlib.Path({str(began)!r}).touch()\n    time.sleep(600)\n"
        f"finally:\n    time.sleep(0.5)\n    pathlib.Path({str(cleaned)!r}).touch()",
    )
    command = [sys.executable, "-c", _RUNNER, str(path), str(tmp_path / "out.ipynb"), how]
    runner = subprocess.Popen(command)
    wait_for(began.exists, "the cell")
    kernel = psutil.Process(int((tmp_path / "pid").read_text()))
    runner.kill()
    runner.wait()
    kernel.wait(30)
    assert cleaned.exists()


def test_a_kernel_whose_runner_goes_before_it_has_read_the_answer_ends(
    tmp_path: Path, server: ForkServer
) -> None:
    request = {
        "arguments": ["-f", str(tmp_path / "connection.json")],
        "folder": str(tmp_path),
        "env": dict(os.environ),
    }
    with server._open_line() as line:
        line.sendall(json.dumps(request).encode() + b"\n")
        pid = int(line.recv(64, socket.MSG_PEEK))
    # What was not read makes the end of the line an error on the kernel's side.
    wait_for(lambda: not psutil.pid_exists(pid), "the end of the kernel")


def test_a_single_run_becomes_the_kernel_itself(tmp_path: Path) -> None:
    path = notebook.write(tmp_path / "in.ipynb", "import os; print(os.getpid())")
    with ForkServer([], once=True) as server:
        assert notebook.texts(execute(path, server)) == [f"{server.pid}\n"]


def test_a_server_that_nobody_used_ends(tmp_path: Path) -> None:
    with ForkServer([], once=True) as server:
        process = psutil.Process(server.pid)
    process.wait(30)


def test_what_a_runbook_uses_is_imported_before_its_kernel_is_forked(tmp_path: Path) -> None:
    system = "from opsnb.systems import cache"
    loaded = "import sys; before = {name for name in sys.modules}"
    report = "print([name in before for name in ('redis', 'matplotlib.figure')])"
    printed = {}
    for use in ("cache.ping", "cache", "cache.no_such_check"):
        path = notebook.write(tmp_path / "in.ipynb", loaded, report, f"{system}\nif 0: {use}")
        with ForkServer(imports([RunbookInfo("test/one", path)])) as server:
            _, printed[use], _ = notebook.texts(execute(path, server))
    assert printed == {
        "cache.ping": "[True, False]\n",
        "cache": "[False, False]\n",
        "cache.no_such_check": "[True, False]\n",
    }


def test_matplotlib_is_imported_where_a_runbook_imports_it(tmp_path: Path) -> None:
    has_it = "import sys; print('matplotlib.figure' in sys.modules)"
    path = notebook.write(tmp_path / "in.ipynb", has_it, "import matplotlib.pyplot as plt")
    with ForkServer(imports([RunbookInfo("test/one", path)]), once=True) as server:
        printed, _ = notebook.texts(execute(path, server))
    assert printed == "True\n"


def test_the_fork_server_has_one_thread_after_the_imports_of_every_runbook(tmp_path: Path) -> None:
    path = notebook.write(tmp_path / "in.ipynb", "print(1)")
    with ForkServer(imports(runbooks())) as server:
        execute(path, server)
        process = psutil.Process(server.pid)
        assert process.num_threads() == 1
        assert process.net_connections() == []


def test_papermill_alone_takes_the_engine(tmp_path: Path) -> None:
    path = notebook.write(tmp_path / "in.ipynb", "word = 'a'", "print(word)")
    output = tmp_path / "out.ipynb"
    command = ["papermill", "--engine", "opsnb", "-p", "word", "b", str(path), str(output)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert '"b\\n"' in output.read_text()


def test_a_cell_that_prints_inside_a_widget_ends_with_all_its_outputs(
    tmp_path: Path, server: ForkServer
) -> None:
    cells = ["import ipywidgets as widgets\nout = widgets.Output()\nout"]
    cells += [f"with out:\n    print({number})" for number in range(60)]
    executed = execute(notebook.write(tmp_path / "in.ipynb", *cells), server)
    (state,) = (
        each["state"]
        for each in executed.metadata.widgets["application/vnd.jupyter.widget-state+json"][
            "state"
        ].values()
        if each["model_name"] == "OutputModel"
    )
    printed = "".join(output["text"] for output in state["outputs"])
    assert printed.split() == [str(number) for number in range(60)]


_STARTS = """
import os, pathlib, subprocess, sys
def start(name, **options):
    words = [sys.executable, "-c", "import signal, time\\n" + options.pop("first", "")
             + "print('up', flush=True); time.sleep(600)"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True, **options)
    child.stdout.readline()
    pathlib.Path({folder!r}, name).write_text(str(child.pid))
start("session")
start("deaf", first="signal.signal(signal.SIGTERM, signal.SIG_IGN)\\n")
start("wanted", env={{name: value for name, value in os.environ.items()
                      if name != "OPSNB_STARTED_BY"}})
"""


@pytest.mark.parametrize("cold", [False, True])
def test_what_a_cell_starts_in_a_session_of_its_own_ends_with_the_run(
    tmp_path: Path, server: ForkServer, cold: bool
) -> None:
    path = notebook.write(tmp_path / "in.ipynb", _STARTS.format(folder=str(tmp_path)))
    execute(path, None if cold else server)
    session, deaf, wanted = (
        int((tmp_path / name).read_text()) for name in ("session", "deaf", "wanted")
    )
    try:
        wait_for(lambda: not lives(session) and not lives(deaf), "the end of both")
        assert lives(wanted)  # started without the mark, as opsnb's own host commands are
    finally:
        os.kill(wanted, signal.SIGKILL)


def test_what_a_cell_started_ends_also_when_the_runner_is_killed(tmp_path: Path) -> None:
    path = notebook.write(
        tmp_path / "in.ipynb",
        _STARTS.format(folder=str(tmp_path)),
        f"import time; pathlib.Path({str(tmp_path / 'began')!r}).touch(); time.sleep(600)",
    )
    command = [sys.executable, "-c", _RUNNER, str(path), str(tmp_path / "out.ipynb"), "once"]
    runner = subprocess.Popen(command)
    wait_for((tmp_path / "began").exists, "the second cell")
    runner.kill()
    runner.wait()
    session, wanted = (int((tmp_path / name).read_text()) for name in ("session", "wanted"))
    try:
        wait_for(lambda: not lives(session), "the end of what it had started")
    finally:
        os.kill(wanted, signal.SIGKILL)
