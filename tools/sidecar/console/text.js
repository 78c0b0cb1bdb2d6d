/* Numbers, times and bytes as they are read by people. */

const number = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const minutes = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

export const count = (n) => number.format(n);
export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
export const time = (ms) => clock.format(ms);
export const shortTime = (ms) => minutes.format(ms);

/* With the day when it is another one. */
export function moment(ms) {
  const isToday = new Date(ms).toDateString() === new Date().toDateString();

  return isToday ? time(ms) : `${day.format(ms)}, ${time(ms)}`;
}

/* "4 s", "3 min 20 s", "2 h 5 min", "3 d 4 h" */
export function duration(ms) {
  const s = Math.round(ms / 1000);

  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ''}`;
  if (s < 86400) return `${Math.floor(s / 3600)} h${s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : ''}`;
  return `${Math.floor(s / 86400)} d${s % 86400 >= 3600 ? ` ${Math.floor((s % 86400) / 3600)} h` : ''}`;
}

export function latency(us) {
  if (us < 10000) return `${(us / 1000).toFixed(1)} ms`;
  return us < 1000000 ? `${Math.round(us / 1000)} ms` : `${(us / 1000000).toFixed(2)} s`;
}

export function size(bytes) {
  if (bytes < 1024) return plural(bytes, 'byte', 'bytes');
  if (bytes < 1048576) return `${(bytes / 1024).toFixed(1)} KiB`;
  return bytes < 1073741824 ? `${(bytes / 1048576).toFixed(1)} MiB` : `${(bytes / 1073741824).toFixed(1)} GiB`;
}

/* ---- elements ---- */

/* Text always becomes a text node: nothing that comes from a store is read as markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);

  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return made;
}

/* Show these items, each of them {data, make}, as the children of `place`. What shows the same data stays as it is, and with it
 * focus, selection and scrolling. */
export function update(place, items) {
  const old = new Map([...place.children].map((child) => [child.dataset.shows, child]));
  const wanted = items.map(({ data, make }) => {
    const key = JSON.stringify(data);
    const child = old.get(key) ?? make();

    child.dataset.shows = key;
    return child;
  });

  for (const child of [...place.children]) if (!wanted.includes(child)) child.remove();
  wanted.forEach((child, i) => {
    if (place.children[i] !== child) place.insertBefore(child, place.children[i] ?? null);
  });
}

/* ---- bytes ---- */

/* What has no picture, or changes the direction in which others are read, is shown by a name. */
const unprintable = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/u;

function nameOf(c) {
  const code = c.codePointAt(0);

  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? '\u2421' : `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
}

/* The text with its unprintable characters named. */
export function printable(text) {
  const parts = [];
  let plain = '';

  for (const c of text) {
    if (!unprintable.test(c)) {
      plain += c;
      continue;
    }
    parts.push(plain, element('span', { class: 'unprintable' }, nameOf(c)));
    plain = '';
  }
  return [...parts, plain].filter((part) => part !== '');
}

const isBinary = (bytes) => typeof bytes === 'object' && bytes !== null;

/* Bytes as the sidecar tells them: a string, or {hex}. */
export function shown(bytes) {
  if (!isBinary(bytes)) return printable(bytes);
  return [element('span', { class: 'hex' }, bytes.hex.replace(/(..)(?=.)/g, '$1 '))];
}

/* ---- what differs ---- */

function sharedBeginning(a, b) {
  let n = 0;

  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

/* The part of `text` that `other` does not have at its place is marked. */
export function compared(text, other) {
  if (isBinary(text) || isBinary(other) || other === undefined) return shown(text);
  const a = [...text];
  const b = [...other];
  const begin = sharedBeginning(a, b);
  const end = sharedBeginning(a.slice(begin).reverse(), b.slice(begin).reverse());
  const middle = a.slice(begin, a.length - end).join('');

  if (!middle || (begin === 0 && end === 0)) return printable(text);
  return [
    ...printable(a.slice(0, begin).join('')),
    element('mark', {}, ...printable(middle)),
    ...printable(a.slice(a.length - end).join('')),
  ];
}
