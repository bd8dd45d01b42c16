// Objects: what fills the store, by the function that made it, by holder, and one by one.

class Objects extends Polled {
  constructor(model) {
    super("objects", 2000);
    this.model = model;
    this.summary = el("p");
    this.makers = new Table([
      { title: "Made by", value: (row) => row.name, text: (row) => el("span", {}, row.name === "put" ? null : swatch(model.hueOf(row.name)), row.name) },
      { title: "Objects", value: (row) => row.objects, text: (row) => count(row.objects), kind: "number" },
      { title: "Size", value: (row) => row.bytes, text: (row) => bytes(row.bytes), kind: "number" },
    ], { sort: 2, isDescending: true, empty: "There is no object." });
    this.holders = new Table([
      { title: "Referred to by", value: (row) => row.title },
      { title: "Objects", value: (row) => row.objects, text: (row) => count(row.objects), kind: "number" },
      { title: "Size", value: (row) => row.bytes, text: (row) => bytes(row.bytes), kind: "number" },
    ], { sort: 2, isDescending: true, empty: "No process refers to an object." });
    this.table = new Table([
      { title: "Object", value: (row) => row.id },
      { title: "State", value: (row) => row.state },
      { title: "Size", value: (row) => row.bytes, text: (row) => bytes(row.bytes), kind: "number" },
      { title: "Place", value: (row) => row.place, text: (row) => (row.place ? el("span", { class: `place ${row.place}` }, row.place) : "") },
      { title: "Made by", value: (row) => row.maker },
      { title: "Cell", value: (row) => row.cell, text: (row) => row.cell || "", kind: "number" },
      { title: "Referred to by", value: (row) => row.pids.join(", "), kind: "wide" },
      { title: "Kept by tasks and objects", value: (row) => row.holders, kind: "number" },
      { title: "Readers", value: (row) => row.readers, kind: "number" },
    ], { sort: 2, isDescending: true, empty: "There is no object." });
    this.element = el("div", {},
      el("section", { class: "card" }, el("h2", {}, "Store"), this.trouble, this.summary),
      el("div", { class: "columns" },
        el("section", { class: "card" }, el("h2", {}, "By function"), this.makers.element),
        el("section", { class: "card" }, el("h2", {}, "By process"), this.holders.element)),
      el("section", { class: "card" }, el("h2", {}, "The largest objects"), this.table.element));
  }

  take({ totals, makers, holders, objects, number }) {
    const parts = Object.keys(PLACES).filter((place) => totals[place]).map((place) => [place, totals[place]]);
    this.summary.textContent = parts.length === 0 ? "The store is empty." : parts.map(([place, [objects, size]]) => `${count(objects)} ${PLACES[place] || place}${size ? ` (${bytes(size)})` : ""}`).join(", ");
    this.makers.show(makers);
    this.holders.show(holders.map((holder) => ({ ...holder, title: holder.pid === 0 ? "a process that has ended" : rowTitleOf(this.model, holder.pid) })));
    this.table.show(objects);
    if (number > objects.length) this.summary.textContent += `; the largest ${count(objects.length)} of ${count(number)} are listed`;
  }

  draw() {}
}

const PLACES = { memory: "in memory", disk: "on disk", table: "small, in the table", pending: "not ready", failed: "failed" };

function rowTitleOf(model, pid) {
  const row = model.rows.find((known) => known && known.pid === pid);
  if (row) return rowTitle(row);
  return model.processes.some(([known]) => known === pid) ? `worker ${pid}` : `cells or program ${pid}`;
}
