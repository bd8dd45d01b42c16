# What Ray pickles by value and sends to its workers: functions that make the module of `worker.py` from its text, once in each process.
# It is text and no byte code, so that it runs on every Python from 3.9. `source` and `version` are globals, set by whoever runs this.


def worker():
    import sys
    import types

    name = "_mobula_worker_" + version
    module = sys.modules.get(name)
    if module is None:
        module = types.ModuleType(name)
        module.FUNCTION, module.ACTOR_CLASS = function, actor_class
        exec(compile(source, "mobula/worker.py", "exec"), module.__dict__)
        # The first one counts, if two threads are here.
        module = sys.modules.setdefault(name, module)
    return module


def operate(request):
    return worker().operate(request)


def function(meta):
    def task(id, *values):
        return worker().run(meta, id, values)

    task.__name__ = task.__qualname__ = meta["name"]
    return task


def actor_class(type_name):
    import ray

    class Actor:
        def __init__(self, meta, id, *values):
            self.meta = meta
            self.failure, self.ran = worker().construct(meta, id, values)

        @ray.method(num_returns=2)
        def call(self, meta, id, *values):
            if self.failure is not None:
                raise self.failure
            return worker().run(meta, id, values)

        def type_of(self):
            if self.failure is not None:
                raise self.failure
            return self.meta["type_id"], self.meta["type_name"], self.ran

        def __repr__(self):
            return self.meta["shown"]

    Actor.__name__ = Actor.__qualname__ = type_name
    return Actor
