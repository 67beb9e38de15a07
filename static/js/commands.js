// The history of commands: rows that open in place, and the composer above them.

import { complain } from "./toasts.js";
import { Output } from "./output.js";

const EVERY_MS = 30_000;

const composer = document.getElementById("composer");
const text = composer?.elements.command;

// --- Rows

function mount() {
  for (const element of document.querySelectorAll("[data-output]:not([data-mounted])")) new Output(element);
}

// Draws the rows anew as the address asks for them now. One look at a time: the last one, with
// the newest address, always wins.
let looking = null;
let again = null;

async function look() {
  const query = location.search || "?";
  try {
    await htmx.ajax("GET", `${location.pathname}${query}&part=runs`, { target: "#runs", swap: "outerMorph" });
  } catch (error) {
    complain(error);
  }
  mount();
}

function show() {
  if (!looking) {
    looking = look().finally(() => {
      looking = null;
    });
    return looking;
  }
  again ??= looking.then(() => {
    again = null;
    return show();
  });
  return again;
}

async function go(address) {
  history.pushState({}, "", address);
  await show();
  document.querySelector("tr[data-open]")?.scrollIntoView({ block: "nearest" });
}

document.body.addEventListener("these-commands-changed", show);
setInterval(() => document.hidden || show(), EVERY_MS);

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-opens-run]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href);
});

addEventListener("popstate", show);
document.addEventListener("htmx:after:swap", mount);
mount();

// A command that was run from this page is opened.
document.addEventListener("sent", (event) => {
  if (event.target !== composer && !event.target.matches("[data-shows-run]")) return;
  if (event.target === composer) {
    remember(text.value);
    text.value = "";
    fit();
  }
  go(event.detail.url);
});

// --- The composer

const recalled = JSON.parse(document.getElementById("recalled")?.textContent ?? "[]");
// Where in the history the composer is; -1: at what is being written.
let place = -1;
let draft = "";

function remember(command) {
  const known = recalled.indexOf(command);
  if (known >= 0) recalled.splice(known, 1);
  recalled.unshift(command);
  place = -1;
}

function fit() {
  text.rows = Math.min(12, Math.max(2, text.value.split("\n").length));
}

function recall(step) {
  const next = place + step;
  if (next < -1 || next >= recalled.length) return false;
  if (place === -1) draft = text.value;
  place = next;
  text.value = place === -1 ? draft : recalled[place];
  fit();
  text.setSelectionRange(text.value.length, text.value.length);
  return true;
}

function isAtFirstLine() {
  return text.selectionStart === text.selectionEnd && !text.value.slice(0, text.selectionStart).includes("\n");
}

function isAtLastLine() {
  return text.selectionStart === text.selectionEnd && !text.value.slice(text.selectionEnd).includes("\n");
}

text?.addEventListener("input", () => {
  place = -1;
  fit();
});

text?.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const up = event.key === "ArrowUp" && isAtFirstLine();
  const down = event.key === "ArrowDown" && place >= 0 && isAtLastLine();
  const runs = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  // A key that is held down runs it once.
  if (runs && !event.repeat) composer.requestSubmit();
  else if (!runs && !(up && recall(1)) && !(down && recall(-1))) return;
  event.preventDefault();
});
