// Uploads: three at a time, resumed after a lost connection and after a reload.
//
// An item: {id, file, folder, relative, place, placeId, state, sent, words, path}.
// States: waiting, sending, lost (tries again by itself), paused, asking, done, skipped, failed, cancelled.

import { Upload } from "../vendor/tus-js-client/4.3.1/tus-js-client.js";
import { ask } from "./conflicts.js";
import { get, ownHeaders, send } from "./http.js";

const ENDPOINT = "/uploads/";
const CHUNK_BYTES = 8 * 1024 * 1024;
const AT_ONCE = 3;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 30_000, 60_000, 60_000, 60_000];
const SPEED_SPAN_MS = 5_000;

const WORDS = {
  403: "You may not upload here",
  404: "The place is gone",
  410: "The upload expired",
  413: "Too large",
  507: "No space left on the server",
};

export const items = [];

let nextId = 1;
let isPaused = false;
// What was chosen for all the names that are taken, of one drop or pick.
let batches = 0;
const choices = new Map();
// [moment, bytes sent so far], to tell the speed.
let samples = [];

function changed() {
  document.dispatchEvent(new CustomEvent("uploads-changed"));
}

export function isActive(item) {
  return ["waiting", "sending", "lost", "asking"].includes(item.state);
}

export function totals() {
  const counted = items.filter((item) => item.state !== "cancelled");
  const bytes = counted.reduce((sum, item) => sum + item.file.size, 0);
  const sent = counted.reduce((sum, item) => sum + (item.state === "done" ? item.file.size : item.sent), 0);
  return {
    bytes,
    sent,
    files: counted.length,
    done: counted.filter((item) => item.state === "done").length,
    skipped: counted.filter((item) => item.state === "skipped").length,
    failed: counted.filter((item) => item.state === "failed").length,
    active: counted.filter(isActive).length,
    paused: isPaused,
    speed: speedNow(sent),
  };
}

function speedNow(sent) {
  const now = performance.now();
  samples.push([now, sent]);
  samples = samples.filter(([moment]) => now - moment < SPEED_SPAN_MS);
  const [moment, then] = samples[0];
  return now - moment > 300 ? Math.max(0, (sent - then) / ((now - moment) / 1000)) : 0;
}

function metadataOf(item) {
  const metadata = {
    place: item.place,
    place_id: item.placeId,
    folder: item.folder,
    filename: item.file.name,
    relativePath: item.relative,
  };
  const choice = item.choice ?? choices.get(item.batch);
  if (choice) metadata.on_conflict = choice;
  return metadata;
}

async function fingerprintOf(item) {
  const { file } = item;
  return ["sandbank", item.place, item.placeId, item.folder, item.relative, file.size, file.lastModified].join(":");
}

function answerOf(error) {
  const response = error.originalResponse;
  if (!response) return { status: 0, body: {} };
  let body = {};
  try {
    body = JSON.parse(response.getBody());
  } catch {
    body = {};
  }
  return { status: response.getStatus(), body };
}

function wordsFor(status, body) {
  const words = body.error ? body.error[0].toUpperCase() + body.error.slice(1) : "";
  return words || WORDS[status] || (status ? `The server answered ${status}` : "Connection lost");
}

// What may pass by itself: no connection, a busy or restarting server, another writer.
function mayPass(status) {
  return status === 0 || status === 423 || status === 429 || (status >= 500 && status !== 507);
}

function isWrongOffset(status, body) {
  return status === 409 && body.tag !== "exists";
}

function settle(item, state, words = "") {
  item.state = state;
  item.words = words;
  changed();
  startMore();
  if (state === "done") document.dispatchEvent(new CustomEvent("upload-done", { detail: item }));
}

async function askFor(item, body) {
  item.state = "asking";
  item.words = "Name taken";
  changed();
  // The answer for all may have come while this one waited.
  const early = choices.get(item.batch);
  const others = items.filter((each) => each.batch === item.batch && each !== item && isActive(each)).length;
  const answer = early
    ? { choice: early }
    : await ask(
        {
          name: item.file.name,
          folder: item.folder,
          old: body.conflict?.old ?? {},
          new: { size: item.file.size, modified: item.file.lastModified },
          decided: () => choices.get(item.batch),
        },
        others ? Infinity : 0,
      );
  if (answer?.forAll) choices.set(item.batch, answer.choice);
  if (!answer || answer.choice === "skip") {
    settle(item, "skipped", "Skipped");
    return;
  }
  item.choice = answer.choice;
  item.state = "waiting";
  item.words = "";
  startMore();
}

function optionsFor(item) {
  return {
    endpoint: ENDPOINT,
    uploadUrl: item.url ?? null,
    chunkSize: CHUNK_BYTES,
    retryDelays: RETRY_MS,
    storeFingerprintForResuming: true,
    removeFingerprintOnSuccess: true,
    headers: { ...ownHeaders(), Accept: "application/json" },
    metadata: metadataOf(item),
    fingerprint: () => fingerprintOf(item),
    onShouldRetry(error) {
      const { status, body } = answerOf(error);
      const again = mayPass(status) || isWrongOffset(status, body);
      if (again && item.state === "sending") {
        item.state = "lost";
        item.words = status ? "Trying again" : "Connection lost, trying again";
        changed();
      }
      return again;
    },
    onProgress(sent) {
      item.sent = sent;
      if (item.state === "lost") {
        item.state = "sending";
        item.words = "";
      }
      changed();
    },
    onAfterResponse(request, response) {
      const path = response.getHeader("Upload-Path");
      if (path) item.path = decodeURIComponent(path);
      if (response.getHeader("Upload-Outcome") === "skipped") item.wasSkipped = true;
    },
    onSuccess() {
      item.sent = item.file.size;
      settle(item, item.wasSkipped ? "skipped" : "done", item.wasSkipped ? "Skipped" : "");
    },
    onError(error) {
      const { status, body } = answerOf(error);
      if (status === 409 && body.tag === "exists") askFor(item, body);
      else settle(item, "failed", wordsFor(status, body));
    },
  };
}

async function start(item) {
  item.state = "sending";
  item.words = "";
  changed();
  item.upload = new Upload(item.file, optionsFor(item));
  if (!item.url) {
    const earlier = await item.upload.findPreviousUploads();
    if (earlier.length && !item.choice) item.upload.resumeFromPreviousUpload(earlier[0]);
  }
  // It may have been cancelled or paused meanwhile.
  if (item.state === "sending") item.upload.start();
}

function startMore() {
  if (isPaused) return;
  let free = AT_ONCE - items.filter((item) => ["sending", "lost"].includes(item.state)).length;
  for (const item of items) {
    if (free <= 0) return;
    if (item.state !== "waiting") continue;
    start(item);
    free -= 1;
  }
}

// Adds files to a place: [{file, relative}], `relative` with the folders that it came with.
export function add(files, { place, placeId, folder }) {
  batches += 1;
  if (!items.some(isActive)) items.length = 0;
  for (const { file, relative, url } of files) {
    items.push({
      id: nextId,
      file,
      relative: relative || file.name,
      folder,
      place,
      placeId,
      url,
      batch: batches,
      state: "waiting",
      sent: 0,
      words: "",
    });
    nextId += 1;
  }
  isPaused = false;
  samples = [];
  changed();
  startMore();
}

export function cancel(item) {
  const { upload } = item;
  item.state = "cancelled";
  item.words = "Cancelled";
  // With true, the server forgets it too.
  upload?.abort(true).catch(() => null);
  changed();
  startMore();
}

export function retry(item) {
  item.state = "waiting";
  item.words = "";
  changed();
  startMore();
}

export function pauseAll() {
  isPaused = true;
  for (const item of items) {
    if (!["sending", "lost"].includes(item.state)) continue;
    item.state = "paused";
    item.words = "Paused";
    item.upload?.abort();
  }
  changed();
}

export function resumeAll() {
  isPaused = false;
  for (const item of items) {
    if (item.state !== "paused") continue;
    item.state = "waiting";
    item.words = "";
    item.url = item.upload?.url ?? item.url;
  }
  changed();
  startMore();
}

export function forget() {
  items.length = 0;
  changed();
}

// What an earlier page has not finished, of this place.
export async function unfinished(place, placeId) {
  const { uploads } = await get(ENDPOINT);
  return uploads.filter((each) => each.place === place && each.place_id === placeId);
}

export function discard(url) {
  return send(url, { method: "DELETE" });
}

addEventListener("online", () => {
  for (const item of items) {
    if (item.state !== "lost") continue;
    item.upload?.abort();
    item.url = item.upload?.url ?? item.url;
    item.state = "waiting";
  }
  startMore();
});

addEventListener("beforeunload", (event) => {
  if (items.some((item) => isActive(item) || item.state === "paused")) event.preventDefault();
});
