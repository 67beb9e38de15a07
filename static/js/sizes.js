// Numbers of bytes as project/words.py writes them.

const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

export function size(count) {
  let unit = 0;
  let rest = count;
  while (rest >= 1000 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  if (unit === 0) return `${Math.round(rest)} B`;
  return `${rest < 10 ? rest.toFixed(1) : Math.round(rest)} ${UNITS[unit]}`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
