// What the page knows of tasks: the steps of the server, put together.

const BLOCKS_KEPT = 50000;

const STATES = ["waiting", "queued", "running", "finished", "failed", "worker died", "argument failed", "cancelled"];
const FINISHED = 3;

/** A run, or several short ones, as the server writes it: see `Step` in the documentation of the API. */
function readBlock(values) {
  const [row, lane, name, cell, id, attempt, state, submitted, began, ended, runs, ran] = values;
  return { row, lane, name, cell, id, attempt, state, submitted, began, ended, runs, ran };
}

function readLive(values) {
  const [row, lane, name, cell, id, attempt, state, submitted, began, needs] = values;
  return { row, lane, name, cell, id, attempt, state, submitted, began, ended: null, runs: 1, ran: null, needs };
}

class Model {
  constructor() {
    this.names = []; // [name, hue]
    this.functions = new Map();
    this.cells = new Map();
    this.rows = [];
    this.blocks = [];
    this.living = [];
    this.samples = [];
    this.disk = []; // Objects that went to disk and came back.
    this.processes = [];
    this.status = null;
    this.missed = 0;
    this.undrawn = 0;
    this.now = 0;
    this.heard = performance.now();
    this.version = 0;
  }

  /** Takes a step over. */
  take(step) {
    if (step.first) Object.assign(this, new Model(), { version: this.version });
    this.names.push(...(step.names || []));
    for (const [name, ...counts] of step.functions || []) this.functions.set(name, readCounts(counts));
    for (const [cell, ...counts] of step.cells || []) this.cells.set(cell, readCounts(counts));
    for (const [row, pid, isActor] of step.rows || []) this.rows[row] = { pid, isActor };
    for (const values of step.blocks || []) this.blocks.push(readBlock(values));
    if (this.blocks.length > BLOCKS_KEPT * 1.2) this.blocks.splice(0, this.blocks.length - BLOCKS_KEPT);
    if (step.living) this.living = step.living.map(readLive);
    for (const [id, size, isBack, began, ended] of step.disk || []) this.disk.push({ id, size, isBack, began, ended });
    if (this.disk.length > 5000) this.disk.splice(0, this.disk.length - 4096);
    if (step.status) this.status = step.status;
    if (step.processes) this.processes = step.processes;
    if (step.samples) this.samples.push(...step.samples);
    if (this.samples.length > 4000) this.samples.splice(0, this.samples.length - 3600);
    [this.missed, this.undrawn, this.now] = [step.missed, step.undrawn, step.now];
    this.heard = performance.now();
    this.version += 1;
  }

  /** Now, in nanoseconds since the runtime began. */
  time() {
    return isFrozen ? this.now : this.now + (performance.now() - this.heard) * 1e6;
  }

  name(index) {
    return this.names[index] ? this.names[index][0] : "unknown";
  }

  hue(index) {
    return this.names[index] ? this.names[index][1] : 0;
  }

  hueOf(name) {
    const found = this.names.find(([known]) => known === name);
    return found ? found[1] : 0;
  }

  /** The counts of all functions together. */
  total() {
    const total = { done: 0, failed: 0, cancelled: 0, running: 0, waiting: 0 };
    for (const counts of this.functions.values()) {
      for (const key of Object.keys(total)) total[key] += counts[key];
    }
    return total;
  }
}

function readCounts(values) {
  const [done, failed, cancelled, running, waiting, ran, queued, first, last, rate] = values;
  return { done, failed, cancelled, running, waiting, ran, queued, first, last, rate };
}
