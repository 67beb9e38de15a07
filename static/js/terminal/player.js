// Plays a recording of a terminal: asciicast v3, drawn by the same screen as a live one.

import { duration } from "../times.js";
import { complain } from "../toasts.js";
import { followCursor } from "./follow.js";
import { makeScreen } from "./screen.js";

// Longer silence is cut to this, if idle time is skipped.
const IDLE_SECONDS = 2;
const FRAME_SECONDS = 0.25;

class Player {
  constructor(root, { header, events }) {
    this.root = root;
    this.header = header;
    this.recorded = events;
    const place = root.querySelector(".term");
    this.term = makeScreen(place, { readOnly: true }).term;
    this.term.resize(header.term.cols, header.term.rows);
    followCursor(place, this.term);
    this.seekBar = root.querySelector("[data-seek]");
    this.now = 0;
    this.next = 0;
    this.#layOut();
    this.#watch();
    this.#play(true);
  }

  // Gives each event its time from the start.
  #layOut() {
    const cuts = this.root.querySelector("[data-idle]").checked;
    let at = 0;
    this.events = this.recorded.map(([interval, code, data]) => {
      at += cuts ? Math.min(interval, IDLE_SECONDS) : interval;
      return { at, code, data };
    });
    this.length = at;
  }

  #watch() {
    const find = (name) => this.root.querySelector(`[data-${name}]`);
    find("play").addEventListener("click", () => this.#play(!this.plays));
    this.seekBar.addEventListener("input", () => this.#seek((this.seekBar.value / 1000) * this.length));
    find("idle").addEventListener("change", () => {
      this.#layOut();
      this.#seek(Math.min(this.now, this.length));
    });
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== " " || event.target.closest("button, select, input")) return;
      event.preventDefault();
      this.#play(!this.plays);
    });
  }

  #play(plays) {
    if (plays && this.now >= this.length) this.#seek(0);
    this.plays = plays;
    const button = this.root.querySelector("[data-play]");
    button.ariaLabel = plays ? "Pause" : "Play";
    button.toggleAttribute("data-plays", plays);
    this.before = performance.now();
    if (plays) requestAnimationFrame(() => this.#step());
  }

  #step() {
    if (!this.plays) return;
    const moment = performance.now();
    const speed = Number(this.root.querySelector("[data-speed]").value);
    this.now += Math.min(FRAME_SECONDS, (moment - this.before) / 1000) * speed;
    this.before = moment;
    this.#drawUpToNow();
    if (this.now >= this.length) this.#play(false);
    else requestAnimationFrame(() => this.#step());
  }

  #seek(to) {
    if (to < this.now) {
      this.term.reset();
      this.#resize(`${this.header.term.cols}x${this.header.term.rows}`);
      this.next = 0;
    }
    this.now = to;
    this.#drawUpToNow();
  }

  #resize(size) {
    const [columns, rows] = size.split("x").map(Number);
    if (columns > 0 && rows > 0) this.term.resize(columns, rows);
  }

  #drawUpToNow() {
    let text = "";
    while (this.next < this.events.length && this.events[this.next].at <= this.now) {
      const { code, data } = this.events[this.next];
      if (code === "o") text += data;
      if (code === "r") {
        // In its turn: what was shown before was laid out in the former size.
        this.term.write(text, () => this.#resize(data));
        text = "";
      }
      this.next += 1;
    }
    if (text) this.term.write(text);
    this.seekBar.value = this.length ? (1000 * this.now) / this.length : 1000;
    this.seekBar.ariaValueText = duration(this.now);
    this.root.querySelector("[data-now]").textContent = duration(this.now);
  }
}

async function load(address) {
  const response = await fetch(address, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`The recording could not be loaded: ${response.status}.`);
  const lines = (await response.text()).trim().split("\n");
  const [header, ...events] = lines.map((line) => JSON.parse(line));
  return { header, events };
}

const root = document.querySelector("[data-recording]");
if (root) {
  try {
    await document.fonts.load('13px "JetBrains Mono Variable"');
    new Player(root, await load(root.dataset.recording));
  } catch (error) {
    complain(error);
  }
}
