// The task stream: a row a worker or actor, time to the right, a block a run.

const ROWS_MAX = 64;
const ROW = 20;
const AXIS = 22;

class Stream {
  constructor(model, onPick) {
    [this.model, this.onPick] = [model, onPick];
    this.canvas = el("canvas", { tabindex: "0", "aria-label": "task stream" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.note = el("p", { class: "note" });
    const button = (text, title, onclick) => el("button", { title, onclick }, text);
    this.pauseButton = button("Pause", "stop following (space)", () => this.pause(!this.isPaused));
    this.element = el("section", { class: "card stream" },
      el("div", { class: "bar" },
        el("h2", {}, "Task stream"),
        this.pauseButton,
        button("−", "show more time (-)", () => this.zoom(2)),
        button("+", "show less time (+)", () => this.zoom(0.5)),
        button("All", "show all that is remembered", () => this.showAll()),
        el("span", { class: "note" }, "failed"), el("span", { class: "swatch failed" }),
        el("span", { class: "note" }, "disk"), el("span", { class: "swatch disk" }),
      ),
      el("div", { class: "canvas" }, this.canvas, this.tip),
      this.note);
    this.span = 30e9;
    this.end = null; // Follows the time.
    this.picked = null;
    this.linked = new Set();
    this.pointer = null;
    this.drag = null;
    this.drawn = -1;
    this.watchPointer();
  }

  get isPaused() {
    return this.end !== null;
  }

  pause(isPaused, end = this.model.time()) {
    this.end = isPaused ? end : null;
    this.pauseButton.textContent = isPaused ? "Follow" : "Pause";
    this.draw();
  }

  zoom(factor, at = 1) {
    const span = Math.min(Math.max(this.span * factor, 1e4), 48 * 3600e9);
    if (this.isPaused) this.end += (span - this.span) * (1 - at);
    this.span = span;
    this.draw();
  }

  showAll() {
    const { blocks, living } = this.model;
    const began = [...blocks.slice(0, 200), ...living].map((run) => run.began).filter((time) => time !== null);
    const end = this.model.time();
    const from = began.length ? Math.min(...began) : 0;
    this.span = Math.max((end - from) * 1.03, 1e6);
    this.pause(true, end + this.span * 0.01);
  }

  /** The rows with something in the window, or functions in their place when there are too many. */
  lanesOf(from, to) {
    const lanes = this.lanesOfRuns(from, to);
    const moves = this.model.disk.filter((move) => move.began <= to && move.ended >= from);
    if (moves.length === 0) return { ...lanes, moves };
    // Below all others: the head moves one object after the other.
    return { ...lanes, moves, disk: lanes.height, height: lanes.height + 1, labels: [...lanes.labels, { at: lanes.height, label: "disk" }] };
  }

  lanesOfRuns(from, to) {
    const { rows, blocks, living } = this.model;
    const seen = new Map();
    const visible = [];
    const see = (run) => {
      if (run.row === null || run.began === null || run.began > to || (run.ended ?? to) < from) return;
      visible.push(run);
      if (!(seen.get(run.row) > run.lane)) seen.set(run.row, run.lane + 1);
    };
    blocks.forEach(see);
    living.forEach(see);
    this.isFolded = seen.size > ROWS_MAX;
    if (this.isFolded) {
      const names = [...new Set(visible.map((run) => run.name))].sort((a, b) => a - b).slice(0, ROWS_MAX * 4);
      const places = [];
      names.forEach((name, index) => (places[name] = index));
      const labels = names.map((name, index) => ({ at: index, label: this.model.name(name) }));
      return { visible, height: names.length, placed: (run) => places[run.name], labels };
    }
    const order = [...seen.keys()].sort((a, b) => rows[a].isActor - rows[b].isActor || rows[a].pid - rows[b].pid);
    const [labels, starts] = [[], []];
    let height = 0;
    for (const row of order) {
      starts[row] = height;
      labels.push({ at: height, label: rowTitle(rows[row]) });
      height += seen.get(row);
    }
    return { visible, height, placed: (run) => starts[run.row] + run.lane, labels };
  }

  /** Draws, if something has changed since. */
  draw() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    if (box.width === 0) return;
    const to = this.end ?? this.model.time();
    const from = to - this.span;
    const lanes = this.lanesOf(from, to);
    const [width, height] = [Math.floor(box.width), Math.max(lanes.height, 2) * ROW + AXIS];
    const scale = devicePixelRatio || 1;
    if (this.canvas.width !== Math.floor(width * scale) || this.canvas.height !== Math.floor(height * scale)) {
      [this.canvas.width, this.canvas.height] = [Math.floor(width * scale), Math.floor(height * scale)];
      [this.canvas.style.width, this.canvas.style.height] = [`${width}px`, `${height}px`];
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const margin = width < 600 ? 78 : 128;
    this.view = { from, to, margin, width: width - margin, lanes };
    this.drawAxis(context, height);
    this.drawRuns(context);
    this.drawMoves(context);
    this.drawLabels(context, lanes.labels, margin);
    this.say(lanes);
  }

  x(time) {
    return this.view.margin + ((time - this.view.from) / this.span) * this.view.width;
  }

  drawAxis(context, height) {
    const { from, to, margin, width } = this.view;
    const rough = this.span / Math.max(2, width / 110);
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * unit).find((size) => size >= rough);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      const x = Math.round(this.x(time)) + 0.5;
      context.strokeStyle = styled("--line");
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height - AXIS);
      context.stroke();
      context.fillStyle = styled("--faint");
      if (time >= 0 && x > margin + 14 && x < margin + width - 14) context.fillText(clock(time, step), x, height - 7);
    }
  }

  drawRuns(context) {
    const { to, margin, lanes } = this.view;
    const [failed, outline] = [styled("--failed"), styled("--failed-line")];
    const right = margin + this.view.width;
    context.save();
    context.beginPath();
    context.rect(margin, 0, this.view.width, 1e6);
    context.clip();
    const [last, scale] = [[], this.view.width / this.span];
    const hasMarks = this.picked !== null || this.linked.size > 0;
    const paints = new Map();
    for (const run of lanes.visible) {
      const lane = lanes.placed(run);
      if (lane === undefined) continue;
      const left = Math.max(margin + (run.began - this.view.from) * scale, margin - 4);
      const end = Math.min(margin + ((run.ended ?? to) - this.view.from) * scale, right + 4);
      const isMarked = hasMarks && (this.linked.has(run.id) || this.isPicked(run));
      const isFailed = run.ended !== null && run.state > FINISHED && run.state !== 7;
      // What would be drawn over the same pixels in the same colour is not, nor what is smaller than one that has a colour, unless it failed.
      const before = last[lane];
      const isCovered = before !== undefined && end <= before.end && !isMarked;
      if (isCovered && ((before.name === run.name && before.isFailed === isFailed) || (end - left < 1 && !isFailed))) continue;
      last[lane] = { name: run.name, isFailed, end: Math.max(end, left + 1) };
      const [top, across] = [lane * ROW + 2, Math.max(end - left, 1)];
      const share = run.runs > 1 && run.ended > run.began ? Math.min(1, run.ran / (run.ended - run.began)) : 1;
      const dim = this.picked && !isMarked ? 0.35 : 1;
      context.fillStyle = isFailed ? failed : this.paint(paints, run.name, dim * (run.ended === null ? 0.55 : 0.4 + 0.6 * share));
      // A line between neighbours.
      context.fillRect(left, top, across > 4 ? across - 1 : across, ROW - 4);
      if (isFailed || isMarked) {
        context.strokeStyle = isMarked ? styled("--text") : outline;
        context.lineWidth = isMarked ? 2 : 1;
        context.strokeRect(left + 0.5, top + 0.5, Math.max(across - 1, 1), ROW - 5);
        context.lineWidth = 1;
      }
      if (across > 44) this.drawName(context, run, left, top, across, isFailed, dim < 1);
    }
    context.restore();
  }

  /** A function's colour in one of twenty shades, each of which is made once a drawing. */
  paint(paints, name, alpha) {
    const shade = Math.round(alpha * 20);
    const key = name * 32 + shade;
    if (!paints.has(key)) paints.set(key, colour(this.model.hue(name), shade / 20));
    return paints.get(key);
  }

  drawMoves(context) {
    const { margin, width, lanes } = this.view;
    context.fillStyle = styled("--disk");
    let last = -1;
    for (const move of lanes.moves) {
      const [left, right] = [Math.max(this.x(move.began), margin, last), Math.min(this.x(move.ended), margin + width)];
      if (right - left < 0.5 && last > right - 0.5) continue;
      last = Math.max(left + 1, right);
      context.fillRect(left, lanes.disk * ROW + 2, last - left, ROW - 4);
    }
  }

  drawName(context, run, left, top, across, isFailed, isDim) {
    const name = this.model.name(run.name) + (run.runs > 1 ? ` ×${run.runs}` : "");
    context.fillStyle = isFailed ? styled("--on-failed") : run.ended === null || isDim ? styled("--text") : styled("--on-block");
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.font = "11px system-ui, sans-serif";
    const from = Math.max(left, this.view.margin);
    const room = Math.floor((left + across - from - 8) / 6);
    if (room >= 4) context.fillText(name.length > room ? `${name.slice(0, room - 1)}…` : name, from + 4, top + (ROW - 4) / 2 + 0.5);
  }

  drawLabels(context, labels, margin) {
    context.fillStyle = styled("--text");
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.font = "11px system-ui, sans-serif";
    const room = Math.floor((margin - 8) / 6);
    for (const { at, label } of labels) {
      const text = label.length > room ? `${label.slice(0, room - 1)}…` : label;
      context.fillText(text, margin - 6, at * ROW + ROW / 2);
    }
  }

  say(lanes) {
    const { missed, undrawn } = this.model;
    const said = [];
    if (lanes.visible.length === 0) said.push("No task ran in this time.");
    if (this.isFolded) said.push(`More than ${ROWS_MAX} workers: a row a function.`);
    if (missed > 0) said.push(`${count(missed)} runs ended and are not remembered.`);
    if (undrawn > 0) said.push(`${count(undrawn)} short runs are counted and not drawn.`);
    this.note.textContent = said.join(" ");
  }

  /** The move to disk, or back, under a point of the canvas. */
  moveAt(x, y) {
    if (!this.view || x < this.view.margin || Math.floor(y / ROW) !== this.view.lanes.disk) return null;
    return this.view.lanes.moves.find((move) => this.x(move.began) - 3 <= x && x <= this.x(move.ended) + 3) || null;
  }

  /** The run under a point of the canvas. */
  runAt(x, y) {
    if (!this.view || x < this.view.margin) return null;
    const lane = Math.floor(y / ROW);
    const { visible, placed } = this.view.lanes;
    let [found, distance] = [null, 3];
    for (const run of visible) {
      if (placed(run) !== lane) continue;
      const [left, right] = [this.x(run.began), this.x(run.ended ?? this.view.to)];
      const away = Math.max(left - x, x - right, 0);
      if (away < distance) [found, distance] = [run, away];
    }
    return found;
  }

  isPicked(run) {
    return this.picked !== null && run.id === this.picked.id && run.attempt === this.picked.attempt;
  }

  /** Marks a run and those next to it. */
  mark(run, linked) {
    [this.picked, this.linked] = [run, new Set(linked)];
    this.draw();
  }

  hover(x, y) {
    const run = this.runAt(x, y);
    const move = run ? null : this.moveAt(x, y);
    this.canvas.style.cursor = run ? "pointer" : "grab";
    this.tip.hidden = !run && !move;
    const room = this.canvas.clientWidth;
    this.tip.style.left = `${Math.max(4, Math.min(x + 14, room - 250))}px`;
    this.tip.style.top = `${y + 16}px`;
    if (move) {
      fill(this.tip,
        el("b", {}, move.isBack ? "back from disk" : "to disk"),
        el("div", {}, `object ${move.id}, ${bytes(move.size)}`),
        el("div", {}, `took ${duration(move.ended - move.began)}, began at ${clock(move.began, 1e6)}`));
    }
    if (!run) return;
    const row = this.model.rows[run.row];
    const ended = run.ended === null ? "runs for" : run.runs > 1 ? `${count(run.runs)} runs, in all` : "ran for";
    const ran = run.ran ?? this.model.time() - run.began;
    fill(this.tip,
      el("b", {}, swatch(this.model.hue(run.name)), this.model.name(run.name)),
      el("div", {}, `${run.cell ? `cell ${cellName(run.cell)}, ` : ""}attempt ${run.attempt}, ${STATES[run.state]}`),
      el("div", {}, `${ended} ${duration(ran)}`),
      el("div", {}, `waited ${duration(Math.max(0, run.began - run.submitted))}, began at ${clock(run.began, 1e6)}`),
      el("div", { class: "note" }, row ? rowTitle(row) : ""));
  }

  watchPointer() {
    const { canvas } = this;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = at(event);
      this.drag = { x, y, end: this.end ?? this.model.time(), moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (!this.drag) return this.hover(x, y);
      if (Math.abs(x - this.drag.x) > 4) this.drag.moved = true;
      if (this.drag.moved) this.pause(true, this.drag.end - ((x - this.drag.x) / this.view.width) * this.span);
      return undefined;
    });
    canvas.addEventListener("pointerup", (event) => {
      const [drag, [x, y]] = [this.drag, at(event)];
      this.drag = null;
      if (drag && !drag.moved) this.onPick(this.runAt(x, y));
    });
    canvas.addEventListener("pointerleave", () => {
      this.tip.hidden = true;
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [x] = at(event);
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.min(1, Math.max(0, (x - this.view.margin) / this.view.width)));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const keys = {
        " ": () => this.pause(!this.isPaused),
        "+": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        ArrowLeft: () => this.pause(true, (this.end ?? this.model.time()) - this.span / 4),
        ArrowRight: () => this.pause(true, (this.end ?? this.model.time()) + this.span / 4),
        Escape: () => this.onPick(null),
      };
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
}

/** The title of a process: what it is, and its number. */
function rowTitle(row) {
  const actor = Stream.actors.get(row.pid);
  return `${actor || (row.isActor ? "actor" : "worker")} ${row.pid}`;
}

/** The titles of actors, by process; filled in when they are known. */
Stream.actors = new Map();

/** A time since the runtime began, as exact as `step` asks for. */
function clock(time, step) {
  const digits = Math.min(9, Math.max(0, -Math.floor(Math.log10(step / 1e9) + 1e-9)));
  const seconds = time / 1e9;
  if (seconds < 60) return `${seconds.toFixed(digits)} s`;
  const minutes = Math.floor(seconds / 60);
  const rest = (seconds - minutes * 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return `${minutes}:${rest}`;
}
