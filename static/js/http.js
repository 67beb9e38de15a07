// Speaks to our own server: JSON in, JSON out, errors with the server's words.

const LATEST_ANSWER_MS = 30_000;
// What changes something may copy a whole folder, and goes on whether or not somebody waits.
const LATEST_CHANGE_MS = 600_000;

export class Refused extends Error {
  constructor(message, status, tag, body) {
    super(message);
    this.status = status;
    this.tag = tag;
    this.body = body;
  }
}

export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]').content;
}

// What every request of a page carries: its token, and the project that the page shows, since
// another tab may meanwhile show another one.
export function ownHeaders() {
  const project = document.querySelector("[data-project]")?.dataset.project;
  return { "X-CSRFToken": csrfToken(), ...(project && { "X-Project": project }) };
}

// The parts of a page that look again speak of its project too.
document.addEventListener("htmx:config:request", ({ detail }) => {
  Object.assign(detail.ctx.request.headers, ownHeaders());
});

// Whoever signs in again in another tab makes the token of this page void; the refusal brings the
// new one. Returns whether there was one, so that asking once more makes sense.
export function takeToken(answer) {
  if (answer.tag !== "csrf" || !answer.csrf_token) return false;
  document.querySelector('meta[name="csrf-token"]').content = answer.csrf_token;
  for (const input of document.querySelectorAll('[name="csrfmiddlewaretoken"]')) input.value = answer.csrf_token;
  return true;
}

// Sends a request; `data` is a FormData, URLSearchParams, or an object that goes as JSON.
// Returns the parsed answer. Throws Refused, also when no answer came (status 0).
export async function send(url, options = {}) {
  try {
    return await sendOnce(url, options);
  } catch (error) {
    if (!(error instanceof Refused) || !takeToken(error.body ?? {})) throw error;
    const { data } = options;
    if (data instanceof FormData && data.has("csrfmiddlewaretoken")) data.set("csrfmiddlewaretoken", csrfToken());
    return sendOnce(url, options);
  }
}

async function sendOnce(url, { method = "POST", data, signal, headers: more = {} }) {
  const headers = { Accept: "application/json", ...ownHeaders(), ...more };
  let body = data;
  if (data && !(data instanceof FormData) && !(data instanceof URLSearchParams)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(data);
  }
  let response;
  try {
    const deadline = AbortSignal.timeout(method === "GET" ? LATEST_ANSWER_MS : LATEST_CHANGE_MS);
    const stop = signal ? AbortSignal.any([signal, deadline]) : deadline;
    response = await fetch(url, { method, headers, body, signal: stop, credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw error;
    const advice = method === "GET" ? "Try again." : "It may still be done; look before you try again.";
    throw new Refused(`The server does not answer. ${advice}`, 0, "offline");
  }
  return answerOf(response);
}

// Fetches a part of a page; returns it as a document. Throws Refused as `send` does.
export async function getPart(url, { signal } = {}) {
  const headers = { ...ownHeaders(), Accept: "text/html, application/json" };
  let text;
  try {
    const deadline = AbortSignal.timeout(LATEST_ANSWER_MS);
    const response = await fetch(url, { headers, signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
    if (!response.ok) await answerOf(response);
    text = await response.text();
  } catch (error) {
    if (signal?.aborted || error instanceof Refused) throw error;
    throw new Refused("The server does not answer. Try again.", 0, "offline");
  }
  return new DOMParser().parseFromString(text, "text/html");
}

export function get(url, options = {}) {
  return send(url, { ...options, method: "GET" });
}

async function answerOf(response) {
  const isJson = response.headers.get("Content-Type")?.includes("json");
  const answer = isJson ? await response.json() : {};
  if (response.ok) return answer;
  const words = answer.error || `The server answered ${response.status}.`;
  const sentence = words[0].toUpperCase() + words.slice(1);
  throw new Refused(sentence, response.status, answer.tag || "", answer);
}
