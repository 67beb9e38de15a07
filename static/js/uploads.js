// Uploads: three at a time, resumed after a lost connection and after a reload.
//
// An item: {id, file, folder, relative, place, placeId, state, sent, words, path, upload, previous}.
// States: waiting, sending, lost (tries again by itself), paused, asking, done, skipped, failed, cancelled.

import { defaultOptions, Upload } from "../vendor/tus-js-client/4.3.1/tus-js-client.js";
import { ask } from "./conflicts.js";
import { here } from "./file_place.js";
import { get, ownHeaders, send, takeToken } from "./http.js";
import { keepLeft } from "./left_uploads.js";

const ENDPOINT = "/uploads/";
const CHUNK_BYTES = 8 * 1024 * 1024;
const AT_ONCE = 3;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 30_000, 60_000, 60_000, 60_000];
const SPEED_SPAN_MS = 5_000;
const TUS_VERSION = "1.0.0";
// How long another tab may take to tell what it is sending.
const TABS_MS = 300;

const WORDS = {
  401: "You are signed out. Sign in in another tab, then try again",
  403: "You may not upload here",
  404: "The place is gone",
  410: "The upload expired",
  413: "Too large",
  507: "No space left on the server",
};

export const items = [];

let nextId = 1;
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

export function isUnfinished(item) {
  return isActive(item) || item.state === "paused";
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
    paused: counted.filter((item) => item.state === "paused").length,
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
    // Remembered by this browser with the address: a file that changed since is another one.
    modified: String(item.file.lastModified),
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

// The upload stands elsewhere than we thought: its offset is asked for, and it goes on there.
function isWrongOffset(status, body) {
  return status === 409 && body.tag === "wrong_offset";
}

// Somebody signed in again: once more with the token that holds now, but only once.
function hasNewToken(item, body) {
  if (item.renewed || !takeToken(body)) return false;
  item.renewed = true;
  return true;
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
  const others = items.filter((each) => each.batch === item.batch && each !== item && isActive(each)).length;
  const answer = await ask(
    {
      name: item.file.name,
      folder: item.folder + item.relative.replace(/[^/]*$/, ""),
      old: body.conflict.old,
      new: { kind: "file", size: item.file.size, modified: item.file.lastModified },
      // The answer for all may come while this one waits.
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
  item.upload = null;
  item.state = "waiting";
  item.words = "";
  startMore();
}

function optionsFor(item) {
  return {
    endpoint: ENDPOINT,
    chunkSize: CHUNK_BYTES,
    retryDelays: RETRY_MS,
    storeFingerprintForResuming: true,
    removeFingerprintOnSuccess: true,
    headers: { Accept: "application/json" },
    metadata: metadataOf(item),
    fingerprint: () => fingerprintOf(item),
    onBeforeRequest(request) {
      for (const [name, value] of Object.entries(ownHeaders())) request.setHeader(name, value);
    },
    onShouldRetry(error) {
      const { status, body } = answerOf(error);
      const again = mayPass(status) || isWrongOffset(status, body) || hasNewToken(item, body);
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
      if (response.getStatus() < 400 && request.getMethod() !== "HEAD") item.renewed = false;
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
      if (status === 409 && body.conflict) askFor(item, body);
      else settle(item, "failed", wordsFor(status, body));
    },
  };
}

function pathOf(url) {
  return new URL(url, location.href).pathname;
}

// --- other tabs of this browser ---------------------------------------------------------------

const tabs = new BroadcastChannel("uploads");

// The addresses of what this page sends or will go on with.
function heldHere() {
  return items.filter((item) => isUnfinished(item) && item.upload?.url).map((item) => pathOf(item.upload.url));
}

tabs.addEventListener("message", ({ data }) => {
  if (data.question) tabs.postMessage({ answers: data.question, urls: heldHere() });
});

// What some page of this browser holds: nobody else may go on with it, or give it up.
async function held() {
  const found = new Set(heldHere());
  const question = `${performance.timeOrigin}-${Math.random()}`;
  const listen = ({ data }) => {
    if (data.answers === question) for (const url of data.urls) found.add(url);
  };
  tabs.addEventListener("message", listen);
  tabs.postMessage({ question });
  await new Promise((resolve) => setTimeout(resolve, TABS_MS));
  tabs.removeEventListener("message", listen);
  return found;
}

// --- the queue ----------------------------------------------------------------------------------

// Makes the upload of an item; it goes on with what came of the same file before.
async function prepare(item) {
  const upload = new Upload(item.file, optionsFor(item));
  const earlier = item.previous ? [item.previous] : await upload.findPreviousUploads();
  if (!earlier.length) return upload;
  const taken = await held();
  const left = earlier.find((each) => !taken.has(pathOf(each.uploadUrl)));
  if (left) upload.resumeFromPreviousUpload(left);
  return upload;
}

async function start(item) {
  item.state = "sending";
  item.words = "";
  const turn = (item.turn = (item.turn ?? 0) + 1);
  changed();
  let upload = item.upload;
  try {
    upload ??= await prepare(item);
  } catch (error) {
    // What this browser remembers of earlier uploads cannot be read.
    if (item.turn === turn) settle(item, "failed", `It could not be started: ${error.message}`);
    return;
  }
  // It may have been cancelled, paused or started again meanwhile.
  if (item.state !== "sending" || item.turn !== turn) return;
  item.upload = upload;
  upload.start();
}

function startMore() {
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
  if (!items.some(isUnfinished)) items.length = 0;
  for (const { file, relative, previous } of files) {
    items.push({
      id: nextId,
      file,
      relative: relative || file.name,
      folder,
      place,
      placeId,
      previous,
      batch: batches,
      state: "waiting",
      sent: 0,
      words: "",
    });
    nextId += 1;
  }
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

// Tries a failed one again, or goes on with a paused one.
export function retry(item) {
  if (item.state === "failed") item.upload = null;
  item.state = "waiting";
  item.words = "";
  changed();
  startMore();
}

export function pauseAll() {
  for (const item of items) {
    if (!["waiting", "sending", "lost"].includes(item.state)) continue;
    item.state = "paused";
    item.words = "Paused";
    item.upload?.abort();
  }
  changed();
}

export function resumeAll() {
  for (const item of items) {
    if (item.state !== "paused") continue;
    item.state = "waiting";
    item.words = "";
  }
  changed();
  startMore();
}

export function forget() {
  items.length = 0;
  changed();
}

// What an earlier page has not finished, of this place. `begun`: what this browser remembers of it;
// one that was begun elsewhere cannot be told from another file of its name and size.
export async function unfinished(place, placeId) {
  const [{ uploads }, taken, known] = await Promise.all([
    get(ENDPOINT),
    held(),
    defaultOptions.urlStorage.findAllUploads(),
  ]);
  const begun = new Map(known.filter((each) => each.uploadUrl).map((each) => [pathOf(each.uploadUrl), each]));
  return uploads
    .filter((each) => each.place === place && each.place_id === placeId && !taken.has(each.url))
    .map((each) => ({ ...each, begun: begun.get(each.url) ?? null }));
}

// Gives unfinished uploads up. Returns those that are still there, each with the `reason`.
export async function discard(those) {
  const taken = await held();
  const ends = await Promise.all(
    those.filter(({ url }) => !taken.has(url)).map(async (each) => {
      try {
        await send(each.url, { method: "DELETE", headers: { "Tus-Resumable": TUS_VERSION } });
      } catch (reason) {
        // What has expired is gone as well.
        if (reason.status !== 404) return { ...each, reason };
      }
      if (each.begun) await defaultOptions.urlStorage.removeUpload(each.begun.urlStorageKey);
      return null;
    }),
  );
  return ends.filter(Boolean);
}

addEventListener("online", () => {
  for (const item of items) {
    if (item.state !== "lost") continue;
    item.upload?.abort();
    item.state = "waiting";
  }
  startMore();
});

addEventListener("beforeunload", (event) => {
  if (items.some(isUnfinished)) event.preventDefault();
});

addEventListener("pagehide", () => {
  const left = items.filter(isUnfinished);
  if (!left.length) return;
  const { place, placeName } = here;
  keepLeft({ count: left.length, place, placeName, url: location.pathname });
});
