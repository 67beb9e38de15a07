// Whoever watches a larger terminal sees the part of it where the cursor is, until they scroll
// away from it themselves.

export function followCursor(place, term) {
  let sticks = true;
  let ours = 0;

  function cursor() {
    const screen = term.element.querySelector(".xterm-screen").getBoundingClientRect();
    const row = screen.height / term.rows;
    const begin = screen.top - place.getBoundingClientRect().top + place.scrollTop;
    const top = begin + term.buffer.active.cursorY * row;
    return { top, bottom: top + row };
  }

  function isSeen({ top, bottom }) {
    return top >= place.scrollTop - 1 && bottom <= place.scrollTop + place.clientHeight + 1;
  }

  function follow() {
    if (!place.hasAttribute("data-follows")) {
      sticks = true;
      place.scrollTop = ours = 0;
      return;
    }
    const at = cursor();
    if (!sticks || isSeen(at)) return;
    // With what stands above it, which was written before.
    place.scrollTop = at.bottom - place.clientHeight;
    ours = place.scrollTop;
  }

  place.addEventListener("scroll", () => {
    if (Math.abs(place.scrollTop - ours) > 1) sticks = isSeen(cursor());
  });
  term.onRender(follow);
  return follow;
}
