// The charts of what a sandbox uses, their words, and the same as a table. Also asks, now and
// then, what runs in it, and shows the values of its environment when somebody wants to see them.

import uPlot from "../vendor/uplot/1.6.32/uPlot.esm.js";
import { get, send } from "./http.js";
import { size } from "./sizes.js";
import { complain } from "./toasts.js";

const EVERY_MS = 5_000;
const HEIGHT = 128;
// Between samples this far apart nothing was measured, so no line is drawn.
const GAP_SECONDS = 150;
const MOST_ROWS = 200;
const MIB = 2 ** 20;
// A chart shows at least so much time, tells seconds apart below the next, and days above the last.
const LEAST_SECONDS = 60;
const BRIEF_SECONDS = 300;
const DAY_SECONDS = 86_400;
// How wide a word below a chart is, and how far apart two are at least.
const WORD = { minutes: 32, seconds: 50, days: 84 };
const APART = 40;
// So many seconds there may be from one word to the next: uPlot's own steps go from one minute to five.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 345_600, 604_800];

const section = document.getElementById("usage");
const { usage: address, cpus, memory, workspace, pids } = section.dataset;

const percent = (value) => `${Math.round(value)} %`;
const count = (value) => String(Math.round(value));

const CHARTS = {
  cpu: { title: "CPU", words: percent, most: 100 * Number(cpus) },
  memory: { title: "Memory", words: size, most: Number(memory), of: true },
  workspace: { title: "Workspace", words: size, most: Number(workspace), of: true },
  processes: { title: "Processes", words: count, most: Number(pids), grows: true },
};

// A colour of the theme as the canvas understands it.
function colour(name, alpha = 1) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  section.append(probe);
  const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g);
  probe.remove();
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exact = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", hourCycle: "h23" });
const dated = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const at = (seconds) => clock.format(new Date(seconds * 1000));
const atExactly = (seconds) => exact.format(new Date(seconds * 1000));

// A round number at or above a value, for the top of a chart.
function roundUp(value, step) {
  return Math.max(step, Math.ceil(value / step) * step);
}

function topOf({ most, grows, of }, values) {
  const peak = Math.max(0, ...values.filter((value) => value !== null));
  if (grows) return roundUp(peak * 1.2, 4);
  // A line that hugs the floor says nothing: the limit is in the words.
  if (of) return peak > most / 8 ? most : roundUp(peak * 2, MIB);
  return Math.max(most, peak);
}

// How moments are written below a chart of such a length: as briefly as tells them apart.
function precisionOf(first, last) {
  if (last - first < BRIEF_SECONDS) return "seconds";
  return last - first > DAY_SECONDS ? "days" : "minutes";
}

const WRITE = { seconds: atExactly, minutes: at, days: (seconds) => dated.format(new Date(seconds * 1000)) };

// The words below the chart; none that would be cut at its left edge, and none twice.
function labels(plot, splits) {
  const precision = precisionOf(plot.scales.x.min, plot.scales.x.max);
  const told = new Set();
  return splits.map((moment) => {
    const word = WRITE[precision](moment);
    if (told.has(word) || plot.valToPos(moment, "x") < WORD[precision] / 2) return "";
    told.add(word);
    return word;
  });
}

// What was asked for, from left to right, also where nothing was measured.
function range(_, first, last) {
  const until = samples.until ?? last;
  return [Math.min(samples.since ?? first, until - LEAST_SECONDS), until];
}

function options(kind, width) {
  const chart = CHARTS[kind];
  const axis = {
    stroke: colour("--faint"),
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
    grid: { stroke: colour("--hairline"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 0, 0, 0],
    cursor: { sync: { key: "usage" }, drag: { x: false, y: false }, y: false, points: { size: 6 } },
    scales: { x: { time: true, range }, y: { range: (plot) => [0, topOf(chart, plot.data[1])] } },
    axes: [
      { ...axis, size: 24, grid: { show: false }, incrs: STEPS, space: (_, __, first, last) => WORD[precisionOf(first, last)] + APART, values: labels },
      {
        ...axis,
        side: 1,
        size: 56,
        gap: 8,
        splits: (plot) => [0, plot.scales.y.max / 2, plot.scales.y.max],
        values: (_, splits) => splits.map((value) => chart.words(value)),
      },
    ],
    series: [
      {},
      { stroke: colour("--accent"), width: 1.5, fill: colour("--accent", 0.06), points: { show: (plot) => plot.data[0].length === 1 } },
    ],
    hooks: { setCursor: [showMoment] },
  };
}

let plots = {};
let samples = { since: null, until: null, at: [], cpu: [], memory: [], workspace: [], processes: [] };

// The samples of one chart, with holes where nothing was measured.
function dataOf(kind) {
  const times = [];
  const values = [];
  samples.at.forEach((moment, index) => {
    if (index && moment - samples.at[index - 1] > GAP_SECONDS) {
      times.push(samples.at[index - 1] + 1);
      values.push(null);
    }
    times.push(moment);
    values.push(samples[kind][index]);
  });
  return [times, values];
}

// Charts, or one message in place of four empty ones.
function showWhether(measured) {
  const why = section.querySelector("[data-why]");
  if (measured) section.removeAttribute("data-empty");
  else if (section.dataset.empty === "ever") {
    // It may have ended meanwhile.
    if (samples.nothing) why.textContent = samples.nothing;
  } else {
    section.dataset.empty = "range";
    why.textContent = "Nothing was measured in this time.";
  }
}

function draw() {
  showWhether(samples.at.length > 0);
  for (const kind of Object.keys(CHARTS)) {
    const canvas = section.querySelector(`[data-chart="${kind}"] .canvas`);
    if (plots[kind]) plots[kind].setData(dataOf(kind));
    else if (samples.at.length) {
      canvas.replaceChildren();
      plots[kind] = new uPlot(options(kind, canvas.clientWidth), dataOf(kind), canvas);
    }
  }
  describe();
  if (section.querySelector("details").open) fillTable();
}

function redraw() {
  for (const plot of Object.values(plots)) plot.destroy();
  plots = {};
  draw();
}

// --- Words

function strong(text) {
  const element = document.createElement("b");
  element.textContent = text;
  return element;
}

function describe() {
  for (const [kind, { title, words, most, of }] of Object.entries(CHARTS)) {
    const figure = section.querySelector(`[data-chart="${kind}"]`);
    const values = samples[kind];
    const summary = figure.querySelector("[data-summary]");
    if (!values.length) continue;
    const peak = values.reduce((best, value, index) => (value > values[best] ? index : best), 0);
    const limit = of ? ` of ${words(most)}` : "";
    summary.replaceChildren(
      isAlive() ? "now " : "last ", strong(words(values.at(-1))), ", peak ", strong(words(values[peak])), `${limit} at ${at(samples.at[peak])}`,
    );
    figure.querySelector(".canvas").setAttribute("aria-label", `${title}: ${summary.textContent}`);
  }
}

function showMoment(plot) {
  const index = plot.cursor.idx;
  const moment = index === null || index === undefined ? undefined : plot.data[0][index];
  const nearest = moment === undefined ? -1 : samples.at.indexOf(moment);
  const words = Object.entries(CHARTS).map(([kind, chart]) => `${chart.title} ${chart.words(samples[kind][nearest])}`);
  section.querySelector("[data-at]").textContent = nearest < 0 ? "" : `At ${at(moment)}: ${words.join(", ")}`;
}

function fillTable() {
  const rows = samples.at.map((moment, index) => [
    atExactly(moment),
    ...Object.entries(CHARTS).map(([kind, { words }]) => words(samples[kind][index])),
  ]);
  section.querySelector("details tbody").replaceChildren(
    ...rows.slice(-MOST_ROWS).reverse().map((texts) => {
      const row = document.createElement("tr");
      texts.forEach((text, index) => {
        const cell = document.createElement(index ? "td" : "th");
        if (index) cell.className = "end";
        else cell.scope = "row";
        cell.textContent = text;
        row.append(cell);
      });
      return row;
    }),
  );
}

section.querySelector("details").addEventListener("toggle", fillTable);

// --- Looking again

async function look() {
  try {
    samples = await get(address);
    draw();
  } catch {
    // The next look is soon.
  }
}

const isAlive = () => ["running", "paused", "starting"].includes(document.getElementById("sandbox-head")?.dataset.state);

setInterval(() => {
  if (document.hidden || !isAlive()) return;
  look();
  document.body.dispatchEvent(new CustomEvent("look"));
}, EVERY_MS);
document.body.addEventListener("this-sandbox-changed", look);
document.addEventListener("theme-changed", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new ResizeObserver(() => {
  for (const [kind, plot] of Object.entries(plots)) {
    const width = section.querySelector(`[data-chart="${kind}"] .canvas`).clientWidth;
    if (width && width !== plot.width) plot.setSize({ width, height: HEIGHT });
  }
}).observe(section);
look();

// --- The environment

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-shows-values]");
  if (!button) return;
  const shows = button.getAttribute("aria-pressed") !== "true";
  try {
    const { values } = shows ? await send(button.dataset.showsValues) : { values: null };
    for (const cell of document.querySelectorAll("[data-variable]")) {
      cell.textContent = values ? values[cell.dataset.variable] : "••••••••";
      cell.classList.toggle("faint", !values);
    }
    button.setAttribute("aria-pressed", String(shows));
    button.lastElementChild.textContent = shows ? "Hide values" : "Show values";
  } catch (error) {
    complain(error);
  }
});
