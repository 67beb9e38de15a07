// The page of one terminal: ties the connection, the screen and the tools around it together.

import { copy } from "../copy.js";
import { complain } from "../toasts.js";
import { Connection } from "./connection.js";
import { watchFind } from "./find.js";
import { followCursor } from "./follow.js";
import { watchKeyBar, watchKeys } from "./keys.js";
import { paste, watchPaste } from "./paste.js";
import { prefer, preference } from "./preferences.js";
import { makeScreen } from "./screen.js";
import { Status } from "./status.js";

const RESIZE_MS = 50;
const FONTS = { smallest: 9, largest: 24 };
const encoder = new TextEncoder();

class Page {
  constructor(place) {
    this.place = place;
    this.screen = makeScreen(place);
    this.term = this.screen.term;
    this.status = new Status(document);
    this.connection = new Connection(place.dataset.socket);
    this.readOnly = false;
    this.drives = false;
    // Somebody else types. Where nobody does, the first key decides.
    this.watches = false;
    this.replayEnd = 0;
    this.pending = 0;
    this.drawn = 0;
    this.byHand = false;
    this.#watchConnection();
    this.#watchScreen();
    this.#watchTools();
    this.connection.open();
    this.term.focus();
  }

  get isReplaying() {
    return this.drawn < this.replayEnd;
  }

  get mayType() {
    return this.connection.isOpen && !this.readOnly && !this.watches;
  }

  // --- From the server

  #watchConnection() {
    const on = (name, work) => this.connection.addEventListener(name, ({ detail }) => work(detail));
    on("hello", (hello) => this.#begin(hello));
    on("bytes", ({ data, end }) => this.#draw(data, end));
    on("size", ({ rows, cols }) => this.#follow(rows, cols));
    on("viewers", ({ n }) => this.status.showViewers(n));
    on("warn", ({ code, msg }) => this.#warn(code, msg));
    on("exit", (end) => {
      this.#allowTyping(false);
      this.status.showEnd(end);
    });
    on("driver", ({ name, you }) => this.#changeDriver(name, you));
    on("state", (state) => {
      this.status.showState(state);
      this.place.dataset.state = state.state;
      this.#allowTyping(this.mayType);
    });
  }

  #begin(hello) {
    this.readOnly = hello.ro;
    this.replayEnd = hello.end;
    this.drawn = hello.pos;
    this.status.showReadOnly(hello.ro);
    this.#follows();
    if (hello.reset) {
      // In the stream, so that it comes behind what is being drawn still.
      this.#write(`\x1bc${hello.preamble}`, hello.pos);
      this.needsRedraw = Boolean(hello.preamble);
    }
    this.#follow(hello.rows, hello.cols);
    if (!this.readOnly) this.#fit(true);
    if (!this.isReplaying) this.#replayed();
  }

  #draw(data, end) {
    this.#write(data, end);
  }

  #write(data, end) {
    this.pending += 1;
    this.term.write(data, () => {
      this.pending -= 1;
      const wasReplaying = this.isReplaying;
      this.drawn = end;
      this.connection.drawn(end, this.pending === 0);
      if (wasReplaying && !this.isReplaying) this.#replayed();
    });
  }

  #replayed() {
    if (this.needsRedraw && !this.readOnly) this.connection.redraw();
    this.needsRedraw = false;
  }

  #warn(code, message) {
    if (code === "watching") this.status.showDriver(message);
    else if (code === "refused") this.status.noteRefusal(message);
    else complain(message);
  }

  #changeDriver(name, you) {
    this.drives = you;
    this.watches = !you && Boolean(name);
    this.#follows();
    if (!name && !this.readOnly) {
      // Nobody's keys count: whoever asks for its size first goes on.
      this.#fit(true);
    }
    this.status.showDriver(this.watches ? `${name} is typing here.` : "");
    this.#allowTyping(this.mayType);
    if (you) this.#fit(true);
  }

  // Others decide the size: what is larger than this page is scrolled to.
  #follows() {
    this.place.toggleAttribute("data-follows", this.readOnly || this.watches);
    this.followCursor();
  }

  #allowTyping(allowed) {
    this.term.options.disableStdin = !allowed;
    this.place.toggleAttribute("data-dimmed", this.connection.state !== "open" && !this.connection.ended);
  }

  // --- Size

  // The size that the server says, or that this page makes of its place.
  #follow(rows, cols) {
    if (rows !== this.term.rows || cols !== this.term.cols) this.term.resize(cols, rows);
    this.status.showSize(cols, rows);
  }

  #fit(insists = false) {
    const size = this.screen.proposed();
    if (!size) return;
    if (!this.connection.isOpen && !insists) {
      // Nothing may lie under the words about a lost connection, or the end.
      if (this.connection.everOpen) this.#follow(size.rows, size.cols);
      return;
    }
    if (this.drives || insists) this.connection.resize(size.rows, size.cols);
    if (this.drives) this.#follow(size.rows, size.cols);
  }

  // --- From the person

  #watchScreen() {
    const { term, place } = this;
    const observer = new ResizeObserver(() => {
      clearTimeout(this.fitting);
      this.fitting = setTimeout(() => {
        this.#fit();
        this.followCursor();
      }, RESIZE_MS);
    });
    this.followCursor = followCursor(place, term);
    observer.observe(place);
    this.screen.onHand(() => {
      this.byHand = true;
    });
    term.onData((text) => {
      // What programs ask the terminal while the past is drawn was answered then.
      const isAnswer = !this.byHand;
      this.byHand = false;
      if (!(this.isReplaying && isAnswer)) this.#type(this.modified?.(text) ?? text);
    });
    term.onBinary((text) => {
      if (!this.isReplaying) this.connection.type(Uint8Array.from(text, (c) => c.charCodeAt(0)));
    });
    term.onTitleChange((title) => this.status.showTitle(title));
    watchPaste(place, term);
    const mayType = () => this.mayType;
    watchKeys(term, mayType, {
      KeyC: () => this.#copy(),
      // Where pages may not read the clipboard, the browser's own paste still works.
      KeyV: () => (navigator.clipboard?.readText ? void this.#paste() : false),
      KeyF: () => this.openFind(),
    });
  }

  #type(text) {
    if (this.mayType) this.connection.type(encoder.encode(text));
  }

  #copy() {
    const text = this.term.getSelection();
    if (text) copy(text);
    else complain("Select some text first.");
  }

  async #paste() {
    try {
      await paste(this.term, await navigator.clipboard.readText());
    } catch {
      complain("The browser does not let this page read the clipboard. Press Ctrl+Shift+V, or use its menu.");
    }
  }

  #watchTools() {
    this.openFind = watchFind(document.querySelector(".term-find"), this.screen);
    const bar = document.querySelector(".term-keys");
    if (bar) {
      const type = (text) => this.#type(text);
      this.modified = watchKeyBar(bar, this.term, { type, paste: () => this.#paste() });
    }
    const does = {
      find: () => this.openFind(),
      copy: () => this.#copy(),
      paste: () => this.#paste(),
      clear: () => this.term.clear(),
      smaller: () => this.#setFont(-1),
      larger: () => this.#setFont(1),
      download: () => this.#download(),
      full: () => this.place.closest(".main").requestFullscreen?.(),
      retry: () => this.connection.retry(),
      take: () => this.#takeOver(),
      reader: () => this.#toggle("reader"),
      graphics: () => this.#toggle("graphics"),
    };
    document.addEventListener("click", (event) => {
      const tool = event.target.closest("[data-tool]")?.dataset.tool;
      const signal = event.target.closest("[data-signal]")?.dataset.signal;
      if (tool) does[tool]?.();
      if (signal) this.connection.signal(signal);
      if (tool && tool !== "find") this.term.focus();
    });
    // A paused sandbox was left; it may go on now.
    for (const event of ["sandbox-changed", "resync"]) {
      document.body.addEventListener(event, () => this.connection.reopen());
    }
    this.status.showFont(preference("font"));
    for (const name of ["reader", "graphics"]) this.status.showPreference(name, preference(name));
  }

  #takeOver() {
    this.connection.takeOver();
    // What is typed from now on comes behind it.
    this.drives = true;
    this.watches = false;
    this.#allowTyping(this.mayType);
  }

  #setFont(step) {
    const size = Math.min(FONTS.largest, Math.max(FONTS.smallest, this.term.options.fontSize + step));
    this.term.options.fontSize = size;
    prefer("font", size);
    this.status.showFont(size);
    this.#fit();
  }

  #toggle(name) {
    prefer(name, !preference(name));
    location.reload();
  }

  #download() {
    const buffer = this.term.buffer.active;
    const lines = [];
    for (let number = 0; number < buffer.length; number += 1) {
      const line = buffer.getLine(number);
      const text = line.translateToString(true);
      if (line.isWrapped && lines.length) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${lines.join("\n").trimEnd()}\n`]));
    link.download = `${this.place.dataset.name}.txt`;
    link.click();
    URL.revokeObjectURL(link.href);
  }
}

const place = document.querySelector("[data-socket]");
if (place) {
  // The letters' width must be known before the size can be.
  document.fonts.load('13px "JetBrains Mono Variable"').finally(() => new Page(place));
}
