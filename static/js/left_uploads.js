// Leaving the files of a place ends its uploads, and they go on when somebody comes back. The
// next page says so, in the tab in which they were begun.

import { plural } from "./sizes.js";
import { say } from "./toasts.js";

const KEPT = "left-uploads";

// Keeps for the next page how many are left where: {count, place, placeName, url}.
export function keepLeft(left) {
  sessionStorage.setItem(KEPT, JSON.stringify(left));
}

function tell() {
  const kept = sessionStorage.getItem(KEPT);
  if (!kept) return;
  sessionStorage.removeItem(KEPT);
  const { count, place, placeName, url } = JSON.parse(kept);
  // The place itself asks whether they are to go on.
  if (document.querySelector(`[data-place="${CSS.escape(place)}"]`)) return;
  const verb = count === 1 ? "waits" : "wait";
  say(`${plural(count, "upload")} to ${placeName} ${verb} to go on.`, { link: { words: "Go back", url } });
}

tell();
