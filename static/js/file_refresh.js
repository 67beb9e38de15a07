// Draws the folder anew. Rows that did not change stay, with their focus; none jumps away.

import { here } from "./file_place.js";
import { ownHeaders } from "./http.js";
import { clock } from "./times.js";

const POLL_MS = 5_000;
const GATHER_MS = 500;

const WORDS = {
  stopped: "Sandbox stopped. Its files are gone.",
  paused: "Sandbox paused.",
  starting: "The sandbox is starting.",
  gone: "This folder was deleted or moved.",
  denied: "This folder may not be read any more.",
  refused: "The folder cannot be read now.",
  offline: "The server does not answer.",
  lost: `This ${here.kind} was deleted, or you may not see it any more.`,
};

let drawnAt = new Date();
let underWay = null;
let next = null;

function showStale(trouble) {
  const banner = document.getElementById("stale");
  banner.hidden = !trouble;
  // What is stale is not live.
  document.querySelector("#foot [data-live]")?.toggleAttribute("hidden", Boolean(trouble));
  if (!trouble) return;
  banner.querySelector("p").textContent = `${WORDS[trouble]} This is what was here at ${clock(drawnAt)}.`;
}

function mergeRows(now, next) {
  const wanted = [...next.children].map((row) => {
    const old = document.getElementById(row.id);
    return old?.dataset.state === row.dataset.state ? old : row;
  });
  const same =
    wanted.length === now.children.length && wanted.every((row, at) => row === now.children[at]);
  if (!same) now.replaceChildren(...wanted);
}

// What the head says of the whole disk.
function showFacts(parsed) {
  for (const fact of parsed.getElementById("facts-anew")?.content.children ?? []) {
    const now = document.querySelector(`[data-fact="${fact.dataset.fact}"]`);
    if (now) now.textContent = fact.textContent;
  }
}

// An answer without a folder: the place itself is gone, or the server is in trouble.
function showNoFolder(status) {
  if (status === 403 || status === 404) showStale("lost");
  else if (status >= 500) showStale("offline");
}

function merge(text, status) {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  const next = parsed.getElementById("listing");
  const now = document.getElementById("listing");
  if (!next || !now) {
    showNoFolder(status);
    return;
  }
  showFacts(parsed);
  const trouble = next.dataset.trouble;
  if (trouble && !now.dataset.trouble) {
    showStale(trouble);
    return;
  }
  showStale("");
  drawnAt = new Date();
  const rows = now.querySelector("#rows");
  const nextRows = next.querySelector("#rows");
  if (rows && nextRows) {
    mergeRows(rows, nextRows);
    now.dataset.total = next.dataset.total;
    now.querySelector(".after")?.remove();
    const more = next.querySelector(".after:has([data-do])");
    if (more) now.append(more);
  } else if (rows || nextRows || trouble !== now.dataset.trouble) {
    now.replaceWith(next);
  }
  const foot = parsed.getElementById("foot");
  if (foot) document.getElementById("foot")?.replaceWith(foot);
}

async function fetchAndMerge() {
  // The folder that comes is fresh.
  if (here.leaving) return;
  const shown = location.href;
  const url = new URL(shown);
  url.searchParams.set("part", "rows");
  let response;
  try {
    const headers = { ...ownHeaders(), "HX-Request": "true" };
    response = await fetch(url, { headers, signal: AbortSignal.timeout(20_000) });
  } catch {
    showStale("offline");
    return;
  }
  if (response.headers.get("HX-Redirect")) location.reload();
  const text = await response.text();
  // Somebody went to another folder meanwhile.
  if (here.leaving || location.href !== shown) return;
  merge(text, response.status);
  document.dispatchEvent(new CustomEvent("files-drawn"));
}

// Draws the folder as it is now. What is under way may have read it before the change that is
// to be seen: asked for meanwhile, it is read once more, and that is waited for.
export function refresh() {
  if (!underWay) {
    underWay = fetchAndMerge().finally(() => {
      underWay = null;
    });
    return underWay;
  }
  const again = () => {
    next = null;
    return refresh();
  };
  next ??= underWay.then(again, again);
  return next;
}

function isHeld() {
  return document.hidden || document.querySelector("#row-menu:popover-open, dialog[open]");
}

let timer = null;

function refreshSoon() {
  timer ??= setTimeout(() => {
    timer = null;
    if (isHeld()) refreshSoon();
    else refresh();
  }, GATHER_MS);
}

export function keepFresh() {
  // Of a sandbox: `files` for what came through this server, `sandbox` for its state.
  for (const what of here.kind === "disk" ? ["disk"] : ["files", "sandbox"]) {
    document.body.addEventListener(`${what}-changed`, (event) => {
      if (event.detail?.id === here.id) refreshSoon();
    });
  }
  document.body.addEventListener("resync", refreshSoon);
  if (here.kind === "sandbox") {
    setInterval(() => {
      if (!isHeld()) refresh();
    }, POLL_MS);
  }
}
