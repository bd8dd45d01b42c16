// A table that can be sorted, and whose rows can be picked.

class Table {
  /** `columns`: `{ title, value(row), text(row), kind }`, where `value` sorts and `text` (or an element) is shown. */
  constructor(columns, { onPick = null, key = null, sort = 0, isDescending = false, empty = "Nothing." } = {}) {
    Object.assign(this, { columns, onPick, key, sort, isDescending, empty });
    this.head = el("tr");
    this.body = el("tbody");
    this.element = el("div", { class: "scroll" }, el("table", {}, el("thead", {}, this.head), this.body));
    this.rows = [];
    this.picked = null;
  }

  show(rows) {
    this.rows = rows;
    fill(this.head, this.columns.map((column, index) => el("th", {
      class: column.kind || "",
      "aria-sort": index === this.sort ? (this.isDescending ? "descending" : "ascending") : null,
    }, el("button", { class: "plain", onclick: () => this.sortBy(index) },
      column.title + (index === this.sort ? (this.isDescending ? " ▾" : " ▴") : "")))));
    if (rows.length === 0) {
      return fill(this.body, el("tr", {}, el("td", { colspan: this.columns.length, class: "note" }, this.empty)));
    }
    const { value } = this.columns[this.sort];
    const sorted = [...rows].sort((a, b) => compare(value(a), value(b)) * (this.isDescending ? -1 : 1));
    return fill(this.body, sorted.map((row) => this.row(row)));
  }

  row(row) {
    const cells = this.columns.map(({ text, value, kind }) => el("td", { class: kind || "" }, (text || value)(row) ?? ""));
    if (!this.onPick) return el("tr", {}, cells);
    const pick = () => {
      this.picked = this.key(row);
      this.onPick(row);
      this.show(this.rows);
    };
    const onkeydown = (event) => event.key === "Enter" && pick();
    const isPicked = this.picked !== null && this.picked === this.key(row);
    return el("tr", { class: isPicked ? "pick picked" : "pick", tabindex: "0", onclick: pick, onkeydown }, cells);
  }

  sortBy(index) {
    this.isDescending = index === this.sort ? !this.isDescending : this.columns[index].kind === "number";
    this.sort = index;
    this.show(this.rows);
  }
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  return a < b ? -1 : 1;
}

/** A part of the page that asks the server while it is shown. */
class Polled {
  constructor(path, everyMs) {
    [this.path, this.everyMs] = [path, everyMs];
    this.trouble = el("p", { class: "trouble", hidden: true });
    this.asked = -Infinity;
    this.isAsking = false;
  }

  parameters() {
    return {};
  }

  /** Asks again, if it is time, or `isNow`. */
  async tick(isNow = false) {
    const now = performance.now();
    if (this.isAsking || (!isNow && (isFrozen ? this.asked > 0 : now - this.asked < this.everyMs))) return;
    [this.isAsking, this.asked] = [true, now];
    try {
      this.take(await ask(this.path, this.parameters()));
      this.trouble.hidden = true;
    } catch (error) {
      this.trouble.textContent = String(error.message || error);
      this.trouble.hidden = false;
    }
    this.isAsking = false;
    // What took long to answer is asked for less often.
    this.asked = Math.max(this.asked, performance.now() - this.everyMs + Math.min(10, 20 * ((performance.now() - now) / 1000)) * 1000);
  }
}
