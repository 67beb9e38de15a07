// Draws the admin panel in the product's theme from the first moment on: no module, so it runs
// before anything is shown.
{
  const [, choice = "auto"] = document.cookie.match(/(?:^|; )theme=(\w+)/) ?? [];
  const root = document.documentElement;
  if (choice === "contrast") root.dataset.contrast = "more";
  else if (choice !== "auto") root.dataset.theme = choice;
}
