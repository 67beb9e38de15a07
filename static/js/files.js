// The file browser. Each part is a module of its own; this one binds buttons and keys to them.

import * as actions from "./file_actions.js";
import {
  clearSelection,
  countRows,
  currentRow,
  focusAt,
  focusName,
  isInList,
  listenToList,
  paint,
  selectAll,
} from "./file_list.js";
import { listenToMenus } from "./file_menu.js";
import { here, nameOf } from "./file_place.js";
import { keepFresh, refresh } from "./file_refresh.js";
import { listenToVisits, visit } from "./file_visit.js";
import { listenToPath, showEnd } from "./path_bar.js";
import { listenToPreview, toggle as togglePreview } from "./preview.js";
import { listenToSearch, toggleSearch } from "./search_panel.js";
import { isTyping } from "./shortcuts.js";
import { listenToDrags } from "./file_drag.js";
import { listenToDrops, pickFiles, pickFolder } from "./drop.js";
import { listenToCard } from "./upload_card.js";

function open() {
  const row = currentRow();
  if (!row) return;
  if (row.kind === "folder") visit(row.url);
  else location.assign(row.url);
}

function goUp() {
  const links = document.querySelectorAll("#path ol a");
  if (links.length > 1) visit(links[links.length - 2].href);
}

async function showMore(button) {
  const url = new URL(button.href);
  const shown = countRows();
  history.replaceState(history.state, "", url);
  await refresh();
  focusAt(shown);
}

// Shows as many rows as can be shown, and selects them.
async function selectEverything(button) {
  const url = new URL(location.href);
  url.searchParams.set("count", button.dataset.count);
  history.replaceState(history.state, "", url);
  await refresh();
  selectAll();
}

// Buttons with data-do.
const DOES = {
  open,
  refresh,
  search: () => toggleSearch(),
  preview: () => togglePreview(),
  more: showMore,
  "select-everything": selectEverything,
  clear: clearSelection,
  upload: pickFiles,
  "upload-folder": pickFolder,
  "new-folder": actions.newFolder,
  "new-file": actions.newFile,
  rename: actions.rename,
  delete: actions.remove,
  move: actions.moveTo,
  "copy-to": actions.copyTo,
  "copy-path": actions.copyPath,
  download: actions.download,
  transfer: actions.transfer,
};

// Keys of the list, with and without the right to change anything.
const KEYS = { Enter: open, Backspace: goUp };
const WORK_KEYS = { F2: actions.rename, Delete: actions.remove };
const CTRL_KEYS = { c: () => actions.take("copy") };
const CTRL_WORK_KEYS = { x: () => actions.take("cut"), v: actions.paste };

function actionOf(event) {
  const ctrl = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (ctrl && event.shiftKey && key === "c") return actions.copyPath;
  if (ctrl) return CTRL_KEYS[key] ?? (here.mayWork && CTRL_WORK_KEYS[key]);
  if (event.altKey) return key === "ArrowUp" && goUp;
  return KEYS[key] ?? (here.mayWork && WORK_KEYS[key]);
}

function onKey(event) {
  const ctrl = event.ctrlKey || event.metaKey;
  if (event.defaultPrevented || isTyping(event.target) && !event.target.matches(".check")) return;
  if (!isInList(event.target)) return;
  // A link or a button has its own Enter.
  if (event.key === "Enter" && event.target.closest("a, button")) return;
  // Text that was selected is copied as text.
  if (ctrl && event.key === "c" && String(getSelection())) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  action();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  const action = button && DOES[button.dataset.do];
  if (!action) return;
  if (button.tagName === "A") event.preventDefault();
  action(button);
});

document.addEventListener("dblclick", (event) => {
  if (event.target.closest("#rows > tr") && !event.target.closest("a, button, input")) open();
});

document.addEventListener("keydown", onKey);

document.addEventListener("submit", (event) => {
  if (event.target.matches(".filter")) {
    event.preventDefault();
    const url = new URL(location.href);
    const { match, sort } = event.target.elements;
    url.searchParams.set("match", match.value);
    url.searchParams.set("sort", sort.value);
    visit(url);
  } else if (event.target.id === "files-form") {
    event.preventDefault();
  }
});

document.addEventListener("folder-visited", (event) => {
  clearSelection();
  paint();
  showEnd();
  // Going up, the keyboard is on the folder that was left.
  const { from } = event.detail;
  if (from.startsWith(here.folder) && from !== here.folder) {
    focusName(nameOf(here.folder + from.slice(here.folder.length).split("/")[0]));
  } else if (document.activeElement === document.body) {
    focusAt(0);
  }
});

if (document.querySelector("[data-files]")) {
  listenToList();
  listenToMenus();
  listenToVisits();
  listenToPath(visit);
  listenToSearch();
  listenToPreview();
  listenToDrops();
  listenToDrags();
  listenToCard();
  keepFresh();
}
