// xterm.js makes <style> elements as it draws. The policy of this site wants a nonce on each, so
// those made from here on get it. Import this before xterm.js.

const nonce = document.querySelector('meta[name="csp-nonce"]')?.content ?? "";
const make = document.createElement.bind(document);

document.createElement = (name, options) => {
  const element = make(name, options);
  if (nonce && String(name).toLowerCase() === "style") element.nonce = nonce;
  return element;
};
