"""The engine gives the same outputs as papermill's own, whatever a notebook does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from papermill.exceptions import PapermillExecutionError

from opsnb.catalog import runbooks
from opsnb.headless.kernels.forkserver import ForkServer
from opsnb.headless.kernels.imports import imports
from tests.headless.notebook import KERNEL

BEHAVIOURS: dict[str, list[Any]] = {
    "display data": [
        "from IPython.display import HTML, JSON, Image, Markdown, Math, display",
        "display(HTML('<b>bold</b>'), Markdown('*x*'), JSON({'a': [1]}), Math('x^2'))\n42",
        "shown = display('first', display_id='one')\ndisplay('other')",
        "shown.update('changed later, from another cell')",
        "display({'application/x-own+json': {'k': 1}, 'text/plain': 'own'}, raw=True)",
        "from IPython.display import clear_output\nprint('gone')\nclear_output()\nprint('stays')",
        "print('waits')\nclear_output(wait=True)\nprint('replaces it')",
    ],
    "rich values": [
        "class Rich:\n"
        "    def _repr_html_(self): return '<i>rich</i>'\n"
        "    def _repr_mimebundle_(self, **k):\n"
        "        return {'text/plain': 'plain', 'text/latex': '$x$'}\n"
        "Rich()",
        "import pandas\npandas.DataFrame({'a': [1, 2], 'b': ['x', 'ü']})",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()",
        "_, Out[1] is not None, len(In)",
        "class Broken:\n    def __repr__(self): raise ValueError('no repr')\nBroken()",
    ],
    "streams": [
        "import sys, logging, warnings\nprint('out')\nprint('err', file=sys.stderr)\nprint('out')",
        "for i in range(3): print(f'\\r{i} %', end='')",
        "print('a\\tb\\x1b[31mred\\x1b[0m ü 漢 \\U0001f600')",
        "logging.warning('logged')",
        "warnings.warn('warned', stacklevel=1)",
        "import threading\nthread = threading.Thread(target=print, args=('from a thread',))\n"
        "thread.start(); thread.join()",
    ],
    "an error": ["print('before')", "def f(x):\n    return 1 / x\nf(0)", "print('never')"],
    "an error that is expected": [
        new_code_cell("raise KeyError('known')", metadata={"tags": ["raises-exception"]}),
        "print('after')",
    ],
    "a syntax error": ["print(1)", "def f(:\n    pass"],
    "an error of many lines": [
        "try:\n    {}['a']\nexcept KeyError as e:\n    raise RuntimeError('two\\nlines') from e"
    ],
    "no input": ["print('before')", "input('who? ')"],
    "no password": ["import getpass\ngetpass.getpass()"],
    "an end without fault": ["print('one')", "import sys\nsys.exit(0)"],
    "an end with fault": ["import sys\nsys.exit(3)", "print('never')"],
    "an interrupt": ["raise KeyboardInterrupt", "print('never')"],
    "asyncio": [
        "import asyncio\nasync def wait():\n    await asyncio.sleep(0.01)\n    return 'waited'\n"
        "await wait()",
        "task = asyncio.ensure_future(wait())",
        "print(await task)\nawait asyncio.gather(wait(), wait())",
        "async for x in (i async for i in (wait() and None for _ in [])): pass\n"
        "type(asyncio.get_running_loop()).__name__",
    ],
    "large output": [
        "print('x' * 1_900_000)",  # of more, opsnb's own engine keeps the two ends
        "for i in range(20_000): print(i)",
        "from IPython.display import HTML\nHTML('<p>' + 'y' * 1_000_000 + '</p>')",
    ],
    "widgets": [
        "import ipywidgets as widgets\nslider = widgets.IntSlider(value=7)\nslider",
        "slider.value = 9\nwidgets.HBox([slider, widgets.Label('l')])",
        # Nothing is printed inside: stock papermill waits without end for that now and then.
        "out = widgets.Output()\nout",
    ],
    "child processes": [
        "!echo from the shell; echo to stderr >&2",
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'print(\"child\")'], check=True).returncode",
        "import os\nprint('mine', flush=True)\nos.system('echo system')",
        "%%bash\necho bash; exit 0",
        "lines = !printf 'a\\nb'\nlines",
        "import multiprocessing\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    print(pool.map(abs, [-1, -2]))",
        "pid = os.fork()\nif pid == 0:\n    os._exit(7)\nos.waitpid(pid, 0)[1]",
    ],
    "magics": [
        "%%capture caught\nprint('hidden')",
        "caught.stdout",
        "%env OPSNB_SOMETHING=1",
        "%%writefile {folder}/written.txt\nwritten",
        "%run -i {folder}/absent.py",
    ],
    "where it runs": [
        "import os, sys, signal\n__name__, sys.path[0], len(sys.argv), sys.flags.optimize",
        "signal.getsignal(signal.SIGCHLD), signal.getsignal(signal.SIGTERM)",
        "sorted(k for k in globals() if not k.startswith('_'))",
        "os.getcwd() == {folder!r}, sys.stdin.__class__.__name__, os.getpid() == os.getsid(0)",
        "import threading\nthreading.current_thread() is threading.main_thread()",
        "import __main__\n__main__.__dict__ is globals()",
        "get_ipython().__class__.__name__, get_ipython().history_manager.hist_file",
    ],
    "unusual metadata": [
        new_markdown_cell("![x](attachment:x.png)", attachments={"x.png": {"image/png": "aGk="}}),
        new_raw_cell("raw {{ x }}", metadata={"format": "text/restructuredtext"}),
        new_code_cell("1", metadata={"own": {"deep": [None, 1.5, "ü"]}, "tags": ["a", "b"]}),
        new_code_cell(""),
        new_code_cell("   \n  "),
        new_code_cell("# only a comment"),
        new_code_cell("print(2)", metadata={"collapsed": True, "editable": False, "name": "n"}),
    ],
    "comms": [
        "from comm import create_comm\ncomm = create_comm(target_name='own', data={'a': 1})",
        "comm.send({'b': 2})\ncomm.close()\nprint('sent')",
    ],
    "a child that outlives its cell": [
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('started')",
        "child.poll()",
    ],
    "state that a kernel keeps": [
        "import atexit, gc, random\natexit.register(print, 'bye')\ngc.isenabled()",
        "random.seed(5); random.random()",
        "import numpy\nnumpy.random.seed(5); float(numpy.random.rand())",
    ],
}


# What runs to its end shares a notebook with others, and so their kernels.
SHARED = (
    ("display data", "streams", "unusual metadata"),
    ("comms", "widgets", "large output", "asyncio"),
    ("child processes", "a child that outlives its cell", "magics"),
)
NOTEBOOKS = {
    ", ".join(names): [cell for name in names for cell in BEHAVIOURS[name]]
    for names in (*SHARED, *((name,) for name in BEHAVIOURS if name not in sum(SHARED, ())))
}


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer(["import pandas", "import matplotlib.pyplot"]) as server:
        yield server


@pytest.fixture(scope="module")
def of_resident() -> Iterator[ForkServer]:
    """The process from which the kernels of a resident are forked: it has imported everything."""
    with ForkServer(imports(runbooks())) as server:
        yield server


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_the_same(
    name: str, tmp_path: Path, server: ForkServer, of_resident: ForkServer
) -> None:
    source = write(tmp_path / "in.ipynb", NOTEBOOKS[name], tmp_path)
    _, executed = stock = run(source, tmp_path / "stock.ipynb", tmp_path)
    if "," in name:
        last = [cell for cell in executed["cells"] if cell["cell_type"] == "code"][-1]
        assert last["execution_count"], "an early end keeps the rest from being compared"
    assert run(source, tmp_path / "forked.ipynb", tmp_path, server=server) == stock
    assert run(source, tmp_path / "warm.ipynb", tmp_path, server=of_resident) == stock
    assert run(source, tmp_path / "cold.ipynb", tmp_path, server=None) == stock


def write(path: Path, cells: list[Any], folder: Path) -> Path:
    made = []
    for cell in cells:
        if isinstance(cell, str):
            told = cell.replace("{folder!r}", repr(str(folder))).replace("{folder}", str(folder))
            made.append(new_code_cell(told))
        else:
            made.append(deepcopy(cell))
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, "own": {"é": [1, None]}}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=metadata), path)
    return path


def run(source: Path, output: Path, folder: Path, **engine: Any) -> tuple[str | None, Any]:
    """Return how it ended and the executed notebook, without what differs from run to run."""
    name = {"engine_name": "opsnb"} if engine else {}
    ended = None
    try:
        papermill.execute_notebook(source, output, progress_bar=False, cwd=folder, **name, **engine)
    except PapermillExecutionError as error:
        ended = f"{error.ename}: {error.evalue}"
    for left in folder.glob("written.txt"):
        left.unlink()
    return ended, comparable(nbformat.read(output, as_version=4))


def comparable(notebook: Any) -> Any:
    notebook.metadata.pop("papermill")
    state = notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    models = {model: told["model_name"] for model, told in state.items()}
    for cell in notebook.cells:
        cell.pop("id")
        for timing in ("papermill", "execution"):
            cell.metadata.pop(timing, None)
        if "outputs" in cell:
            cell["outputs"] = joined(cell["outputs"])
    kept = plain(notebook, models)
    if models:  # in the order of their names: ids are drawn by lot
        told = (plain(model, models) for model in state.values())
        kept["metadata"]["widgets"] = sorted(told, key=json.dumps)
    return kept


def joined(outputs: list[Any]) -> list[Any]:
    """Return the outputs with the pieces of each stream joined: where it is cut is chance."""
    found: list[Any] = []
    for output in outputs:
        if found and output["output_type"] == "stream" and found[-1].get("name") == output["name"]:
            found[-1]["text"] += output["text"]
        else:
            found.append(output)
    return found


WIDGETS = "application/vnd.jupyter.widget-state+json"
# Process ids in the names of cells' files, the addresses of objects.
CHANGING = re.compile(r"ipykernel_\d+/\d+\.py|0x[0-9a-f]{6,}")


def plain(value: Any, models: dict[str, str]) -> Any:
    if isinstance(value, str):
        return CHANGING.sub("*", models.get(value.removeprefix("IPY_MODEL_"), value))
    if isinstance(value, list):
        return [plain(item, models) for item in value]
    if isinstance(value, dict):
        return {key: "*" if key == "msg_id" else plain(value[key], models) for key in value}
    return value
