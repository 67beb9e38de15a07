// The trash of a disk: restore, with a question where names are taken, and delete for ever.

import { confirm } from "./confirm.js";
import { send } from "./http.js";
import { seen } from "./names.js";
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
    const total = Number(root.querySelector("[data-total]").dataset.total);
    const words = total > all.length ? `${picked.length} of ${total} selected` : `${picked.length} selected`;
    const heading = bar.querySelector("strong");
    if (heading.textContent !== words) heading.textContent = words;
  }
  const everything = root.querySelector("[data-all]");
  if (everything) {
    everything.checked = picked.length > 0 && picked.length === all.length;
    everything.indeterminate = picked.length > 0 && picked.length < all.length;
  }
}

function askAboutTaken({ conflicts, count }) {
  const dialog = document.getElementById("restore-dialog");
  dialog.querySelector("h2").textContent =
    count === 1 ? `${seen(conflicts[0].path)} is there again` : `${plural(count, "name")} are taken again`;
  dialog.querySelector("p").textContent =
    "Since it was deleted, something else got that name. Keep both gives the restored file another name.";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

// What a button is for: one file, all of a deletion, or what is selected.
function wantedBy(button) {
  if (button?.name === "deletion") return { data: { deletion: button.value }, count: Number(button.dataset.count) };
  const rows = button?.dataset.one
    ? [button.closest("tr")]
    : boxes().filter((box) => box.checked).map((box) => box.closest("tr"));
  const ids = rows.map((row) => row.querySelector('[name="ids"]').value);
  return { data: { ids }, count: ids.length, path: rows[0]?.dataset.path };
}

async function restore({ data }) {
  const url = `${root.dataset.base}/trash/restore`;
  try {
    return await send(url, { data });
  } catch (error) {
    if (error.tag !== "exists" || !error.body.conflicts) throw error;
    const choice = await askAboutTaken(error.body);
    return choice ? send(url, { data: { ...data, on_conflict: choice } }) : null;
  }
}

async function purge({ data, count, path }) {
  const agreed = await confirm({
    title: `Delete ${count === 1 ? path : plural(count, "item")} for ever?`,
    loss: "There is no way back after this.",
    action: "Delete for ever",
  });
  return agreed ? send(`${root.dataset.base}/trash/purge`, { data }) : null;
}

root.addEventListener("submit", async (event) => {
  if (event.target.id !== "trash-form") return;
  event.preventDefault();
  const button = event.submitter;
  const wanted = wantedBy(button);
  if (!wanted.count) return;
  try {
    const answer = await ((button?.dataset.one ?? button?.value) === "purge" ? purge(wanted) : restore(wanted));
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
