// A connection to one terminal that comes back by itself: the protocol `sbx.term.v1`, which
// sandboxes/consumers/terminal.py describes.
//
// Events: hello, bytes (in `data`, and `end`, the offset behind them), size, driver, viewers, warn,
// exit, state. `state` is connecting, open, waiting (until `retryAt`), blocked or closed.

const PROTOCOL = "sbx.term.v1";
const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];
const PING_MS = 25_000;
// No answer to a ping for so long: the connection is dead, whatever the browser thinks.
const DEAD_MS = 10_000;
const ACK_STEP = 32 * 1024;
const FRAME = 16 * 1024;
// So much input is sent ahead of what the terminal has taken.
const INPUT_AHEAD = 64 * 1024;
const BLOCKED_AFTER = 3;
const AGAIN = 1012;
const NOT_RUNNING = 4010;
// The server said why, and coming back would not change it.
const FINAL = new Set([1000, 1009, 4003, 4004, NOT_RUNNING]);

export class Connection extends EventTarget {
  constructor(path) {
    super();
    this.path = path;
    this.client = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
    this.turn = 0; // how many connections there were
    this.position = null; // behind the last byte received
    this.acked = 0;
    this.failures = 0;
    this.everOpen = false;
    this.state = "connecting";
    this.input = [];
    this.inputWaiting = 0;
    this.inputSent = 0;
    this.inputTaken = 0;
    this.size = null;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
  }

  open() {
    clearTimeout(this.timer);
    this.#become("connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.turn += 1;
    const query = new URLSearchParams({ client: this.client, turn: this.turn });
    if (this.position !== null) query.set("pos", this.position);
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}?${query}`, PROTOCOL);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.addEventListener("message", (event) => this.#take(event.data));
    socket.addEventListener("close", (event) => socket === this.socket && this.#closed(event));
  }

  // Try again now, if we are waiting.
  retry() {
    if (this.state === "waiting" || this.state === "blocked") this.open();
  }

  // Try again after the server has said that the sandbox does not run.
  reopen() {
    if (this.state === "closed" && this.code === NOT_RUNNING && !this.ended) this.open();
  }

  get isOpen() {
    return this.state === "open";
  }

  // What was drawn. The server sends only so much ahead of it.
  drawn(position, isIdle) {
    if (position - this.acked < ACK_STEP && !(isIdle && position > this.acked)) return;
    this.acked = position;
    this.#say({ t: "ack", pos: position });
  }

  type(bytes) {
    if (!this.isOpen) return;
    for (let start = 0; start < bytes.length; start += FRAME) {
      const piece = bytes.subarray(start, start + FRAME);
      this.input.push(piece);
      this.inputWaiting += piece.length;
    }
    this.#sendInput();
  }

  resize(rows, cols) {
    this.#say({ t: "resize", rows, cols });
  }

  signal(sig) {
    this.#say({ t: "signal", sig });
  }

  takeOver() {
    this.#say({ t: "take" });
  }

  redraw() {
    this.#say({ t: "redraw" });
  }

  #sendInput() {
    while (this.input.length && this.inputSent - this.inputTaken < INPUT_AHEAD) {
      const piece = this.input.shift();
      this.inputWaiting -= piece.length;
      this.inputSent += piece.length;
      this.socket.send(piece);
    }
  }

  #say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  #take(data) {
    if (typeof data !== "string") {
      const bytes = new Uint8Array(data);
      this.position += bytes.length;
      this.#tell("bytes", { data: bytes, end: this.position });
      return;
    }
    const message = JSON.parse(data);
    if (message.t === "hello") this.#welcome(message);
    else if (message.t === "typed") {
      this.inputTaken = message.n;
      this.#sendInput();
    } else if (message.t === "pong") {
      clearTimeout(this.deadline);
      this.latency = Math.round(performance.now() - message.ts);
      this.#become("open");
    } else this.#tell(message.t, message);
    if (message.t === "exit") this.ended = true;
  }

  #welcome(message) {
    this.position = message.pos;
    this.acked = message.pos;
    this.failures = 0;
    this.everOpen = true;
    this.inputSent = this.inputTaken = 0;
    this.#tell("hello", message);
    this.#become("open");
    this.#ping();
  }

  #ping() {
    clearTimeout(this.pinging);
    clearTimeout(this.deadline);
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.#say({ t: "ping", ts: performance.now() });
    this.deadline = setTimeout(() => this.#giveUp(), DEAD_MS);
    this.pinging = setTimeout(() => this.#ping(), PING_MS);
  }

  #giveUp() {
    const socket = this.socket;
    this.socket = null;
    socket.close();
    this.#closed({ code: AGAIN });
  }

  #closed({ code }) {
    clearTimeout(this.pinging);
    clearTimeout(this.deadline);
    const lost = this.inputWaiting + this.inputSent - this.inputTaken;
    this.input = [];
    this.inputWaiting = 0;
    if (this.ended || FINAL.has(code)) {
      this.code = code;
      this.#become("closed", { code });
      return;
    }
    // A piece of what was pasted may not have arrived; keys that were on their way hardly matter.
    if (lost > 64) this.#tell("warn", { code: "lost", msg: `The connection broke off during a paste: the last ${lost} bytes of it may be missing.` });
    const blocked = !this.everOpen && this.failures + 1 >= BLOCKED_AFTER;
    const wait = code === AGAIN && this.failures === 0 ? 100 : WAITS_MS[Math.min(this.failures, WAITS_MS.length - 1)];
    const jittered = wait * (0.8 + 0.4 * Math.random());
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), jittered);
    this.#become(blocked ? "blocked" : "waiting", { retryAt: Date.now() + jittered });
  }

  #become(state, more = {}) {
    this.state = state;
    this.#tell("state", { state, latency: this.latency, ...more });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
