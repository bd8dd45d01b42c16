"""A terminal between two pipes: runs a program on a pseudo-terminal, keyboard from stdin, screen to stdout.

    python terminal.py PROGRAM [ARGUMENT…]

Exits as the program does; a signal's number is added to 128, as shells do.
"""

import os
import pty
import sys

SIZE = 'stty rows 50 cols 160; exec "$0" "$@"'

status = os.waitstatus_to_exitcode(pty.spawn(["/bin/sh", "-c", SIZE, *sys.argv[1:]]))
sys.exit(status if status >= 0 else 128 - status)
