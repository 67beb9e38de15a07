// The words around the terminal: connection, size, viewers, who types, and how it ended.

const NOT_RUNNING = 4010;
const REFUSED = [1009, 4003, 4004];
const WORDS = {
  connecting: "Connecting…",
  open: "Connected",
  blocked: "No WebSocket gets through",
  closed: "Closed",
};

export class Status {
  constructor(root) {
    this.find = (name) => root.querySelector(`[data-status="${name}"]`);
    this.banner = (name) => root.querySelector(`[data-banner="${name}"]`);
    setInterval(() => this.#countDown(), 250);
  }

  #write(name, text) {
    const element = this.find(name);
    if (element && element.textContent !== text) element.textContent = text;
  }

  // Why the server is about to close the connection.
  noteRefusal(message) {
    this.#write("refused", `${message[0].toUpperCase()}${message.slice(1)}.`);
  }

  showState({ state, code, latency, retryAt }) {
    this.retryAt = state === "waiting" || state === "blocked" ? retryAt : 0;
    this.#write("state", WORDS[state] ?? "Connection lost");
    this.#write("latency", state === "open" && latency !== undefined ? `${latency} ms` : "");
    this.find("dot").dataset.tone = { open: "", connecting: "accent" }[state] ?? "err";
    this.banner("lost").hidden = state !== "waiting";
    this.banner("blocked").hidden = state !== "blocked";
    this.banner("paused").hidden = state !== "closed" || code !== NOT_RUNNING || this.ended;
    this.banner("refused").hidden = state !== "closed" || !REFUSED.includes(code) || this.ended;
    this.#countDown();
  }

  #countDown() {
    if (!this.retryAt) return;
    const left = Math.max(0, Math.ceil((this.retryAt - Date.now()) / 1000));
    this.#write("retry", `Connection lost. Retrying in ${left} s. Nothing in the terminal is lost.`);
  }

  showSize(cols, rows) {
    this.#write("size", `${cols}×${rows}`);
  }

  showViewers(count) {
    this.#write("viewers", count === 1 ? "1 viewer" : `${count} viewers`);
  }

  showTitle(title) {
    this.#write("title", title.slice(0, 80));
  }

  showFont(size) {
    this.#write("font", `${size} px`);
  }

  showPreference(name, on) {
    document.querySelector(`[data-tool="${name}"]`)?.setAttribute("aria-checked", String(on));
  }

  showReadOnly(is) {
    this.banner("readonly").hidden = !is;
  }

  showDriver(words) {
    this.banner("driver").hidden = !words;
    this.#write("driver", words);
  }

  showEnd({ code, reason, msg }) {
    this.ended = true;
    const words = {
      exit: code === null ? "The shell has ended." : `The shell ended with code ${code}.`,
      killed: "This terminal was closed.",
      stopped: msg || "The sandbox has ended.",
    };
    this.#write("end", words[reason] ?? words.exit);
    this.banner("end").hidden = false;
    this.banner("driver").hidden = true;
    this.banner("readonly").hidden = true;
    for (const offer of this.banner("end").querySelectorAll("[data-offer]")) {
      offer.hidden = offer.dataset.offer !== (reason === "stopped" ? "sandbox" : "shell");
    }
    const keys = document.querySelector(".term-keys");
    if (keys) keys.hidden = true;
    if (reason === "stopped") {
      for (const part of document.querySelectorAll("[data-while-alive]")) part.remove();
    }
    this.#write("state", "Ended");
    document.body.dispatchEvent(new CustomEvent("resync"));
  }
}
