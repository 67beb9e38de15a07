// Names that anybody may have chosen, written as project/words.py does it: what cannot be seen, and
// would garble what stands around it, as such as \\u202e.

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
// Each stands for a byte that is no text.
const BYTES = /[\uef80-\uefff]/g;

export function seen(name) {
  const spelled = (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return name.replace(BYTES, "\ufffd").replace(UNSEEN, spelled);
}
