// Files and folders that are dropped on the page or picked, with their structure.

import { act, here } from "./file_place.js";
import { seen } from "./names.js";
import { complain } from "./toasts.js";
import { plural } from "./sizes.js";
import { add } from "./uploads.js";

const MOST_FILES = 20_000;

function readAll(reader) {
  return new Promise((resolve, reject) => {
    const found = [];
    const next = () =>
      reader.readEntries((some) => {
        if (!some.length) resolve(found);
        else {
          found.push(...some);
          next();
        }
      }, reject);
    next();
  });
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

// Fills `into` with the files below an entry, and with the folders that hold none.
async function walk(entry, into) {
  const relative = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    into.files.push({ file: await fileOf(entry), relative });
    if (into.files.length > MOST_FILES) throw new Error(`More than ${plural(MOST_FILES, "file")} at once is too much.`);
    return;
  }
  const children = await readAll(entry.createReader());
  if (!children.length) into.folders.push(relative);
  for (const child of children) await walk(child, into);
}

// The entries must be asked for before anything is awaited: the browser forgets them.
async function collect(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const into = { files: [], folders: [] };
  if (entries.length) for (const entry of entries) await walk(entry, into);
  else into.files.push(...[...transfer.files].map((file) => ({ file, relative: file.name })));
  return into;
}

async function makeFolders(folders, folder) {
  for (const each of folders) await act("mkdir", { path: `${folder}${each}`, exist_ok: true });
}

async function bring({ files, folders }, folder) {
  try {
    await makeFolders(folders, folder);
    if (folders.length && !files.length) document.body.dispatchEvent(new CustomEvent("resync"));
  } catch (error) {
    complain(error);
  }
  if (files.length) add(files, { place: here.kind, placeId: here.id, folder });
}

let afterPick = null;

function onPick(event) {
  const files = [...event.target.files];
  event.target.value = "";
  const then = afterPick;
  afterPick = null;
  if (!files.length) return;
  if (then) then(files);
  else bring({ files: files.map((file) => ({ file, relative: file.webkitRelativePath || file.name })), folders: [] }, here.folder);
}

export function pickFiles() {
  afterPick = null;
  document.getElementById("pick-files").click();
}

export function pickFolder() {
  afterPick = null;
  document.getElementById("pick-folder").click();
}

// Lets somebody pick files for another purpose than a new upload.
export function pickFor(then) {
  afterPick = then;
  document.getElementById("pick-files").click();
}

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

// A drop on the row of a folder goes into that folder.
function targetOf(event) {
  const row = event.target.closest?.('#rows > tr[data-kind="folder"]');
  return row ? `${row.dataset.path.replace(/\/$/, "")}/` : here.folder;
}

function showTarget(folder) {
  const overlay = document.getElementById("drop-here");
  overlay.hidden = folder === null;
  if (folder === null) return;
  overlay.querySelector("strong").textContent = seen(folder);
  for (const row of document.querySelectorAll("#rows > tr")) {
    row.toggleAttribute("data-drop", `${row.dataset.path.replace(/\/$/, "")}/` === folder);
  }
}

function endDrop() {
  showTarget(null);
  for (const row of document.querySelectorAll("[data-drop]")) row.removeAttribute("data-drop");
}

export function listenToDrops() {
  for (const id of ["pick-files", "pick-folder"]) {
    document.getElementById(id)?.addEventListener("change", onPick);
  }
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    // Without this the browser opens the file in place of the page.
    event.preventDefault();
    event.dataTransfer.dropEffect = here.mayWork ? "copy" : "none";
    if (here.mayWork) showTarget(targetOf(event));
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) endDrop();
  });
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    const folder = targetOf(event);
    endDrop();
    if (!here.mayWork) return;
    try {
      await bring(await collect(event.dataTransfer), folder);
    } catch (error) {
      complain(error);
    }
  });
}
