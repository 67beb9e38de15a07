// Keys that work on every page, outside of inputs and the terminal.

const GO = { h: "/", s: "/sandboxes/", d: "/disks/", t: "/transfer/", a: "/activity/" };
const PATIENCE_MS = 1_200;

let wentAt = 0;

export function isTyping(target) {
  return Boolean(target.closest?.("input, textarea, select, [contenteditable], .term, .cm-editor"));
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    const search = document.querySelector('[aria-keyshortcuts="/"]');
    if (search) {
      event.preventDefault();
      search.focus();
    }
    return;
  }
  if (event.key === "g") {
    wentAt = performance.now();
  } else if (performance.now() - wentAt < PATIENCE_MS && GO[event.key]) {
    location.assign(GO[event.key]);
  }
});
