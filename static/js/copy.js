// <button data-copy="text"> or <button data-copies="#element">: to the clipboard, and says so.

import { complain, say } from "./toasts.js";

export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    say(what);
  } catch {
    complain("The browser does not allow copying here. Select the text and copy it by hand.");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copies]");
  if (!button) return;
  const source = button.dataset.copies && document.querySelector(button.dataset.copies);
  copy(source ? source.value ?? source.textContent : button.dataset.copy, button.dataset.copied);
});
