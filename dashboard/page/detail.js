// One task: its times, what it came from, what waits for it, its error, its log, its cell.

class Detail {
  constructor(model, stream) {
    [this.model, this.stream] = [model, stream];
    this.element = el("section", { class: "card detail", hidden: true });
  }

  /** Shows a run of the stream; `null` shows none. */
  async pick(run) {
    this.wanted = run;
    this.element.hidden = run === null;
    this.stream.mark(run, []);
    if (run === null) return;
    const title = this.model.name(run.name);
    this.frame(title, run.name, el("p", { class: "note" }, isFrozen ? "" : "…"), this.facts(run));
    if (isFrozen) return;
    try {
      const found = await ask("task", { id: run.id, attempt: run.attempt });
      if (this.wanted !== run) return;
      const linked = [found.parent, ...found.children, ...found.needs, ...found.needed_by].filter((task) => task && task.id);
      this.stream.mark(run, linked.map((task) => task.id));
      this.frame(title, run.name, this.facts(run), this.found(found));
    } catch (error) {
      if (this.wanted === run) this.frame(title, run.name, this.facts(run), el("p", { class: "note" }, error.message));
    }
  }

  frame(title, name, ...content) {
    fill(this.element,
      el("div", { class: "bar" }, el("h2", {}, swatch(this.model.hue(name)), title), el("button", { onclick: () => this.pick(null) }, "Close")),
      ...content);
  }

  facts(run) {
    const row = this.model.rows[run.row];
    const several = run.runs > 1 ? `${count(run.runs)} runs one after the other; the first: ` : "";
    const facts = [
      `${several}task ${run.id}, attempt ${run.attempt}, ${STATES[run.state]}`,
      row ? `on ${rowTitle(row)}` : null,
      run.cell ? `started by cell ${cellName(run.cell)}` : null,
      `submitted at ${clock(run.submitted, 1e6)}, waited ${duration(Math.max(0, run.began - run.submitted))}`,
      run.ended === null ? `runs since ${clock(run.began, 1e6)}` : `ran for ${duration(run.ran)}, until ${clock(run.ended, 1e6)}`,
    ];
    return el("ul", { class: "facts" }, facts.filter(Boolean).map((fact) => el("li", {}, fact)));
  }

  found({ parent, children, needs, needed_by: neededBy, error, cell, log }) {
    const list = (title, tasks) => (tasks.length === 0 ? null : el("div", {}, el("h3", {}, title), el("ul", { class: "facts" }, tasks.slice(0, 50).map((task) => el("li", {}, this.link(task))), tasks.length > 50 ? el("li", {}, `and ${tasks.length - 50} more`) : null)));
    return el("div", { class: "columns" },
      el("div", {},
        list("Came from", needs), list("Wait for it, or used it", neededBy),
        list("Started by", parent ? [parent] : []), list("Has started", children),
        error ? el("div", {}, el("h3", {}, "Error"), el("pre", { class: "error" }, error)) : null,
        log.length ? el("div", {}, el("h3", {}, "Written by this function on this process"), el("pre", { class: "log short" }, log.map(({ text }) => (text.endsWith("\n") ? text : `${text}\n`)))) : null),
      cell ? el("div", {}, sourceOf(cell)) : null);
  }

  link(task) {
    const text = `${task.name} ${task.id}${task.state ? `, ${task.state}` : ""}`;
    const block = this.model.blocks.findLast((run) => run.id === task.id) || this.model.living.find((run) => run.id === task.id && run.row !== null);
    if (!block) return text;
    return el("button", { class: "plain", onclick: () => this.pick(block) }, swatch(this.model.hue(block.name)), text);
  }
}
