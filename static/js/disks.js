// The list of disks and the settings of one.

// With scripts, a new disk is made in a dialog; the link stays for a middle click.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-opens]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) event.preventDefault();
});

document.querySelector("dialog[data-opens-now]")?.showModal();

// What cannot be had again is deleted only when its name was typed.
for (const input of document.querySelectorAll("[data-must-be]")) {
  const button = input.form.querySelector(".btn-destroy");
  const check = () => {
    button.disabled = input.value.trim() !== input.dataset.mustBe;
  };
  input.addEventListener("input", check);
  check();
}
