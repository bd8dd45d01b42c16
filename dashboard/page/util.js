// Elements, texts of amounts, and colours.

/** An element with attributes and children. A text child is text and never markup. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

/** Replaces what is in an element. */
function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

/** Nanoseconds, for a person. */
function duration(ns) {
  if (ns === null || ns === undefined) return "";
  const [unit, size] = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]].find(([, size]) => ns >= size) || ["ns", 1];
  if (unit === "s" && ns >= 100e9) {
    const seconds = Math.round(ns / 1e9);
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    const rest = String(seconds % 60).padStart(2, "0");
    return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest} h` : `${minutes}:${rest} min`;
  }
  const amount = ns / size;
  return `${amount >= 100 ? amount.toFixed(0) : amount.toFixed(1)} ${unit}`;
}

/** Bytes, for a person. */
function bytes(amount) {
  if (amount === null || amount === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (amount >= 1024 && unit < units.length - 1) [amount, unit] = [amount / 1024, unit + 1];
  return unit === 0 ? `${amount} B` : `${amount.toFixed(1)} ${units[unit]}`;
}

/** A count, with spaces between thousands. */
function count(amount) {
  return String(amount).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** An amount of a resource. */
function amountOf(name, amount) {
  return name === "memory" ? bytes(Math.round(amount)) : String(Math.round(amount * 1e4) / 1e4);
}

/** Whether the page is dark. */
const darkness = matchMedia("(prefers-color-scheme: dark)");

/** The colour of a function, from the hue that the server gives its name. */
function colour(hue, alpha = 1) {
  return darkness.matches ? `hsla(${hue}, 55%, 58%, ${alpha})` : `hsla(${hue}, 58%, 50%, ${alpha})`;
}

/** A colour of the style sheet. */
function styled(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A square in a function's colour. */
function swatch(hue) {
  const square = el("span", { class: "swatch" });
  square.style.background = colour(hue);
  return square;
}

/** A cell by the runtime's number, which names the session, too, if it is another one than the page's. */
function cellName(cell) {
  const [session, number] = [Math.floor(cell / 2 ** 24), cell % 2 ** 24];
  return session ? `${number} of session ${session}` : `${number}`;
}
