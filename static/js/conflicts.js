// Names that are taken: keep both, replace or skip, for one or for all.

import { seen } from "./names.js";
import { size } from "./sizes.js";
import { moment } from "./times.js";

// What is told of a file: its size and when it was changed.
export function facts({ size: bytes, modified, kind } = {}) {
  if (kind === "folder") return "a folder";
  const when = modified ? moment(new Date(modified)) : "";
  return [bytes === null || bytes === undefined ? "" : size(bytes), when].filter(Boolean).join(" · ");
}

// Can a conflict be settled like that?
function canBe(choice, { old, new: fresh }) {
  return choice !== "replace" || (old?.kind === "folder") === (fresh?.kind === "folder");
}

// Asks about one name. Returns {choice: "rename" | "replace" | "skip", forAll}, or null: stop it all.
function askOne({ name, folder, old, new: fresh }, others) {
  const dialog = document.getElementById("conflict-dialog");
  dialog.querySelector("h2").textContent = seen(`${name} is already in ${folder}`);
  dialog.querySelector("[data-old]").textContent = facts(old);
  dialog.querySelector("[data-new]").textContent = facts(fresh);
  // A file does not go in the place of a folder, nor a folder in that of a file.
  dialog.querySelector('[value="replace"]').hidden = !canBe("replace", { old, new: fresh });
  const label = document.getElementById("conflict-all-label");
  const box = document.getElementById("conflict-all");
  label.hidden = others === 0;
  label.querySelector("span").textContent =
    others === Infinity ? "The same for all others" : `The same for ${others} more`;
  box.checked = false;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue && { choice: dialog.returnValue, forAll: box.checked }),
      { once: true },
    );
  });
}

let lastAsked = Promise.resolve();

// One dialog at a time, whoever asks. `decided`: what was chosen for all while this one waited.
export function ask(conflict, others = 0) {
  const answer = lastAsked.then(() => {
    const choice = conflict.decided?.();
    return choice && canBe(choice, conflict) ? { choice } : askOne(conflict, others);
  });
  lastAsked = answer.catch(() => null);
  return answer;
}

// Asks about each of them. Returns a Map from path to choice, or null: stop it all.
export async function askEach(conflicts) {
  const choices = new Map();
  let forAll = "";
  for (const [at, conflict] of conflicts.entries()) {
    const answer = await ask({ ...conflict, decided: () => forAll }, conflicts.length - at - 1);
    if (!answer) return null;
    choices.set(conflict.path, answer.choice);
    if (answer.forAll) forAll = answer.choice;
  }
  return choices;
}
