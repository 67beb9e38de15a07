// Coming from a link of ours, somebody wants a shell and no page that offers one.

const form = document.querySelector("form[data-open-terminal]");
const [entry] = performance.getEntriesByType("navigation");
const cameByLink = document.referrer.startsWith(`${location.origin}/`) && entry?.type === "navigate";

// The size it will have, so that the shell starts with it.
function guessSize(form) {
  const main = document.getElementById("main");
  form.elements.cols.value = Math.max(20, Math.floor((main.clientWidth - 32) / 7.8));
  form.elements.rows.value = Math.max(5, Math.floor((innerHeight - 140) / 17));
}

for (const opener of document.querySelectorAll("form[data-opens-terminal]")) guessSize(opener);
if (form && cameByLink) form.requestSubmit();
