// Search below a folder, by name or by content; what was found is grouped by file.

import { get } from "./http.js";
import { here, pageOf } from "./file_place.js";
import { seen } from "./names.js";
import { plural } from "./sizes.js";

const panel = document.getElementById("search-panel");
const MOST_HITS_OF_A_FILE = 20;

let under = null;

function mode() {
  return panel.querySelector('[data-mode][aria-pressed="true"]').dataset.mode;
}

function say(words, { failed = false } = {}) {
  const place = panel.querySelector("[data-result]");
  place.textContent = words;
  place.classList.toggle("err", failed);
}

function hitLine(result, { line, text, start, end }) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `${pageOf(result.path)}?view=raw#L${line}`;
  const number = document.createElement("span");
  number.className = "faint num";
  number.textContent = line;
  const mark = document.createElement("mark");
  mark.textContent = text.slice(start, end);
  const words = document.createElement("code");
  words.append(text.slice(0, start), mark, text.slice(end));
  link.append(number, words);
  item.append(link);
  return item;
}

function group(result) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.className = "hit-file";
  link.href = pageOf(result.kind === "folder" ? `${result.path}/` : result.path);
  link.textContent = seen(result.path);
  item.append(link);
  if (result.hits.length) {
    const count = document.createElement("span");
    count.className = "faint small num";
    count.textContent = plural(result.hits.length, "hit");
    const lines = document.createElement("ol");
    lines.append(...result.hits.slice(0, MOST_HITS_OF_A_FILE).map((hit) => hitLine(result, hit)));
    item.append(count, lines);
  }
  return item;
}

function summary(answer) {
  const files = plural(answer.results.length, "file");
  const unread = answer.unreadable ? ` ${plural(answer.unreadable, "folder")} could not be read.` : "";
  const more = (answer.stopped ? ` Stopped at ${answer.stopped}.` : "") + unread;
  if (!answer.results.length) return `Nothing found in ${plural(answer.searched ?? 0, "file")}.${more}`;
  if (answer.mode === "name") return `${plural(answer.results.length, "name")} found.${more}`;
  return `${plural(answer.hits, "hit")} in ${files}.${more}`;
}

// The address says what is searched for, so that it is found again on the way back.
function remember(form) {
  const url = new URL(location.href);
  const q = form.elements.q.value.trim();
  const facts = { search: q, mode: mode() === "content" ? "content" : "", case: form.elements.case.checked ? "1" : "" };
  for (const [name, value] of Object.entries(facts)) {
    if (value || name === "search") url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  history.replaceState(history.state, "", url);
}

// A search that was closed does not open again by itself.
function forget() {
  const url = new URL(location.href);
  for (const name of ["search", "mode", "case"]) url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
}

function showMode(chosen) {
  for (const button of panel.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === chosen));
  }
  const byName = chosen === "name";
  panel.querySelector('[name="q"]').placeholder = byName ? "**/*.md" : "Regular expression";
  panel.querySelector("[data-case]").hidden = byName;
}

// What was found belongs to the folder that was searched, and so does what the address asks for.
function follow(form) {
  under?.abort();
  panel.querySelector(".hits").replaceChildren();
  say("");
  const asked = new URLSearchParams(location.search);
  if (!asked.get("search")) return;
  showMode(asked.get("mode") === "content" ? "content" : "name");
  form.elements.q.value = asked.get("search");
  form.elements.case.checked = asked.get("case") === "1";
  if (panel.hidden) toggleSearch(true);
  search(form);
}

async function search(form) {
  under?.abort();
  under = new AbortController();
  const { signal } = under;
  const q = form.elements.q.value.trim();
  const hits = panel.querySelector(".hits");
  hits.replaceChildren();
  if (!q) {
    say("");
    return;
  }
  say("Searching…");
  const query = { mode: mode(), q, path: here.folder.replace(/(.)\/$/, "$1"), case: form.elements.case.checked ? 1 : 0 };
  try {
    const answer = await get(`${here.base}/file-search?${new URLSearchParams(query)}`, { signal });
    hits.replaceChildren(...answer.results.map(group));
    say(summary(answer));
  } catch (error) {
    if (!signal.aborted) say(seen(error.message), { failed: true });
  }
}

export function toggleSearch(on = panel.hidden) {
  panel.hidden = !on;
  here.element.toggleAttribute("data-searches", on);
  document.querySelector('.bar [data-do="search"]')?.setAttribute("aria-pressed", String(on));
  if (on) panel.querySelector('[name="q"]').focus();
  else forget();
}

export function listenToSearch() {
  if (!panel) return;
  const form = panel.querySelector("form");
  const input = form.elements.q;
  panel.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-mode]");
    if (!chosen) return;
    showMode(chosen.dataset.mode);
    // A glob is no regular expression: nothing is searched before it is asked for.
    input.focus();
    input.select();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    remember(form);
    search(form);
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") toggleSearch(false);
  });
  document.addEventListener("folder-visited", () => follow(form));
  if (!panel.hidden) toggleSearch(true);
  follow(form);
}
