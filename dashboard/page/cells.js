// Cells: what each did, and how its time was spent. A click shows its source and its error.

class Cells extends Polled {
  constructor(model) {
    super("cells", 1000);
    this.model = model;
    this.known = new Map();
    this.revision = 0;
    this.detail = el("section", { class: "card", hidden: true });
    this.table = new Table([
      { title: "Cell", value: (row) => row.cell, text: (row) => cellName(row.cell), kind: "number" },
      { title: "State", value: (row) => row.state },
      { title: "Source", value: (row) => firstLine(row.source), text: (row) => el("code", {}, firstLine(row.source)), kind: "wide" },
      { title: "Tasks", value: (row) => amount(row.counts), text: (row) => tasksOf(row.counts), kind: "number" },
      { title: "Took", value: (row) => row.took_ns ?? Infinity, text: (row) => duration(row.took_ns) || "runs", kind: "number" },
      { title: "Phases", value: (row) => row.took_ns, text: (row) => phasesOf(row) },
      { title: "In tasks", value: (row) => row.counts.ran, text: (row) => duration(row.counts.ran || null), kind: "number" },
      { title: "Output", value: (row) => row.output_bytes, text: (row) => bytes(row.output_bytes), kind: "number" },
      { title: "Memory after", value: (row) => row.memory, text: (row) => bytes(row.memory), kind: "number" },
    ], { onPick: (row) => this.pick(row.cell), key: (row) => row.cell, isDescending: true, empty: "No cell was run, or this runtime has no session." });
    this.element = el("div", {}, el("section", { class: "card" }, el("h2", {}, "Cells"), this.trouble, this.table.element), this.detail);
  }

  parameters() {
    return { after: this.revision };
  }

  take({ revision, cells }) {
    this.revision = revision;
    for (const cell of cells) this.known.set(cell.cell, cell);
    this.draw();
  }

  draw() {
    const none = readCounts([0, 0, 0, 0, 0, 0, 0, 0, 0, null]);
    this.table.show([...this.known.values()].map((cell) => ({ ...cell, counts: this.model.cells.get(cell.cell) || none })));
  }

  pick(number) {
    const cell = this.known.get(number);
    this.table.picked = number;
    this.detail.hidden = !cell;
    if (cell) fill(this.detail, sourceOf(cell));
  }
}

/** A cell's source, with its error. */
function sourceOf(cell) {
  return [
    el("h2", {}, `Cell ${cellName(cell.cell)}`),
    el("pre", { class: "source" }, cell.source),
    cell.error ? el("pre", { class: "error" }, cell.error) : null,
  ];
}

function firstLine(source) {
  const lines = source.split("\n").filter((line) => line.trim() !== "");
  return (lines[0] || "").slice(0, 80) + (lines.length > 1 ? " …" : "");
}

function tasksOf(counts) {
  const all = amount(counts);
  if (all === 0) return "";
  const rest = ["running", "waiting", "failed", "cancelled"].filter((kind) => counts[kind] > 0);
  return [count(all), ...rest.map((kind) => `${count(counts[kind])} ${kind}`)].join(", ");
}

/** The phases of a cell as a bar, and in words. */
function phasesOf({ phases }) {
  const all = phases.reduce((sum, [, ns]) => sum + ns, 0);
  if (all === 0) return "";
  const parts = phases.filter(([, ns]) => ns / all > 0.005);
  const bar = el("div", { class: "meter small", title: phases.map(([name, ns]) => `${name} ${duration(ns)}`).join(", ") });
  parts.forEach(([name, ns]) => {
    const part = el("span", { class: `phase-${name}` });
    part.style.width = `${(ns / all) * 100}%`;
    bar.append(part);
  });
  const [longest] = [...parts].sort(([, a], [, b]) => b - a);
  return el("div", { class: "phases" }, bar, el("span", { class: "note" }, `${longest[0]} ${duration(longest[1])}`));
}
