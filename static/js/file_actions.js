// What is done with files: make, rename, move, copy, delete, download.

import { confirm } from "./confirm.js";
import { askEach } from "./conflicts.js";
import { copy } from "./copy.js";
import { askFolder, askName } from "./file_dialogs.js";
import { chosen, clearSelection, describe, focusId, focusName, neighbourOf } from "./file_list.js";
import { act, folderOf, here, nameOf, rawOf } from "./file_place.js";
import { refresh } from "./file_refresh.js";
import { complain, say } from "./toasts.js";

const CLIPBOARD = "files";

export async function newFolder() {
  let made = "";
  await askName({
    title: "New folder",
    action: "Create",
    submit: async (name) => {
      await act("mkdir", { path: here.folder + name });
      made = name;
    },
  });
  if (!made) return;
  await refresh();
  focusName(made);
}

export function newFile() {
  return askName({
    title: "New file",
    action: "Create",
    submit: async (name) => {
      const { entry } = await act("create", { path: here.folder + name, content: "" });
      await refresh();
      focusName(entry.name);
    },
  });
}

export async function rename() {
  const [item] = chosen();
  if (!item) return;
  let renamed = "";
  await askName({
    title: `Rename ${item.name}`,
    action: "Rename",
    value: item.name,
    submit: async (name) => {
      if (name !== item.name) await act("rename", { path: item.path, name });
      renamed = name;
    },
  });
  if (!renamed) return;
  clearSelection();
  await refresh();
  focusName(renamed);
}

async function agreesToLose(items) {
  if (here.keepsTrash) return true;
  const what = items.length === 1 ? "It is" : "They are";
  const folders = items.some((item) => item.kind === "folder") ? ", with all that is in the folders" : "";
  return confirm({
    title: `Delete ${describe(items)}?`,
    loss: `A sandbox has no trash. ${what} gone for good${folders}.`,
    action: "Delete",
  });
}

export async function remove() {
  const items = chosen();
  if (!items.length || !(await agreesToLose(items))) return;
  const next = neighbourOf(new Set(items.map((item) => item.id)));
  try {
    const answer = await act("delete", { paths: items.map((item) => item.path) });
    say(answer.message, { undo: answer.undo, afterUndo: refresh });
  } catch (error) {
    complain(error);
  }
  clearSelection();
  await refresh();
  if (next) focusId(next);
}

function conflictOf({ path, to, old, new: fresh }) {
  return { path, name: nameOf(to), folder: folderOf(to), old, new: fresh };
}

// Moves or copies; asks what becomes of names that are taken. Returns what came there.
async function bring(action, paths, to) {
  try {
    return await act(action, { paths, to });
  } catch (error) {
    const conflicts = error.body?.conflicts;
    if (!conflicts?.length) throw error;
    const choices = await askEach(conflicts.map(conflictOf));
    if (!choices) return null;
    return bringAsChosen(action, paths, to, choices);
  }
}

const same = (path) => path.replace(/\/$/, "");

async function bringAsChosen(action, paths, to, choices) {
  const groups = new Map();
  const byPath = new Map([...choices].map(([path, choice]) => [same(path), choice]));
  for (const path of paths) {
    const choice = byPath.get(same(path)) ?? "rename";
    groups.set(choice, [...(groups.get(choice) ?? []), path]);
  }
  groups.delete("skip");
  const entries = [];
  for (const [choice, some] of groups) {
    const answer = await act(action, { paths: some, to, on_conflict: choice });
    entries.push(...answer.entries);
  }
  const verb = action === "move" ? "moved" : "copied";
  return { entries, message: `${entries.length} of ${paths.length} ${verb}.` };
}

function brings(action, word) {
  return async () => {
    const items = chosen();
    if (!items.length) return;
    let answer = null;
    await askFolder({
      title: `${word} ${describe(items)}`,
      action: word,
      submit: async (to) => {
        answer = await bring(action, items.map((item) => item.path), to.replace(/(.)\/$/, "$1"));
      },
    });
    if (!answer) return;
    say(answer.message);
    clearSelection();
    await refresh();
  };
}

export const moveTo = brings("move", "Move");
export const copyTo = brings("copy", "Copy");

export function copyPath() {
  const items = chosen();
  const paths = items.length ? items.map((item) => item.path) : [here.folder];
  copy(paths.join("\n"), paths.length === 1 ? "Path copied" : `${paths.length} paths copied`);
}

export function download() {
  const items = chosen();
  if (!items.length) return;
  const link = document.createElement("a");
  if (items.length === 1 && items[0].kind === "file") {
    link.href = `${rawOf(items[0].path)}?download=1`;
  } else {
    const query = new URLSearchParams({ path: here.folder.replace(/(.)\/$/, "$1") });
    for (const item of items) query.append("name", item.name);
    link.href = `${here.base}/file-zip?${query}`;
  }
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
}

// The dialog of transfers listens to this.
export function transfer() {
  const items = chosen();
  if (!items.length) return;
  const detail = { place: here.place, folder: here.folder, names: items.map((item) => item.name) };
  document.dispatchEvent(new CustomEvent("transfer-selection", { detail }));
}

export function take(verb) {
  const items = chosen();
  if (!items.length) return;
  const held = {
    verb,
    place: here.place,
    folder: here.folder,
    paths: items.map((item) => item.path),
    names: items.map((item) => item.name),
  };
  sessionStorage.setItem(CLIPBOARD, JSON.stringify(held));
  const what = describe(items);
  say(verb === "cut" ? `${what} cut. Paste with Ctrl+V.` : `${what} copied. Paste with Ctrl+V.`);
}

function pasteFromElsewhere(held) {
  const detail = {
    place: held.place,
    folder: held.folder,
    names: held.names,
    moves: held.verb === "cut",
    to: { place: here.place, folder: here.folder },
  };
  document.dispatchEvent(new CustomEvent("transfer-selection", { detail }));
}

export async function paste() {
  const held = JSON.parse(sessionStorage.getItem(CLIPBOARD) ?? "null");
  if (!held) return;
  if (held.verb === "cut") sessionStorage.removeItem(CLIPBOARD);
  if (held.place !== here.place) {
    pasteFromElsewhere(held);
    return;
  }
  try {
    const to = here.folder.replace(/(.)\/$/, "$1");
    const isHere = held.folder === here.folder;
    if (isHere && held.verb === "cut") return;
    // What is pasted beside itself gets another name.
    const answer = isHere
      ? await act("copy", { paths: held.paths, to, on_conflict: "rename" })
      : await bring(held.verb === "cut" ? "move" : "copy", held.paths, to);
    if (!answer) return;
    say(answer.message);
    await refresh();
    if (answer.entries.length) focusName(answer.entries[0].name);
  } catch (error) {
    complain(error);
  }
}
