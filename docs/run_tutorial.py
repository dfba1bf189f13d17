"""Run docs/tutorial.ipynb again and keep its pictures: `make tutorial`.

The notebook is kept in git with what it shows: its training takes minutes, which a build of the
site should not, and GitHub shows the pictures too. `tests/test_tutorial.py` runs the same cells on
a tiny stack.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIAL = Path(__file__).with_name("tutorial.ipynb")


def execute(folder: Path, parameters: str = "") -> nbformat.NotebookNode:
    """Run all cells.

    Parameters
    ----------
    folder : Path
        Where the notebook finds itself; it writes into work/tutorial there.
    parameters : str
        Lines to run right after the cell of parameters.

    Returns
    -------
    NotebookNode
        With what the cells have shown.
    """
    notebook = nbformat.read(TUTORIAL, as_version=4)
    cells = notebook.cells
    position = next(i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", ()))
    source = cells[position].source
    cells[position].source = f"{source}\n{parameters}"
    client = NotebookClient(
        notebook,
        timeout=1200,
        record_timing=False,  # the minutes of a day are no result
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    cells[position].source = source
    # The version of Python that happened to run it is left out.
    lexer = {"name": "python", "pygments_lexer": "ipython3"}
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": lexer}
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        done = execute(Path(folder))
    for cell in done.cells:
        if cell.cell_type == "code":  # how far it has come, where that takes long, is no result
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    nbformat.write(done, TUTORIAL)
