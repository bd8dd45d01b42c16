"""One session in real Jupyter, driven from standard input: a line of JSON for each cell, {"id": …, "code": …}, is answered by one,
{"text": what it showed, "error": the name of its error or null}.

    python session.py
"""

import json
import sys

from jupyter_client.manager import start_new_kernel

START_DEADLINE_S = 600
CELL_DEADLINE_S = 600

manager, client = start_new_kernel(startup_timeout=START_DEADLINE_S, kernel_name="mobula")
try:
    for line in sys.stdin:
        cell = json.loads(line)
        content = {
            "code": cell["code"], "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False,
            "stop_on_error": False,
        }
        metadata = {"cellId": cell["id"]} if cell.get("id") else {}
        request = client.session.msg("execute_request", content, metadata=metadata)
        client.shell_channel.send(request)
        text, error = [], None
        while True:
            message = client.get_iopub_msg(timeout=CELL_DEADLINE_S)
            if message["parent_header"].get("msg_id") != request["header"]["msg_id"]:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    text.append(content["text"])
                case "execute_result" | "display_data":
                    text.append(content["data"]["text/plain"])
                case "error":
                    error = content["ename"]
                    text.append("\n".join(content["traceback"]))
                case "status" if content["execution_state"] == "idle":
                    break
        print(json.dumps({"text": "".join(text), "error": error}), flush=True)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=False)
