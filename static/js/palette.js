// The palette: jump anywhere, do anything that this page offers.
//
// What a page offers: <button data-command="Stop calm-otter">. It is pressed as if by hand, so it
// asks first where it always does. Nothing here reads the address of the page: a link cannot
// make the palette do anything.

import { get } from "./http.js";
import { isShell } from "./shortcuts.js";

const FEWEST_LETTERS = 2;
const PAUSE_MS = 200;
const MOST_RECENT = 5;
// What is looked for by name comes before what is done; before that, what this page offers.
const ORDER = ["Recent", "Sandboxes", "Disks", "This page", "Go to", "Actions", "Projects"];
const UNASKED = ["Recent", "This page", "Sandboxes", "Go to", "Actions"];

const dialog = document.getElementById("palette");
const input = dialog?.querySelector("input");
const list = dialog?.querySelector('[role="listbox"]');
const memory = `palette:${document.querySelector("[data-project]")?.dataset.project ?? ""}`;

let fixed = [];
let found = [];
let newest = [];
let shown = [];
let chosen = 0;
let timer = 0;
let asking = null;

// --- What there is -----------------------------------------------------------------------------

function listed() {
  return [...dialog.querySelector("template").content.querySelectorAll("a")].map((a) => ({
    group: a.dataset.group,
    label: a.textContent,
    url: a.getAttribute("href") ?? "",
    icon: `i-${a.dataset.icon}`,
    keys: a.dataset.keys ?? "",
    press: a.dataset.press ? document.querySelector(a.dataset.press) : null,
  }));
}

function offeredHere() {
  const elements = [...document.querySelectorAll("[data-command]")];
  return elements
    .filter((element) => !element.disabled && !element.closest("[hidden], dialog"))
    .map((element) => ({
      group: "This page",
      label: element.dataset.command,
      url: element.tagName === "A" ? element.getAttribute("href") : "",
      icon: element.querySelector("use")?.getAttribute("href").split("#")[1] ?? "i-zap",
      hint: element.closest("form")?.dataset.confirm ? "asks first" : "",
      press: element,
    }));
}

function recent() {
  try {
    const kept = JSON.parse(localStorage.getItem(memory) ?? "[]");
    return kept
      .filter(({ label, url }) => typeof label === "string" && isOwn(url))
      .slice(0, MOST_RECENT)
      .map(({ label, url, icon }) => ({ group: "Recent", label, url, icon: String(icon) }));
  } catch {
    return [];
  }
}

function remember({ label, url, icon }) {
  const others = recent().filter((one) => one.url !== url);
  const kept = [{ label, url, icon }, ...others].slice(0, MOST_RECENT);
  try {
    localStorage.setItem(memory, JSON.stringify(kept));
  } catch {
    // A browser may keep nothing. Then there is nothing recent.
  }
}

function isOwn(url) {
  return typeof url === "string" && /^\/(?!\/)/.test(url);
}

// --- What is shown -----------------------------------------------------------------------------

function fits(label, words) {
  const text = label.toLowerCase();
  return words.every((word) => text.includes(word));
}

function draw() {
  const wanted = input.value.trim().toLowerCase();
  const words = wanted.split(/\s+/).filter(Boolean);
  const all = wanted ? [...found, ...fixed] : [...recent(), ...found, ...fixed];
  const rows = all.filter((row) => found.includes(row) || fits(row.label, words));
  const order = wanted ? ORDER : UNASKED;
  shown = order.flatMap((group) => rows.filter((row) => row.group === group));
  chosen = Math.min(chosen, Math.max(0, shown.length - 1));
  list.replaceChildren(...order.map((group) => drawGroup(group, words)).filter(Boolean));
  dialog.querySelector(".none").hidden = shown.length > 0;
  const count = shown.length === 1 ? "1 result" : `${shown.length} results`;
  dialog.querySelector('[role="status"]').textContent = wanted ? count : "";
  mark();
}

function drawGroup(group, words) {
  const rows = shown.filter((row) => row.group === group);
  if (!rows.length) return null;
  const box = element("div", { role: "group", "aria-label": group });
  box.append(element("p", { class: "group", "aria-hidden": "true" }, group));
  box.append(...rows.map((row) => drawRow(row, words)));
  return box;
}

function drawRow(row, words) {
  const index = shown.indexOf(row);
  const option = element("div", { role: "option", id: `palette-${index}`, "data-index": index });
  option.append(drawIcon(row), highlighted(row.label, words));
  if (row.id && row.id !== row.label) {
    option.append(element("span", { class: "mono faint" }, row.id));
  }
  const end = element("span", { class: "push" }, row.hint ?? "");
  for (const key of (row.keys ?? "").split(" ").filter(Boolean)) end.append(element("kbd", {}, key));
  option.append(end);
  return option;
}

function drawIcon(row) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${dialog.dataset.sprite}#${row.icon}`);
  svg.append(use);
  if (!row.state) {
    svg.setAttribute("class", "i");
    return svg;
  }
  const state = element("span", { class: "state", "data-state": row.state });
  state.append(svg);
  return state;
}

function highlighted(label, words) {
  const span = element("span", { class: "clip" });
  const at = words.length ? label.toLowerCase().indexOf(words[0]) : -1;
  if (at < 0) {
    span.textContent = label;
    return span;
  }
  const end = at + words[0].length;
  span.append(label.slice(0, at), element("mark", {}, label.slice(at, end)), label.slice(end));
  return span;
}

function element(name, attributes, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function mark() {
  for (const option of list.querySelectorAll('[role="option"]')) {
    const isChosen = Number(option.dataset.index) === chosen;
    option.setAttribute("aria-selected", String(isChosen));
    if (isChosen) option.scrollIntoView({ block: "nearest" });
  }
  if (shown.length) input.setAttribute("aria-activedescendant", `palette-${chosen}`);
  else input.removeAttribute("aria-activedescendant");
}

// --- What is asked and done --------------------------------------------------------------------

function askLater() {
  clearTimeout(timer);
  asking?.abort();
  const wanted = input.value.trim();
  if (wanted.length < FEWEST_LETTERS) {
    found = wanted ? [] : newest;
    draw();
    return;
  }
  draw();
  timer = setTimeout(() => ask(wanted), PAUSE_MS);
}

async function askNewest() {
  try {
    const { results } = await get(`${dialog.dataset.search}?q=`);
    newest = results.filter((row) => isOwn(row.url));
  } catch {
    // Then there is only what is known here.
  }
  if (!dialog.open || input.value.trim()) return;
  const pointed = chosen > 0 ? shown[chosen] : null;
  found = newest;
  draw();
  if (!pointed) return;
  // What somebody has moved to stays the one.
  chosen = Math.max(0, shown.indexOf(pointed));
  mark();
}

async function ask(wanted) {
  asking = new AbortController();
  try {
    const url = `${dialog.dataset.search}?q=${encodeURIComponent(wanted)}`;
    const { results } = await get(url, { signal: asking.signal });
    found = results.filter((row) => isOwn(row.url));
  } catch (error) {
    if (error.name === "AbortError") return;
    found = [];
  }
  if (dialog.open) draw();
}

function run(row, inNewTab) {
  if (!row) return;
  if (inNewTab) {
    if (isOwn(row.url)) open(row.url, "_blank", "noopener");
    return;
  }
  dialog.close();
  if (row.press) {
    row.press.click();
    return;
  }
  remember(row);
  location.assign(row.url);
}

export function openPalette() {
  if (!dialog || dialog.open || document.querySelector("dialog[open]")) return;
  fixed = [...offeredHere(), ...listed().filter((row) => row.url || row.press)];
  found = newest;
  chosen = 0;
  input.value = "";
  dialog.showModal();
  draw();
  askNewest();
}

function walk(event) {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in steps && shown.length) {
    chosen = (chosen + steps[event.key] + shown.length) % shown.length;
    mark();
  } else if (event.key === "Enter") {
    run(shown[chosen], event.ctrlKey || event.metaKey);
  } else {
    return;
  }
  event.preventDefault();
}

if (dialog) {
  document.addEventListener("keydown", (event) => {
    const isOurs = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
    if (!isOurs || event.key.toLowerCase() !== "k" || isShell(event.target)) return;
    event.preventDefault();
    openPalette();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-palette]")) openPalette();
  });
  input.addEventListener("input", () => {
    chosen = 0;
    askLater();
  });
  input.addEventListener("keydown", walk);
  list.addEventListener("mousemove", (event) => {
    const option = event.target.closest('[role="option"]');
    if (!option || Number(option.dataset.index) === chosen) return;
    chosen = Number(option.dataset.index);
    mark();
  });
  list.addEventListener("click", (event) => {
    const option = event.target.closest('[role="option"]');
    if (option) run(shown[Number(option.dataset.index)], event.ctrlKey || event.metaKey);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}
