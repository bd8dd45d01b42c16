"""The side of a Ray worker: runs functions of Mobula's libraries as Ray's tasks, and does for them what they ask of Ray.

    run(meta, id, values) ──ctypes──▶ mobula_ray_run, in a cell's library
                    OPERATIONS ◀──callback── .remote, get, put, wait in that function

What crosses Ray for an object is a pair, head and payload. The head is ("value", bytes or None, references), with the bytes of a small
value; if a task made it, its process, the number of the run, its nanoseconds and Ray's id of the task stand behind those. The bytes of a
large value are the payload, a buffer that Ray keeps out of band and maps in place. Or the head is ("actor", handle). A reference is (id, head, payload), of
which head and payload may be Ray's references to them. `boot.py` makes this module, and sets FUNCTION and ACTOR_CLASS.
"""

import base64
import ctypes
import hashlib
import json
import os
import pickle
import platform
import shutil
import signal
import tempfile
import threading
import time
import weakref

import ray
import ray.exceptions
from ray.experimental import internal_kv

try:
    import numpy
except ImportError:
    numpy = None

# Values of at most so many bytes travel with their heads. Ray keeps objects of up to 100 KiB in its messages, too.
INLINE_BYTES_MAX = 64 << 10

# What is wrong is said by the session, to which every failure comes.
os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")

# Where the cluster keeps the libraries of cells: in its table of keys, as it keeps the files of a `runtime_env`.
NAMESPACE = b"mobula"

NODE = ray.util.get_node_ip_address()

DONE, FAULT = 0, 1
TASK, SPAWN = 0, 1


class Part(ctypes.Structure):
    _fields_ = [("ptr", ctypes.c_void_p), ("len", ctypes.c_uint64), ("token", ctypes.c_uint64)]


class Reply(ctypes.Structure):
    _fields_ = [("json", Part), ("data", Part)]


class Buffer(ctypes.Structure):
    """CPython's Py_buffer."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("pointers", ctypes.c_void_p * 5),
    ]


class Missing(Exception):
    """No object of this id is known here."""

    def __init__(self, id):
        super().__init__(id)
        self.id = id


class Refused(Exception):
    """Ray, or this file, does not do it; the message says why."""


class Here(threading.local):
    """What this thread runs: the cell that started it, and whether Ray has cancelled it."""

    cell, is_cancelled, answer = 0, False, b""
    # Whether a function of the library runs, and whether it waits for Ray.
    is_native, blocks = False, False


lock = threading.RLock()
here = Here()
# Objects by id, and how often each was given to the library.
objects, given = {}, {}
# Buffers whose bytes the library reads, by token.
kept = {}
# Libraries by the description of their set, and files by path.
by_description, by_path = {}, {}
# Actors that live on without a handle, and placement groups by number.
lasting, groups = [], {}
# Ray's remote functions and classes of ours: by what they are made of, and by the type of an actor.
functions, classes = {}, {}
FUNCTIONS_MAX = 1000


class View:
    """The address of a buffer's bytes, which stay there while this lives."""

    def __init__(self, value):
        self.buffer = Buffer()
        get = ctypes.pythonapi.PyObject_GetBuffer
        get.argtypes, get.restype = [ctypes.py_object, ctypes.POINTER(Buffer), ctypes.c_int], ctypes.c_int
        get(value, ctypes.byref(self.buffer), 0)

    def __del__(self):
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(self.buffer))

    def part(self, token=0):
        # A null pointer would mean that there are no bytes at all.
        return Part(self.buffer.buf or 64, self.buffer.len, token)


def keep(value):
    """The bytes of a buffer, until the library closes them."""
    view = View(value)
    with lock:
        token = id(view)
        kept[token] = view
    return view.part(token)


def interrupted(number, frame):
    """Ray cancels a task by an interrupt of the main thread. Where no line of Python waits, it is only noted: a function looks at it."""
    here.is_cancelled = True
    if here.blocks or not here.is_native:
        raise KeyboardInterrupt


def heed_interrupts():
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not interrupted:
        signal.signal(signal.SIGINT, interrupted)


# Libraries.

process = ctypes.CDLL(None)

class File:
    """A file of a set of libraries, and its place there."""

    def __init__(self, path, libraries, place):
        self.c = ctypes.CDLL(path)
        self.libraries, self.place = libraries, place
        self.base = base_of(self.c._handle)
        by_path.setdefault(path, self)


class Library:
    """The last file of a set: a cell's library."""

    def __init__(self, paths, libraries):
        self.files = [File(path, libraries, place) for place, path in enumerate(paths)]
        self.c = self.files[-1].c
        self.c.mobula_ray_start.argtypes, self.c.mobula_ray_start.restype = [ctypes.c_void_p], ctypes.c_uint32
        self.c.mobula_ray_run.argtypes = [ctypes.POINTER(Part), ctypes.POINTER(Part), ctypes.c_uint64, ctypes.POINTER(Reply)]
        self.c.mobula_ray_run.restype = ctypes.c_uint32
        self.c.mobula_ray_free.argtypes = [ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64), ctypes.c_uint64]
        self.c.mobula_ray_free.restype = None
        self.c.mobula_ray_start(ctypes.cast(callback, ctypes.c_void_p))
        if not by_description and hasattr(process, "on_exit"):
            # A function of the library and not of Python, which may have ended by then.
            process.on_exit.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            process.on_exit(ctypes.cast(self.c.mobula_ray_exiting, ctypes.c_void_p), None)

    def free(self, token, refs=()):
        self.c.mobula_ray_free(token, (ctypes.c_uint64 * len(refs))(*refs), len(refs))


class LinkMap(ctypes.Structure):
    _fields_ = [("address", ctypes.c_size_t)]


class DlInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("base", ctypes.c_size_t), ("symbol", ctypes.c_char_p), ("address", ctypes.c_size_t)]


def base_of(handle):
    """The address at which a library is loaded."""
    found = ctypes.POINTER(LinkMap)()
    process.dlinfo.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    if process.dlinfo(handle, 2, ctypes.byref(found)) != 0:
        raise Refused("the load address of a library cannot be found")
    return found.contents.address


def file_at(address):
    """The file of a function, and the function's offset in it."""
    info = DlInfo()
    process.dladdr.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    if process.dladdr(address, ctypes.byref(info)) == 0:
        raise Refused("the function is in no library")
    file = by_path.get(os.fsdecode(info.name))
    if file is None:
        raise Refused("the function is in no library of a cell")
    return file, address - info.base


def folder():
    """Where libraries are kept on this node: in the folder of Ray's own session, which ends with that."""
    try:
        session = ray._private.worker.global_worker.node.get_session_dir_path()
    except AttributeError:
        session = tempfile.gettempdir()
    return os.path.join(session, "mobula-%d" % os.getuid())


def check_node(needs):
    machine = platform.machine()
    if machine != needs["machine"]:
        raise Refused("this node is a %s, and the cells are compiled for %s: run them on a node of that kind" % (machine, needs["machine"]))
    name, version = platform.libc_ver()
    numbers = lambda text: [int(part) for part in text.split(".") if part.isdigit()]
    if name == "glibc" and numbers(version) < numbers(needs["glibc"]):
        what = "this node has glibc %s, and the cells need %s: start the session on a system as old as the nodes"
        raise Refused(what % (version, needs["glibc"]))


def stored(digest):
    content = internal_kv._internal_kv_get(digest, namespace=NAMESPACE)
    if content is None:
        raise Refused("the cluster has lost a library of the cells: run the cell again that defines the function")
    return content


def place(name, digest):
    """The path of a library's file on this node, which is written unless it is there."""
    path = os.path.join(folder(), digest, name)
    if os.path.exists(path):
        with open(path, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() == digest:
                return path
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        file.write(stored(digest))
    # Under its name it is whole, whoever reads it.
    os.rename(file.name, path)
    return path


def load(text):
    """The library of a set's last file, with the others opened before it. The text describes the set."""
    found = by_description.get(text)
    if found is not None:
        return found
    with lock:
        if text in by_description:
            return by_description[text]
        set_of = json.loads(text)
        check_node(set_of)
        by_description[text] = library = Library([place(*file) for file in set_of["files"]], text)
        return library


# Objects.


def know(references):
    """Takes over what a value refers to."""
    with lock:
        for id, head, payload in references:
            objects.setdefault(id, (head, payload))
            given[id] = given.get(id, 0) + 1


def object_of(id):
    found = objects.get(id)
    if found is None:
        raise Missing(id)
    return found


def references(ids):
    return [(id,) + object_of(id) for id in ids]


def payload_of(bytes_there):
    """These bytes, as Ray keeps them out of band. As an array of numpy, if there is one, because that can be read through Ray Client, too."""
    if numpy is not None:
        return numpy.frombuffer(bytes_there, numpy.uint8)
    return pickle.PickleBuffer(memoryview(bytes_there).cast("B"))


def value_of(part, ids):
    """Head and payload of bytes that the library gives."""
    refs = references(ids)
    if part.len <= INLINE_BYTES_MAX:
        return ("value", ctypes.string_at(part.ptr, part.len), refs), None
    return ("value", None, refs), ray.put(payload_of((ctypes.c_ubyte * part.len).from_address(part.ptr)))


def head_of(id):
    """The head of an object that is ready; None of another one. Raises what its task failed with."""
    head, payload = object_of(id)
    if isinstance(head, ray.ObjectRef):
        if not ray.wait([head], timeout=0)[0]:
            return None, payload
        head = ray.get(head)
        with lock:
            if id in objects:
                objects[id] = (head, payload)
    return head, payload


# Running tasks.


def run(meta, id, values):
    """Runs a function. Returns the head and the payload of its result."""
    library = load(meta["libraries"])
    heads = values[0::2]
    parts = (Part * len(heads))()
    for at, (head, payload) in enumerate(zip(heads, values[1::2])):
        know(head[2])
        if head[1] is None:
            parts[at] = keep(payload)
        else:
            # The library copies it, and it lives as long as this call.
            parts[at] = View(head[1]).part()
    request = {
        "trampoline": library.files[meta["file"]].base + meta["offset"],
        "kind": meta["kind"],
        "name": meta["name"],
        "cell": meta["cell"],
        "refs": [[reference[0] for reference in head[2]] for head in heads],
        "attempt": attempt(),
        "attempts": meta.get("attempts"),
        "node": NODE,
    }
    heed_interrupts()
    here.cell, here.is_cancelled = meta["cell"], False
    text = json.dumps(request).encode()
    part, reply = View(text).part(), Reply()
    here.is_native, began = True, time.monotonic_ns()
    status = library.c.mobula_ray_run(ctypes.byref(part), parts, len(heads), ctypes.byref(reply))
    here.is_native = False
    ran = (os.getpid(), request["attempt"], time.monotonic_ns() - began, this_task())
    answer = json.loads(ctypes.string_at(reply.json.ptr, reply.json.len))
    library.free(reply.json.token)
    data = reply.data
    if here.is_cancelled or answer.get("is_cancelled"):
        library.free(data.token, answer.get("refs", ()))
        # Of this Ray makes the error of a task that was cancelled.
        raise KeyboardInterrupt
    if status != DONE:
        failure = ctypes.string_at(data.ptr, data.len)
        library.free(data.token)
        error = RuntimeError(answer["text"])
        # A field of a known class, so that who reads it needs no class of ours.
        error.mobula, error.mobula_task, error.mobula_ran = failure, id, ran
        raise error
    refs = references(answer["refs"])
    if data.len <= INLINE_BYTES_MAX:
        inline = ctypes.string_at(data.ptr, data.len)
        library.free(data.token, answer["refs"])
        return ("value", inline, refs, ran), None
    bytes_there = (ctypes.c_ubyte * data.len).from_address(data.ptr)
    weakref.finalize(bytes_there, library.free, data.token, answer["refs"])
    return ("value", None, refs, ran), payload_of(bytes_there)


def construct(meta, id, values):
    """Runs the constructor of an actor. Returns the error that it fails with, which every call of the actor raises: an actor of Ray whose
    constructor raises tells its callers of it in a text alone. Returns what is said of the run of one that does not fail, too."""
    try:
        head, _ = run(meta, id, values)
    except RuntimeError as error:
        error.mobula_actor = meta["type_name"]
        return error, None
    return None, head[3]


def attempt():
    """Which run of the task this is, from 1."""
    try:
        return ray._private.worker.global_worker.core_worker.get_current_task_attempt_number() + 1
    except AttributeError:
        return 1


def this_task():
    """Ray's id of the task that runs."""
    return ray.get_runtime_context().get_task_id() or ""


# What a function asks of Ray. Each operation returns its answer, and bytes beside it or None.


def put(request, parts):
    id = request["id"]
    know([(id,) + value_of(parts[0], request["refs"])])
    return {}, None


def forget(request, parts):
    with lock:
        for id, times in zip(request["ids"], request["times"]):
            given[id] = given.get(id, 0) - times
            if given[id] <= 0:
                given.pop(id, None)
                objects.pop(id, None)
    return {}, None


def close(request, parts):
    with lock:
        kept.pop(request["buffer"], None)
    return {}, None


def strategy(place):
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

    if isinstance(place, str):
        return place
    first, second = place
    if isinstance(first, str):
        return NodeAffinitySchedulingStrategy(first, soft=second)
    return PlacementGroupSchedulingStrategy(group_of(first), placement_group_bundle_index=second)


def options_of(options):
    if "scheduling_strategy" in options:
        options["scheduling_strategy"] = strategy(options["scheduling_strategy"])
    return options


def submit(request, parts):
    arguments, parts = [], list(parts)
    for argument in request["arguments"]:
        if "object" in argument:
            arguments.append(object_of(argument["object"]))
        else:
            arguments.append(value_of(parts.pop(0), argument["refs"]))
    file, offset = file_at(request["trampoline"])
    id, kind, options = request["id"], request["kind"], request["options"]
    shown = "%s [%d]" % (request["name"], here.cell) if here.cell else request["name"]
    meta = {"kind": kind, "libraries": file.libraries, "file": file.place, "offset": offset, "name": request["name"], "cell": here.cell}
    if kind == TASK:
        values = [part for argument in arguments for part in argument]
        pair = task_function(meta, shown, options, request["max_calls"]).remote(id, *values)
        know([(id,) + tuple(pair)])
        return {}, None
    if kind == SPAWN:
        type_name = request["type_name"]
        meta.update(type_id=str(request["type_id"]), type_name=type_name, shown=shown)
        values = [part for argument in arguments for part in argument]
        if type_name not in classes:
            classes[type_name] = ray.remote(ACTOR_CLASS(type_name))
        if options.get("lifetime") == "detached":
            unmark(this_job(), [digest for _, digest in json.loads(file.libraries)["files"]])
        handle = classes[type_name].options(**options_of(options)).remote(meta, id, *values)
        if request["is_kept"]:
            lasting.append(handle)
        know([(id, ("actor", handle), None)])
        return {}, None
    (head, _), arguments = arguments[0], arguments[1:]
    values = [part for argument in arguments for part in argument]
    know([(id,) + tuple(head[1].call.remote(meta, id, *values))])
    return {}, None


def task_function(meta, shown, options, max_calls):
    """Ray's remote function for a function of ours with these options, which is made once."""
    key = json.dumps([meta, options, max_calls], sort_keys=True)
    if key not in functions:
        if len(functions) >= FUNCTIONS_MAX:
            functions.clear()
        retries = options.get("max_retries", 3)
        meta["attempts"] = None if retries < 0 else retries + 1
        fixed = dict(options_of(options), name=shown, num_returns=2)
        if max_calls is not None:
            fixed["max_calls"] = max_calls
        functions[key] = ray.remote(**fixed)(FUNCTION(meta))
    return functions[key]


def wait(request, parts):
    ready, pending = [], {}
    for id in request["ids"]:
        head, _ = object_of(id)
        if isinstance(head, ray.ObjectRef):
            pending[head] = id
        else:
            ready.append(id)
    missing = request["num_returns"] - len(ready)
    if pending:
        wanted, timeout = (min(missing, len(pending)), request["timeout"]) if missing > 0 else (len(pending), 0)
        done, _ = ray.wait(list(pending), num_returns=wanted, timeout=timeout, fetch_local=False)
        ready.extend(pending[head] for head in done)
    return {"ready": ready}, None


def open_object(request, parts):
    head, payload = head_of(request["id"])
    if head is None:
        return {}, None
    if head[0] == "actor":
        raise Refused("this object stands for an actor and has no value")
    know(head[2])
    content = head[1] if head[1] is not None else ray.get(payload)
    return {"refs": [reference[0] for reference in head[2]]}, content


def state(request, parts):
    try:
        head, _ = head_of(request["id"])
    except ray.exceptions.RayError:
        return {"state": "failed"}, None
    return {"state": "pending" if head is None else "ready"}, None


def is_cancelled(request, parts):
    try:
        here.is_cancelled = here.is_cancelled or ray.get_runtime_context().is_canceled()
    except Exception:
        # An older Ray does not tell.
        pass
    return {"is": here.is_cancelled}, None


def cancel(request, parts):
    head, _ = object_of(request["id"])
    if not isinstance(head, ray.ObjectRef) or ray.wait([head], timeout=0)[0]:
        return {"is": False}, None
    ray.cancel(head)
    return {"is": True}, None


def kill(request, parts):
    head, _ = object_of(request["id"])
    ray.kill(head[1])
    await_death(head[1])
    return {"is": True}, None


# How long Ray may take to end an actor.
DEATH_SECONDS_MAX = 10


def await_death(actor):
    """Waits until Ray takes an actor for dead: after `ray.kill` has returned, it still answers calls for a moment."""
    until = time.monotonic() + DEATH_SECONDS_MAX
    while (left := until - time.monotonic()) > 0:
        try:
            ray.get(actor.type_of.remote(), timeout=left)
        except ray.exceptions.RayActorError:
            return
        except Exception:
            # It has answered with the failure of its constructor, or not at all.
            pass


def actor_state(request, parts):
    head, _ = object_of(request["id"])
    if head[0] != "actor":
        return {}, None
    try:
        is_ready = ray.wait([head[1].__ray_ready__.remote()], timeout=0.1)[0]
        return {"state": "alive" if is_ready else "starting"}, None
    except ray.exceptions.RayActorError:
        return {"state": "dead"}, None


def actor(request, parts):
    try:
        handle = ray.get_actor(request["name"])
    except ValueError:
        return {}, None
    type_id, type_name, _ = ray.get(handle.type_of.remote())
    id = int.from_bytes(os.urandom(8), "little") >> 2 | 1 << 62
    know([(id, ("actor", handle), None)])
    return {"id": id, "type_id": int(type_id), "type_name": type_name}, None


def group_of(number):
    if number not in groups:
        from ray.util.placement_group import get_placement_group

        groups[number] = get_placement_group("mobula-%d" % number)
    return groups[number]


def placement_group(request, parts):
    from ray.util.placement_group import placement_group as make

    bundles = []
    for options in request["bundles"]:
        bundle = dict(options.get("resources", {}))
        names = [("num_cpus", "CPU"), ("num_gpus", "GPU"), ("memory", "memory")]
        bundle.update((name, options[option]) for option, name in names if option in options)
        bundles.append(bundle)
    groups[request["group"]] = make(bundles, strategy=request["strategy"], name="mobula-%d" % request["group"])
    return {}, None


def remove_placement_group(request, parts):
    from ray.util.placement_group import remove_placement_group as remove

    remove(group_of(request["id"]))
    return {"is": True}, None


def resources(request, parts):
    return {"resources": ray.cluster_resources() if request["which"] == "total" else ray.available_resources()}, None


OPERATIONS = {
    "actor": actor,
    "actor_state": actor_state,
    "cancel": cancel,
    "close": close,
    "forget": forget,
    "is_cancelled": is_cancelled,
    "kill": kill,
    "open": open_object,
    "placement_group": placement_group,
    "put": put,
    "remove_placement_group": remove_placement_group,
    "resources": resources,
    "state": state,
    "submit": submit,
    "wait": wait,
}


# Those that wait for Ray, which an interrupt ends.
BLOCKING = {"open", "wait"}


def describe(request, parts):
    described = {"machine": platform.machine(), "python": platform.python_version(), "has_numpy": numpy is not None}
    described["glibc"] = platform.libc_ver()[1]
    place = folder()
    os.makedirs(place, mode=0o700, exist_ok=True)
    described["folder"], described["free"] = place, shutil.disk_usage(place).free
    described["has_strays"] = any(job != this_job() for job, _ in marked())
    return described, None


def missing(request, parts):
    """Which of these libraries the cluster does not have."""
    there = lambda digest: internal_kv._internal_kv_exists(digest, namespace=NAMESPACE)
    return [digest for digest in request["digests"] if not there(digest)], None


def store(request, parts):
    digest = request["digest"]
    if request["is_own"]:
        # Before it is there, so that it never lies there without.
        internal_kv._internal_kv_put(mark(this_job(), digest), b"", namespace=NAMESPACE)
    internal_kv._internal_kv_put(digest, bytes(request["content"]), namespace=NAMESPACE)
    return None, None


def remove(request, parts):
    """Removes this session's libraries, but for those that lost their marks: a task has made an actor of them that lives on."""
    job = this_job()
    own = {digest for of, digest in marked() if of == job}
    for digest in own.intersection(request["digests"]):
        discard(job, digest)
    return None, None


def keep_libraries(request, parts):
    """Has these libraries stay when the session has ended: an actor that lives on is made of them."""
    unmark(this_job(), request["digests"])
    return None, None


# A library that only one session can have stands in the table with a mark of that session's job, so that others find it if the session was killed.
# Without its mark, it stays.
MARK = "of"


def mark(job, digest):
    return ":".join([MARK, job, digest])


def marked():
    """The jobs of all marks, and their libraries."""
    keys = internal_kv._internal_kv_list(MARK + ":", namespace=NAMESPACE)
    return [tuple(os.fsdecode(key).split(":")[1:]) for key in keys]


def unmark(job, digests):
    for digest in digests:
        internal_kv._internal_kv_del(mark(job, digest), namespace=NAMESPACE)


def this_job():
    return ray.get_runtime_context().get_job_id()


def discard(job, digest):
    internal_kv._internal_kv_del(digest, namespace=NAMESPACE)
    unmark(job, [digest])


def sweep(request, parts):
    """Removes the libraries of sessions that were killed."""
    ended = {job["JobID"] for job in ray._private.state.jobs() if job["IsDead"]}
    for job, digest in marked():
        if job in ended:
            discard(job, digest)
    return None, None


# Tasks that are told, at most; Ray's own bound.
TASKS_MAX = 10_000
# What the id of a program's own task, which is no one's child, begins with.
PROGRAM = "f" * 40


def tasks(request, parts):
    """The tasks of this session, as Ray's state API knows them: those that the session asks about, with its numbers, and those that tasks made."""
    from ray.util.state import list_tasks

    numbers = {head.task_id().hex(): id for id, head in request["tasks"]}
    own = [("job_id", "=", ray.get_runtime_context().get_job_id())]
    rows = []
    # By its address: there may be another cluster on this machine.
    address = ray.get_runtime_context().gcs_address
    for row in list_tasks(address, own, limit=TASKS_MAX, detail=True, timeout=10, raise_on_missing_output=False):
        parent = row.parent_task_id or PROGRAM
        if row.task_id in numbers or not parent.startswith(PROGRAM):
            told = {"id": numbers.get(row.task_id, 0), "task": row.task_id, "parent": parent, "name": row.name}
            told.update(state=row.state, type=row.type, attempt=row.attempt_number or 0, pid=row.worker_pid or 0)
            told.update(error=row.error_type or "", submitted=row.creation_time_ms, began=row.start_time_ms, ended=row.end_time_ms)
            rows.append(told)
    return json.dumps(rows), None


def read_payload(request, parts):
    return bytes(request["payload"]), None


OPERATIONS.update(
    describe=describe,
    keep_libraries=keep_libraries,
    missing=missing,
    read_payload=read_payload,
    remove=remove,
    store=store,
    sweep=sweep,
    tasks=tasks,
)


def operate(request):
    """One of the operations, for a session: it is run by a worker as a task."""
    return OPERATIONS[request["op"]](request, [])[0]


def described(error):
    """An error as the library reads it."""
    cause = error
    for _ in range(16):
        failure = getattr(cause, "mobula", None)
        if isinstance(failure, bytes):
            return {"failure": base64.b64encode(failure).decode()}
        cause = getattr(cause, "cause", None)
        if cause is None:
            break
    if isinstance(error, Missing):
        return {"kind": "unknown", "id": error.id}
    if isinstance(error, ray.exceptions.RayError):
        return {"kind": "task", "class": type(error).__name__, "message": str(error)}
    if isinstance(error, Refused):
        return {"kind": "refused", "message": str(error)}
    return {"kind": "refused", "message": "Ray refuses it: %s: %s" % (type(error).__name__, error)}


@ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.POINTER(Part), ctypes.POINTER(Part), ctypes.c_uint64, ctypes.POINTER(Reply))
def callback(request, parts, count, reply):
    status, content = DONE, None
    try:
        what = json.loads(ctypes.string_at(request.contents.ptr, request.contents.len))
        if here.is_cancelled and what["op"] in BLOCKING:
            raise KeyboardInterrupt
        here.blocks = what["op"] in BLOCKING
        answer, content = OPERATIONS[what["op"]](what, [parts[at] for at in range(count)])
    except KeyboardInterrupt:
        # Ray cancels the task by that. The library unwinds it.
        here.is_cancelled = True
        status, answer = FAULT, {"kind": "cancelled"}
    except BaseException as error:
        status, answer = FAULT, described(error)
    here.blocks = False
    here.answer = json.dumps(answer).encode()
    reply.contents.json = View(here.answer).part()
    if content is not None:
        reply.contents.data = keep(content)
    return status

