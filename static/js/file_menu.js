// The menu of a row: from its button, a right click, or the menu key.

import { focusRow, selection } from "./file_list.js";

const MARGIN = 8;

function show(row, left, top) {
  if (!selection().some((item) => item.id === row.id)) {
    document.querySelector('[data-do="clear"]')?.click();
  }
  focusRow(row);
  const menu = document.getElementById("row-menu");
  menu.showPopover();
  menu.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - menu.offsetWidth - MARGIN))}px`;
  menu.style.top = `${Math.max(MARGIN, Math.min(top, innerHeight - menu.offsetHeight - MARGIN))}px`;
  menu.querySelector('[role="menuitem"]').focus();
}

export function listenToMenus() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest('#rows [data-do="menu"]');
    if (!button) return;
    const box = button.getBoundingClientRect();
    show(button.closest("tr"), box.right - 208, box.bottom + 4);
  });
  document.addEventListener("contextmenu", (event) => {
    const row = event.target.closest("#rows > tr");
    // With Shift, the browser's own.
    if (!row || event.shiftKey) return;
    event.preventDefault();
    const byKey = event.clientX === 0 && event.clientY === 0;
    const box = row.getBoundingClientRect();
    show(row, byKey ? box.left + 80 : event.clientX, byKey ? box.bottom : event.clientY);
  });
  document.getElementById("row-menu")?.addEventListener("toggle", (event) => {
    // Back to the row, unless an action has moved the focus by itself.
    if (event.newState !== "closed" || document.activeElement !== document.body) return;
    document.querySelector('#rows > tr[tabindex="0"]')?.focus({ preventScroll: true });
  });
}
