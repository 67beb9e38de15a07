// The head of a sandbox's pages: kept true, and asked at once when the time is over.
//
// Gives <body> the events `this-sandbox-changed` and `these-commands-changed` when this sandbox,
// not another, or its commands may have changed.

const head = () => document.getElementById("sandbox-head");
const DUE_TRIES_MS = [0, 1_000, 2_000, 3_000, 5_000, 8_000];

let due = "";

function tell(name) {
  document.body.dispatchEvent(new CustomEvent(name));
}

function changed() {
  tell("this-sandbox-changed");
}

function isMine(event) {
  const { id } = event.detail ?? {};
  return !id || id === head()?.dataset.sandbox;
}

document.body.addEventListener("sandbox-changed", (event) => isMine(event) && changed());
document.body.addEventListener("terminal-changed", changed);
document.body.addEventListener("command-changed", (event) => {
  if (!isMine(event)) return;
  tell("these-commands-changed");
  changed();
});
document.body.addEventListener("resync", () => {
  changed();
  tell("these-commands-changed");
});

// The server ends a sandbox a moment after its time: looks until it has.
setInterval(() => {
  const left = head()?.querySelector("[data-due]");
  if (!left || new Date(left.dataset.until) > Date.now() || due === left.dataset.until) return;
  due = left.dataset.until;
  for (const wait of DUE_TRIES_MS) setTimeout(changed, wait);
}, 500);

// What was asked for is shown at once; the next look shows what came of it.
document.addEventListener("submit", (event) => {
  // Busy: it was asked before, and is being sent.
  if (!event.target.matches("[data-stops][aria-busy]")) return;
  for (const state of head().querySelectorAll(".state")) {
    state.dataset.state = "stopping";
    state.lastChild.textContent = "Stopping…";
  }
});

// The menus are not drawn anew with the head.
document.addEventListener("htmx:after:swap", () => {
  const state = head()?.dataset.state;
  for (const part of document.querySelectorAll("[data-when]")) {
    part.hidden = !part.dataset.when.split(" ").includes(state);
  }
});
