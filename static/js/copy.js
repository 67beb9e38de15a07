// <button data-copy="text"> or <button data-copies="#element">: to the clipboard, and says so.

import { complain, say } from "./toasts.js";

export async function copy(text, what = "Copied") {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyAsOfOld(text);
    say(what);
  } catch {
    complain("The browser does not allow copying here. Select the text and copy it by hand.");
  }
}

// Pages that come over plain http from another machine have no clipboard; this they may do.
function copyAsOfOld(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  field.className = "visually-hidden";
  // Above what is modal nothing outside of it can be selected.
  (focused?.closest("dialog") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  if (!done) throw new Error("refused");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copies]");
  if (!button) return;
  const source = button.dataset.copies && document.querySelector(button.dataset.copies);
  copy(source ? source.value ?? source.textContent : button.dataset.copy, button.dataset.copied);
});
