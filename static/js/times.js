// Keeps times true while a page stays open, in the reader's own time zone.
//
// The zone is kept in a cookie.
//
// <time datetime="…">: how long ago, with the exact moment in the title
// <span data-until="…">: what is left until then, counted down

const TICK_MS = 1_000;
const YEAR = 365 * 24 * 3600;

// What the server writes out, as the days of the activity, it writes in this zone from now on.
const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
if (timeZone) document.cookie = `zone=${timeZone}; path=/; max-age=${YEAR}; samesite=lax`;

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} m`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

const two = (count) => String(count).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// The time of day, such as 19:46.
export function clock(date) {
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

// A moment as the server writes it, such as 27 Nov 2026, 19:46:05.
export function moment(date) {
  const day = `${two(date.getDate())} ${MONTHS[date.getMonth()]} ${date.getFullYear()}`;
  return `${day}, ${clock(date)}:${two(date.getSeconds())}`;
}

export function ago(seconds) {
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  if (document.hidden) return;
  const now = Date.now();
  for (const element of document.querySelectorAll("time[datetime]")) {
    const date = new Date(element.dateTime);
    if (!element.dataset.local) {
      element.dataset.local = "yes";
      element.title = moment(date);
    }
    write(element, ago((now - date) / 1000));
  }
  for (const element of document.querySelectorAll("[data-until]")) {
    const date = new Date(element.dataset.until);
    if (element.title && !element.dataset.local) {
      element.dataset.local = "yes";
      element.title = moment(date);
    }
    write(element, duration((date - now) / 1000));
  }
  for (const element of document.querySelectorAll("[data-since]")) {
    write(element, duration((now - new Date(element.dataset.since)) / 1000));
  }
}

tick();
setInterval(tick, TICK_MS);
document.addEventListener("visibilitychange", tick);
