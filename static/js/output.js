// The output of one command: coloured, followed while it runs, searched, copied.
//
// A running command comes over a WebSocket (sandboxes/consumers/output.py has its protocol), a
// finished one stands in the page as text. What was drawn is acknowledged, so that a fast
// command never fills the browser; only the newest lines are kept.

import { Lines } from "./ansi.js";
import { copy } from "./copy.js";
import { Finder } from "./find.js";
import { draw } from "./spans.js";

const MOST_LINES = 5_000;
const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];
const FORBIDDEN = 4003;
const NOT_FOUND = 4004;
const STDERR = 1;

class Screen {
  constructor(box, whenNew) {
    this.box = box;
    this.whenNew = whenNew;
    this.clear();
  }

  clear() {
    this.lines = new Lines();
    this.fresh = [];
    this.isError = false;
    this.current = document.createElement("div");
    this.box.replaceChildren(this.current);
  }

  // Takes what was said. Both streams go to one screen, as in a terminal.
  write(text, isError) {
    this.isError = isError;
    for (const line of this.lines.feed(text)) this.fresh.push({ line, isError });
    if (this.fresh.length > 2 * MOST_LINES) this.fresh.splice(0, this.fresh.length - MOST_LINES);
  }

  // Draws what was taken since the last time, of a flood only what would stay.
  draw() {
    const shown = this.fresh.splice(0).slice(-MOST_LINES);
    const surplus = this.box.children.length - 1 + shown.length - MOST_LINES;
    if (surplus > 0) {
      const oldest = document.createRange();
      oldest.setStart(this.box, 0);
      oldest.setEnd(this.box, Math.min(surplus, this.box.children.length - 1));
      oldest.deleteContents();
    }
    const elements = shown.map(({ line, isError }) => {
      const element = document.createElement("div");
      draw(element, line, isError);
      return element;
    });
    this.current.before(...elements);
    if (this.lines.line.length) draw(this.current, this.lines.line, this.isError);
    else this.current.replaceChildren();
    this.whenNew(shown.length);
  }

  get text() {
    return [...this.box.children].map((line) => line.textContent.replace("\u200b", "")).join("\n");
  }
}

export class Output {
  constructor(element) {
    this.element = element;
    element.dataset.mounted = "";
    this.box = element.querySelector("[data-lines]");
    this.newer = element.querySelector("[data-newer]");
    this.unseen = 0;
    this.follows = true;
    this.drawn = 0;
    this.waiting = [];
    this.tries = 0;
    const kept = [...this.box.querySelectorAll("[data-kept]")].map((part) => [part.textContent, part.dataset.kept === "stderr"]);
    const isSilent = this.box.querySelector("[data-nothing]");
    if (!isSilent) this.screen = new Screen(this.box, (count) => this.#whenNew(count));
    this.#tools();
    if (element.dataset.socket) this.#connect();
    else if (!isSilent) {
      for (const [text, isError] of kept) if (text) this.screen.write(text, isError);
      this.screen.draw();
      this.box.scrollTop = 0;
      this.follows = false;
      this.#showNewer();
    }
  }

  // Whether the page still shows it.
  get isShown() {
    return this.element.isConnected;
  }

  // --- What is drawn

  #whenNew(count) {
    if (this.follows) this.box.scrollTop = this.box.scrollHeight;
    else this.unseen += count;
    this.#showNewer();
    this.finder?.again();
  }

  #showNewer() {
    this.newer.hidden = this.follows || !this.unseen;
    if (!this.newer.hidden) {
      this.newer.textContent = `${this.unseen} new ${this.unseen === 1 ? "line" : "lines"} ↓`;
    }
  }

  #follow() {
    this.follows = true;
    this.unseen = 0;
    this.box.scrollTop = this.box.scrollHeight;
    this.#showNewer();
  }

  // --- What can be done with it

  #tools() {
    const tool = (name) => this.element.querySelector(`[data-tool="${name}"]`);
    const wraps = localStorage.getItem("output-wraps") === "yes";
    const wrap = (on) => {
      this.box.classList.toggle("wraps", on);
      tool("wrap").setAttribute("aria-pressed", String(on));
    };
    wrap(wraps);
    tool("wrap").addEventListener("click", () => {
      const on = !this.box.classList.contains("wraps");
      localStorage.setItem("output-wraps", on ? "yes" : "no");
      wrap(on);
    });
    tool("copy").addEventListener("click", () => copy(this.screen?.text ?? "", "Output copied"));
    this.finder = new Finder(this.element.querySelector("[data-find]"), tool("find"), this.box);
    this.newer.addEventListener("click", () => this.#follow());
    this.box.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.box;
      const isAtEnd = scrollHeight - scrollTop - clientHeight < 12;
      if (isAtEnd && this.element.dataset.socket) this.#follow();
      else this.follows = isAtEnd;
    });
  }

  // --- What comes

  #connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.element.dataset.socket}?pos=${this.drawn}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.decoders = [0, 1].map(() => new TextDecoder());
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.#hear(JSON.parse(data));
      else this.#take(data);
    });
    socket.addEventListener("close", ({ code }) => this.#closed(code));
  }

  #hear(message) {
    this.tries = 0;
    if (message.t === "hello") this.#later(() => this.#begin(message));
    else if (message.t === "exit") {
      this.over = true;
      this.#later(() => this.#end(message));
    }
  }

  #take(data) {
    const [stream] = new Uint8Array(data, 0, 1);
    const bytes = new Uint8Array(data, 1);
    this.#later(() => {
      const text = this.decoders[stream].decode(bytes, { stream: true });
      this.screen.write(text, stream === STDERR);
      this.drawn += bytes.length;
    });
  }

  // Everything is drawn in the order it came, a frame's worth at a time.
  #later(work) {
    this.waiting.push(work);
    if (this.waiting.length === 1) requestAnimationFrame(() => this.#drawWaiting());
  }

  #drawWaiting() {
    const works = this.waiting;
    if (!this.isShown) {
      this.socket.close();
      return;
    }
    for (const work of works) work();
    this.waiting = [];
    this.screen.draw();
    if (!this.over && this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ t: "ack", pos: this.drawn }));
    }
  }

  #begin({ pos, reset }) {
    if (reset && this.drawn !== pos) this.screen.clear();
    this.drawn = pos;
  }

  #end({ words, detail, duration }) {
    delete this.element.dataset.socket;
    const said = [words, duration && `after ${duration}`, detail].filter(Boolean).join(" · ");
    const outcome = this.element.querySelector("[data-outcome]");
    outcome.firstChild.textContent = `${said} · `;
    this.element.querySelector("[data-tells]").textContent = `The command ended: ${said}`;
    document.body.dispatchEvent(new CustomEvent("these-commands-changed"));
  }

  #closed(code) {
    if (this.over || !this.isShown || [FORBIDDEN, NOT_FOUND].includes(code)) return;
    const wait = WAITS_MS[Math.min(this.tries, WAITS_MS.length - 1)];
    this.tries += 1;
    setTimeout(() => this.isShown && this.#connect(), wait * (0.8 + 0.4 * Math.random()));
  }
}
