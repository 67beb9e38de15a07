// The form of a new sandbox: rows come and go, and while the box is made the page says so.

const form = document.getElementById("new");
const create = document.getElementById("create");
const making = form.querySelector(".making");

// --- Rows of variables and labels -----------------------------------------------------------

function changed() {
  form.dispatchEvent(new Event("change", { bubbles: true }));
}

function addRow(pairs) {
  const rows = pairs.querySelectorAll(".pair");
  const row = rows[rows.length - 1].cloneNode(true);
  for (const input of row.querySelectorAll("input")) input.value = "";
  rows[rows.length - 1].after(row);
  row.querySelector("input").focus();
}

function removeRow(row) {
  const pairs = row.parentElement;
  const next = row.nextElementSibling;
  if (pairs.querySelectorAll(".pair").length > 1) row.remove();
  else for (const input of row.querySelectorAll("input")) input.value = "";
  (next.querySelector?.("input") ?? pairs.querySelector("[data-adds]")).focus();
  changed();
}

for (const pairs of form.querySelectorAll("[data-pairs]")) {
  const rows = [...pairs.querySelectorAll(".pair")];
  const empty = (row) => [...row.querySelectorAll("input")].every((input) => !input.value);
  // The spare rows are for those without scripts.
  for (const row of rows.slice(1).filter(empty)) row.remove();
  for (const button of pairs.querySelectorAll("[data-removes], [data-adds]")) button.hidden = false;
  pairs.addEventListener("click", (event) => {
    if (event.target.closest("[data-adds]")) addRow(pairs);
    const remove = event.target.closest("[data-removes]");
    if (remove) removeRow(remove.closest(".pair"));
  });
}

// --- Made -----------------------------------------------------------------------------------

function show(busy) {
  making.hidden = !busy;
  create.disabled = busy;
  create.textContent = busy ? "Creating…" : "Create sandbox";
  form.setAttribute("aria-busy", String(busy));
}

form.addEventListener("submit", () => {
  // A disabled button would not be part of what is sent; nothing asks for it here.
  show(true);
});
// Back from the sandbox's page, to the form as it was left.
addEventListener("pageshow", () => show(false));

form.querySelector('[aria-invalid="true"]')?.focus();
