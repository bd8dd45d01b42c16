"""A driver of Ray that does what comes on standard input, and answers on standard output.

    mobula ──frames──▶ main thread ──▶ ray           frame: length of its head, length of its body, head, body
           ◀─frames─── Frames ◀── callbacks of Ray   head: a pickled tuple of its kind, its number and more

Requests are done in the order in which they come. A large answer goes out in parts, between which others pass, and only so much of it as the other
side has allowed. What Python or Ray print goes out in frames, too. Nothing but Python 3.9, its library and Ray is needed.
"""

import collections
import importlib
import io
import json
import os
import pickle
import struct
import sys
import threading
import traceback

LENGTHS = struct.Struct("<IQ")

# Bodies of at most so many bytes go out with their heads, and larger ones in parts.
WHOLE_BYTES_MAX = 64 << 10
PART_BYTES = 1 << 20

# So many bytes of parts may be under way; the other side allows as many again as it has taken.
CREDIT_BYTES = 32 << 20

# What a pipe holds, if the system allows it: F_SETPIPE_SZ of Linux.
SET_PIPE_BYTES, PIPE_BYTES = 1031, 1 << 20

# What a reference is in a pickle, which nothing here imports.
STUB = ("ray.util.client.client_pickler", "PickleStub")

FUNCTION, ACTOR, METHOD, NAMED_ACTOR = 0, 1, 2, 4


class Frames:
    """Frames on their way out, from any thread."""

    def __init__(self, file):
        self.file = file
        self.small, self.large = collections.deque(), collections.deque()
        self.credit = CREDIT_BYTES
        self.writes = threading.Lock()
        self.changed = threading.Condition()
        threading.Thread(target=self.write_large, daemon=True).start()

    def put(self, head, *body):
        """Sends a frame, with a body of some buffers. The thread that finds nobody writing does it."""
        length = sum(len(part) for part in body)
        if length > WHOLE_BYTES_MAX:
            # The head, and as many parts as there are; they are read only when it is their turn.
            views = [memoryview(part).cast("B") for part in body if len(part)]
            with self.changed:
                self.large.append((head, views))
                self.changed.notify()
            return
        self.small.append(b"".join([framed(head, length), *body]))
        self.flush()

    def flush(self):
        # Whoever adds one while another thread is about to leave takes its place.
        while self.small and self.writes.acquire(blocking=False):
            try:
                self.write_small()
            finally:
                self.writes.release()

    def write_small(self):
        while self.small:
            count = min(len(self.small), 64)
            write(self.file, [b"".join(self.small.popleft() for _ in range(count))])

    def grant(self, length):
        """The other side has taken so much."""
        with self.changed:
            self.credit += length
            self.changed.notify()

    def write_large(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.large and self.credit > 0)
                head, views = self.large.popleft()
                part = take(views, PART_BYTES) if head[0] == "part" else []
                length = sum(len(view) for view in part)
                self.credit -= length
            with self.writes:
                self.write_small()
                write(self.file, [framed(head, length), *part])
            if views:
                # Behind the others, so that each gets on.
                with self.changed:
                    self.large.append((("part", head[1]), views))
            self.flush()


def framed(head, length):
    head = pickle.dumps(head, 4)
    return LENGTHS.pack(len(head), length) + head


def take(views, length):
    """The first bytes of some buffers, which they lose."""
    taken = []
    while views and length:
        taken.append(views[0][:length])
        length -= len(taken[-1])
        views[0] = views[0][len(taken[-1]) :]
        if not views[0]:
            del views[0]
    return taken


def write(file, views):
    views = [memoryview(view) for view in views]
    while views:
        take(views, os.writev(file, views[:64]))


class Pieces:
    """A file that keeps what is written to it, without a copy."""

    def __init__(self):
        self.all = []

    def write(self, data):
        self.all.append(data)


class Bridge:
    def __init__(self, file, frames):
        self.file, self.frames = file, frames
        # What the session keeps, by id.
        self.objects, self.actors = {}, {}
        self.functions, self.classes = {}, {}

    def run(self):
        while True:
            lengths = self.file.read(LENGTHS.size)
            if len(lengths) < LENGTHS.size:
                return
            head, body = LENGTHS.unpack(lengths)
            kind, *rest = pickle.loads(self.file.read(head))
            body = self.file.read(body)
            if kind == "close":
                return
            getattr(self, kind)(body, *rest)

    def init(self, body, number, options):
        # Each under its name: what is missing here is told apart from what Ray cannot find.
        try:
            self.ray = ray = importlib.import_module("ray")
        except ImportError as error:
            what = "%s has no Ray (%s)" % (sys.executable, error)
            return self.frames.put(("init", number, what, "", "", ""))
        self.cloudpickle = importlib.import_module("ray.cloudpickle")
        self.Out = pickler(self)
        try:
            known = {"log_to_driver": True, "logging_level": "ERROR", "job_config": pickle.loads(body)}
            ray.init(**{**known, **options})
        except BaseException as error:
            what = "%s: %s" % (type(error).__name__, error)
            return self.frames.put(("init", number, what, ray.__version__, "", ""))
        version = ".".join(str(part) for part in sys.version_info[:3])
        self.frames.put(("init", number, None, ray.__version__, version, ray.__commit__))

    # On the stream.

    def put(self, body, number):
        try:
            ref = self.ray.put(In(self, body).load())
        except Exception as error:
            return self.frames.put(("put", number, None, self.cloudpickle.dumps(error)))
        self.objects[ref.binary()] = ref
        self.frames.put(("put", number, ref.binary(), b""))

    def task(self, body, number, kind, name, target, namespace, options, baseline):
        try:
            args, kwargs = In(self, body).load()
            if kind == FUNCTION:
                function = self.function(target, pickle.loads(baseline) if baseline else {})
                made = with_options(function, options).remote(*args, **kwargs)
            elif kind == ACTOR:
                made = with_options(self.actor_class(target, baseline), options).remote(*args, **kwargs)
            elif kind == METHOD:
                made = with_options(getattr(self.actors[target], name), options).remote(*args, **kwargs)
            elif kind == NAMED_ACTOR:
                made = self.ray.get_actor(name, namespace or None)
        except Exception as error:
            return self.frames.put(("task", number, None, self.cloudpickle.dumps(error)))
        if kind in (ACTOR, NAMED_ACTOR):
            ids = [self.keep_actor(made)]
        else:
            made = made if isinstance(made, list) else [] if made is None else [made]
            ids = [self.keep(ref) for ref in made]
        self.frames.put(("task", number, ids, b""))

    def function(self, id, options):
        function = self.functions.get(id)
        if function is None:
            function = self.ray.get(self.objects[id])
            function = self.ray.remote(**options)(function) if options else self.ray.remote(function)
            self.functions[id] = function
        return function

    def actor_class(self, id, baseline):
        found = self.classes.get(id)
        if found is None:
            found = self.ray.get(self.objects[id])
            found = self.ray.remote(**pickle.loads(baseline))(found) if baseline else self.ray.remote(found)
            self.classes[id] = found
        return found

    def get(self, body, number, id):
        # A thread of Ray's calls it. A failure of the task comes as a value that is an exception.
        try:
            self.objects[id]._on_completed(lambda value: self.got(number, value))
        except Exception as error:
            self.failed(number, error)

    def got(self, number, value):
        try:
            pieces, buffers = Pieces(), []
            self.Out(pieces, protocol=5, buffer_callback=buffers.append).dump(value)
            raw = [buffer.raw() for buffer in buffers]
            lengths = [sum(len(piece) for piece in pieces.all), *(len(view) for view in raw)]
            self.frames.put(("value", number, True, lengths), *pieces.all, *raw)
        except BaseException as error:
            self.failed(number, error)

    def failed(self, number, error):
        error = self.cloudpickle.dumps(error)
        self.frames.put(("value", number, False, [len(error)]), error)

    def release(self, body, number, ids):
        for id in ids:
            if self.objects.pop(id, None) is None:
                self.actors.pop(id, None)
            self.functions.pop(id, None)
            self.classes.pop(id, None)
        self.frames.put(("done", number))

    def cancel(self, body, number, id, force, recursive):
        try:
            self.ray.cancel(self.objects[id], force=force, recursive=recursive)
        except Exception:
            # As with Ray Client: a call of an actor, or what was put.
            traceback.print_exc()
        self.frames.put(("done", number))

    def kill(self, body, number, id, no_restart):
        try:
            self.ray.kill(self.actors[id], no_restart=no_restart)
        except Exception:
            traceback.print_exc()
        self.frames.put(("done", number))

    def named(self, body, number, everywhere):
        # By a task: here, an older Ray would wait for a thread that waits for this one.
        def names():
            import json
            import ray

            return json.dumps(ray.util.list_named_actors(all_namespaces=everywhere))

        def listed():
            try:
                return self.ray.get(self.ray.remote(num_cpus=0)(names).remote())
            except Exception:
                traceback.print_exc()
                return "[]"

        self.aside("named", number, listed)

    def keep(self, ref):
        self.objects[ref.binary()] = ref
        return ref.binary()

    def keep_actor(self, actor):
        id = actor._actor_id.binary()
        # The first one stays: a handle that was found by its name does not keep the actor alive.
        self.actors.setdefault(id, actor)
        return id

    # Beside it.

    def grant(self, body, length):
        self.frames.grant(length)

    def wait(self, body, number, ids, returns, time):
        def wait():
            ready, _ = self.ray.wait(refs, num_returns=returns, timeout=time)
            return [ref.binary() for ref in ready]

        refs = [self.objects[id] for id in ids]
        self.aside("wait", number, wait)

    def info(self, body, number, name):
        self.aside("info", number, lambda: json.dumps(getattr(self, "tell_" + name)()))

    def aside(self, kind, number, question):
        def answer():
            try:
                self.frames.put((kind, number, question()))
            except Exception as error:
                self.frames.put(("error", number, "%s: %s" % (type(error).__name__, error)))

        threading.Thread(target=answer, daemon=True).start()

    def tell_nodes(self):
        return self.ray.nodes()

    def tell_cluster_resources(self):
        return self.ray.cluster_resources()

    def tell_available_resources(self):
        return self.ray.available_resources()

    def tell_timeline(self):
        return self.ray.timeline()

    def tell_dashboard_url(self):
        return {"dashboard_url": self.ray._private.worker.get_dashboard_url()}

    def tell_runtime_context(self):
        context = self.ray.get_runtime_context()
        return {
            "job_id": context.get_job_id(),
            "node_id": context.get_node_id(),
            "worker_id": context.get_worker_id(),
            "namespace": context.namespace,
            "gcs_address": context.gcs_address,
        }


def with_options(target, options):
    return target.options(**pickle.loads(options)) if options else target


class In(pickle.Unpickler):
    """Reads what the session sends. A reference stands for what the session keeps under its id."""

    def __init__(self, bridge, data):
        super().__init__(io.BytesIO(data))
        self.bridge = bridge

    def find_class(self, module, name):
        return stub if (module, name) == STUB else super().find_class(module, name)

    def persistent_load(self, fields):
        kind, _, id, *_ = fields
        if kind == "Object":
            return self.bridge.objects[id]
        if kind == "Actor":
            return self.bridge.actors[id]
        return self.bridge.function(id, {})


def stub(*fields):
    return fields


def pickler(bridge):
    ray = bridge.ray

    class Out(bridge.cloudpickle.CloudPickler):
        """Writes what the session gets, and keeps the references in it."""

        def persistent_id(self, value):
            if isinstance(value, ray.ObjectRef):
                return ("Object", None, bridge.keep(value))
            if isinstance(value, ray.actor.ActorHandle):
                return ("Actor", None, bridge.keep_actor(value))
            return None

        def reducer_override(self, value):
            if isinstance(value, memoryview):
                # What was put as a `PickleBuffer`.
                return bytes, (pickle.PickleBuffer(value),)
            return super().reducer_override(value)

    return Out


def take_output(frames, number):
    """Has what is written to one of the standard streams go out in frames."""
    source, sink = os.pipe()
    os.dup2(sink, number)
    os.close(sink)

    def pump():
        # In whole lines, so that no character is cut.
        with open(source, "rb") as lines:
            for line in iter(lambda: lines.readline(WHOLE_BYTES_MAX), b""):
                frames.put(("log", number == 2), line)

    threading.Thread(target=pump, daemon=True).start()


def main():
    file, errors = os.dup(1), os.dup(2)
    for pipe in (0, file):
        try:
            importlib.import_module("fcntl").fcntl(pipe, SET_PIPE_BYTES, PIPE_BYTES)
        except OSError:
            # It is no pipe, or this user has as many as are allowed.
            pass
    frames = Frames(file)
    for number in (1, 2):
        take_output(frames, number)
    sys.stdout.reconfigure(line_buffering=True)
    bridge = Bridge(io.BufferedReader(io.FileIO(0, closefd=False), WHOLE_BYTES_MAX), frames)
    try:
        bridge.run()
    except BaseException:
        os.write(errors, traceback.format_exc().encode())
        os._exit(1)
    try:
        bridge.ray.shutdown()
    finally:
        os._exit(0)


main()
