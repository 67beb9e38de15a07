// Hears what changed and lets the parts of the page that show it look again.
//
// Each event becomes one on <body>: `sandbox-changed`, `disk-changed`… with the id in its detail.
// `resync` says: something may have been missed. Parts also look for themselves now and then.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const OFFLINE_AFTER_MS = 30_000;
const LOOK_EVERY_MS = 5_000;
const RELOAD_AT_MOST_EVERY_MS = 60_000;
const NOT_YOURS = 4003;
// A page that was so long under way may have missed something before its socket was open. One
// that is younger shows what is, and asking for all its parts again would double each load.
const FRESH_MS = 2_000;

const app = document.querySelector("[data-project]");
const project = app?.dataset.project;
let wait = FIRST_WAIT_MS;
let wasOpen = false;
let missingSince = 0;
let next = 0;
let socket = null;

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

// --- Offline -----------------------------------------------------------------------------------

// A proxy may keep sockets away while pages load well: then the page only looks less often.
async function answers() {
  try {
    const deadline = AbortSignal.timeout(5_000);
    return (await fetch("/health", { signal: deadline, cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

async function noteMissing() {
  missingSince ||= Date.now();
  if (Date.now() - missingSince < OFFLINE_AFTER_MS) return;
  if (await answers()) {
    noteThere();
    return;
  }
  showState("offline");
  const banner = document.getElementById("offline");
  if (banner) banner.hidden = false;
}

function noteThere() {
  missingSince = 0;
  const banner = document.getElementById("offline");
  if (banner) banner.hidden = true;
}

// Signed out, or not a member any more: the server says which, on this page's address. Returns
// whether it was asked; it may have been a moment ago.
function lookWhoIAm() {
  const last = Number(sessionStorage.getItem("looked") ?? 0);
  if (Date.now() - last < RELOAD_AT_MOST_EVERY_MS) return false;
  sessionStorage.setItem("looked", String(Date.now()));
  location.reload();
  return true;
}

// --- The socket --------------------------------------------------------------------------------

function open() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/ws/projects/${project}/events/`);
  socket.addEventListener("open", () => {
    wait = FIRST_WAIT_MS;
    noteThere();
    showState("live");
    if (wasOpen || performance.now() > FRESH_MS) tell("resync");
    wasOpen = true;
  });
  socket.addEventListener("message", (event) => {
    const { what, id } = JSON.parse(event.data);
    tell(`${what}-changed`, { id });
  });
  socket.addEventListener("close", (event) => {
    showState(navigator.onLine ? "waiting" : "offline");
    if (event.code === NOT_YOURS) {
      if (!lookWhoIAm()) next = setTimeout(open, RELOAD_AT_MOST_EVERY_MS);
      return;
    }
    noteMissing();
    next = setTimeout(open, wait * (0.8 + 0.4 * Math.random()));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  });
}

// A cut network does not close a socket at once.
function look() {
  if (socket.readyState === WebSocket.OPEN && navigator.onLine) noteThere();
  else noteMissing();
}

function openNow() {
  look();
  if (socket.readyState < WebSocket.CLOSING) return;
  clearTimeout(next);
  wait = FIRST_WAIT_MS;
  open();
}

if (project) {
  open();
  setInterval(look, LOOK_EVERY_MS);
  addEventListener("offline", look);
  addEventListener("online", () => {
    look();
    tell("resync");
  });
  document.getElementById("offline")?.querySelector("button").addEventListener("click", openNow);
}
