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

// What every request of a page carries: its token, and the project that the page shows, since
// another tab may meanwhile show another one.
export function ownHeaders() {
  const token = document.querySelector('meta[name="csrf-token"]').content;
  const project = document.querySelector("[data-project]")?.dataset.project;
  return { "X-CSRFToken": token, ...(project && { "X-Project": project }) };
}

// The parts of a page that look again speak of its project too.
document.addEventListener("htmx:config:request", ({ detail }) => {
  Object.assign(detail.ctx.request.headers, ownHeaders());
});

// Sends a request; `data` is a FormData, URLSearchParams, or an object that goes as JSON.
// Returns the parsed answer. Throws Refused, also when no answer came (status 0).
export async function send(url, { method = "POST", data, signal } = {}) {
  const headers = { Accept: "application/json", ...ownHeaders() };
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
