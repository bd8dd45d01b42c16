// Progress: a bar a function, the newest on top.

class Progress {
  constructor(model) {
    this.model = model;
    this.bars = el("div", { class: "bars" });
    this.element = el("section", { class: "card" }, el("h2", {}, "Progress"), this.bars);
  }

  draw() {
    const functions = [...this.model.functions].filter(([, counts]) => amount(counts) > 0);
    functions.sort(([, a], [, b]) => b.first - a.first);
    if (functions.length === 0) return fill(this.bars, el("p", { class: "note" }, "No task was submitted yet."));
    return fill(this.bars, functions.slice(0, 60).map(([name, counts]) => this.bar(name, counts)));
  }

  bar(name, counts) {
    const [all, hue] = [amount(counts), this.model.hue(name)];
    const part = (kind, tasks, style) => {
      if (tasks === 0) return null;
      const element = el("span", { class: kind });
      element.style.width = `${(tasks / all) * 100}%`;
      if (style) element.style.background = style;
      return element;
    };
    const bar = el("div", { class: "meter", role: "img", "aria-label": `${counts.done} of ${all} done` },
      part("done", counts.done, colour(hue)),
      part("failed", counts.failed),
      part("cancelled", counts.cancelled),
      part("running", counts.running, colour(hue, 0.5)));
    return el("div", { class: "progress", "data-function": this.model.name(name) },
      el("div", { class: "head" }, el("b", {}, swatch(hue), this.model.name(name)), el("span", {}, sentence(counts))),
      bar);
  }
}

function amount({ done, failed, cancelled, running, waiting }) {
  return done + failed + cancelled + running + waiting;
}

/** The counts in words, with the rate and the time that is left. */
function sentence(counts) {
  const parts = [`${count(counts.done)} of ${count(amount(counts))}`];
  for (const kind of ["running", "waiting", "failed", "cancelled"]) {
    if (counts[kind] > 0) parts.push(`${count(counts[kind])} ${kind}`);
  }
  const left = counts.running + counts.waiting;
  if (counts.rate > 0 && left > 0) {
    parts.push(`${counts.rate >= 10 ? count(Math.round(counts.rate)) : counts.rate.toFixed(1)} a second`);
    parts.push(`${duration((left / counts.rate) * 1e9)} left`);
  } else if (left === 0 && counts.last > counts.first) {
    parts.push(`in ${duration(counts.last - counts.first)}`);
  }
  return parts.join(", ");
}
