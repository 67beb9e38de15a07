// Pasting: always as a paste and never as keys; much text is shown first if the program in the
// terminal would run it line by line.

import { confirm } from "../confirm.js";

const MANY_LINES = 5;
const MUCH_TEXT = 5_000;
const SHOWN = 1_000;

export async function paste(term, text) {
  if (!text) return;
  const lines = text.replace(/\n$/, "").split("\n").length;
  const isMuch = lines > MANY_LINES || text.length > MUCH_TEXT;
  if (isMuch && !term.modes.bracketedPasteMode) {
    const goes = await confirm({
      title: `Paste ${lines.toLocaleString()} lines, ${text.length.toLocaleString()} characters?`,
      loss: "The program in the terminal takes each line as if you had typed it.",
      quote: text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text,
      action: "Paste",
      destroys: false,
    });
    if (!goes) return;
  }
  term.paste(text);
  term.focus();
}

export function watchPaste(place, term) {
  place.addEventListener(
    "paste",
    (event) => {
      // The search field lies over the terminal and has a paste of its own.
      if (event.target.closest(".term-find")) return;
      event.preventDefault();
      event.stopPropagation();
      paste(term, event.clipboardData.getData("text/plain"));
    },
    true,
  );
}
