"""Small notebooks for tests of what runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def write(path: Path, *sources: str, **metadata: Any) -> Path:
    """Write a notebook of code cells at `path`; the first has the parameters."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}, **metadata},
    )
    nbformat.write(notebook, path)
    return path


def texts(notebook: Any) -> list[str]:
    """Return what each code cell of an executed notebook has printed."""
    return [
        "".join(output["text"] for output in cell["outputs"] if output["output_type"] == "stream")
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]
