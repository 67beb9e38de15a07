// Keys that mean something to the page, and the key bar for people without a keyboard.

const LEAVE_MS = 1_500;
const SEQUENCES = {
  Escape: "\x1b",
  Tab: "\t",
  Left: "\x1b[D",
  Up: "\x1b[A",
  Down: "\x1b[B",
  Right: "\x1b[C",
  Interrupt: "\x03",
};

// Escape twice, then Tab: out of the terminal, for people who cannot use a mouse.
export function watchKeys(term, mayType, shortcuts) {
  let escapes = 0;
  let since = 0;
  term.attachCustomKeyEventHandler((event) => {
    if (event.type !== "keydown") return true;
    if (event.key === "Escape") {
      escapes = performance.now() - since < LEAVE_MS ? escapes + 1 : 1;
      since = performance.now();
      return true;
    }
    if (event.key === "Tab" && escapes >= 2 && performance.now() - since < LEAVE_MS) {
      escapes = 0;
      return false;
    }
    if (event.key !== "Shift") escapes = 0;
    const shortcut = event.ctrlKey && event.shiftKey && shortcuts[event.code];
    if (!shortcut) {
      // Where nobody may type, Space would scroll the page.
      if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !mayType()) event.preventDefault();
      return true;
    }
    // What a shortcut leaves to the browser, the browser does.
    if (shortcut() !== false) event.preventDefault();
    return false;
  });
}

export function watchKeyBar(bar, term, { type, paste }) {
  const sticky = new Map();
  for (const button of bar.querySelectorAll("[data-sticky]")) {
    sticky.set(button.dataset.sticky, button);
  }
  const isHeld = (name) => sticky.get(name)?.ariaPressed === "true";
  const release = () => sticky.forEach((button) => button.setAttribute("aria-pressed", "false"));

  // Keeps the keyboard of the phone open: a tap on the bar does not take the focus.
  bar.addEventListener("pointerdown", (event) => event.preventDefault());
  bar.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.sticky) {
      button.ariaPressed = String(button.ariaPressed !== "true");
    } else if (button.dataset.key === "Paste") {
      paste();
    } else {
      const arrows = term.modes.applicationCursorKeysMode;
      const keys = SEQUENCES[button.dataset.key];
      type(arrows ? keys.replace("\x1b[", "\x1bO") : keys);
      release();
    }
    term.focus();
  });

  // Turns what is typed next into Ctrl or Alt and that key.
  return (text) => {
    if (text.length !== 1 || (!isHeld("Ctrl") && !isHeld("Alt"))) return text;
    let keys = text;
    if (isHeld("Ctrl")) keys = String.fromCharCode(text.toUpperCase().charCodeAt(0) & 0x1f);
    if (isHeld("Alt")) keys = `\x1b${keys}`;
    release();
    return keys;
  };
}
