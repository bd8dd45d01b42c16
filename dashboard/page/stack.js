// The stack of a worker, when it is asked for: what each of its threads is in.

class StackView {
  constructor() {
    this.element = el("section", { class: "card stack", hidden: true });
    this.asked = 0;
  }

  /** Asks what a process is in, and shows it. */
  async read(pid, title) {
    const asked = ++this.asked;
    const again = el("button", { onclick: () => this.read(pid, title) }, "Ask again");
    const close = el("button", { onclick: () => this.close() }, "Close");
    const frame = (...content) => fill(this.element,
      el("div", { class: "bar" }, el("h2", {}, `Stack of ${title}`), el("span", {}, again, " ", close)), ...content);
    if (this.element.hidden || this.pid !== pid) frame(el("p", { class: "note" }, "…"));
    [this.pid, this.element.hidden, again.disabled] = [pid, false, true];
    try {
      const { threads } = await order("stack", { pid });
      if (asked !== this.asked) return;
      frame(el("p", { class: "note" }, `as of ${new Date().toLocaleTimeString()}, the newest call first`), ...this.threads(threads));
    } catch (error) {
      if (asked === this.asked) frame(el("p", { class: "trouble" }, error.message));
    }
    again.disabled = false;
  }

  close() {
    this.asked += 1;
    this.element.hidden = true;
  }

  /** The threads that run code of a cell, and the others behind a word where there are both. */
  threads(threads) {
    const [busy, others] = [threads.filter((thread) => thread.is_of_cell), threads.filter((thread) => !thread.is_of_cell)];
    const shown = (list) => list.map((thread) => this.thread(thread));
    if (busy.length === 0 || others.length === 0) return shown(threads);
    const word = others.length === 1 ? "1 other thread" : `${others.length} other threads`;
    return [...shown(busy), el("details", {}, el("summary", {}, word), shown(others))];
  }

  thread({ tid, name, state, frames, end }) {
    const list = el("ol", { class: "frames" });
    for (let at = 0; at < frames.length;) {
      const to = frames[at].is_own ? at + frames.slice(at).findIndex((frame) => !frame.is_own) : at + 1;
      const part = frames.slice(at, to > at ? to : frames.length);
      at += part.length;
      const shown = part.map((frame) => this.call(frame));
      if (!part[0].is_own) list.append(...shown);
      else list.append(el("li", { class: "own" }, el("details", {},
        el("summary", {}, part.length === 1 ? "1 call of the runtime" : `${part.length} calls of the runtime`), el("ol", { class: "frames" }, shown))));
    }
    return el("div", { class: "thread" }, el("h3", {}, `Thread ${name} ${tid}, ${state}`), list, end ? el("p", { class: "note" }, `${end}.`) : null);
  }

  call({ function: name, file, line, cell, source, module }) {
    const short = file && file.split("/").slice(-3).join("/");
    const where = cell ? `cell ${cell}, line ${line}` : file ? `${short}${line ? `:${line}` : ""}` : module;
    return el("li", {}, el("code", {}, name), " ", el("span", { class: "note", title: file || "" }, where),
      source ? el("pre", { class: "source" }, source.trim()) : null);
  }
}
