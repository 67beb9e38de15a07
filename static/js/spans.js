// Draws lines of styled text as elements. What a program wrote becomes text and nothing else.

// As --t-bg of app.css.
const PAPER = [11, 14, 18];
const LEAST_CONTRAST = 4.5;

function luminance(rgb) {
  const [red, green, blue] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// The colour, lightened until it can be read.
function readable(rgb) {
  const paper = luminance(PAPER);
  let light = rgb;
  for (let step = 0; step < 20; step += 1) {
    if ((luminance(light) + 0.05) / (paper + 0.05) >= LEAST_CONTRAST) break;
    light = light.map((part) => part + (255 - part) * 0.12);
  }
  return light;
}

function colour(span, property, value, prefix, stays) {
  if (value === undefined) return;
  if (Array.isArray(value)) {
    const rgb = stays ? value : readable(value);
    span.style.setProperty(property, `rgb(${rgb.map(Math.round).join(" ")})`);
  } else span.classList.add(`${prefix}${value}`);
}

const NAMES = { bold: "a-bold", dim: "a-dim", italic: "a-italic", underline: "a-under", strike: "a-strike" };

function spanOf({ text, style }) {
  const span = document.createElement("span");
  span.textContent = text;
  for (const [name, css] of Object.entries(NAMES)) if (style[name]) span.classList.add(css);
  if (style.inverse) {
    span.classList.add("a-inverse");
    colour(span, "background-color", style.fg, "a-bg", true);
    colour(span, "color", style.bg, "a-fg", true);
  } else {
    colour(span, "color", style.fg, "a-fg", style.bg !== undefined);
    colour(span, "background-color", style.bg, "a-bg", true);
  }
  return span;
}

const isPlain = (style) => Object.values(style).every((value) => value === undefined || value === false);

// Fills an element with a line.
export function draw(element, line, isError) {
  element.replaceChildren(
    ...line.runs.map((run) => (isPlain(run.style) ? document.createTextNode(run.text) : spanOf(run))),
  );
  if (!line.length) element.append("\u200b");
  element.classList.toggle("a-err", isError);
}
