// xterm.js, set up for Sandbank: colours, widths, links, and the size of its place on the page.

import "./csp.js";
import { FitAddon } from "../../vendor/xterm-addon-fit/0.11.0/addon-fit.mjs";
import { SearchAddon } from "../../vendor/xterm-addon-search/0.16.0/addon-search.mjs";
import { Unicode11Addon } from "../../vendor/xterm-addon-unicode11/0.9.0/addon-unicode11.mjs";
import { WebLinksAddon } from "../../vendor/xterm-addon-web-links/0.12.0/addon-web-links.mjs";
import { WebglAddon } from "../../vendor/xterm-addon-webgl/0.19.0/addon-webgl.mjs";
import { Terminal } from "../../vendor/xterm/6.0.0/xterm.mjs";
import { confirm } from "../confirm.js";
import { preference } from "./preferences.js";

const SCROLLBACK = 10_000;
const SMALLEST = { cols: 20, rows: 5 };
const LARGEST = { cols: 500, rows: 200 };

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function colours() {
  const named = (name) => token(`--t-${name}`);
  return {
    background: named("bg"),
    foreground: named("fg"),
    cursor: named("fg"),
    cursorAccent: named("bg"),
    selectionBackground: "#2f4a75",
    black: "#3a434f",
    brightBlack: named("dim"),
    white: "#c6ccd4",
    brightWhite: "#ffffff",
    ...Object.fromEntries(
      ["red", "green", "yellow", "blue", "magenta", "cyan"].flatMap((name) => [
        [name, named(name)],
        [`bright${name[0].toUpperCase()}${name.slice(1)}`, named(name)],
      ]),
    ),
  };
}

// What a box has written is no address to open without asking.
async function openLink(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return;
  const goes = await confirm({
    title: "Open this link?",
    loss: `${url.href.slice(0, 300)} was written by what runs in the sandbox.`,
    action: "Open",
    destroys: false,
  });
  if (goes) window.open(url.href, "_blank", "noopener,noreferrer");
}

export function makeScreen(place, { readOnly = false } = {}) {
  const term = new Terminal({
    allowProposedApi: true,
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    disableStdin: readOnly,
    fontFamily: '"JetBrains Mono Variable", "JetBrains Mono", ui-monospace, Menlo, Consolas, monospace',
    fontSize: preference("font"),
    linkHandler: { activate: (_event, address) => openLink(address) },
    minimumContrastRatio: 4.5,
    screenReaderMode: preference("reader"),
    scrollback: SCROLLBACK,
    theme: colours(),
  });
  const fit = new FitAddon();
  const search = new SearchAddon();
  term.loadAddon(fit);
  term.loadAddon(search);
  term.loadAddon(new Unicode11Addon());
  term.unicode.activeVersion = "11";
  term.loadAddon(new WebLinksAddon((_event, address) => openLink(address)));
  term.open(place);
  if (preference("graphics")) useGraphics(term);
  return { term, search, proposed: () => proposed(fit, place), onHand: (notice) => onHand(term, notice) };
}

// Calls before each input that a person gives. Only inside does xterm.js tell keys and pastes from
// what it answers to a program.
function onHand(term, notice) {
  term._core.coreService.onUserInput(notice);
}

function useGraphics(term) {
  try {
    const addon = new WebglAddon();
    addon.onContextLoss(() => addon.dispose());
    term.loadAddon(addon);
  } catch {
    // Without a graphics card the rows are drawn as text.
  }
}

// The size that fits the place, or null while it cannot be seen.
function proposed(fit, place) {
  if (!place.offsetParent || place.clientWidth < 50) return null;
  const size = fit.proposeDimensions();
  if (!size || Number.isNaN(size.cols) || Number.isNaN(size.rows)) return null;
  const within = (name) => Math.min(LARGEST[name], Math.max(SMALLEST[name], size[name]));
  return { cols: within("cols"), rows: within("rows") };
}
