// What Sandbank uses of CodeMirror 6. `make vendor` makes one module of it.
import { css } from "@codemirror/lang-css";
import { html } from "@codemirror/lang-html";
import { javascript } from "@codemirror/lang-javascript";
import { json } from "@codemirror/lang-json";
import { markdown } from "@codemirror/lang-markdown";
import { python } from "@codemirror/lang-python";
import { StreamLanguage } from "@codemirror/language";
import { dockerFile } from "@codemirror/legacy-modes/mode/dockerfile";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { yaml } from "@codemirror/legacy-modes/mode/yaml";

export { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
export {
  defaultKeymap, history, historyKeymap, indentWithTab, isolateHistory, redo, undo,
} from "@codemirror/commands";
export {
  HighlightStyle, StreamLanguage, bracketMatching, defaultHighlightStyle, foldGutter, foldKeymap,
  indentOnInput, indentUnit, syntaxHighlighting,
} from "@codemirror/language";
export {
  gotoLine, highlightSelectionMatches, openSearchPanel, search, searchKeymap,
} from "@codemirror/search";
export { Compartment, EditorSelection, EditorState, StateEffect, Transaction } from "@codemirror/state";
export {
  EditorView, crosshairCursor, drawSelection, dropCursor, highlightActiveLine,
  highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers, placeholder,
  rectangularSelection,
} from "@codemirror/view";
export { classHighlighter, tags } from "@lezer/highlight";

// Each makes the extension that colours and indents one language.
export const languages = {
  css,
  dockerfile: () => StreamLanguage.define(dockerFile),
  html,
  javascript: () => javascript({ jsx: true }),
  json,
  markdown,
  python,
  shell: () => StreamLanguage.define(shell),
  toml: () => StreamLanguage.define(toml),
  typescript: () => javascript({ jsx: true, typescript: true }),
  yaml: () => StreamLanguage.define(yaml),
};
