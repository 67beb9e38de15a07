// The transfer page: two sides, keys and drag between them, and an address that names both.

import { getPart } from "./http.js";
import * as panel from "./panel.js";
import { complain } from "./toasts.js";
import { start } from "./transfers.js";

const OTHER = { left: "right", right: "left" };
const LOOK_MS = 5_000;
const SETTLE_MS = 300;

const page = document.getElementById("transfer");
const works = page?.dataset.works !== undefined;
// Of two folders that are opened one after the other, the later one is shown.
const openings = { left: 0, right: 0 };
// One look at a time: a server that is slow is not asked more and more.
const looking = { left: "", right: "" };
let dragging = null;
let shiftIsDown = false;

function side(key) {
  return document.getElementById(key);
}

function specs() {
  return { left: side("left").dataset.spec, right: side("right").dataset.spec };
}

function addressOf({ left, right }) {
  const query = new URLSearchParams({ left, right });
  return `${page.dataset.url}?${query}`;
}

function active() {
  return page.querySelector(".side[data-active]").dataset.side;
}

function activate(key) {
  for (const name of ["left", "right"]) {
    side(name).toggleAttribute("data-active", name === key);
    page.querySelector(`[data-shows="${name}"]`).setAttribute("aria-pressed", String(name === key));
  }
}

// --- What a side shows

async function fetchSide(key, wanted, count) {
  const query = new URLSearchParams({ ...wanted, part: key });
  if (count) query.set("count", count);
  const parsed = await getPart(`${page.dataset.url}?${query}`);
  return document.adoptNode(parsed.getElementById(key));
}

// Shows a folder on a side; the address of the page follows, unless it went ahead.
async function open(key, spec, { push = true, count = 0, focus = false } = {}) {
  const wanted = { ...specs(), [key]: spec };
  const opening = (openings[key] += 1);
  try {
    const fresh = await fetchSide(key, wanted, count);
    if (opening !== openings[key]) return;
    replace(key, fresh, { focus });
  } catch (error) {
    complain(error);
    return;
  }
  if (push) history.pushState(null, "", addressOf(specs()));
  shareTargets();
}

function replace(key, fresh, { focus = false } = {}) {
  const old = side(key);
  const state = panel.stateOf(old);
  const isSame = old.dataset.spec === fresh.dataset.spec;
  fresh.toggleAttribute("data-active", old.hasAttribute("data-active"));
  const name = page.querySelector(`[data-shows="${key}"]`);
  name.replaceChildren(...[...fresh.querySelector(".place .btn").childNodes].slice(0, -1).map((node) => node.cloneNode(true)));
  old.replaceWith(fresh);
  panel.prepare(fresh, { works });
  panel.restore(fresh, isSame ? state : { ...state, names: new Set(), at: undefined, top: 0 });
  if (!isSame && (focus || state.hasFocus)) (panel.current(fresh) ?? fresh.querySelector("a, button"))?.focus();
}

// Each form names the other side's folder, and the way to swap both.
function shareTargets() {
  const now = specs();
  for (const key of ["left", "right"]) {
    const form = document.getElementById(`${key}-form`);
    if (form) form.elements.target.value = now[OTHER[key]];
  }
  page.querySelector("[data-swap]").href = addressOf({ left: now.right, right: now.left });
  showButtons();
}

async function refresh(key) {
  const old = side(key);
  if (!old.dataset.spec || dragging || old.querySelector(".menu:popover-open")) return;
  if (looking[key]) {
    looking[key] = "again";
    return;
  }
  looking[key] = "once";
  try {
    const fresh = await fetchSide(key, specs(), Math.max(panel.rowsOf(old).length, 0));
    const now = side(key);
    if (now === old && fresh.dataset.stamp !== old.dataset.stamp) replace(key, fresh);
  } catch (error) {
    // The next look comes soon; live.js says that the server is away.
    if (error.status && error.status < 500) showTrouble(key, error);
  }
  shareTargets();
  const again = looking[key] === "again";
  looking[key] = "";
  if (again) await refresh(key);
}

// Said once, until the side shows something again.
function showTrouble(key, error) {
  if (side(key).dataset.trouble === error.message) return;
  side(key).dataset.trouble = error.message;
  complain(error);
}

async function openBoth({ left, right }, options) {
  if (left !== specs().left) await open("left", left, { push: false, ...options });
  if (right !== specs().right) await open("right", right, { push: false, ...options });
}

async function swap() {
  const now = specs();
  await openBoth({ left: now.right, right: now.left });
  history.pushState(null, "", addressOf(specs()));
}

// --- Copy and move

function movesWanted(event) {
  return document.getElementById("moves").checked || shiftIsDown || Boolean(event?.shiftKey);
}

function showButtons() {
  for (const button of page.querySelectorAll("[data-way]")) {
    const key = button.dataset.way;
    const ready = panel.chosen(side(key)).length > 0 && side(OTHER[key]).dataset.spec;
    button.disabled = !works || !ready;
    button.classList.toggle("btn-primary", key === active());
  }
}

function showVerb(moves) {
  for (const verb of page.querySelectorAll("[data-verb]")) verb.textContent = moves ? "Move" : "Copy";
}

// Why nothing can go from side to side now.
function whatIsMissing({ names, source, target }) {
  if (!works) return "Viewers can look, not copy.";
  if (!source || !target) return "Choose a place on both sides first.";
  return names.length ? "" : "Choose files first.";
}

async function transfer(key, { rows, moves, target = side(OTHER[key]).dataset.spec }) {
  const names = panel.namesOf(rows);
  const source = side(key).dataset.spec;
  const missing = whatIsMissing({ names, source, target });
  if (missing) {
    complain(missing);
    return;
  }
  try {
    const started = await start(page.dataset.start, { source, target, names, moves });
    if (started && side(key).dataset.spec === source) panel.choose(side(key), []);
  } catch (error) {
    complain(error);
  }
}

// --- Pointer

function onClick(event) {
  const shows = event.target.closest("[data-shows]");
  if (shows) return activate(shows.dataset.shows);
  if (event.target.closest("[data-swap]")) {
    event.preventDefault();
    return void swap();
  }
  const section = event.target.closest(".side");
  if (!section) return;
  const key = section.dataset.side;
  activate(key);
  const link = event.target.closest("a");
  const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey);
  if (link && isPlain) return onLink(event, section, link);
  const head = event.target.closest("[data-by] button")?.parentElement;
  if (head) return panel.sort(section, head.dataset.by, head.ariaSort === "ascending");
  if (event.target.closest("[data-all]")) {
    return panel.choose(section, panel.rowsOf(section), { on: event.target.checked });
  }
  const row = event.target.closest("tbody tr");
  if (row && !(link && isPlain)) {
    if (link) event.preventDefault();
    panel.clicked(section, row, event);
  }
}

function onLink(event, section, link) {
  const key = section.dataset.side;
  const spec = link.dataset.spec ?? link.closest("tr")?.dataset.spec;
  if (spec) {
    event.preventDefault();
    link.closest("[popover]")?.hidePopover();
    open(key, spec, { focus: link.closest("tr") !== null });
  } else if ("refresh" in link.dataset) {
    event.preventDefault();
    refresh(key);
  } else if (link.dataset.count) {
    event.preventDefault();
    open(key, section.dataset.spec, { count: link.dataset.count, push: false });
  }
}

function onDragStart(event) {
  const row = event.target.closest?.("tbody tr");
  if (!row) return;
  const section = row.closest(".side");
  if (!panel.chosen(section).includes(row)) panel.choose(section, [row]);
  const rows = panel.chosen(section);
  dragging = { key: section.dataset.side, rows };
  event.dataTransfer.setData("text/plain", panel.namesOf(rows).join("\n"));
  event.dataTransfer.effectAllowed = "copyMove";
}

// Where a drag would land: the other side, or a folder in it.
function landing(event) {
  const section = event.target.closest?.(".side");
  if (!dragging || !section || section.dataset.side === dragging.key || !section.dataset.spec) return null;
  return event.target.closest('tr[data-kind="folder"]') ?? section;
}

function bringsFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

function onDragOver(event) {
  if (bringsFiles(event)) {
    // Without this the browser opens the file in place of the page.
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
    return;
  }
  const place = landing(event);
  showLanding(place);
  if (!place) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = movesWanted(event) ? "move" : "copy";
}

function showLanding(place) {
  for (const old of page.querySelectorAll("[data-drop]")) {
    if (old !== place) old.removeAttribute("data-drop");
  }
  place?.setAttribute("data-drop", "");
}

function onDrop(event) {
  if (bringsFiles(event)) event.preventDefault();
  const place = landing(event);
  if (!place) return;
  event.preventDefault();
  const { key, rows } = dragging;
  transfer(key, { rows, moves: movesWanted(event), target: place.dataset.spec });
}

function onDragEnd() {
  dragging = null;
  showLanding(null);
}

// --- Keyboard

function onKey(event) {
  const row = event.target.closest("tbody tr");
  const section = event.target.closest(".side");
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.key === "F5" || event.key === "F6") {
    event.preventDefault();
    byKey(event.key === "F6" || movesWanted());
  } else if (row && row === event.target && onRowKey(event, section, row)) {
    event.preventDefault();
  }
}

// Without a selection the row with the focus is meant.
function byKey(moves) {
  const section = side(active());
  const picked = panel.chosen(section);
  const row = panel.current(section);
  transfer(active(), { rows: picked.length || !row ? picked : [row], moves });
}

function onRowKey(event, section, row) {
  const key = section.dataset.side;
  if (event.key === "Tab") {
    // Right after left, left before right: nobody is caught between the two.
    const to = event.shiftKey ? "left" : "right";
    const there = key === to ? null : panel.current(side(to));
    there?.focus();
    return Boolean(there);
  }
  if (event.key === "Enter") {
    row.querySelector("a").click();
    return true;
  }
  if (event.key === "Backspace") {
    section.querySelector("[data-up]")?.click();
    return true;
  }
  return panel.pressed(section, row, event);
}

// --- What happens elsewhere

const seen = new Map();

// Looks which transfers have begun or ended since the list was last drawn.
function onJobs() {
  const touched = new Set();
  for (const job of document.querySelectorAll("#jobs [data-job]")) {
    const { job: id, status, source, target } = job.dataset;
    if (seen.get(id) === status) continue;
    seen.set(id, status);
    for (const spec of [source, target]) touched.add(placeOf(spec));
  }
  refreshThose((key) => touched.has(placeOf(side(key).dataset.spec)));
}

function placeOf(spec) {
  return spec.split(":").slice(0, 2).join(":");
}

let settling = 0;
const dirty = new Set();

function refreshThose(isMeant) {
  for (const key of ["left", "right"]) if (isMeant(key)) dirty.add(key);
  clearTimeout(settling);
  settling = setTimeout(() => {
    for (const key of dirty) refresh(key);
    dirty.clear();
  }, SETTLE_MS);
}

function onChanged(event) {
  refreshThose((key) => side(key).dataset.id === event.detail?.id);
}

async function openRight(event) {
  const link = event.target.closest("[data-opens-right]");
  if (!link) return;
  event.preventDefault();
  await open("right", link.dataset.opensRight);
  activate("right");
}

if (page) {
  for (const key of ["left", "right"]) panel.prepare(side(key), { works });
  for (const job of document.querySelectorAll("#jobs [data-job]")) seen.set(job.dataset.job, job.dataset.status);
  history.replaceState(null, "", addressOf(specs()));
  shareTargets();
  page.addEventListener("click", onClick);
  page.addEventListener("focusin", (event) => {
    const section = event.target.closest(".side");
    if (section) activate(section.dataset.side);
    showButtons();
  });
  page.addEventListener("chosen", showButtons);
  page.addEventListener("dblclick", (event) => {
    const row = event.target.closest('tr[data-kind="folder"]');
    if (row && !event.target.closest("a, .check")) row.querySelector("a").click();
  });
  page.addEventListener("keydown", onKey);
  page.addEventListener("dragstart", onDragStart);
  page.addEventListener("dragover", onDragOver);
  page.addEventListener("drop", onDrop);
  page.addEventListener("dragend", onDragEnd);
  page.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = event.submitter?.dataset.way ?? event.target.id.replace("-form", "");
    transfer(key, { rows: panel.chosen(side(key)), moves: movesWanted() });
  });
  document.getElementById("moves").addEventListener("change", () => showVerb(movesWanted()));
  document.getElementById("jobs").addEventListener("click", openRight);
  new MutationObserver(onJobs).observe(document.getElementById("jobs"), {
    subtree: true,
    childList: true,
    attributeFilter: ["data-status"],
  });
  document.body.addEventListener("sandbox-changed", onChanged);
  document.body.addEventListener("disk-changed", onChanged);
  document.body.addEventListener("resync", () => refreshThose(() => true));
  addEventListener("popstate", () => {
    const query = new URLSearchParams(location.search);
    openBoth({ left: query.get("left") ?? "", right: query.get("right") ?? "" });
  });
  setInterval(() => {
    if (!document.hidden) refreshThose((key) => side(key).dataset.kind === "sandbox");
  }, LOOK_MS);
}

function onShift(isDown) {
  if (!page || shiftIsDown === isDown) return;
  shiftIsDown = isDown;
  showVerb(movesWanted());
}

for (const name of ["keydown", "keyup"]) {
  addEventListener(name, (event) => onShift(event.shiftKey));
}
addEventListener("blur", () => onShift(false));
