// The trash of a disk: restore, with a question where names are taken, and delete for ever.

import { confirm } from "./confirm.js";
import { send } from "./http.js";
import { plural } from "./sizes.js";
import { complain, say } from "./toasts.js";

const root = document.querySelector("[data-trash]");

function boxes() {
  return [...root.querySelectorAll('tbody [name="ids"].check')];
}

function paint() {
  const all = boxes();
  const picked = all.filter((box) => box.checked);
  for (const box of all) box.closest("tr").toggleAttribute("data-picked", box.checked);
  const bar = root.querySelector(".picked");
  if (bar) {
    bar.hidden = !picked.length;
    const words = `${picked.length} selected`;
    const heading = bar.querySelector("strong");
    if (heading.textContent !== words) heading.textContent = words;
  }
  const everything = root.querySelector("[data-all]");
  if (everything) {
    everything.checked = picked.length > 0 && picked.length === all.length;
    everything.indeterminate = picked.length > 0 && picked.length < all.length;
  }
}

function askAboutTaken(conflicts) {
  const dialog = document.getElementById("restore-dialog");
  const [first] = conflicts;
  dialog.querySelector("h2").textContent =
    conflicts.length === 1 ? `${first.path} is there again` : `${plural(conflicts.length, "name")} are taken again`;
  dialog.querySelector("p").textContent =
    "Since it was deleted, something else got that name. Keep both gives the restored file another name.";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

async function restore(ids) {
  const url = `${root.dataset.base}/trash/restore`;
  try {
    return await send(url, { data: { ids } });
  } catch (error) {
    if (error.tag !== "exists" || !error.body.conflicts) throw error;
    const choice = await askAboutTaken(error.body.conflicts);
    return choice ? send(url, { data: { ids, on_conflict: choice } }) : null;
  }
}

async function purge(ids) {
  const agreed = await confirm({
    title: `Delete ${plural(ids.length, "file")} for ever?`,
    loss: "There is no way back after this.",
    action: "Delete for ever",
  });
  return agreed ? send(`${root.dataset.base}/trash/purge`, { data: { ids } }) : null;
}

root.addEventListener("submit", async (event) => {
  if (event.target.id !== "trash-form") return;
  event.preventDefault();
  const button = event.submitter;
  const what = button?.dataset.one ?? button?.value;
  const ids = button?.dataset.one ? [button.value] : boxes().filter((box) => box.checked).map((box) => box.value);
  if (!ids.length) return;
  try {
    const answer = await (what === "purge" ? purge(ids) : restore(ids));
    if (!answer) return;
    for (const box of boxes()) box.checked = false;
    say(answer.message);
    document.body.dispatchEvent(new CustomEvent("resync"));
  } catch (error) {
    complain(error);
  }
});

root.addEventListener("change", (event) => {
  if ("all" in event.target.dataset) for (const box of boxes()) box.checked = event.target.checked;
  paint();
});

new MutationObserver(paint).observe(document.getElementById("trash"), { childList: true, subtree: true });
paint();
