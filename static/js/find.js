// Finds a text in what an element shows and marks it, without touching what is shown.

const AGAIN_MS = 250;
const MOST = 2_000;

export class Finder {
  constructor(bar, button, box) {
    this.bar = bar;
    this.button = button;
    this.box = box;
    this.input = bar.querySelector("input");
    this.count = bar.querySelector(".n");
    this.found = [];
    this.current = 0;
    button.addEventListener("click", () => (bar.hidden ? this.open() : this.close()));
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    bar.querySelector("[data-find-next]").addEventListener("click", () => this.step(1));
    bar.querySelector("[data-find-previous]").addEventListener("click", () => this.step(-1));
  }

  open() {
    this.bar.hidden = false;
    this.button.setAttribute("aria-pressed", "true");
    this.input.focus();
    this.search();
  }

  close() {
    this.bar.hidden = true;
    this.button.setAttribute("aria-pressed", "false");
    CSS.highlights?.delete("found");
    CSS.highlights?.delete("found-now");
    this.button.focus();
  }

  // Looks again, soon, because more is shown now.
  again() {
    if (this.bar.hidden || !this.input.value) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#look(), AGAIN_MS);
  }

  search() {
    this.current = 0;
    this.#look();
    this.#show();
  }

  step(by) {
    if (!this.found.length) return;
    this.current = (this.current + by + this.found.length) % this.found.length;
    this.#mark();
    this.#show();
  }

  #key(event) {
    if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #look() {
    this.found = [];
    const wanted = this.input.value.toLowerCase();
    if (wanted) {
      for (const line of this.box.children) {
        if (this.found.length >= MOST) break;
        if (line.textContent.toLowerCase().includes(wanted)) this.found.push(...rangesIn(line, wanted));
      }
    }
    this.current = Math.min(this.current, Math.max(0, this.found.length - 1));
    this.#mark();
  }

  #mark() {
    const total = this.found.length;
    if (!this.input.value) this.count.textContent = "";
    else if (!total) this.count.textContent = "None";
    else this.count.textContent = `${this.current + 1} of ${total}${total >= MOST ? "+" : ""}`;
    if (!CSS.highlights) return;
    CSS.highlights.set("found", new Highlight(...this.found));
    CSS.highlights.set("found-now", new Highlight(...this.found.slice(this.current, this.current + 1)));
  }

  #show() {
    const range = this.found[this.current];
    if (!range) return;
    const box = this.box.getBoundingClientRect();
    const place = range.getBoundingClientRect();
    if (place.top < box.top || place.bottom > box.bottom) this.box.scrollTop += place.top - box.top - box.height / 2;
    if (place.left < box.left || place.right > box.right) this.box.scrollLeft += place.left - box.left - box.width / 2;
  }
}

// Each place of the wanted text in a line, also where it goes over several colours.
function rangesIn(line, wanted) {
  const nodes = [];
  const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  let text = "";
  while (walker.nextNode()) {
    nodes.push({ node: walker.currentNode, from: text.length });
    text += walker.currentNode.data;
  }
  // Lower case may have another length, as in Turkish: then only what has the same is found.
  const lower = text.toLowerCase();
  if (lower.length !== text.length) return [];
  const point = (at, isEnd) => {
    const holder = nodes.findLast(({ from }) => (isEnd ? from < at : from <= at));
    return [holder.node, at - holder.from];
  };
  const ranges = [];
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, at + wanted.length)) {
    const range = document.createRange();
    range.setStart(...point(at, false));
    range.setEnd(...point(at + wanted.length, true));
    ranges.push(range);
  }
  return ranges;
}
