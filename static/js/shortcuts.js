// Keys that work on every page, outside of inputs and the terminal; and the list of them.
//
// A page adds its own to the list:
// <button aria-keyshortcuts="Control+Shift+F" data-shortcut-help="Search in the terminal">

const GO = { h: "/", s: "/sandboxes/", d: "/disks/", t: "/transfer/", a: "/activity/" };
const PATIENCE_MS = 1_200;
const WORDS = {
  Control: "Ctrl",
  Meta: "⌘",
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
  Enter: "↵",
  Escape: "Esc",
  Delete: "Del",
};

let wentAt = -Infinity;

// Is this where all keys belong to a shell or an editor?
export function isShell(target) {
  return Boolean(target.closest?.(".term, .xterm, .cm-editor"));
}

export function isTyping(target) {
  return isShell(target) || Boolean(target.closest?.("input, textarea, select, [contenteditable]"));
}

function drawKeys(shortcut) {
  return shortcut.split("+").map((key) => {
    const kbd = document.createElement("kbd");
    kbd.textContent = WORDS[key] ?? (key.length === 1 ? key.toUpperCase() : key);
    return kbd;
  });
}

function keysOfThisPage() {
  return [...document.querySelectorAll("[data-shortcut-help][aria-keyshortcuts]")].map((element) => {
    const row = document.createElement("div");
    const what = document.createElement("dt");
    const keys = document.createElement("dd");
    what.textContent = element.dataset.shortcutHelp;
    const [first, ...others] = element.getAttribute("aria-keyshortcuts").split(" ");
    keys.append(...drawKeys(first));
    for (const other of others) keys.append(" or ", ...drawKeys(other));
    row.append(what, keys);
    return row;
  });
}

function openList() {
  const dialog = document.getElementById("shortcuts");
  if (!dialog || dialog.open) return;
  const section = dialog.querySelector("[data-page-keys]");
  const rows = keysOfThisPage();
  section.querySelector("dl").replaceChildren(...rows);
  section.hidden = !rows.length;
  dialog.showModal();
}

function focusSearch() {
  const search = document.querySelector('[aria-keyshortcuts="/"]');
  search?.focus();
  return Boolean(search);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "?") {
    event.preventDefault();
    openList();
  } else if (event.key === "/") {
    if (focusSearch()) event.preventDefault();
  } else if (event.target.closest?.("#rows")) {
    // Letters lead to a name in the list of files.
    wentAt = -Infinity;
  } else if (event.key === "g") {
    wentAt = performance.now();
  } else if (performance.now() - wentAt < PATIENCE_MS && GO[event.key]) {
    wentAt = -Infinity;
    location.assign(GO[event.key]);
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-shortcuts]")) openList();
});
