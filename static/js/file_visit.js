// Goes from folder to folder without leaving the page, so that uploads go on.

import { here } from "./file_place.js";

const PARTS = ["#path", "#list", ".list > .bar .filter"];
const LATEST_MS = 20_000;

// Of two folders that are opened one after the other, the later one is shown.
let under = null;

async function fetchPage(url, signal) {
  const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(LATEST_MS)]) });
  const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
  const root = parsed.querySelector("[data-files]");
  return root?.dataset.place === here.place ? { parsed, root, url: response.url } : null;
}

function draw({ parsed, root }) {
  for (const selector of PARTS) {
    const next = parsed.querySelector(selector);
    const now = document.querySelector(selector);
    if (next && now) now.replaceWith(next);
  }
  here.folder = root.dataset.folder;
  document.title = parsed.title;
  const copy = document.querySelector(".list > .bar [data-copy]");
  if (copy) copy.dataset.copy = here.folder;
  document.getElementById("stale").hidden = true;
}

// Shows another folder of this place, or leaves the page for anything else.
export async function visit(url, { keepsHistory = false } = {}) {
  under?.abort();
  const mine = (under = new AbortController());
  here.leaving = true;
  let page;
  try {
    page = await fetchPage(url, mine.signal);
  } catch {
    page = null;
  }
  if (mine !== under) return;
  here.leaving = false;
  if (!page) {
    location.assign(url);
    return;
  }
  const from = here.folder;
  if (!keepsHistory) history.pushState({ visited: true }, "", page.url);
  draw(page);
  document.dispatchEvent(new CustomEvent("folder-visited", { detail: { from } }));
}

export function listenToVisits() {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest(
      '#path a, #rows tr[data-kind="folder"] th a, #listing a[href^="?"], #listing .sorts, #listing .blank a[href]',
    );
    if (!link || !document.querySelector("[data-files]") || link.dataset.do) return;
    event.preventDefault();
    visit(link.href);
  });
  addEventListener("popstate", () => visit(location.href, { keepsHistory: true }));
}
