// The list of sandboxes: rows that stay true, a search that follows the typing, a menu for each row.

import "./selection.js";
import { confirm } from "./confirm.js";
import { copy } from "./copy.js";
import { send } from "./http.js";
import { isTyping } from "./shortcuts.js";
import { ago } from "./times.js";
import { complain, say } from "./toasts.js";

const TYPING_MS = 250;
const LOSS = "Its files and processes are lost. Disks are kept.";

const list = document.getElementById("list");
const stale = document.querySelector(".stale");
let trueAt = Date.now();

function look() {
  list.dispatchEvent(new CustomEvent("look"));
}

// --- Rows -----------------------------------------------------------------------------------

// What somebody points at, or has the focus in, does not move: the same rows are asked for.
function heldRows() {
  const table = list.querySelector("table");
  const rows = [...list.querySelectorAll("tbody tr")];
  if (!rows.length || !(table.matches(":hover") || table.contains(document.activeElement))) return "";
  return rows.map((row) => row.dataset.id).join(",");
}

let wished = location.search;

list.addEventListener("htmx:config:request", ({ detail }) => {
  const address = new URL(location.pathname + location.search, location.href);
  const isOther = wished !== location.search;
  address.searchParams.set("part", isOther ? "all" : "rows");
  // Whoever asks for other rows gets other rows.
  const held = isOther ? "" : heldRows();
  wished = location.search;
  if (held) address.searchParams.set("held", held);
  detail.ctx.request.action = address.pathname + address.search;
});

list.addEventListener("htmx:after:request", ({ detail }) => {
  if (detail.ctx.response.status >= 400) return;
  trueAt = Date.now();
  if (stale) stale.hidden = true;
});

function isStale() {
  if (!stale) return;
  stale.querySelector("p").textContent = `The server does not answer. What you see was true ${ago((Date.now() - trueAt) / 1000)}.`;
  stale.hidden = false;
}

list.addEventListener("htmx:error", isStale);
list.addEventListener("htmx:response:error", isStale);
stale?.querySelector("button").addEventListener("click", look);

// --- Search ---------------------------------------------------------------------------------

const search = document.getElementById("search");
let typing;

function searchNow() {
  clearTimeout(typing);
  const address = new URL(location.href);
  const words = search.elements.q.value.trim();
  if (words) address.searchParams.set("q", words);
  else address.searchParams.delete("q");
  address.searchParams.delete("page");
  history.replaceState(null, "", address);
  look();
}

search?.addEventListener("submit", (event) => {
  event.preventDefault();
  searchNow();
});
search?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(searchNow, TYPING_MS);
});

// --- The menu of a row ----------------------------------------------------------------------

const menu = document.getElementById("row-menu");
let row = null;

function giveMenu(button) {
  row = button.closest("tr");
  const address = `/sandboxes/${row.dataset.id}/`;
  for (const item of menu.querySelectorAll("[data-for]")) {
    item.hidden = !item.dataset.for.split(" ").includes(row.dataset.state);
  }
  for (const item of menu.querySelectorAll("[data-to]")) item.href = address + item.dataset.to;
  menu.querySelector("[data-like]").href = `/sandboxes/new/?like=${row.dataset.id}`;
  // Of the many buttons this one has the menu now: the browser opens it, menus.js puts it there.
  document.querySelector('[popovertarget="row-menu"]')?.removeAttribute("popovertarget");
  button.setAttribute("popovertarget", "row-menu");
}

async function act(item) {
  const { id, name } = row.dataset;
  const does = item.dataset.does;
  if (does === "stop" && !(await confirm({ title: `Stop ${name}?`, loss: LOSS, action: "Stop" }))) {
    return;
  }
  const data = new FormData();
  if (item.dataset.seconds) data.set("seconds", item.dataset.seconds);
  try {
    const answer = await send(`/sandboxes/${id}/${does}/`, { data });
    say(answer.message);
    look();
  } catch (error) {
    complain(error);
  }
}

list.addEventListener("click", (event) => {
  const button = event.target.closest("[data-more]");
  if (button) giveMenu(button);
});
menu?.addEventListener("click", (event) => {
  const item = event.target.closest("[data-does], [data-copies-id]");
  if (!item || !row) return;
  if (item.dataset.does) act(item);
  else copy(row.dataset.id, "Id copied");
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "n" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  document.querySelector('.head [aria-keyshortcuts="n"]')?.click();
});
