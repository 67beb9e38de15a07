// One side of the transfer page: its rows, which of them are chosen, and where the keyboard is.
// The functions take the side's <section>; what is chosen is what is checked.

import { size } from "./sizes.js";

const TYPING_MS = 900;
const FOLDERS_FIRST = { folder: 0 };

// Where Shift began, and what was chosen besides then.
let span = null;
let typed = "";
let typedAt = 0;

export function rowsOf(section) {
  return [...section.querySelectorAll("tbody tr")];
}

export function chosen(section) {
  return rowsOf(section).filter((row) => boxOf(row).checked);
}

export function namesOf(rows) {
  return rows.map((row) => row.dataset.name);
}

// The row that the arrow keys start from.
export function current(section) {
  return section.querySelector('tbody tr[tabindex="0"]');
}

function boxOf(row) {
  return row.querySelector(".check");
}

// Makes a side that came from the server one that keys and pointers can use.
export function prepare(section, { works }) {
  rowsOf(section).forEach((row, index) => {
    row.tabIndex = index ? -1 : 0;
    row.draggable = works;
    boxOf(row).tabIndex = -1;
    const link = row.querySelector("a");
    link.tabIndex = -1;
    link.draggable = false;
  });
  show(section);
}

// Brings the page in line with what is checked.
export function show(section) {
  const rows = rowsOf(section);
  const picked = chosen(section);
  for (const row of rows) row.setAttribute("aria-selected", String(boxOf(row).checked));
  const all = section.querySelector("[data-all]");
  if (all) {
    all.checked = picked.length > 0 && picked.length === rows.length;
    all.indeterminate = picked.length > 0 && picked.length < rows.length;
  }
  showCount(section, picked);
  section.dispatchEvent(new CustomEvent("chosen", { bubbles: true }));
}

function showCount(section, picked) {
  const foot = section.querySelector("[data-picked]");
  if (!foot) return;
  foot.dataset.usual ??= foot.textContent.trim();
  if (!picked.length) {
    foot.textContent = foot.dataset.usual;
    return;
  }
  const bytes = picked.reduce((sum, row) => sum + Number(row.dataset.size || 0), 0);
  const count = document.createElement("b");
  count.className = "strong";
  const hidden = picked.length === rowsOf(section).length && section.querySelector(".after [data-count]");
  count.textContent = hidden ? `${picked.length} selected, all that is shown` : `${picked.length} selected`;
  foot.replaceChildren(count, bytes ? ` ${size(bytes)}` : "");
}

export function choose(section, rows, { only = true, on = true } = {}) {
  if (only) for (const row of chosen(section)) boxOf(row).checked = false;
  for (const row of rows) boxOf(row).checked = on;
  show(section);
}

function toggle(section, row) {
  choose(section, [row], { only: false, on: !boxOf(row).checked });
}

function range(section, from, to) {
  const rows = rowsOf(section);
  const [low, high] = [rows.indexOf(from), rows.indexOf(to)].sort((a, b) => a - b);
  return rows.slice(Math.max(0, low), high + 1);
}

// With Shift, the rows from where it began are chosen; going back takes them out again.
function extend(section, from, to) {
  if (span?.last !== from) span = { from, kept: chosen(section) };
  span.last = to;
  choose(section, [...span.kept, ...range(section, span.from, to)]);
}

export function moveTo(section, row) {
  if (!row) return;
  const before = current(section);
  if (before) before.tabIndex = -1;
  row.tabIndex = 0;
  row.focus();
}

// What a click does to the selection; with Ctrl, Shift or a finger it adds to it.
export function clicked(section, row, event) {
  const from = current(section) ?? row;
  if (event.target.closest(".check")) show(section);
  else if (event.shiftKey) choose(section, range(section, from, row));
  else if (event.ctrlKey || event.metaKey || event.pointerType === "touch") toggle(section, row);
  else choose(section, [row]);
  if (!event.shiftKey) moveTo(section, row);
}

// Keys of a list. Returns whether the key was one of them.
export function pressed(section, row, event) {
  const rows = rowsOf(section);
  const here = rows.indexOf(row);
  const page = Math.max(1, Math.floor(row.closest(".scroll").clientHeight / row.offsetHeight) - 1);
  const to = {
    ArrowDown: here + 1,
    ArrowUp: here - 1,
    PageDown: here + page,
    PageUp: here - page,
    Home: 0,
    End: rows.length - 1,
  }[event.key];
  if (to !== undefined) {
    const next = rows[Math.min(Math.max(to, 0), rows.length - 1)];
    if (event.shiftKey) extend(section, row, next);
    else span = null;
    moveTo(section, next);
    return true;
  }
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") choose(section, rows);
  else if (event.key === " " || event.key === "Insert") toggle(section, row);
  else if (event.key === "Escape" && chosen(section).length) choose(section, []);
  else return typeAhead(section, rows, here, event);
  return true;
}

function typeAhead(section, rows, here, event) {
  if (event.key.length !== 1 || event.ctrlKey || event.metaKey || event.altKey) return false;
  const now = performance.now();
  typed = now - typedAt < TYPING_MS ? typed + event.key.toLowerCase() : event.key.toLowerCase();
  typedAt = now;
  const start = here + (typed.length === 1 ? 1 : 0);
  const turned = [...rows.slice(start), ...rows.slice(0, start)];
  moveTo(section, turned.find((row) => row.dataset.name.toLowerCase().startsWith(typed)));
  return true;
}

// Sorts the rows that are there, folders first.
export function sort(section, by, descending) {
  const value = {
    name: (row) => row.dataset.name,
    size: (row) => Number(row.dataset.size || -1),
    modified: (row) => Number(row.dataset.modified || 0),
  }[by];
  const rank = (row) => FOLDERS_FIRST[row.dataset.kind] ?? 1;
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  const compare = (a, b) =>
    by === "name" ? order(value(a), value(b)) : value(a) - value(b) || order(a.dataset.name, b.dataset.name);
  const rows = rowsOf(section).sort(
    (a, b) => rank(a) - rank(b) || (descending ? -1 : 1) * compare(a, b),
  );
  section.querySelector("tbody")?.append(...rows);
  for (const head of section.querySelectorAll("[data-by]")) {
    const arrow = section.querySelector("[data-by] .i");
    if (head.dataset.by === by) head.querySelector("button").append(arrow);
    head.setAttribute(
      "aria-sort",
      head.dataset.by !== by ? "none" : descending ? "descending" : "ascending",
    );
  }
}

// What of a side's state survives when the server draws it anew.
export function stateOf(section) {
  const row = current(section);
  return {
    names: new Set(namesOf(chosen(section))),
    at: row?.dataset.name,
    hasFocus: row !== null && row === document.activeElement,
    top: section.querySelector(".scroll")?.scrollTop ?? 0,
    sorted: section.querySelector('[aria-sort="ascending"], [aria-sort="descending"]'),
  };
}

export function restore(section, state) {
  const by = state.sorted?.dataset.by ?? "name";
  const descending = state.sorted?.getAttribute("aria-sort") === "descending";
  if (by !== "name" || descending) sort(section, by, descending);
  const rows = rowsOf(section);
  choose(section, rows.filter((row) => state.names.has(row.dataset.name)));
  const at = rows.find((row) => row.dataset.name === state.at);
  if (at) {
    for (const row of rows) row.tabIndex = row === at ? 0 : -1;
    if (state.hasFocus) at.focus({ preventScroll: true });
  }
  const scroll = section.querySelector(".scroll");
  if (scroll) scroll.scrollTop = state.top;
}
