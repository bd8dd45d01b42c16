// Where the page's data come from: the server, or the page itself in a report.

const frozenText = document.getElementById("frozen");
const frozen = frozenText ? JSON.parse(frozenText.textContent) : null;
const isFrozen = frozen !== null;

// In a frame of a notebook the browser may keep the cookie back, so each request has the token while the address has it.
const token = new URLSearchParams(location.search).get("token");

function address(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  if (token) query.set("token", token);
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** Asks the server. In a report, only what was asked for all is there. */
async function ask(path, parameters = {}) {
  if (isFrozen) {
    const known = frozen[path];
    if (known === undefined) throw new Error("this is not in the report");
    return known;
  }
  const answer = await fetch(address(`api/${path}`, parameters), { cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()) || answer.statusText);
  return answer.json();
}

/** Has the server do something that is more than telling. */
async function order(path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(address(`api/${path}`), { method: "POST", headers, body: JSON.stringify(body), cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()) || answer.statusText);
  return answer.json();
}

/** Calls `onStep` with each step, and `onState` with whether the server is there. */
function listen(onStep, onState) {
  if (isFrozen) {
    onStep(frozen.step);
    onState("a report");
    return;
  }
  let events = null;
  const open = () => {
    events = new EventSource(address("events"));
    events.onopen = () => onState("");
    events.addEventListener("step", (event) => onStep(JSON.parse(event.data)));
    events.addEventListener("trouble", (event) => onState(JSON.parse(event.data)));
    events.onerror = () => onState("the runtime has ended, or cannot be reached");
  };
  // Nobody looks at a hidden page, and what nobody looks at is not read.
  const follow = () => {
    if (document.hidden && events) {
      events.close();
      events = null;
    } else if (!document.hidden && !events) {
      open();
    }
  };
  document.addEventListener("visibilitychange", follow);
  follow();
}

// The token is not for the history of the browser, nor for who looks over a shoulder, once there is the cookie.
async function hideToken() {
  if (isFrozen || !token || window.top !== window) return;
  try {
    const answer = await fetch("api/status", { cache: "no-store" });
    if (answer.ok) history.replaceState(null, "", location.pathname);
  } catch {
    // Then it stays.
  }
}
