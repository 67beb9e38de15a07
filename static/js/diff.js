// What differs between two texts, line by line.

const MOST_LINES = 3_000;

// Returns [{sign: " " | "-" | "+", text}], or null if the texts are too long to compare.
export function diff(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const middleA = a.slice(start, a.length - end);
  const middleB = b.slice(start, b.length - end);
  if (middleA.length > MOST_LINES || middleB.length > MOST_LINES) return null;
  const same = (lines) => lines.map((text) => ({ sign: " ", text }));
  return [...same(a.slice(0, start)), ...compare(middleA, middleB), ...same(a.slice(a.length - end))];
}

// The longest common subsequence, the plain way.
function compare(a, b) {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ sign: " ", text: a[i] });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      lines.push({ sign: "-", text: a[i] });
      i += 1;
    } else {
      lines.push({ sign: "+", text: b[j] });
      j += 1;
    }
  }
  return lines;
}

// Leaves out what is far from any difference.
export function around(lines, context = 3) {
  const near = new Set();
  for (const [at, line] of lines.entries()) {
    if (line.sign === " ") continue;
    for (let each = at - context; each <= at + context; each += 1) near.add(each);
  }
  return lines.filter((_, at) => near.has(at));
}
