// The card of uploads: four numbers, a row for each, and the question about those of an earlier page.

import { pickFor } from "./drop.js";
import { duration } from "./times.js";
import { here } from "./file_place.js";
import { refresh } from "./file_refresh.js";
import { plural, size } from "./sizes.js";
import * as uploads from "./uploads.js";

// More rows than these nobody reads; what runs and what failed comes first.
const MOST_ROWS = 60;
const DRAW_MS = 200;
const REFRESH_MS = 1_500;

const card = document.getElementById("uploads");
const rows = new Map();
let drawTimer = null;
let refreshTimer = null;

const ORDER = ["asking", "sending", "lost", "failed", "paused", "waiting", "done", "skipped", "cancelled"];

function wordFor(item) {
  if (item.words) return item.words;
  if (item.state === "done") return "Done";
  if (item.state === "waiting") return "Waiting";
  return `${item.file.size ? Math.floor((100 * item.sent) / item.file.size) : 0} %`;
}

function rowFor(item) {
  let row = rows.get(item.id);
  if (!row) {
    row = document.getElementById("upload-row").content.firstElementChild.cloneNode(true);
    const name = row.querySelector(".clip");
    name.textContent = item.relative;
    name.title = `${item.folder}${item.relative}`;
    const buttons = { cancel: uploads.cancel, retry: uploads.retry };
    for (const [what, act] of Object.entries(buttons)) {
      const button = row.querySelector(`[data-upload="${what}"]`);
      const words = `${what === "cancel" ? "Cancel" : "Retry"} ${item.file.name}`;
      button.ariaLabel = words;
      button.title = words;
      button.addEventListener("click", () => act(item));
    }
    rows.set(item.id, row);
  }
  row.dataset.state = item.state;
  const word = row.querySelector(".pct");
  const words = wordFor(item);
  if (word.textContent !== words) word.textContent = words;
  word.title = words;
  word.classList.toggle("err", item.state === "failed");
  row.querySelector('[data-upload="retry"]').hidden = item.state !== "failed";
  row.querySelector('[data-upload="cancel"]').hidden = !uploads.isActive(item) && item.state !== "paused";
  return row;
}

function headline({ active, files, done, skipped, failed, paused }) {
  const over = done + skipped + failed;
  if (paused) return `Paused: ${over} of ${files}`;
  if (active) return `Uploading ${Math.min(over + 1, files)} of ${files}`;
  const words = [`${plural(done, "file")} uploaded`];
  if (skipped) words.push(`${skipped} skipped`);
  if (failed) words.push(`${failed} failed`);
  return words.join(", ");
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function draw() {
  drawTimer = null;
  const all = uploads.totals();
  card.hidden = !uploads.items.length;
  if (card.hidden) {
    rows.clear();
    return;
  }
  const busy = all.active > 0 || all.paused;
  const percent = all.bytes ? Math.floor((100 * all.sent) / all.bytes) : 100;
  write(card.querySelector("h2"), headline(all));
  write(card.querySelector("[data-sum]"), `${percent} % · ${size(all.sent)} of ${size(all.bytes)}`);
  const left = all.speed ? ` · ${duration((all.bytes - all.sent) / all.speed)} left` : "";
  write(card.querySelector("[data-speed]"), busy && !all.paused && all.speed ? `${size(all.speed)}/s${left}` : "");
  card.querySelector("progress").value = percent;
  card.querySelector('[data-upload="pause"]').hidden = !busy;
  write(card.querySelector('[data-upload="pause"]'), all.paused ? "Resume all" : "Pause all");
  card.querySelector('[data-upload="close"]').hidden = busy;
  const shown = [...uploads.items]
    .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.id - b.id)
    .slice(0, MOST_ROWS)
    .map(rowFor);
  const list = card.querySelector("ul");
  if (shown.length !== list.children.length || shown.some((row, at) => row !== list.children[at])) {
    const focused = document.activeElement;
    list.replaceChildren(...shown);
    if (list.contains(focused)) focused.focus();
  }
  if (busy) drawSoon();
}

function drawSoon() {
  drawTimer ??= setTimeout(draw, DRAW_MS);
}

function refreshSoon() {
  refreshTimer ??= setTimeout(() => {
    refreshTimer = null;
    refresh();
  }, REFRESH_MS);
}

function onClick(event) {
  const what = event.target.closest("[data-upload]")?.dataset.upload;
  if (what === "pause") {
    if (uploads.totals().paused) uploads.resumeAll();
    else uploads.pauseAll();
  } else if (what === "fold") {
    const folded = card.toggleAttribute("data-folded");
    event.target.closest("button").setAttribute("aria-expanded", String(!folded));
  } else if (what === "close") uploads.forget();
}

// --- what an earlier page has not finished ---------------------------------------------------

const question = document.getElementById("unfinished");

function showUnfinished(found) {
  question.hidden = !found.length;
  if (!found.length) return;
  write(question.querySelector("h2"), `Resume ${plural(found.length, "upload")}?`);
  write(
    question.querySelector(".ask-again"),
    "They were not finished. Choose the same files again, and they go on where they stopped.",
  );
  const list = question.querySelector("ul");
  list.replaceChildren(
    ...found.slice(0, 10).map((each) => {
      const row = document.createElement("li");
      const name = document.createElement("span");
      name.className = "clip";
      name.textContent = each.folder + each.filename;
      name.title = name.textContent;
      const word = document.createElement("span");
      word.className = "pct";
      word.textContent = `${each.size ? Math.floor((100 * each.offset) / each.size) : 0} % of ${size(each.size)}`;
      row.append(name, word);
      return row;
    }),
  );
}

function resumeWith(found, files) {
  const rest = [...found];
  for (const file of files) {
    const at = rest.findIndex((each) => each.filename === file.name && each.size === file.size);
    if (at < 0) continue;
    const [match] = rest.splice(at, 1);
    uploads.add([{ file, relative: file.name, url: match.url }], {
      place: match.place,
      placeId: match.place_id,
      folder: match.folder,
    });
  }
  const matched = found.length - rest.length;
  const words = matched
    ? `${plural(rest.length, "file")} still missing.`
    : "None of these files is one of those. Name and size must be the same.";
  if (rest.length) {
    showUnfinished(rest);
    write(question.querySelector(".ask-again"), words);
  } else question.hidden = true;
  return rest;
}

async function offerUnfinished() {
  let found = await uploads.unfinished(here.kind, here.id).catch(() => []);
  showUnfinished(found);
  question.addEventListener("click", async (event) => {
    const what = event.target.closest("[data-upload]")?.dataset.upload;
    if (what === "later") question.hidden = true;
    else if (what === "discard") {
      await Promise.allSettled(found.map((each) => uploads.discard(each.url)));
      question.hidden = true;
    } else if (what === "resume") pickFor((files) => (found = resumeWith(found, files)));
  });
}

export function listenToCard() {
  if (!card || !here.mayWork) return;
  card.addEventListener("click", onClick);
  document.addEventListener("uploads-changed", drawSoon);
  document.addEventListener("upload-done", refreshSoon);
  offerUnfinished();
}
