// The path above a list or a file: crumbs, and an input to type another one.

import { here, pageOf } from "./file_place.js";

// Long enough for a click on what is beside the input.
const LEAVE_MS = 150;

function edit(on) {
  const path = document.getElementById("path");
  const form = path.querySelector("form");
  form.hidden = !on;
  path.querySelector("ol").hidden = on;
  path.querySelector(".path-edit").hidden = on;
  if (!on) {
    showEnd();
    return;
  }
  const input = form.querySelector("input");
  if (document.querySelector("[data-files]")) input.value = here.folder;
  input.focus();
  input.select();
}

// Of a long path, the end is what somebody looks for.
export function showEnd() {
  const crumbs = document.querySelector("#path ol");
  crumbs.scrollLeft = crumbs.scrollWidth;
}

// `go` gets the address that was typed.
export function listenToPath(go) {
  document.addEventListener("click", (event) => {
    if (event.target.closest('[data-do="path"]')) edit(true);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".path-form")) return;
    event.preventDefault();
    const text = event.target.querySelector("input").value.trim();
    edit(false);
    go(pageOf(text.startsWith("/") ? text : here.folder + text));
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.id !== "path-input") return;
    setTimeout(() => {
      if (document.activeElement?.id !== "path-input") edit(false);
    }, LEAVE_MS);
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.id === "path-input" && event.key === "Escape") edit(false);
    const isKey = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "l";
    if (!isKey || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    edit(true);
  });
  showEnd();
}
