// Asks for a name, or for a folder.

import { here, list } from "./file_place.js";
import { seen } from "./names.js";

// Stands for a line break in a name.
const LINE_BREAK = "␤";

function showError(dialog, words) {
  const error = dialog.querySelector(".error");
  error.hidden = !words;
  error.textContent = seen(words);
  dialog.querySelector("input").setAttribute("aria-invalid", String(Boolean(words)));
}

// Opens a dialog and does what it is for; it stays open, with the reason, until that works.
function run(dialog, input, submit) {
  showError(dialog, "");
  const form = dialog.querySelector("form");
  const button = form.querySelector('[value="yes"]');
  form.onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await submit(input.value);
      dialog.close();
    } catch (error) {
      showError(dialog, error.message);
      input.focus();
    } finally {
      button.disabled = false;
    }
  };
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
}

export function askName({ title, action, value = "", submit }) {
  const dialog = document.getElementById("name-dialog");
  const input = document.getElementById("name-input");
  dialog.querySelector("h2").textContent = seen(title);
  dialog.querySelector('[value="yes"]').textContent = action;
  // An input would drop line breaks without a word.
  const hint = document.getElementById("name-hint");
  hint.hidden = !value.includes("\n");
  input.value = hint.hidden ? value : value.replaceAll("\n", LINE_BREAK);
  const closed = run(dialog, input, (name) => submit(hint.hidden ? name : name.replaceAll(LINE_BREAK, "\n")));
  input.focus();
  const dot = value.lastIndexOf(".");
  input.setSelectionRange(0, dot > 0 ? dot : value.length);
  return closed;
}

async function showFolders(shelf, input, folder) {
  let listing;
  try {
    listing = await list(folder.replace(/(.)\/$/, "$1"), { limit: 500 });
  } catch {
    shelf.replaceChildren();
    return;
  }
  if (input.value !== folder) return;
  const names = listing.entries.filter((each) => each.kind === "folder").map((each) => each.name);
  const up = folder === "/" ? [] : [".."];
  shelf.replaceChildren(
    ...[...up, ...names].map((name) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name === ".." ? "Up" : seen(name);
      button.addEventListener("click", () => {
        input.value = name === ".." ? folder.replace(/[^/]*\/$/, "") : `${folder}${name}/`;
        showFolders(shelf, input, input.value);
      });
      item.append(button);
      return item;
    }),
  );
}

export function askFolder({ title, action, submit }) {
  const dialog = document.getElementById("folder-dialog");
  const input = document.getElementById("folder-input");
  const shelf = dialog.querySelector(".folders");
  dialog.querySelector("h2").textContent = seen(title);
  dialog.querySelector('[value="yes"]').textContent = action;
  input.value = here.folder;
  input.onchange = () => {
    if (!input.value.endsWith("/")) input.value += "/";
    showFolders(shelf, input, input.value);
  };
  showFolders(shelf, input, input.value);
  const closed = run(dialog, input, submit);
  input.focus();
  input.select();
  return closed;
}
