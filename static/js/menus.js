// Menus are popovers. This puts each below its button and lets arrow keys walk through it.

const GAP = 4;
const ITEMS = '[role^="menuitem"]:not(:disabled)';

// Those that can be seen: what makes no sense now is hidden.
function itemsOf(menu) {
  return [...menu.querySelectorAll(ITEMS)].filter((item) => item.checkVisibility());
}

// The button that a menu stands below: one that is in a menu itself is gone by then.
function buttonOf(menu) {
  const buttons = [...document.querySelectorAll(`[popovertarget="${CSS.escape(menu.id)}"]`)];
  const seen = buttons.find((button) => button.checkVisibility());
  const outer = buttons.map((button) => button.closest(".menu[popover]")).find(Boolean);
  return seen ?? (outer ? buttonOf(outer) : buttons[0]);
}

function place(menu, button) {
  const box = button.getBoundingClientRect();
  const left = Math.min(box.left, innerWidth - menu.offsetWidth - 8);
  const below = box.bottom + GAP;
  const fits = below + menu.offsetHeight < innerHeight;
  menu.style.left = `${Math.max(8, left)}px`;
  menu.style.top = `${fits ? below : Math.max(8, box.top - menu.offsetHeight - GAP)}px`;
}

document.addEventListener(
  "toggle",
  (event) => {
    const menu = event.target;
    if (!menu.matches?.(".menu[popover]")) return;
    const button = buttonOf(menu);
    button?.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState !== "open" || !button) return;
    place(menu, button);
    itemsOf(menu)[0]?.focus();
  },
  true,
);

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.(".menu[popover]");
  if (!menu) return;
  const items = itemsOf(menu);
  const here = items.indexOf(event.target);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length]?.focus();
});

document.addEventListener("click", (event) => {
  const item = event.target.closest('.menu[popover] [role^="menuitem"]');
  if (item && item.type !== "submit") item.closest("[popover]").hidePopover();
});

// A form in a menu that was sent without leaving the page.
document.addEventListener("sent", (event) => event.target.closest(".menu[popover]")?.hidePopover());
