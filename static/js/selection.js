// Selecting rows: one by one, a span with Shift, all at once; and what is done to the selected.

import { confirm } from "./confirm.js";
import { send } from "./http.js";
import { complain, say } from "./toasts.js";

const LOSS = "Their files and processes are lost. Disks are kept.";
const LOSS_OF_ONE = "Its files and processes are lost. Disks are kept.";

const form = document.getElementById("bulk");
const list = document.getElementById("list");
// The rows come and go; what is selected is remembered by id.
const selected = new Set();
let last = null;

function boxes() {
  return [...list.querySelectorAll('tbody input[name="ids"]')];
}

function show() {
  const all = boxes();
  for (const box of all) box.checked = selected.has(box.value);
  const here = all.filter((box) => box.checked).length;
  const every = document.getElementById("select-all");
  if (every) {
    every.checked = here > 0 && here === all.length;
    every.indeterminate = here > 0 && here < all.length;
  }
  document.getElementById("selected").textContent = `${here} selected`;
  document.body.toggleAttribute("data-selects", here > 0);
}

function forgetMissing() {
  const here = new Set(boxes().map((box) => box.value));
  for (const id of selected) if (!here.has(id)) selected.delete(id);
  show();
}

function mark(box, on) {
  if (on) selected.add(box.value);
  else selected.delete(box.value);
}

function choose(box, span) {
  const all = boxes();
  const from = all.findIndex((other) => other.value === last);
  const to = all.indexOf(box);
  if (span && from >= 0) {
    const between = all.slice(Math.min(from, to), Math.max(from, to) + 1);
    for (const other of between) mark(other, box.checked);
  } else {
    mark(box, box.checked);
  }
  last = box.value;
  show();
}

function chooseAll(on) {
  for (const box of boxes()) mark(box, on);
  show();
}

function nameOf(id) {
  return document.getElementById(`row-${id}`)?.dataset.name ?? id;
}

async function isSure(ids) {
  const one = ids.length === 1;
  const title = one ? `Stop ${nameOf(ids[0])}?` : `Stop ${ids.length} sandboxes?`;
  return confirm({ title, loss: one ? LOSS_OF_ONE : LOSS, action: "Stop" });
}

async function act(submitter) {
  submitter.closest("[popover]")?.hidePopover();
  const only = submitter.name === "stop" ? submitter.value : "";
  const ids = only ? [only] : [...selected];
  const does = only ? "stop" : submitter.value;
  if (does === "stop" && !(await isSure(ids))) return;
  const data = new FormData();
  data.set("act", does);
  data.set("sure", "1");
  for (const id of ids) data.append("ids", id);
  form.setAttribute("aria-busy", "true");
  try {
    const { message, failed } = await send(form.action, { data });
    if (failed.length) complain(message);
    else say(message);
    if (!only) form.reset();
  } catch (error) {
    complain(error);
  } finally {
    form.removeAttribute("aria-busy");
    list.dispatchEvent(new CustomEvent("look"));
  }
}

if (form) {
  list.addEventListener("click", (event) => {
    const box = event.target;
    if (box.name === "ids") choose(box, event.shiftKey);
    else if (box.id === "select-all") chooseAll(box.checked);
  });
  list.addEventListener("htmx:after:swap", forgetMissing);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(event.submitter);
  });
  form.addEventListener("reset", () => {
    selected.clear();
    setTimeout(show);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !selected.size) return;
    if (document.querySelector("dialog[open], [popover]:popover-open")) return;
    form.reset();
  });
  // A browser that comes back to this page remembers what was ticked.
  for (const box of boxes()) mark(box, box.checked);
  show();
}
