"""Executes a notebook in real Jupyter, as nbclient does it for everybody, and writes it with its outputs.

    python execute.py [--go-on] IN.ipynb OUT.ipynb

A cell with the tag `raises-exception` may fail; any other failure ends the run with its report and exit code 1, unless it is to go on.
"""

import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

# They end a cell that hangs; a loaded machine does not reach them.
CELL_DEADLINE_S = 900
START_DEADLINE_S = 900

go_on = "--go-on" in sys.argv
source, target = [word for word in sys.argv[1:] if word != "--go-on"]
notebook = nbformat.read(source, as_version=4)
nbformat.validate(notebook)


def keep_pages(cell, cell_index, execute_reply):
    """What the kernel gives to read becomes an output, as JupyterLab has it."""
    for payload in execute_reply["content"].get("payload", []):
        if payload["source"] == "page":
            cell.outputs.append(nbformat.v4.new_output("display_data", data=payload["data"]))


client = NotebookClient(notebook, timeout=CELL_DEADLINE_S, startup_timeout=START_DEADLINE_S, allow_errors=go_on, on_cell_executed=keep_pages)
try:
    client.execute()
except CellExecutionError as error:
    sys.exit(str(error))
nbformat.validate(notebook)
nbformat.write(notebook, target)
