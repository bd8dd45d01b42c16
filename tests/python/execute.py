"""Executes a notebook in real Jupyter, as nbclient does it for everybody, and writes it with its outputs.

    python execute.py [--go-on] IN.ipynb OUT.ipynb

A cell with the tag `raises-exception` may fail; any other failure ends the run with its report and exit code 1, unless it is to go on.
"""

import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELL_DEADLINE_S = 120
START_DEADLINE_S = 120

go_on = "--go-on" in sys.argv
source, target = [word for word in sys.argv[1:] if word != "--go-on"]
notebook = nbformat.read(source, as_version=4)
nbformat.validate(notebook)
client = NotebookClient(notebook, timeout=CELL_DEADLINE_S, startup_timeout=START_DEADLINE_S, allow_errors=go_on)
try:
    client.execute()
except CellExecutionError as error:
    sys.exit(str(error))
nbformat.validate(notebook)
nbformat.write(notebook, target)
