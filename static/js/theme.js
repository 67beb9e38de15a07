// Light, dark, high contrast or as the system has it. A cookie, so that the server draws it at once.

const YEAR = 365 * 24 * 3600;

function apply(choice) {
  const root = document.documentElement;
  delete root.dataset.theme;
  delete root.dataset.contrast;
  if (choice === "contrast") root.dataset.contrast = "more";
  else if (choice !== "auto") root.dataset.theme = choice;
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-checked", String(button.dataset.themeChoice === choice));
  }
  document.dispatchEvent(new CustomEvent("theme-changed"));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-choice]");
  if (!button) return;
  const choice = button.dataset.themeChoice;
  document.cookie = `theme=${choice}; path=/; max-age=${YEAR}; samesite=lax`;
  apply(choice);
});
