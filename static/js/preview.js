// The pane beside the list: the file that has the keyboard, and what is known of it.

import { currentRow } from "./file_list.js";
import { here, rawOf } from "./file_place.js";
import { getPart } from "./http.js";
import { openMeta } from "./meta.js";
import { seen } from "./names.js";
import { showDimensions } from "./pictures.js";
import { size } from "./sizes.js";

const REMEMBERED = "preview";
const WAIT_MS = 120;

const pane = document.getElementById("preview");
let timer = null;
let under = null;

function icon(name) {
  const sample = document.querySelector("svg.i use").getAttribute("href").split("#")[0];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sample}#i-${name}`);
  svg.append(use);
  return svg;
}

function button(label, name, act) {
  const element = document.createElement(typeof act === "string" ? "a" : "button");
  element.className = "btn btn-icon btn-quiet btn-sm";
  element.ariaLabel = label;
  element.title = label;
  if (typeof act === "string") element.href = act;
  else {
    element.type = "button";
    element.addEventListener("click", act);
  }
  element.append(icon(name));
  return element;
}

function headOf(item) {
  const head = document.createElement("header");
  const name = document.createElement("strong");
  name.className = "clip";
  name.textContent = seen(item.name);
  name.title = name.textContent;
  const bytes = document.createElement("span");
  bytes.className = "small faint num nowrap";
  bytes.textContent = item.kind === "file" ? size(item.size) : "";
  const grow = document.createElement("span");
  grow.className = "grow";
  head.append(name, bytes, grow);
  if (item.kind === "file") {
    if (here.kind === "disk") head.append(segment(item));
    if (here.mayWork) head.append(button("Edit", "edit", `${item.url}?view=edit`));
    const down = button("Download", "download", `${rawOf(item.path)}?download=1`);
    down.download = "";
    head.append(down, button("Open full view", "maximize", item.url));
  }
  head.append(button("Close preview", "x", () => toggle(false)));
  return head;
}

function segment(item) {
  const group = document.createElement("div");
  group.className = "seg seg-sm";
  group.role = "group";
  group.ariaLabel = "View";
  const views = [
    ["Preview", () => showFile(item)],
    ["Metadata", () => showMeta(item)],
  ];
  for (const [words, act] of views) {
    const choice = document.createElement("button");
    choice.type = "button";
    choice.textContent = words;
    choice.setAttribute("aria-pressed", String(words === "Preview"));
    choice.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === choice));
      act();
    });
    group.append(choice);
  }
  return group;
}

function showMeta(item) {
  // A preview that comes late would take the place of what is typed.
  under?.abort();
  openMeta(bodyOf(), item.path);
}

function bodyOf() {
  let body = pane.querySelector(".preview-body");
  if (!body) {
    body = document.createElement("div");
    body.className = "preview-body";
    pane.append(body);
  }
  return body;
}

function note(words) {
  const body = bodyOf();
  const blank = document.createElement("div");
  blank.className = "blank";
  const text = document.createElement("p");
  text.textContent = seen(words);
  blank.append(text);
  body.replaceChildren(blank);
}

// The server drew it, escaped: the same part as on the page of the file.
async function showFile(item) {
  under?.abort();
  under = new AbortController();
  const { signal } = under;
  try {
    const parsed = await getPart(`${item.url}?part=preview`, { signal });
    if (signal.aborted) return;
    bodyOf().replaceChildren(...parsed.body.childNodes);
    showDimensions(pane);
  } catch (error) {
    if (!signal.aborted) note(error.message);
  }
}

function show() {
  const item = currentRow();
  if (!item) {
    pane.replaceChildren();
    note("Choose a file to see it here.");
    return;
  }
  if (pane.dataset.path === item.path && pane.dataset.modified === item.modified) return;
  pane.dataset.path = item.path;
  pane.dataset.modified = item.modified;
  pane.replaceChildren(headOf(item));
  if (item.kind === "folder") note("A folder. Enter opens it.");
  else showFile(item);
}

function showSoon() {
  if (pane.hidden) return;
  clearTimeout(timer);
  timer = setTimeout(show, WAIT_MS);
}

export function toggle(on = pane.hidden) {
  pane.hidden = !on;
  here.element.toggleAttribute("data-preview", on);
  localStorage.setItem(REMEMBERED, on ? "1" : "");
  document.querySelector('[data-do="preview"]').setAttribute("aria-pressed", String(on));
  delete pane.dataset.path;
  if (on) show();
}

export function listenToPreview() {
  if (!pane) return;
  document.addEventListener("current-row", showSoon);
  document.addEventListener("files-drawn", showSoon);
  document.addEventListener("folder-visited", showSoon);
  if (localStorage.getItem(REMEMBERED) && innerWidth > 720) toggle(true);
}
