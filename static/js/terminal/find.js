// The search bar over the terminal.

const DECORATIONS = {
  matchBackground: "#43370d",
  matchOverviewRuler: "#e8c268",
  activeMatchBackground: "#e8c268",
  activeMatchColorOverviewRuler: "#ffffff",
};

export function watchFind(bar, { term, search }) {
  const input = bar.querySelector("input");
  const count = bar.querySelector("[data-count]");
  const options = () => ({
    caseSensitive: bar.querySelector("[data-case]").ariaPressed === "true",
    regex: bar.querySelector("[data-regex]").ariaPressed === "true",
    decorations: DECORATIONS,
  });

  function find(backwards = false, incremental = false) {
    if (!input.value) {
      search.clearDecorations();
      count.textContent = "";
      return;
    }
    try {
      if (backwards) search.findPrevious(input.value, options());
      else search.findNext(input.value, { ...options(), incremental });
    } catch {
      count.textContent = "not a pattern";
    }
  }

  function close() {
    bar.hidden = true;
    search.clearDecorations();
    term.focus();
  }

  search.onDidChangeResults(({ resultIndex, resultCount }) => {
    count.textContent = resultCount ? `${resultIndex + 1} of ${resultCount}` : input.value && "none";
  });
  input.addEventListener("input", () => find(false, true));
  bar.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "Enter" && event.target === input) find(event.shiftKey);
  });
  bar.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.ariaPressed !== null) button.ariaPressed = String(button.ariaPressed !== "true");
    if ("close" in button.dataset) close();
    else find("previous" in button.dataset);
  });
  return () => {
    bar.hidden = false;
    input.value = term.getSelection().split("\n")[0] || input.value;
    input.focus();
    input.select();
    find(false, true);
  };
}
