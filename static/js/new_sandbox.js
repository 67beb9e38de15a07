// The form of a new sandbox: rows come and go, what is wrong is said by its field once that was
// left, and while the box is made the page says so.

const form = document.getElementById("new");
const create = document.getElementById("create");
const making = document.querySelector(".making");

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

// --- What is wrong ---------------------------------------------------------------------------

// What a field's error goes by, where it is not the field's own name.
const ERRORS = { env_name: "environment", env_value: "environment", label_name: "labels", label_value: "labels" };
const left = new Set();

function say(place, words) {
  place.querySelector("span").textContent = words;
  place.hidden = !words;
  const input = form.elements[place.dataset.error];
  if (input instanceof Element) input.setAttribute("aria-invalid", String(Boolean(words)));
}

function showErrors() {
  const errors = JSON.parse(document.getElementById("new-errors").textContent);
  for (const place of form.querySelectorAll("[data-error]")) {
    const { error } = place.dataset;
    if (left.has(error) || !errors[error]) say(place, errors[error] ?? "");
  }
}

form.addEventListener("focusout", ({ target }) => {
  if (!target.name) return;
  left.add(ERRORS[target.name] ?? target.name);
  showErrors();
});
document.addEventListener("htmx:after:swap", showErrors);

const first = form.querySelector("[data-error]:not([hidden])")?.closest(".field");
first?.querySelector("input:checked, input:not([type=hidden]):not([type=radio])")?.focus();
