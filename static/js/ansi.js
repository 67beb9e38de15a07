// Reads what a program wrote for a terminal as lines of styled text. Draws nothing itself.
//
// Understands colours (16, 256, true), carriage returns, backspaces and erased lines. All other
// sequences, such as titles, links and cursor movements, are left out. Nothing is kept without
// a bound, whatever is written.

const LONGEST_LINE = 16_384;
const LONGEST_SEQUENCE = 4_096;
const ESCAPE = "\x1b";
// Plain text, or one character that means something.
const PIECES = /[^\x00-\x08\x0a-\x1f\x7f-\x9f]+|[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;
const SEQUENCE = new RegExp(
  "^\\x1b(?:" +
    "\\[([0-?]*)[ -/]*([@-~])" + // CSI: parameters, and what they are for
    "|[\\]PX^_][^\\x07\\x1b]*(?:\\x07|\\x1b\\\\)" + // titles, links and other texts for the terminal
    "|[ -/]+[0-~]" +
    "|[0-Z\\\\^_`-~]" +
    ")",
);

export const PLAIN = Object.freeze({});
const STEPS = [0, 95, 135, 175, 215, 255];

// A colour of 256 as the number of one of 16, or as [red, green, blue].
function indexed(number) {
  if (!(number >= 0 && number < 256)) return undefined;
  if (number < 16) return number;
  if (number >= 232) return Array(3).fill(8 + 10 * (number - 232));
  const rest = number - 16;
  return [STEPS[Math.floor(rest / 36)], STEPS[Math.floor(rest / 6) % 6], STEPS[rest % 6]];
}

// Takes the colour behind a 38 or 48 from the numbers.
function takeColour(numbers) {
  const kind = numbers.shift();
  if (kind === 5) return indexed(numbers.shift());
  if (kind !== 2) return undefined;
  const rgb = numbers.splice(0, 3);
  return rgb.length === 3 && rgb.every((part) => part >= 0 && part < 256) ? rgb : undefined;
}

const SWITCHES = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { strike: true },
  22: { bold: false, dim: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  29: { strike: false },
  39: { fg: undefined },
  49: { bg: undefined },
};

function restyled(style, parameters) {
  const numbers = parameters.split(/[;:]/).map((text) => (text ? Number(text) : 0));
  let changed = { ...style };
  while (numbers.length) {
    const number = numbers.shift();
    if (number === 0) changed = {};
    else if (number in SWITCHES) Object.assign(changed, SWITCHES[number]);
    else if (number === 38) changed.fg = takeColour(numbers);
    else if (number === 48) changed.bg = takeColour(numbers);
    else if (number >= 30 && number < 38) changed.fg = number - 30;
    else if (number >= 90 && number < 98) changed.fg = number - 90 + 8;
    else if (number >= 40 && number < 48) changed.bg = number - 40;
    else if (number >= 100 && number < 108) changed.bg = number - 100 + 8;
  }
  return Object.freeze(changed);
}

// One line. Most are only ever written on at their end, as runs of text in one style each; one
// that is written over is taken apart into characters, so that this costs what it writes.
class Line {
  #runs = [];
  #cells = null;
  length = 0;

  get runs() {
    if (!this.#cells) return this.#runs;
    const joined = new Line();
    for (const [text, style] of this.#cells) joined.append(text, style);
    return joined.runs;
  }

  write(column, text, style) {
    if (column === this.length && !this.#cells) this.append(text, style);
    else {
      const cells = this.#apart();
      for (let at = 0; at < text.length; at += 1) cells[column + at] = [text[at], style];
      this.length = cells.length;
    }
  }

  append(text, style) {
    const last = this.#runs.at(-1);
    if (last?.style === style) last.text += text;
    else this.#runs.push({ text, style });
    this.length += text.length;
  }

  erase(from, to, column) {
    const cells = this.#apart();
    for (let at = from; at < Math.min(to, cells.length); at += 1) cells[at] = [" ", PLAIN];
    if (to >= cells.length) cells.length = Math.min(from, cells.length);
    while (cells.length < column) cells.push([" ", PLAIN]);
    this.length = cells.length;
  }

  #apart() {
    this.#cells ??= this.#runs.flatMap(({ text, style }) =>
      Array.from({ length: text.length }, (_, at) => [text[at], style]),
    );
    return this.#cells;
  }
}

export class Lines {
  style = PLAIN;
  line = new Line();
  #column = 0;
  #rest = "";

  // Reads more text. Returns the lines that are complete now; `line` is the one being written.
  feed(text) {
    const finished = [];
    const all = this.#rest + text;
    this.#rest = "";
    PIECES.lastIndex = 0;
    for (let match = PIECES.exec(all); match; match = PIECES.exec(all)) {
      const [piece] = match;
      if (piece === ESCAPE) {
        const rest = all.slice(match.index, match.index + LONGEST_SEQUENCE);
        const sequence = SEQUENCE.exec(rest);
        if (sequence) {
          this.#obey(sequence);
          PIECES.lastIndex = match.index + sequence[0].length;
        } else if (rest.length < LONGEST_SEQUENCE && isUnfinished(rest)) {
          this.#rest = rest;
          break;
        }
      } else if (piece === "\n") this.#end(finished);
      else if (piece === "\r") this.#column = 0;
      else if (piece === "\b") this.#column = Math.max(0, this.#column - 1);
      else if (piece.length > 1 || piece >= " ") this.#write(piece, finished);
    }
    return finished;
  }

  #end(finished) {
    finished.push(this.line);
    this.line = new Line();
    this.#column = 0;
  }

  #write(text, finished) {
    for (let at = 0; at < text.length; ) {
      const room = LONGEST_LINE - this.#column;
      if (room <= 0) {
        this.#end(finished);
        continue;
      }
      const part = text.slice(at, at + room);
      this.line.write(this.#column, part, this.style);
      this.#column += part.length;
      at += part.length;
    }
  }

  #obey([, parameters, command]) {
    if (command === "m" && /^[\d;:]*$/.test(parameters)) {
      this.style = restyled(this.style, parameters);
    } else if (command === "K") {
      const [from, to] = { 1: [0, this.#column], 2: [0, Infinity] }[parameters] ?? [this.#column, Infinity];
      this.line.erase(from, to, this.#column);
    }
  }
}

// May what follows complete this sequence?
function isUnfinished(text) {
  return /^\x1b(?:$|\[[0-?]*[ -/]*$|[\]PX^_][^\x07\x1b]*\x1b?$|[ -/]+$)/.test(text);
}
