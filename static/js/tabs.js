// Rows of tabs that are wider than the screen: the present one is brought into view, and an edge
// behind which there is more fades (see .tabs in app.css).

const NEAR = 2;

function mark(tabs) {
  const rest = tabs.scrollWidth - tabs.clientWidth - tabs.scrollLeft;
  tabs.dataset.more = [tabs.scrollLeft > NEAR && "start", rest > NEAR && "end"].filter(Boolean).join(" ");
}

function show(tabs) {
  const here = tabs.querySelector("[aria-current]");
  if (here) {
    const middle = here.offsetLeft - tabs.offsetLeft + here.offsetWidth / 2;
    tabs.scrollLeft = middle - tabs.clientWidth / 2;
  }
  mark(tabs);
}

const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => show(target)));

for (const tabs of document.querySelectorAll(".tabs")) {
  tabs.addEventListener("scroll", () => mark(tabs), { passive: true });
  sizes.observe(tabs);
}
