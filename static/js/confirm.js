// Asks before something is lost. Focus starts on Cancel.

import { seen } from "./names.js";

// `name`: what must be typed first, for what cannot be had again. `quote`: a text shown line by line.
export function confirm({ title, loss, action, name = "", quote = "", destroys = true }) {
  const dialog = document.getElementById("confirm");
  const field = dialog.querySelector(".field");
  const input = field.querySelector("input");
  const yes = dialog.querySelector('[value="yes"]');
  dialog.querySelector("h2").textContent = seen(title);
  dialog.querySelector("p").textContent = seen(loss);
  const shown = dialog.querySelector("pre");
  shown.hidden = !quote;
  shown.textContent = quote;
  yes.textContent = action;
  yes.className = destroys ? "btn btn-destroy" : "btn btn-primary";
  field.hidden = !name;
  field.querySelector("label").textContent = `Type ${name} to confirm`;
  input.value = "";
  const check = () => {
    yes.disabled = Boolean(name) && input.value !== name;
  };
  input.oninput = check;
  check();
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
