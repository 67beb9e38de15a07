// What somebody prefers of terminals, kept in this browser.

const KEY = "sandbank.terminal";
const DEFAULTS = { font: 13, reader: false, graphics: false };

function stored() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return { ...DEFAULTS };
  }
}

export function preference(name) {
  return stored()[name];
}

export function prefer(name, value) {
  localStorage.setItem(KEY, JSON.stringify({ ...stored(), [name]: value }));
}
