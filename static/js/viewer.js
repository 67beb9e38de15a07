// One file: line anchors, wrapping, copying, the neighbours, and word of changes.

import { copy } from "./copy.js";
import { get } from "./http.js";
import { here } from "./file_place.js";
import { openMeta } from "./meta.js";
import { listenToPath } from "./path_bar.js";
import { showDimensions } from "./pictures.js";
import { isTyping } from "./shortcuts.js";
import { complain } from "./toasts.js";

const WRAPS = "wrap";

const viewer = document.querySelector("[data-viewer]");
const code = viewer.querySelector(".viewer-file .code:not(.hex)");
const mayWork = "mayWork" in viewer.dataset;

// --- lines: #L10 and #L10-L20 ---------------------------------------------------------------

function linesInAddress() {
  const found = location.hash.match(/^#L(\d+)(?:-L(\d+))?$/);
  if (!found) return null;
  const [a, b] = [Number(found[1]), Number(found[2] ?? found[1])];
  return [Math.min(a, b), Math.max(a, b)];
}

function markLines({ scroll = true } = {}) {
  if (!code) return;
  for (const line of code.querySelectorAll("[data-hl]")) line.removeAttribute("data-hl");
  const range = linesInAddress();
  if (!range) return;
  const [from, to] = range;
  for (const line of [...code.children].slice(from - 1, to)) line.setAttribute("data-hl", "");
  if (scroll) code.children[from - 1]?.scrollIntoView({ block: "center" });
}

function chooseLine(event) {
  const line = event.target.closest(".code > span");
  // The numbers are what stands left of the text.
  if (!line || event.clientX - line.getBoundingClientRect().left > 44) return;
  const number = [...code.children].indexOf(line) + 1;
  const start = event.shiftKey ? linesInAddress()?.[0] : null;
  const [from, to] = [Math.min(start ?? number, number), Math.max(start ?? number, number)];
  history.replaceState(null, "", `#L${from}${to > from ? `-L${to}` : ""}`);
  markLines({ scroll: false });
}

// --- buttons ---------------------------------------------------------------------------------

function wrap(on) {
  viewer.toggleAttribute("data-wrap", on);
  localStorage.setItem(WRAPS, on ? "1" : "");
  viewer.querySelector('[data-do="wrap"]')?.setAttribute("aria-pressed", String(on));
  document.dispatchEvent(new CustomEvent("wrap-changed", { detail: on }));
}

function toggleMeta() {
  const panel = document.getElementById("meta-panel");
  const button = viewer.querySelector('.bar [data-do="meta"]');
  panel.hidden = !panel.hidden;
  button.setAttribute("aria-pressed", String(!panel.hidden));
  if (panel.hidden) button.focus();
  else openMeta(panel.querySelector("div"), viewer.dataset.path);
}

const DOES = {
  wrap: () => wrap(!viewer.hasAttribute("data-wrap")),
  "copy-content": () => copy(document.getElementById("content")?.content.textContent ?? document.getElementById("editor").value, "Content copied"),
  meta: toggleMeta,
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button && DOES[button.dataset.do]) DOES[button.dataset.do]();
});

// --- keys --------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && event.target.closest("#meta-panel")) toggleMeta();
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  // In code the arrows scroll.
  if (event.target.closest(".code, .scroll, audio, video")) return;
  const to = { ArrowLeft: 'a[rel="prev"]', ArrowRight: 'a[rel="next"]' }[event.key];
  const link = to && viewer.querySelector(to);
  if (link) link.click();
  if (event.key === "e" && mayWork) document.getElementById("edit")?.click();
});

// --- was it changed while this page was open? ---------------------------------------------------

async function lookAgain() {
  if (viewer.dataset.view === "edit") return;
  const stale = document.getElementById("stale");
  try {
    const query = new URLSearchParams({ path: viewer.dataset.path });
    const { entry } = await get(`${here.base}/file-stat?${query}`);
    if (entry.etag === viewer.dataset.etag) return;
    stale.querySelector("p").textContent = "This file has changed since you opened it.";
  } catch (error) {
    if (error.status !== 404) return;
    stale.querySelector("p").textContent = "This file was deleted or moved. This is what was in it.";
  }
  stale.hidden = false;
}

document.body.addEventListener(here.kind === "disk" ? "disk-changed" : "files-changed", (event) => {
  if (event.detail?.id === here.id) lookAgain();
});
document.body.addEventListener("resync", lookAgain);

// --- what cannot be played ---------------------------------------------------------------------

for (const player of viewer.querySelectorAll("audio, video, .picture img")) {
  player.addEventListener("error", () => complain("The browser cannot show this file. Download it instead."));
}

code?.addEventListener("click", chooseLine);
addEventListener("hashchange", () => markLines());
markLines();
listenToPath((address) => location.assign(address));
showDimensions(viewer);
if (localStorage.getItem(WRAPS)) wrap(true);
