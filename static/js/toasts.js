// Short messages in the corner. They wait while somebody points at them or has the focus there.

import { send } from "./http.js";
import { seen } from "./names.js";

const SHOWN_MS = 6_000;
const UNDO_MS = 10_000;
const MOST = 4;

function region(tone) {
  return document.querySelector(`[data-toasts="${tone}"]`);
}

function remove(toast) {
  clearTimeout(toast.timer);
  toast.remove();
}

function goLater(toast, after) {
  const wait = () => {
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => remove(toast), after);
  };
  const stay = () => clearTimeout(toast.timer);
  for (const name of ["pointerenter", "focusin"]) toast.addEventListener(name, stay);
  for (const name of ["pointerleave", "focusout"]) toast.addEventListener(name, wait);
  wait();
}

async function undo(toast, address, afterwards) {
  remove(toast);
  try {
    const answer = await send(address);
    say(answer.message);
    afterwards?.();
    document.body.dispatchEvent(new CustomEvent("resync"));
  } catch (error) {
    complain(error);
  }
}

function show(tone, message, { undo: address = "", afterUndo, link } = {}) {
  const toast = document.getElementById("toast").content.firstElementChild.cloneNode(true);
  toast.dataset.tone = tone;
  toast.querySelector("p").textContent = seen(message);
  if (address) {
    const button = toast.querySelector("[data-undo]");
    button.hidden = false;
    button.addEventListener("click", () => undo(toast, address, afterUndo));
  }
  if (link) {
    const anchor = document.createElement("a");
    anchor.className = "btn btn-quiet btn-sm";
    anchor.href = link.url;
    anchor.textContent = link.words;
    toast.querySelector("p").after(anchor);
  }
  toast.querySelector("[data-dismiss]").addEventListener("click", () => remove(toast));
  const place = region(tone);
  while (place.children.length >= MOST) remove(place.firstElementChild);
  place.append(toast);
  goLater(toast, address || link ? UNDO_MS : SHOWN_MS);
  return toast;
}

// Says that something was done; `undo` is an address that takes it back, `link` {words, url} leads on.
export function say(message, options) {
  return show("ok", message, options);
}

// Says what went wrong: an Error or a text.
export function complain(error, options) {
  return show("err", error.message ?? String(error), options);
}

// What the server said with this page, drawn without scripts, becomes ordinary toasts.
for (const said of document.querySelectorAll("[data-said]")) {
  show(said.dataset.tone, said.querySelector("p").textContent);
  said.remove();
}
