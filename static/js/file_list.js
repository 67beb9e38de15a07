// Which rows are selected, and which one has the keyboard.
//
// The truth is here, by the ids of rows; `paint` writes it into the page after each change.

import { here } from "./file_place.js";
import { plural, size } from "./sizes.js";

const TYPE_AHEAD_MS = 800;
const PAGE_ROWS = 10;

const selected = new Set();
let current = null;
let anchor = null;
let typed = "";
let typedAt = 0;

function rows() {
  return [...document.querySelectorAll("#rows > tr")];
}

function factsOf(row) {
  return {
    id: row.id,
    name: row.dataset.name,
    path: row.dataset.path,
    kind: row.dataset.kind,
    size: Number(row.dataset.size || 0),
    modified: row.dataset.modified,
    url: row.querySelector("th a").href,
  };
}

export function selection() {
  return rows().filter((row) => selected.has(row.id)).map(factsOf);
}

// What an action is for: what is selected, or else the row that has the keyboard.
export function chosen() {
  const several = selection();
  if (several.length) return several;
  const row = document.getElementById(current);
  return row ? [factsOf(row)] : [];
}

// Of some rows, the one that has the keyboard, or else the first.
export function currentOf(items) {
  return items.find((item) => item.id === current) ?? items[0];
}

export function currentRow() {
  const row = document.getElementById(current);
  return row ? factsOf(row) : null;
}

function paintRow(row) {
  const is = selected.has(row.id);
  row.setAttribute("aria-selected", String(is));
  row.querySelector(".check").checked = is;
  row.tabIndex = row.id === current ? 0 : -1;
  for (const inner of row.querySelectorAll("a, button, input")) inner.tabIndex = -1;
  // A row is dragged as a whole, with its link.
  row.draggable = here.mayWork;
  row.querySelector("th a").draggable = !here.mayWork;
}

// Where all that is shown is selected, but not all is shown, the rest is offered.
// Returns how many there are, in words.
function showRest(bar, all, isAll) {
  const button = bar.querySelector('[data-do="select-everything"]');
  const isClipped = isAll && document.querySelector('#listing [data-do="more"]') !== null;
  button.hidden = !isClipped;
  if (!isClipped) return "";
  const most = Number(button.dataset.most);
  // Empty where a folder has too many to count.
  const total = Number(document.getElementById("listing").dataset.total) || Infinity;
  button.dataset.count = Math.min(total, most);
  button.textContent = `Select ${total <= most ? "all" : "the first"} ${Math.min(total, most).toLocaleString("en")}`;
  return Number.isFinite(total) ? total.toLocaleString("en") : `more than ${all.length}`;
}

function paintBar(all) {
  const bar = document.getElementById("picked");
  if (!bar) return;
  const picked = selection();
  bar.hidden = !picked.length;
  const bytes = picked.reduce((sum, each) => sum + (each.kind === "file" ? each.size : 0), 0);
  const rest = showRest(bar, all, picked.length > 0 && picked.length === all.length);
  const words = `${picked.length}${rest ? ` of ${rest}` : ""} selected${bytes ? ` · ${size(bytes)}` : ""}`;
  const heading = bar.querySelector("strong");
  if (heading.textContent !== words) heading.textContent = words;
  const rename = bar.querySelector('[data-do="rename"]');
  if (rename) rename.hidden = picked.length !== 1;
  const everything = document.getElementById("select-all");
  if (!everything) return;
  everything.checked = picked.length > 0 && picked.length === all.length;
  everything.indeterminate = picked.length > 0 && picked.length < all.length;
  everything.setAttribute("aria-label", everything.checked ? "Select none" : "Select all");
}

export function paint() {
  const all = rows();
  const ids = new Set(all.map((row) => row.id));
  for (const id of selected) if (!ids.has(id)) selected.delete(id);
  if (!ids.has(current)) current = all[0]?.id ?? null;
  all.forEach(paintRow);
  paintBar(all);
}

function tellCurrent() {
  document.dispatchEvent(new CustomEvent("current-row", { detail: currentRow() }));
}

function select(ids) {
  selected.clear();
  for (const id of ids) selected.add(id);
}

function range(all, from, to) {
  const [a, b] = [all.findIndex((row) => row.id === from), all.findIndex((row) => row.id === to)];
  if (a < 0 || b < 0) return [to];
  return all.slice(Math.min(a, b), Math.max(a, b) + 1).map((row) => row.id);
}

export function clearSelection() {
  selected.clear();
  anchor = null;
  paint();
}

function toggle(id) {
  if (!selected.delete(id)) selected.add(id);
  anchor = id;
}

// Puts the keyboard on a row.
export function focusRow(row, { extend = false, focus = true } = {}) {
  if (!row) return;
  if (extend) {
    anchor ??= current;
    select(range(rows(), anchor, row.id));
  } else if (!selected.size) {
    anchor = null;
  }
  current = row.id;
  paint();
  if (focus) row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  tellCurrent();
}

export function countRows() {
  return rows().length;
}

export function focusAt(index) {
  focusRow(rows()[index]);
}

export function selectAll() {
  select(rows().map((row) => row.id));
  paint();
}

export function focusName(name) {
  focusRow(rows().find((row) => row.dataset.name === name));
}

// Before rows go: the one that has the keyboard afterwards.
export function neighbourOf(ids) {
  const all = rows();
  const last = all.findLastIndex((row) => ids.has(row.id));
  const after = all.slice(last + 1).find((row) => !ids.has(row.id));
  const before = all.slice(0, last).findLast((row) => !ids.has(row.id));
  return (after ?? before)?.id ?? null;
}

export function focusId(id) {
  focusRow(document.getElementById(id));
}

function clickRow(event, row) {
  if (event.shiftKey) {
    anchor ??= current ?? row.id;
    select(range(rows(), anchor, row.id));
    current = row.id;
  } else if (event.ctrlKey || event.metaKey) {
    toggle(row.id);
    current = row.id;
  } else {
    select([row.id]);
    anchor = current = row.id;
  }
  paint();
  row.focus({ preventScroll: true });
  tellCurrent();
}

function clickBox(event, row) {
  if (event.shiftKey && anchor) select([...selected, ...range(rows(), anchor, row.id)]);
  else toggle(row.id);
  current = row.id;
  // After the browser's own idea of the box.
  setTimeout(paint);
}

function onClick(event) {
  if (event.target.id === "select-all") {
    const all = rows();
    select(selected.size === all.length ? [] : all.map((row) => row.id));
    setTimeout(paint);
    return;
  }
  const row = event.target.closest("#rows > tr");
  if (!row || event.target.closest("a, button")) return;
  if (event.target.matches(".check")) clickBox(event, row);
  else if (event.target.closest(".c-check")) {
    toggle(row.id);
    paint();
  } else clickRow(event, row);
}

function typeAhead(key) {
  const now = performance.now();
  typed = now - typedAt > TYPE_AHEAD_MS ? key : typed + key;
  typedAt = now;
  const all = rows();
  const at = all.findIndex((row) => row.id === current);
  // One letter goes on to the next such name; more of them stay while they fit.
  const from = typed.length === 1 ? at + 1 : at;
  const turned = [...all.slice(from), ...all.slice(0, from)];
  const text = typed.toLowerCase();
  focusRow(turned.find((row) => row.dataset.name.toLowerCase().startsWith(text)));
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE_ROWS, PageUp: -PAGE_ROWS };

function move(event, all) {
  const at = all.findIndex((row) => row.id === current);
  const to =
    event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : at + STEPS[event.key];
  const row = all[Math.max(0, Math.min(all.length - 1, to))];
  const isInside = event.target.closest("#rows");
  focusRow(isInside ? row : all[Math.max(0, at)], { extend: event.shiftKey && isInside });
}

// Returns whether the key was one of the list's.
function onKey(event) {
  const all = rows();
  if (!all.length) return false;
  const ctrl = event.ctrlKey || event.metaKey;
  if (event.key in STEPS || event.key === "Home" || event.key === "End") {
    move(event, all);
  } else if (event.key === " " && !event.target.matches(".check")) {
    if (current) toggle(current);
    paint();
  } else if (ctrl && event.key.toLowerCase() === "a") {
    selectAll();
  } else if (event.key === "Escape" && selected.size) {
    clearSelection();
  } else if (event.key.length === 1 && event.key !== " " && event.key !== "/" && event.key !== "?" && !ctrl && !event.altKey) {
    typeAhead(event.key);
  } else {
    return false;
  }
  return true;
}

export function isInList(target) {
  if (document.querySelector("dialog[open], :popover-open")) return false;
  return target === document.body || Boolean(target.closest?.("#rows, #listing")) && !target.closest("input:not(.check), textarea, .picked");
}

export function listenToList() {
  document.addEventListener("click", onClick);
  document.addEventListener("mousedown", (event) => {
    // Shift-click selects rows, not text.
    if (event.shiftKey && event.target.closest("#rows")) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || !isInList(event.target)) return;
    // Letters belong to the list only while it has the keyboard.
    const isLetter = event.key.length === 1 && !event.ctrlKey && !event.metaKey;
    if (isLetter && !event.target.closest("#rows")) return;
    if (onKey(event)) event.preventDefault();
  });
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.("#rows > tr");
    if (row && row.id !== current) {
      current = row.id;
      paint();
    }
  });
  document.addEventListener("files-drawn", () => {
    const had = document.activeElement === document.body && current;
    paint();
    if (had && wasInside) document.getElementById(current)?.focus({ preventScroll: true });
  });
  paint();
}

// A row that is drawn anew takes the focus with it.
let wasInside = false;
document.addEventListener("focusin", (event) => {
  wasInside = Boolean(event.target.closest?.("#rows"));
});
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("#rows")) wasInside = false;
});

export function describe(items) {
  if (items.length === 1) return items[0].name;
  const folders = items.filter((item) => item.kind === "folder").length;
  if (!folders) return plural(items.length, "file");
  return folders === items.length ? plural(folders, "folder") : plural(items.length, "item");
}
