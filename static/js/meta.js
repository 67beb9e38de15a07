// What is remembered of a file of a disk: names and values, or the same as JSON.

import { get } from "./http.js";
import { act, here } from "./file_place.js";
import { complain, say } from "./toasts.js";

function rowFor(key, value) {
  const row = document.getElementById("meta-row").content.firstElementChild.cloneNode(true);
  row.querySelector('[name="key"]').value = key;
  row.querySelector('[name="value"]').value = typeof value === "string" && !isJson(value) ? value : JSON.stringify(value);
  row.querySelector('[data-meta="remove"]').addEventListener("click", () => row.remove());
  return row;
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function valueOf(text) {
  return isJson(text) ? JSON.parse(text) : text;
}

// A script knows whole numbers up to 2^53. Larger ones would be changed without a word.
function hasLargeNumber(value) {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  return value !== null && typeof value === "object" && Object.values(value).some(hasLargeNumber);
}

function checkNumbers(meta) {
  for (const [key, value] of Object.entries(meta)) {
    if (hasLargeNumber(value)) {
      throw new Error(`The number of ${key} is too large to keep its digits here. Write it in quotes, as text.`);
    }
  }
  return meta;
}

// Throws an Error that says what is wrong.
function readRows(form) {
  const meta = {};
  for (const row of form.querySelectorAll(".meta-row")) {
    const key = row.querySelector('[name="key"]').value;
    const text = row.querySelector('[name="value"]').value;
    if (!key && !text) continue;
    if (!key) throw new Error("A value has no name.");
    if (Object.hasOwn(meta, key)) throw new Error(`The name ${key} is there twice.`);
    if (/^[{["]/.test(text) && !isJson(text)) throw new Error(`The value of ${key} is no good JSON.`);
    meta[key] = valueOf(text);
  }
  return meta;
}

function readJson(text) {
  let meta;
  try {
    meta = JSON.parse(text || "{}");
  } catch (error) {
    throw new Error(`This is no good JSON: ${error.message}`);
  }
  if (meta === null || typeof meta !== "object" || Array.isArray(meta)) {
    throw new Error("Metadata is an object: names and values between { and }.");
  }
  return meta;
}

function editor(path, meta) {
  const form = document.getElementById("meta-form").content.firstElementChild.cloneNode(true);
  const rows = form.querySelector(".meta-rows");
  const area = form.querySelector("textarea");
  const error = form.querySelector(".error");
  const asJson = form.querySelector('[data-meta="json"]');
  const add = form.querySelector('[data-meta="add"]');
  const write = (values) => rows.replaceChildren(...Object.entries(values).map(([k, v]) => rowFor(k, v)));
  const read = () => checkNumbers(area.hidden ? readRows(form) : readJson(area.value));
  const check = () => {
    try {
      read();
      error.hidden = true;
    } catch (problem) {
      error.hidden = false;
      error.textContent = problem.message;
    }
    return error.hidden;
  };
  write(meta);
  if (!here.mayWork) for (const part of form.elements) part.disabled = true;
  check();
  form.addEventListener("input", check);
  add.addEventListener("click", () => {
    rows.append(rowFor("", ""));
    const input = rows.lastElementChild.querySelector("input");
    input.focus();
    rows.lastElementChild.querySelector('[name="value"]').value = "";
  });
  asJson.addEventListener("click", () => {
    if (!check()) return;
    const values = read();
    area.hidden = !area.hidden;
    rows.hidden = !area.hidden;
    add.hidden = rows.hidden;
    asJson.textContent = area.hidden ? "JSON" : "Rows";
    if (area.hidden) write(values);
    else area.value = JSON.stringify(values, null, 2);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!check()) return;
    try {
      await act("meta", { path, meta: read() });
      say("Metadata saved.");
    } catch (problem) {
      complain(problem);
    }
  });
  return form;
}

export async function openMeta(into, path) {
  try {
    const { meta } = await get(`${here.base}/file-stat?${new URLSearchParams({ path })}`);
    into.replaceChildren(editor(path, meta ?? {}));
  } catch (error) {
    complain(error);
  }
}
