// Forms that work without scripts work better with them.
//
// data-confirm="Delete calm-otter?" data-loss="…" data-action="Delete" [data-name="…"]: asked first
// data-send: sent without leaving the page; the answer's message becomes a toast
//   data-then="reload | follow | stay": what comes after (default: follow the answer's address)
// data-submits: an element that submits its form when it changes

import { confirm } from "./confirm.js";
import { send } from "./http.js";
import { complain, say } from "./toasts.js";

// A page that is asked to go is there for a moment still.
const GOING_MS = 5_000;

const agreed = new WeakSet();

async function ask(form, submitter) {
  const { confirm: title, loss = "", action = "Delete", name = "" } = form.dataset;
  if (await confirm({ title, loss, action, name })) {
    agreed.add(form);
    form.requestSubmit(submitter);
  }
}

function showProblem(form, error) {
  const named = error.body?.fields ?? {};
  for (const [name, words] of Object.entries(named)) {
    const input = form.elements[name];
    input?.setCustomValidity?.(words);
    input?.addEventListener("input", () => input.setCustomValidity(""), { once: true });
    input?.reportValidity?.();
  }
  if (!Object.keys(named).length) complain(error);
}

function free(form, submitter) {
  form.removeAttribute("aria-busy");
  if (submitter) submitter.disabled = false;
}

async function submit(form, submitter) {
  if (form.ariaBusy === "true") return;
  const data = new FormData(form, submitter);
  form.setAttribute("aria-busy", "true");
  if (submitter) submitter.disabled = true;
  let goes = false;
  try {
    // A button without an address of its own would give that of the page.
    const address = submitter?.hasAttribute("formaction") ? submitter.formAction : form.action;
    const answer = await send(address, { data });
    form.dispatchEvent(new CustomEvent("sent", { bubbles: true, detail: answer }));
    const then = form.dataset.then ?? "follow";
    goes = then === "reload" || (then === "follow" && Boolean(answer.url));
    if (then === "reload") location.reload();
    else if (goes) location.assign(answer.url);
    if (then === "stay") {
      if (answer.message) say(answer.message, { undo: answer.undo });
      document.body.dispatchEvent(new CustomEvent("resync"));
    }
    form.closest("dialog")?.close();
  } catch (error) {
    showProblem(form, error);
  } finally {
    setTimeout(free, goes ? GOING_MS : 0, form, submitter);
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !agreed.delete(form)) {
    event.preventDefault();
    ask(form, event.submitter);
    return;
  }
  if ("send" in form.dataset) {
    event.preventDefault();
    submit(form, event.submitter);
  }
});

document.addEventListener("change", (event) => {
  if (event.target.closest("[data-submits]")) event.target.form?.requestSubmit();
});

// A button that opens a dialog: <button data-opens="id-of-dialog">
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog").close();
});
