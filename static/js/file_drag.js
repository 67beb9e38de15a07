// Rows that are dragged onto a folder of this place, in the list or in the path, are moved there.

import { moveInto } from "./file_actions.js";
import { chosen, focusRow, selection } from "./file_list.js";
import { here } from "./file_place.js";

let dragged = [];

const bare = (path) => path.replace(/(.)\/$/, "$1");

// The folder that a drag would land in; null where it would change nothing.
function landing(event) {
  const element = event.target.closest?.('#rows > tr[data-kind="folder"], #path a[data-folder]');
  if (!dragged.length || !element) return null;
  const to = bare(element.dataset.path ?? element.dataset.folder);
  const isOwn = to === bare(here.folder) || dragged.some((item) => bare(item.path) === to);
  return isOwn ? null : { element, to };
}

function show(element) {
  for (const old of document.querySelectorAll("[data-drop]")) {
    if (old !== element) old.removeAttribute("data-drop");
  }
  element?.setAttribute("data-drop", "");
}

function onStart(event) {
  const row = event.target.closest?.("#rows > tr");
  if (!row) return;
  if (!selection().some((item) => item.id === row.id)) {
    document.querySelector('[data-do="clear"]')?.click();
    focusRow(row);
  }
  dragged = chosen();
  event.dataTransfer.setData("text/plain", dragged.map((item) => item.path).join("\n"));
  event.dataTransfer.effectAllowed = "copyMove";
}

function onOver(event) {
  if (!dragged.length) return;
  const place = landing(event);
  show(place?.element);
  if (!place) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "move";
}

function onDrop(event) {
  const place = landing(event);
  if (!place) return;
  event.preventDefault();
  moveInto(dragged, place.to);
}

export function listenToDrags() {
  if (!here.mayWork) return;
  document.addEventListener("dragstart", onStart);
  document.addEventListener("dragover", onOver);
  document.addEventListener("drop", onDrop);
  document.addEventListener("dragend", () => {
    dragged = [];
    show(null);
  });
}
