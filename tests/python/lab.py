"""JupyterLab's server, for tests of a person in front of it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import nbformat

# Ends a test that hangs; a loaded machine does not reach it.
DEADLINE_S = 600


class Lab:
    """JupyterLab's server below the path `base`, and a folder with the notebook `name`."""

    def __init__(self, name, cells, base="/"):
        self.folder, self.base = tempfile.mkdtemp(), base
        cells = [nbformat.v4.new_code_cell(code) for code in cells]
        metadata = {"kernelspec": {"name": "mobula", "display_name": "Mobula (Rust)", "language": "rust"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), os.path.join(self.folder, name))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # No question about news, which would stand in the pictures.
        self.set("apputils-extension", "notification", {"fetchNews": "false", "checkForUpdates": False})
        # Cells that are not in sight are drawn, too.
        self.set("notebook-extension", "tracker", {"windowingMode": "none"})
        environment = dict(os.environ, JUPYTER_CONFIG_DIR=os.path.join(self.folder, "config"), JUPYTERLAB_SETTINGS_DIR=os.path.join(self.folder, "settings"))
        environment["JUPYTERLAB_WORKSPACES_DIR"] = os.path.join(self.folder, "workspaces")
        options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"]
        options += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", "--ServerApp.disable_check_xsrf=True"]
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={self.folder}", f"--ServerApp.base_url={base}"]
        self.server = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=self.log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + DEADLINE_S
        while not self.answers():
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"JupyterLab does not start:\n{self.said()}")
            time.sleep(0.2)

    def set(self, extension, plugin, values):
        folder = os.path.join(self.folder, "settings", "@jupyterlab", extension)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{plugin}.jupyterlab-settings"), "w", encoding="utf-8") as settings:
            json.dump(values, settings)

    def address(self, path):
        return f"http://127.0.0.1:{self.port}{self.base}{path}"

    def answers(self):
        try:
            with urllib.request.urlopen(self.address("api"), timeout=10):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def said(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def close(self):
        with urllib.request.urlopen(self.address("api/kernels"), timeout=60) as answer:
            kernels = json.load(answer)
        for kernel in kernels:
            ending = urllib.request.Request(self.address(f"api/kernels/{kernel['id']}"), method="DELETE")
            urllib.request.urlopen(ending, timeout=60).close()
        self.server.terminate()
        self.server.wait(timeout=DEADLINE_S)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
