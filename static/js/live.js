// Hears what changed and lets the parts of the page that show it look again.
//
// Each event becomes one on <body>: `sandbox-changed`, `disk-changed`… with the id in its detail.
// `resync` says: something may have been missed. Parts also look for themselves now and then.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

const app = document.querySelector("[data-project]");
const project = app?.dataset.project;
let wait = FIRST_WAIT_MS;
let wasOpen = false;

function tell(name, detail) {
  document.body.dispatchEvent(new CustomEvent(name, { detail }));
}

function showState(state) {
  document.documentElement.dataset.live = state;
  const words = { live: "Live", waiting: "Every 30 s", offline: "Offline" };
  for (const element of document.querySelectorAll("[data-live-word]")) {
    element.textContent = words[state];
  }
}

function open() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/ws/projects/${project}/events/`);
  socket.addEventListener("open", () => {
    wait = FIRST_WAIT_MS;
    showState("live");
    if (wasOpen) tell("resync");
    wasOpen = true;
  });
  socket.addEventListener("message", (event) => {
    const { what, id } = JSON.parse(event.data);
    tell(`${what}-changed`, { id });
  });
  socket.addEventListener("close", (event) => {
    showState(navigator.onLine ? "waiting" : "offline");
    // 4003: not a member any more.
    if (event.code === 4003) return;
    setTimeout(open, wait * (0.8 + 0.4 * Math.random()));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  });
}

if (project) {
  open();
  addEventListener("online", () => tell("resync"));
}
