// What is done with files: make, rename, move, copy, delete, download.

import { confirm } from "./confirm.js";
import { askEach } from "./conflicts.js";
import { copy } from "./copy.js";
import { askFolder, askName } from "./file_dialogs.js";
import { chosen, clearSelection, currentOf, describe, focusId, focusName, neighbourOf } from "./file_list.js";
import { act, folderOf, here, nameOf, rawOf } from "./file_place.js";
import { refresh } from "./file_refresh.js";
import { csrfToken } from "./http.js";
import { complain, say } from "./toasts.js";

const CLIPBOARD = "files";
// Proxies take addresses of 8 KiB, or fewer.
const LONGEST_ADDRESS = 4_000;

function makes(title, action, more = {}) {
  return async () => {
    let made = "";
    await askName({
      title,
      action: "Create",
      submit: async (name) => {
        made = (await act(action, { path: here.folder, name, ...more })).entry.name;
      },
    });
    if (!made) return;
    await refresh();
    focusName(made);
  };
}

export const newFolder = makes("New folder", "mkdir");
export const newFile = makes("New file", "create", { content: "" });

// Of several that are selected, it is the one with the keyboard that gets another name.
export async function rename() {
  const item = currentOf(chosen());
  if (!item) return;
  let renamed = "";
  await askName({
    title: `Rename ${item.name}`,
    action: "Rename",
    value: item.name,
    submit: async (name) => {
      if (name === item.name) renamed = name;
      else renamed = (await act("rename", { path: item.path, name })).entry.name;
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

async function comeBack(name) {
  await refresh();
  if (document.activeElement === document.body) focusName(name);
}

export async function remove() {
  const items = chosen();
  if (!items.length || !(await agreesToLose(items))) return;
  const next = neighbourOf(new Set(items.map((item) => item.id)));
  try {
    const answer = await act("delete", { paths: items.map((item) => item.path) });
    say(answer.message, { undo: answer.undo, afterUndo: () => comeBack(items[0].name) });
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

export async function moveInto(items, to) {
  try {
    const answer = await bring("move", items.map((item) => item.path), to);
    if (!answer) return;
    say(answer.message);
    clearSelection();
  } catch (error) {
    complain(error);
  }
  await refresh();
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
  if (items.length === 1 && items[0].kind === "file") {
    follow(`${rawOf(items[0].path)}?download=1`);
    return;
  }
  const path = here.folder.replace(/(.)\/$/, "$1");
  const query = new URLSearchParams({ path });
  for (const item of items) query.append("name", item.name);
  const address = `${here.base}/file-zip?${query}`;
  if (address.length <= LONGEST_ADDRESS) follow(address);
  else postForDownload(`${here.base}/file-zip`, { path, names: JSON.stringify(items.map((item) => item.name)) });
}

// A form may name more than an address can hold. What it brings is no page, and so nothing is
// shown in the frame, unless the server refuses.
function postForDownload(action, fields) {
  let frame = document.querySelector('iframe[name="download"]');
  if (!frame) {
    frame = document.createElement("iframe");
    frame.name = "download";
    frame.hidden = true;
    document.body.append(frame);
  }
  frame.onload = () => complain("The download was refused. Choose fewer files, or the folder they are in.");
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action, target: frame.name, hidden: true });
  const { project } = document.querySelector("[data-project]").dataset;
  for (const [name, value] of Object.entries({ ...fields, project, csrfmiddlewaretoken: csrfToken() })) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
  form.remove();
}

function follow(address) {
  const link = document.createElement("a");
  link.href = address;
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
  if (held.place !== here.place) {
    if (held.verb === "cut") sessionStorage.removeItem(CLIPBOARD);
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
    // Who changed their mind may paste elsewhere.
    if (!answer) return;
    if (held.verb === "cut") sessionStorage.removeItem(CLIPBOARD);
    say(answer.message);
    await refresh();
    if (answer.entries.length) focusName(answer.entries[0].name);
  } catch (error) {
    complain(error);
  }
}
