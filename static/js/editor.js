// Edits a file: CodeMirror in place of the text area, saved with the etag it was opened with.

import {
  EditorState,
  EditorView,
  bracketMatching,
  classHighlighter,
  closeBrackets,
  closeBracketsKeymap,
  Compartment,
  defaultKeymap,
  drawSelection,
  foldGutter,
  foldKeymap,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSelectionMatches,
  highlightSpecialChars,
  history,
  historyKeymap,
  indentOnInput,
  indentUnit,
  indentWithTab,
  keymap,
  languages,
  lineNumbers,
  search,
  searchKeymap,
  syntaxHighlighting,
} from "../vendor/codemirror/6.43.15/codemirror.js";
import { around, diff } from "./diff.js";
import { act, here, pageOf, rawOf } from "./file_place.js";
import { complain, say } from "./toasts.js";

const COPIES_TRIED = 50;
const LATEST_MS = 20_000;

const viewer = document.querySelector("[data-viewer]");
const area = document.getElementById("editor");
const form = document.getElementById("edit-form");
const dialog = document.getElementById("changed-dialog");
const path = viewer.dataset.path;
const windowsLines = "windowsLines" in area.dataset;

let etag = viewer.dataset.etag;
let saved = area.value.replaceAll("\r\n", "\n");
let saving = false;
let leaving = false;

// Two spaces, unless the file says otherwise.
function indentOf(text) {
  const found = text.match(/^(\t| {2,8})\S/m);
  return found ? found[1] : viewer.dataset.path.endsWith(".py") ? "    " : "  ";
}

const wrapping = new Compartment();

// CodeMirror's own style stands above the layers of ours, so the colours are given to it here.
const theme = EditorView.theme({
  "&": { flex: "1", minHeight: "0", fontSize: "var(--fs-12)", color: "var(--text)", backgroundColor: "var(--canvas)" },
  // The ring is that of the form around it, see .edit in files.css.
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "20px", fontVariantLigatures: "none" },
  ".cm-gutters": { color: "var(--faint)", backgroundColor: "var(--canvas)", border: "0" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "44px", paddingInlineEnd: "12px" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)",
  },
  ".cm-panels": { color: "var(--text)", backgroundColor: "var(--panel)", borderColor: "var(--border)" },
  ".cm-textfield, .cm-button": {
    color: "var(--text)",
    backgroundColor: "var(--canvas)",
    backgroundImage: "none",
    border: "1px solid var(--border-strong)",
    borderRadius: "4px",
  },
  ".cm-searchMatch": { backgroundColor: "var(--warn-soft)", outline: "1px solid var(--warn)" },
});

function extensions() {
  const language = languages[area.dataset.language];
  return [
    EditorView.cspNonce.of(document.querySelector('meta[name="csp-nonce"]').content),
    theme,
    lineNumbers(),
    highlightActiveLineGutter(),
    highlightSpecialChars(),
    history(),
    foldGutter(),
    drawSelection(),
    EditorState.allowMultipleSelections.of(true),
    indentOnInput(),
    indentUnit.of(indentOf(saved)),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    highlightSelectionMatches(),
    search({ top: true }),
    syntaxHighlighting(classHighlighter),
    wrapping.of(viewer.hasAttribute("data-wrap") ? EditorView.lineWrapping : []),
    // Esc, then Tab leaves the editor: CodeMirror's own rule.
    keymap.of([
      { key: "Mod-s", preventDefault: true, run: () => (save(), true) },
      ...closeBracketsKeymap,
      ...defaultKeymap,
      ...searchKeymap,
      ...historyKeymap,
      ...foldKeymap,
      indentWithTab,
    ]),
    EditorView.contentAttributes.of({ "aria-label": `Content of ${path}`, "aria-describedby": "edit-status", spellcheck: "false" }),
    EditorView.updateListener.of((update) => update.docChanged && showState()),
    language ? language() : [],
  ];
}

const view = new EditorView({
  state: EditorState.create({ doc: saved, extensions: extensions() }),
  parent: form,
});
area.hidden = true;
area.removeAttribute("name");
view.focus();

function text() {
  return view.state.doc.toString();
}

function isDirty() {
  return text() !== saved;
}

function showState() {
  const dirty = isDirty();
  document.getElementById("unsaved").hidden = !dirty;
  document.title = document.title.replace(/^(• )?/, dirty ? "• " : "");
}

async function send(content, expected, to = path) {
  const data = { path: to, content: windowsLines ? content.replaceAll("\n", "\r\n") : content };
  return act("save", { ...data, etag: expected });
}

async function store(expected) {
  const content = text();
  const { entry } = await send(content, expected);
  etag = entry.etag;
  saved = content;
  showState();
  say("Saved.");
}

async function save() {
  if (saving) return;
  saving = true;
  document.getElementById("save").disabled = true;
  try {
    await store(etag);
  } catch (error) {
    if (error.status === 409 && error.tag === "changed") await resolve();
    else complain(error);
  } finally {
    saving = false;
    document.getElementById("save").disabled = false;
  }
}

// --- somebody else has saved it ---------------------------------------------------------------

async function saveCopy() {
  const dot = path.lastIndexOf(".") > path.lastIndexOf("/") + 1 ? path.lastIndexOf(".") : path.length;
  for (let count = 1; count <= COPIES_TRIED; count += 1) {
    const name = `${path.slice(0, dot)} (copy${count > 1 ? ` ${count}` : ""})${path.slice(dot)}`;
    try {
      const { entry } = await send(text(), "", name);
      leaving = true;
      location.assign(`${pageOf(entry.path)}?view=edit`);
      return;
    } catch (error) {
      if (error.tag !== "exists" && error.tag !== "changed") throw error;
    }
  }
  throw new Error("Too many copies of this file are there already.");
}

async function showDifferences() {
  const box = document.getElementById("differences");
  box.replaceChildren();
  box.hidden = false;
  const signal = AbortSignal.timeout(LATEST_MS);
  const response = await fetch(rawOf(path), { cache: "no-store", signal });
  const theirs = response.ok ? (await response.text()).replaceAll("\r\n", "\n") : "";
  const lines = diff(theirs, text());
  if (!lines) {
    box.textContent = "The versions differ in too much to show it here.";
    return;
  }
  const shown = around(lines);
  if (!shown.length) box.textContent = "Both versions are the same.";
  for (const line of shown) {
    const row = document.createElement("span");
    row.dataset.sign = line.sign;
    row.textContent = `${line.sign} ${line.text}`;
    box.append(row);
  }
}

document.getElementById("see-differences").addEventListener("click", () => showDifferences().catch(complain));

function askWhatNow() {
  document.getElementById("differences").hidden = true;
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue), { once: true });
  });
}

async function resolve() {
  const choice = await askWhatNow();
  try {
    if (choice === "overwrite") await store(null);
    else if (choice === "copy") await saveCopy();
  } catch (error) {
    complain(error);
  }
  view.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
  event.preventDefault();
  save();
});

document.addEventListener("wrap-changed", (event) => {
  view.dispatch({ effects: wrapping.reconfigure(event.detail ? EditorView.lineWrapping : []) });
});

addEventListener("beforeunload", (event) => {
  if (isDirty() && !leaving) event.preventDefault();
});

// What the tests look at.
here.element.editor = view;
