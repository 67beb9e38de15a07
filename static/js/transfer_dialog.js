// "To sandbox…" and "To disk…" of the file browser: asks where to, and starts the transfer.
//
// The file browser tells what is chosen by an event on the document, `transfer-selection`:
// {place: "disk:<id>", folder: "/a/", names: [...], moves, to: {place, folder}}; with `to` nobody is asked.

import { get, getPart } from "./http.js";
import { seen } from "./names.js";
import { complain } from "./toasts.js";
import { start } from "./transfers.js";

const DIALOG_URL = "/transfer/dialog/";
const BASES = { disk: "/disks/", sandbox: "/sandboxes/" };
const MOST_FOLDERS = 1000;

function specOf(place, folder) {
  return `${place}:${folder}`;
}

// Brings the dialogs, drawn anew: other sandboxes may run by now.
async function fetchDialogs(source) {
  const parsed = await getPart(`${DIALOG_URL}?${new URLSearchParams({ source })}`);
  for (const id of ["goes-to", "conflict"]) {
    document.getElementById(id)?.remove();
    document.body.append(document.adoptNode(parsed.getElementById(id)));
  }
  return document.getElementById("goes-to");
}

function describe(names) {
  return names.length === 1 ? seen(names[0]) : `${names.length} files and folders`;
}

let looks = 0;

async function showFolders(dialog) {
  looks += 1;
  const look = looks;
  const list = dialog.querySelector(".folders");
  const [kind, id] = dialog.querySelector("select").value.split(":");
  const input = dialog.querySelector('[name="folder"]');
  const path = input.value.trim() || "/";
  let entries = [];
  try {
    const query = new URLSearchParams({ path, limit: MOST_FOLDERS });
    ({ entries } = await get(`${BASES[kind]}${id}/file-list?${query}`));
  } catch {
    // A folder that is not there is made by the transfer.
  }
  // An answer that was overtaken by a later question is of no use.
  if (look !== looks) return;
  const folders = entries.filter((entry) => entry.kind === "folder");
  const items = folders.map((entry) => item(entry.name, entry.path));
  if (path !== "/") items.unshift(item("..", path.replace(/\/+[^/]*\/*$/, "") || "/"));
  list.replaceChildren(...items);
  list.hidden = !items.length;
}

function item(name, path) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "row";
  button.dataset.path = path;
  const icon = document.querySelector("#goes-to svg").cloneNode(true);
  const use = icon.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#i-folder"));
  const text = document.createElement("span");
  text.className = "clip";
  text.textContent = seen(name);
  button.append(icon, text);
  const entry = document.createElement("li");
  entry.append(button);
  return entry;
}

function prepare(dialog, { source, names, moves }) {
  const select = dialog.querySelector("select");
  dialog.querySelector("[data-what]").textContent = describe(names);
  if (!select) return;
  const folder = dialog.querySelector('[name="folder"]');
  const box = dialog.querySelector('[name="moves"]');
  const go = dialog.querySelector("[data-go]");
  const title = dialog.querySelector("h2");
  const showVerb = () => {
    go.textContent = box.checked ? "Move" : "Copy";
    title.textContent = title.textContent.replace(/^(Copy|Move)/, go.textContent);
  };
  const goTo = (path) => {
    folder.value = path;
    showFolders(dialog);
  };
  box.checked = Boolean(moves);
  showVerb();
  box.addEventListener("change", showVerb);
  select.addEventListener("change", () => goTo(select.selectedOptions[0].dataset.start));
  folder.addEventListener("change", () => showFolders(dialog));
  dialog.addEventListener("click", (event) => {
    const below = event.target.closest("[data-path]");
    const recent = event.target.closest("[data-recent]");
    if (below) goTo(below.dataset.path);
    if (!recent) return;
    select.value = recent.dataset.recent;
    goTo(recent.dataset.folder);
  });
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const target = specOf(select.value, folder.value.trim());
    submit(dialog, { source, target, names, moves: box.checked });
  });
  showFolders(dialog);
}

async function submit(dialog, wish) {
  const go = dialog.querySelector("[data-go]");
  const error = dialog.querySelector("#goes-to-error");
  go.disabled = true;
  error.hidden = true;
  try {
    const started = await start(dialog.querySelector("form").getAttribute("action"), wish);
    if (started) dialog.close();
  } catch (refusal) {
    error.textContent = seen(refusal.message);
    error.hidden = false;
  } finally {
    go.disabled = false;
  }
}

async function onSelection(event) {
  const { place, folder, names, moves = false, to } = event.detail;
  const source = specOf(place, folder);
  try {
    const dialog = await fetchDialogs(source);
    if (to) {
      const url = dialog.querySelector("form").getAttribute("action");
      await start(url, { source, target: specOf(to.place, to.folder), names, moves });
      return;
    }
    prepare(dialog, { source, names, moves });
    dialog.showModal();
    dialog.querySelector("select")?.focus();
  } catch (error) {
    complain(error);
  }
}

document.addEventListener("transfer-selection", onSelection);
