// Starts transfers, asks first where names are taken, and tells how they ended.

import { get, send } from "./http.js";
import { facts } from "./conflicts.js";
import { seen } from "./names.js";
import { complain, say } from "./toasts.js";

// Those that this page has started, until they end.
const mine = new Map();

// Starts a transfer: `source` and `target` are such as "disk:<id>:/folder".
// Resolves to its id, or to null where the person changed their mind.
export async function start(url, { source, target, names, moves = false }) {
  // As JSON: of the fields of a form, Django takes a thousand.
  const data = { source, target, names, moves: moves ? "1" : "" };
  let answer;
  try {
    answer = await send(url, { data });
  } catch (error) {
    if (error.tag !== "exists") throw error;
    const policy = await ask(error);
    if (!policy) return null;
    answer = await send(url, { data: { ...data, on_conflict: policy } });
  }
  announce(answer.message);
  mine.set(answer.id, new URL(`../${answer.id}/`, new URL(url, location.href)));
  document.body.dispatchEvent(new CustomEvent("transfer-changed", { detail: { id: answer.id } }));
  return answer.id;
}

// Where the list of transfers is on the page it shows all this; then only readers aloud are told.
function announce(text, { failed = false } = {}) {
  const aloud = document.getElementById("jobs-aloud");
  if (aloud) aloud.textContent = seen(text);
  else if (failed) complain(text);
  else say(text);
}

function ask(error) {
  const dialog = document.getElementById("conflict");
  dialog.querySelector("[data-words]").textContent = seen(error.message.replace(/\.?$/, "."));
  dialog.querySelector('[value="replace"]').hidden = error.body.may_replace === false;
  const examples = (error.body.examples ?? []).map(({ path, old, new: fresh }) => {
    const row = document.createElement("tr");
    for (const text of [seen(path), facts(old), facts(fresh)]) row.insertCell().textContent = text;
    row.cells[0].className = "mono";
    return row;
  });
  dialog.querySelector(".examples tbody").replaceChildren(...examples);
  dialog.querySelector(".examples").hidden = !examples.length;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

async function tell(id) {
  const url = mine.get(id);
  if (!url) return;
  let job;
  try {
    job = await get(url);
  } catch {
    return;
  }
  if (!job.is_finished || !mine.delete(id)) return;
  announce(job.result, { failed: job.status === "failed" });
}

document.body.addEventListener("transfer-changed", (event) => tell(event.detail?.id));
document.body.addEventListener("resync", () => [...mine.keys()].forEach(tell));
