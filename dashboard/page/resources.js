// Resources: used, free, wanted and by whom; and how it went.

class Resources {
  constructor(model) {
    this.model = model;
    this.bars = el("div", { class: "bars" });
    this.wanted = new Table([
      { title: "Wanted", value: (row) => row.needs },
      { title: "Tasks that wait for it", value: (row) => row.tasks, text: (row) => count(row.tasks), kind: "number" },
      { title: "", value: (row) => row.is_possible, text: (row) => (row.is_possible ? "" : el("b", { class: "trouble" }, "more than there is: it waits for ever")) },
    ], { sort: 1, isDescending: true, empty: "Nothing waits for resources." });
    this.charts = el("div", { class: "charts" });
    this.element = el("div", {},
      el("section", { class: "card" }, el("h2", {}, "Resources"), this.bars),
      el("section", { class: "card" }, el("h2", {}, "Wanted"), this.wanted.element),
      el("section", { class: "card" }, el("h2", {}, "Over time"), this.charts));
    this.curves = [];
    this.shown = -1;
  }

  draw() {
    const { status, samples } = this.model;
    if (!status) return;
    fill(this.bars, status.resources.map(({ name, in_use: used, total }) => {
      const part = el("span", { class: "used" });
      part.style.width = `${total > 0 ? Math.min(100, (used / total) * 100) : 0}%`;
      const text = `${amountOf(name, used)} used, ${amountOf(name, total - used)} free of ${amountOf(name, total)}`;
      return el("div", { class: "progress", "data-resource": name }, el("div", { class: "head" }, el("b", {}, name), el("span", {}, text)), el("div", { class: "meter" }, part));
    }));
    this.wanted.show(status.demands);
    const last = samples.length ? samples[samples.length - 1][0] : -1;
    if (last !== this.shown) this.curve(samples);
    this.shown = last;
  }

  curve(samples) {
    const width = Math.min(560, this.charts.clientWidth || 320);
    if (this.curves.length === 0 || this.width !== width || this.isDark !== darkness.matches) this.make(width);
    const times = samples.map(([time]) => time / 1e9);
    this.curves.forEach((curve, index) => curve.setData([times, samples.map((sample) => sample[index + 1])]));
  }

  make(width) {
    [this.width, this.isDark] = [width, darkness.matches];
    this.charts.replaceChildren();
    const axis = { stroke: styled("--faint"), grid: { stroke: styled("--line") }, ticks: { stroke: styled("--line") } };
    const titles = [["CPUs in use", String], ["runs ended a second", String], ["bytes in the store", bytes], ["tasks that wait", String]];
    const hues = [210, 140, 280, 30];
    this.curves = titles.map(([title, text], index) => new uPlot({
      title, width, height: 190, cursor: { drag: { x: true, y: false } }, legend: { live: true },
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(high, low, 1) * 1.1] } },
      axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => `${tick} s`) }, { ...axis, size: 74, values: (_, ticks) => ticks.map(text) }],
      series: [{ label: "time", value: (_, value) => (value === null ? "" : `${value.toFixed(1)} s`) }, {
        label: title, stroke: colour(hues[index]), fill: colour(hues[index], 0.15), width: 1.5,
        value: (_, value) => (value === null ? "" : text(Math.round(value * 100) / 100)),
      }],
    }, [[], []], this.charts));
  }
}
