// The card of uploads: four numbers, a row for each, and the question about those of an earlier page.

import { pickFor } from "./drop.js";
import { duration } from "./times.js";
import { here } from "./file_place.js";
import { refresh } from "./file_refresh.js";
import { seen } from "./names.js";
import { plural, size } from "./sizes.js";
import { complain } from "./toasts.js";
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

function label(row, what, words) {
  const button = row.querySelector(`[data-upload="${what}"]`);
  if (button.ariaLabel === words) return;
  button.ariaLabel = words;
  button.title = words;
}

function rowFor(item) {
  let row = rows.get(item.id);
  if (!row) {
    row = document.getElementById("upload-row").content.firstElementChild.cloneNode(true);
    const name = row.querySelector(".clip");
    name.textContent = seen(item.relative);
    name.title = seen(`${item.folder}${item.relative}`);
    const buttons = { cancel: uploads.cancel, retry: uploads.retry };
    for (const [what, act] of Object.entries(buttons)) {
      const button = row.querySelector(`[data-upload="${what}"]`);
      button.addEventListener("click", () => act(item));
    }
    rows.set(item.id, row);
  }
  label(row, "cancel", `Cancel ${seen(item.file.name)}`);
  label(row, "retry", `${item.state === "paused" ? "Resume" : "Retry"} ${seen(item.file.name)}`);
  row.dataset.state = item.state;
  const word = row.querySelector(".pct");
  const words = wordFor(item);
  if (word.textContent !== words) word.textContent = words;
  word.title = words;
  word.classList.toggle("err", item.state === "failed");
  row.querySelector('[data-upload="retry"]').hidden = !["failed", "paused"].includes(item.state);
  row.querySelector('[data-upload="cancel"]').hidden = !uploads.isUnfinished(item);
  return row;
}

function headline({ active, files, done, skipped, failed, paused }) {
  const over = done + skipped + failed;
  if (paused && !active) return `Paused: ${over} of ${files}`;
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
  const stands = all.paused > 0 && !all.active;
  const busy = all.active > 0 || stands;
  const percent = all.bytes ? Math.floor((100 * all.sent) / all.bytes) : 100;
  write(card.querySelector("h2"), headline(all));
  write(card.querySelector("[data-sum]"), `${percent} % · ${size(all.sent)} of ${size(all.bytes)}`);
  const left = all.speed ? ` · ${duration((all.bytes - all.sent) / all.speed)} left` : "";
  write(card.querySelector("[data-speed]"), all.active && all.speed ? `${size(all.speed)}/s${left}` : "");
  card.querySelector("progress").value = percent;
  card.querySelector('[data-upload="pause"]').hidden = !busy;
  write(card.querySelector('[data-upload="pause"]'), stands ? "Resume all" : "Pause all");
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
    const { paused, active } = uploads.totals();
    if (paused && !active) uploads.resumeAll();
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
  const ours = found.filter((each) => each.begun).length;
  write(
    question.querySelector("h2"),
    ours ? `Resume ${plural(found.length, "upload")}?` : `${plural(found.length, "upload")} not finished`,
  );
  const again =
    found.length === 1
      ? "Choose the same file again, and it goes on where it stopped."
      : "Choose the same files again, and they go on where they stopped.";
  const elsewhere = "What was begun in another browser goes on there, or is uploaded anew.";
  write(
    question.querySelector(".ask-again"),
    [ours && again, ours < found.length && elsewhere].filter(Boolean).join(" "),
  );
  question.querySelector('[data-upload="resume"]').hidden = !ours;
  const list = question.querySelector("ul");
  list.replaceChildren(
    ...found.slice(0, 10).map((each) => {
      const row = document.createElement("li");
      const name = document.createElement("span");
      name.className = "clip";
      name.textContent = seen(each.folder + each.filename);
      name.title = name.textContent;
      const word = document.createElement("span");
      word.className = "pct";
      word.textContent = `${each.size ? Math.floor((100 * each.offset) / each.size) : 0} % of ${size(each.size)}`;
      row.append(name, word);
      return row;
    }),
  );
}

// Is it the file that was begun? One that was written since would make a mixture of both.
function isSame(each, file) {
  return each.begun?.metadata?.modified === String(file.lastModified);
}

function resumeWith(found, files) {
  const rest = [...found];
  let other = "";
  for (const file of files) {
    const named = rest.filter((each) => each.filename === file.name && each.size === file.size);
    const match = named.find((each) => isSame(each, file));
    if (!match) {
      if (named.some((each) => each.begun)) other = file.name;
      continue;
    }
    rest.splice(rest.indexOf(match), 1);
    uploads.add([{ file, relative: file.name, previous: match.begun }], {
      place: match.place,
      placeId: match.place_id,
      folder: match.folder,
    });
  }
  showUnfinished(rest);
  if (rest.length) write(question.querySelector(".ask-again"), wordsAfter(rest, found.length > rest.length, other));
  return rest;
}

function wordsAfter(rest, some, other) {
  if (other) return `${seen(other)} was changed since. Discard what came of it, and upload it anew.`;
  if (some) return `${plural(rest.length, "file")} still missing.`;
  return "None of these files is one of those. Name and size must be the same.";
}

async function discard(found) {
  const left = await uploads.discard(found);
  showUnfinished(left);
  if (left.length) complain(`${plural(left.length, "upload")} could not be discarded: ${left[0].reason.message}`);
  return left;
}

async function offerUnfinished() {
  let found = await uploads.unfinished(here.kind, here.id).catch(() => []);
  showUnfinished(found);
  question.addEventListener("click", async (event) => {
    const what = event.target.closest("[data-upload]")?.dataset.upload;
    if (what === "later") question.hidden = true;
    else if (what === "discard") found = await discard(found);
    else if (what === "resume") pickFor((files) => (found = resumeWith(found, files)));
  });
}

export function listenToCard() {
  if (!card || !here.mayWork) return;
  card.addEventListener("click", onClick);
  document.addEventListener("uploads-changed", drawSoon);
  document.addEventListener("upload-done", refreshSoon);
  offerUnfinished();
}
