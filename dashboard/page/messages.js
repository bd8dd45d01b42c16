// Errors and logs: filter, follow.

class Errors extends Polled {
  constructor() {
    super("errors", 1000);
    this.errors = [];
    this.filter = el("input", { type: "search", placeholder: "filter", "aria-label": "filter errors", oninput: () => this.draw() });
    this.list = el("div");
    this.element = el("section", { class: "card" }, el("div", { class: "bar" }, el("h2", {}, "Errors"), this.filter), this.trouble, this.list);
    this.shown = null;
  }

  take({ errors }) {
    this.errors = errors;
    this.draw();
  }

  draw() {
    const wanted = this.filter.value.toLowerCase();
    const found = this.errors.filter(({ text, task, cell }) => `${task} cell ${cell} ${text}`.toLowerCase().includes(wanted));
    const key = `${wanted} ${this.errors.length} ${found.length} ${found.length ? found[found.length - 1].text : ""}`;
    if (key === this.shown) return;
    this.shown = key;
    const heading = ({ task, cell, pid, attempt }) => `${task}${cell ? `, cell ${cell}` : ""}${pid ? `, process ${pid}` : ""}${attempt > 1 ? `, attempt ${attempt}` : ""}`;
    fill(this.list, found.length === 0 ? el("p", { class: "note" }, this.errors.length ? "None with these words." : "No task has failed.") : null,
      found.slice(-300).reverse().map((error) => el("article", {}, el("h3", {}, heading(error)), el("pre", { class: "error" }, error.text))));
  }
}

class Logs extends Polled {
  constructor() {
    super("log", 500);
    this.next = 0;
    this.lines = [];
    this.dropped = 0;
    this.filter = el("input", { type: "search", placeholder: "filter", "aria-label": "filter logs", oninput: () => this.draw(true) });
    this.follows = el("input", { type: "checkbox", checked: true });
    this.text = el("pre", { class: "log", tabindex: "0" });
    this.note = el("p", { class: "note" });
    this.element = el("section", { class: "card" },
      el("div", { class: "bar" }, el("h2", {}, "Logs"), this.filter, el("label", {}, this.follows, " follow")),
      this.trouble, this.note, this.text);
  }

  parameters() {
    return { after: this.next };
  }

  take({ next, dropped, lines }) {
    [this.next, this.dropped] = [next, dropped];
    this.lines.push(...lines);
    this.lines.splice(0, this.lines.length - 20000);
    if (lines.length > 0 || this.lines.length === 0) this.draw();
  }

  draw() {
    const wanted = this.filter.value.toLowerCase();
    const shown = this.lines.filter(({ text, cell }) => `cell ${cellName(cell)} ${text}`.toLowerCase().includes(wanted)).slice(-4000);
    fill(this.text, shown.map(({ text, stream, cell }) => el("span", { class: stream, title: cell ? `cell ${cellName(cell)}` : "" }, text.endsWith("\n") ? text : `${text}\n`)));
    const said = [];
    if (this.lines.length === 0) said.push("No task has written anything.");
    else if (shown.length === 0) said.push("No line with these words.");
    if (this.dropped > 0) said.push(`${count(this.dropped)} older lines are not remembered.`);
    this.note.textContent = said.join(" ");
    if (this.follows.checked) this.text.scrollTop = this.text.scrollHeight;
  }
}
