// Workers and actors: what each process does.

class Workers extends Polled {
  constructor(model) {
    super("actors", 1000);
    this.model = model;
    this.actors = [];
    this.stack = new StackView();
    this.workers = new Table([
      { title: "Process", value: (row) => row.pid, text: (row) => row.title },
      { title: "Runs", value: (row) => row.task, text: (row) => row.shown, kind: "wide" },
      { title: "For", value: (row) => row.since, text: (row) => duration(row.since), kind: "number" },
      { title: "CPU", value: (row) => row.cpu, text: (row) => (row.cpu === null ? "" : `${Math.round(row.cpu)} %`), kind: "number" },
      { title: "Memory", value: (row) => row.memory, text: (row) => bytes(row.memory), kind: "number" },
      { title: "Runs ended", value: (row) => row.ended, text: (row) => count(row.ended), kind: "number" },
      // A report has no process to ask.
      ...(isFrozen ? [] : [{ title: "", value: (row) => row.pid, text: (row) => this.stackButton(row) }]),
    ], { empty: "No worker was started yet." });
    this.table = new Table([
      { title: "Actor", value: (row) => row.type, text: (row) => (row.name ? `${row.type} “${row.name}”` : row.type) },
      { title: "State", value: (row) => row.state, text: (row) => (row.death ? `dead: ${row.death}` : row.state) },
      { title: "Process", value: (row) => row.pid, text: (row) => row.pid ?? "", kind: "number" },
      { title: "Cell", value: (row) => row.cell, text: (row) => row.cell || "", kind: "number" },
      { title: "Calls waiting", value: (row) => row.calls, text: (row) => count(row.calls), kind: "number" },
      { title: "Restarts", value: (row) => row.restarts, kind: "number" },
    ], { empty: "No actor was made." });
    this.element = el("div", {},
      el("section", { class: "card" }, el("h2", {}, "Workers and actors' processes"), this.workers.element),
      this.stack.element,
      el("section", { class: "card" }, el("h2", {}, "Actors"), this.trouble, this.table.element));
  }

  take({ actors }) {
    this.actors = actors;
    for (const { pid, type } of actors) if (pid) Stream.actors.set(pid, type);
    this.draw();
  }

  stackButton({ pid, title }) {
    return el("button", { "data-pid": pid, "aria-label": `Stack of ${title}`, onclick: () => this.stack.read(pid, title) }, "Stack");
  }

  draw() {
    // A button that is being pressed is not taken from under the hand, and the one with the focus has it again.
    if (this.workers.element.querySelector("button:active")) return;
    const focused = this.workers.element.contains(document.activeElement) ? document.activeElement.dataset.pid : null;
    this.drawWorkers();
    if (focused) this.workers.element.querySelector(`button[data-pid="${focused}"]`)?.focus({ preventScroll: true });
    this.table.show(this.actors);
  }

  drawWorkers() {
    const { model } = this;
    const time = model.time();
    const ended = new Map();
    for (const block of model.blocks) ended.set(block.row, (ended.get(block.row) || 0) + block.runs);
    const rowOf = new Map(model.rows.map((row, index) => [row.pid, index]));
    this.workers.show(model.processes.map(([pid, cpu, memory]) => {
      const index = rowOf.get(pid);
      const running = model.living.filter((run) => run.row !== null && run.row === index);
      const oldest = Math.min(...running.map((run) => run.began));
      const names = [...new Set(running.map((run) => model.name(run.name)))];
      const shown = running.length === 0 ? "" : el("span", {}, swatch(model.hue(running[0].name)), names.join(", ") + (running.length > 1 ? ` (${running.length} at once)` : ""));
      const isActor = index !== undefined && model.rows[index].isActor;
      return {
        pid, cpu, memory, shown, title: rowTitle({ pid, isActor }), task: names.join(", "),
        since: running.length ? time - oldest : null, ended: ended.get(index) || 0,
      };
    }));
  }
}
