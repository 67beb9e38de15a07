// Where this page is: which disk or sandbox, which folder, and what may be done there.

import { get, send } from "./http.js";

const root = document.querySelector("[data-files], [data-viewer]");

export const here = {
  get element() {
    return root;
  },
  // "disk:<id>" or "sandbox:<id>"
  place: root?.dataset.place ?? "",
  placeName: root?.dataset.placeName ?? "",
  kind: root?.dataset.place.split(":")[0],
  id: root?.dataset.place.split(":")[1],
  base: root?.dataset.base ?? "",
  mayWork: Boolean(root && "mayWork" in root.dataset),
  keepsTrash: Boolean(root && "keepsTrash" in root.dataset),
  // Another folder is on its way: what is shown is not what the address says.
  leaving: false,
  // Ends with a slash.
  get folder() {
    return root.dataset.folder;
  },
  set folder(folder) {
    root.dataset.folder = folder;
  },
};

// Does one of the actions of disks/views/file_actions. Throws Refused.
export function act(action, data) {
  return send(`${here.base}/file-actions/${action}`, { data });
}

export function list(path, options = {}) {
  return get(`${here.base}/file-list?${new URLSearchParams({ path, ...options })}`);
}

function encoded(path) {
  return path.split("/").map(encodeURIComponent).join("/").replace(/^\//, "");
}

// The page of a file, or of a folder if the path ends with a slash.
export function pageOf(path) {
  if (path === "/" && here.kind === "sandbox") return `${here.base}/files/?at=root`;
  return `${here.base}/files/${encoded(path)}`;
}

export function rawOf(path) {
  return `${here.base}/file-raw/${encoded(path)}`;
}

export function nameOf(path) {
  return path.replace(/\/$/, "").split("/").pop();
}

export function folderOf(path) {
  return path.replace(/\/$/, "").replace(/[^/]*$/, "");
}
