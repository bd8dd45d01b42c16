// The page: which of its parts is shown, and when they are drawn.

const TABS = [
  ["tasks", "Tasks", [parts.stream, detail, parts.progress], []],
  ["cells", "Cells", [parts.cells], [parts.cells]],
  ["workers", "Workers", [parts.workers], [parts.workers]],
  ["objects", "Objects", [parts.objects], [parts.objects]],
  ["resources", "Resources", [parts.resources], []],
  ["errors", "Errors", [parts.errors], [parts.errors]],
  ["logs", "Logs", [parts.logs], [parts.logs]],
];

const head = el("span", { class: "totals" });
const state = el("span", { class: "trouble" });
const place = el("main");
const buttons = TABS.map(([key, title]) => el("a", { href: `#${key}`, class: "tab" }, title));
const report = el("a", { class: "button", href: "#", onclick: saveReport, title: "one file with all of this, to hand around" }, "Save report");
document.getElementById("page").replaceWith(el("div", { id: "page" },
  el("header", {}, el("h1", {}, "Mobula"), head, state, isFrozen ? el("span", { class: "note" }, `as of ${new Date(frozen.made_ms).toLocaleString()}`) : report),
  el("nav", {}, buttons), place));

let shown = null;

function show() {
  const key = location.hash.slice(1);
  shown = TABS.find(([known]) => known === key) || TABS[0];
  buttons.forEach((button, index) => button.setAttribute("aria-current", TABS[index] === shown ? "page" : "false"));
  fill(place, shown[2].map((part) => part.element));
  isStale = true;
  shown[3].forEach((part) => part.tick(true));
}

function saveReport(event) {
  event.preventDefault();
  location.assign(address("report"));
}

// Everything that is shown is drawn anew at most ten times a second, the stream thirty times while it follows.
let [isStale, drawnAt] = [true, 0];

function frame(time) {
  if (document.hidden === false && time - drawnAt > 100 && (isStale || shown[2].includes(parts.workers))) {
    [isStale, drawnAt] = [false, time];
    const { done, failed, running, waiting } = model.total();
    const words = [`${count(running)} running`, `${count(waiting)} waiting`, `${count(done)} done`, failed ? `${count(failed)} failed` : null];
    head.textContent = words.filter(Boolean).join(" · ");
    const chosen = getSelection();
    const isReading = chosen && !chosen.isCollapsed && place.contains(chosen.anchorNode);
    // Text that is being marked is not taken from under the hand.
    if (!isReading) shown[2].forEach((part) => part !== parts.stream && part.draw && part.draw());
  }
  if (shown[2].includes(stream) && (!stream.isPaused || stream.drawn !== model.version) && time - stream.drawnAt > 33) {
    [stream.drawn, stream.drawnAt] = [model.version, time];
    stream.draw();
  }
  requestAnimationFrame(frame);
}

stream.drawnAt = 0;
window.addEventListener("hashchange", show);
window.addEventListener("resize", () => {
  [isStale, stream.drawn] = [true, -1];
});
darkness.addEventListener("change", () => {
  [isStale, stream.drawn] = [true, -1];
});
setInterval(() => {
  if (!document.hidden) shown[3].forEach((part) => part.tick());
}, 250);
// The names of actors are wanted beside their rows.
parts.workers.tick(true);
setInterval(() => !document.hidden && model.rows.some((row) => row && row.isActor && !Stream.actors.has(row.pid)) && parts.workers.tick(), 1000);
listen((step) => {
  const isFirst = model.version === 0;
  model.take(step);
  isStale = true;
  if (isFirst && (isFrozen || model.living.length === 0) && model.blocks.length > 0) stream.showAll();
}, (trouble) => {
  state.textContent = trouble;
});
// For the console, and for tests.
window.mobula = { model, stream };
hideToken();
show();
requestAnimationFrame(frame);
