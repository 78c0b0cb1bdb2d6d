/* The link's states, what is pending and what is replayed, over one axis of time. */
import { count, duration, element, plural, shortTime, time } from './text.js';

const SVG = 'http://www.w3.org/2000/svg';
const HOLE_MS = 3500; /* without a sample for so long: nothing is known of that time */
const SHORTEST = 2; /* pixels of a state, however short it was */
const TICKS = [5, 10, 15, 30, 60, 120, 300].map((s) => s * 1000);
const TICK_ROOM = 76;

/* From top to bottom, in pixels. */
const BAND = { top: 20, height: 26 };
const PENDING = { top: 72, height: 92, title: 'Pending changes' };
const REPLAY = { top: 190, height: 56, title: 'Replayed a second' };
const AXIS = 262;
const HEIGHT = 270;

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);

  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const text = (x, y, anchor, words, kind, state = '') =>
  svg('text', { x, y, 'text-anchor': anchor, class: kind, 'data-state': state }, words);

/* ---- the history ---- */

/* What the sidecar has told, put together from its answers. */
export class History {
  constructor() {
    this.forget();
  }

  forget() {
    this.run = undefined;
    this.samples = []; /* {at, pending, rate} */
    this.changes = [];
    this.now = undefined;
    this.everyMs = 1000;
  }

  /* What is here, for who asks for the rest. */
  get known() {
    return `since=${this.samples.at(-1)?.at ?? 0}&after=${this.changes.at(-1)?.number ?? 0}`;
  }

  /* False: it is of another run, and all of it must be asked for. */
  take(answer, keepMs) {
    if (this.run !== undefined && answer.run !== this.run) {
      this.forget();
      return false;
    }
    this.run = answer.run;
    this.now = answer.now_ms;
    this.everyMs = answer.every_ms;
    for (const [at, pending, , replayed, state] of answer.samples) this.#addSample(at, pending, replayed, state);
    this.changes.push(...answer.changes);
    this.samples = this.samples.filter((sample) => sample.at > this.now - keepMs);
    return true;
  }

  #addSample(at, pending, replayed, state) {
    const before = this.samples.at(-1);
    const rate = before ? Math.max(0, ((replayed - before.replayed) * 1000) / Math.max(1, at - before.at)) : 0;

    this.samples.push({ at, pending, replayed, state, rate });
  }

  /* The states in their order, each from a time to a time. */
  states() {
    if (!this.samples.length) return [];
    const begin = this.samples[0].at;
    const first = this.changes[0]?.from ?? this.samples[0].state;
    const all = [{ from: begin, state: first, reason: '' }];

    for (const { at_ms: from, state, reason } of this.changes) {
      if (from < begin) all[0] = { from: begin, began: from, state, reason };
      else all.push({ from, state, reason });
    }
    all.forEach((state, i) => {
      state.to = all[i + 1]?.from ?? this.now;
    });
    return all;
  }

  sampleAt(at) {
    let found;

    for (const sample of this.samples) {
      if (sample.at > at) break;
      found = sample;
    }
    return found && at - found.at < HOLE_MS ? found : undefined;
  }
}

/* ---- drawing ---- */

function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));

  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value);
}

/* Runs of samples with no hole between them. */
function runs(samples) {
  const all = [];

  for (const sample of samples) {
    const run = all.at(-1);

    if (run && sample.at - run.at(-1).at < HOLE_MS) run.push(sample);
    else all.push([sample]);
  }
  return all;
}

function area(run, x, y, bottom, value) {
  const points = run.map((sample) => `${x(sample.at).toFixed(1)},${y(value(sample)).toFixed(1)}`);

  return `M${x(run[0].at).toFixed(1)},${bottom}L${points.join('L')}L${x(run.at(-1).at).toFixed(1)},${bottom}Z`;
}

function line(run, x, y, value) {
  return `M${run.map((sample) => `${x(sample.at).toFixed(1)},${y(value(sample)).toFixed(1)}`).join('L')}`;
}

function lane(place, kind, samples, value, x, width) {
  const top = Math.max(...samples.map(value), 0);
  const scale = roundUp(top);
  const bottom = place.top + place.height;
  const y = (v) => bottom - (v / scale) * place.height;
  const group = svg('g', { class: kind });

  group.append(
    text(0, place.top - 7, 'start', place.title, 'label'),
    text(width, place.top - 7, 'end', top > 0 ? count(scale) : '', 'scale'),
    svg('line', { x1: 0, x2: width, y1: place.top + 0.5, y2: place.top + 0.5, class: 'grid' }),
    svg('line', { x1: 0, x2: width, y1: bottom + 0.5, y2: bottom + 0.5, class: 'base' }),
  );
  for (const run of runs(samples)) {
    group.append(svg('path', { d: area(run, x, y, bottom, value), class: 'area' }));
    group.append(svg('path', { d: line(run, x, y, value), class: 'line' }));
  }
  return group;
}

/* Online is a thin line; whatever is not rises from it. The short ones come last, on top. */
function band(states, x, width) {
  const group = svg('g', { class: 'band' }, text(0, BAND.top - 7, 'start', 'Link', 'label'));
  const bottom = BAND.top + BAND.height;

  group.append(svg('line', { x1: 0, x2: width, y1: bottom + 0.5, y2: bottom + 0.5, class: 'base' }));
  for (const state of [...states].sort((a, b) => b.to - b.from - (a.to - a.from))) {
    const left = Math.max(0, x(state.from));
    const wide = Math.max(SHORTEST, Math.min(width, x(state.to)) - left);
    const height = state.state === 'online' || state.state === 'disabled' ? 6 : BAND.height;

    if (x(state.to) < 0) continue;
    group.append(svg('rect', {
      x: Math.min(left, width - SHORTEST).toFixed(1), y: bottom - height, width: wide.toFixed(1), height,
      class: 'state', 'data-state': state.state,
    }));
    if (height === BAND.height && wide > state.state.length * 7 + 14)
      group.append(text(left + 7, bottom - 8.5, 'start', state.state, 'on-state', state.state));
  }
  return group;
}

function axis(begin, end, x, width) {
  const room = (width / (end - begin)) * 1000;
  const step = TICKS.find((ms) => (ms / 1000) * room >= TICK_ROOM) ?? TICKS.at(-1);
  const words = step % 60000 === 0 ? shortTime : time;
  const group = svg('g', { class: 'axis' });

  for (let at = Math.ceil(begin / step) * step; at <= end; at += step) {
    const where = Math.round(x(at)) + 0.5;

    group.append(svg('line', { x1: where, x2: where, y1: BAND.top, y2: REPLAY.top + REPLAY.height, class: 'tick' }));
    if (where > 24 && where < width - 24) group.append(text(where, AXIS, 'middle', words(at), 'scale'));
  }
  return group;
}

/* The times of which nothing is known: the sidecar did not run, or does not answer. */
function unknown(samples, begin, end, x) {
  const group = svg('g', { class: 'unknown' });
  const known = runs(samples).map((run) => [run[0].at, run.at(-1).at]);
  let from = begin;

  for (const [left, right] of [...known, [end, end]]) {
    if (left - from >= HOLE_MS) group.append(svg('rect', {
      x: Math.max(0, x(from)).toFixed(1), width: (x(left) - Math.max(0, x(from))).toFixed(1), y: BAND.top, height: REPLAY.top + REPLAY.height - BAND.top,
    }));
    from = right;
  }
  return group;
}

/* ---- the element ---- */

/* Draws into `place`, and tells in `readout` what is under the line that the pointer or the arrow keys move. */
export class Plot {
  constructor(place, readout, history) {
    this.place = place;
    this.readout = readout;
    this.history = history;
    this.spanMs = 900000;
    this.at = undefined; /* the time under the line */
    place.addEventListener('pointermove', (event) => this.#point(event));
    place.addEventListener('pointerleave', () => this.#move(undefined));
    place.addEventListener('keydown', (event) => this.#key(event));
    place.addEventListener('blur', () => this.#move(undefined));
    new ResizeObserver(() => this.draw()).observe(place);
  }

  #time(x) {
    return this.history.now - this.spanMs + (x / this.place.clientWidth) * this.spanMs;
  }

  #point(event) {
    this.#move(this.#time(event.clientX - this.place.getBoundingClientRect().left));
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];

    if (event.key === 'Escape') this.#move(undefined);
    if (!step) return;
    event.preventDefault();
    const from = this.at ?? this.history.now;
    const to = from + (step * this.spanMs) / (event.shiftKey ? 15 : 90);
    this.#move(Math.min(this.history.now, Math.max(this.history.now - this.spanMs, to)));
  }

  #move(at) {
    this.at = at;
    this.draw();
  }

  #tell() {
    const state = this.history.states().find(({ from, to }) => this.at >= from && this.at <= to);
    const sample = this.history.sampleAt(this.at);

    if (!state || !sample) return `${time(this.at)} · nothing is known`;
    const lasted = `${state.state} for ${duration(state.to - (state.began ?? state.from))}`;
    const rate = sample.rate > 0 ? ` · ${count(Math.round(sample.rate))} a second replayed` : '';
    return `${time(this.at)} · ${lasted} · ${count(sample.pending)} pending${rate}`;
  }

  #describe() {
    const { states, samples } = { states: this.history.states(), samples: this.history.samples };
    const worst = Math.max(0, ...samples.map((sample) => sample.pending));

    return `The link's last ${plural(states.length, 'state', 'states')}: ${states.slice(-6).map((s) => s.state).join(', ')}. ` +
      `At most ${plural(worst, 'change', 'changes')} pending.`;
  }

  draw() {
    const width = this.place.clientWidth;
    const { now, samples } = this.history;

    if (!width || now === undefined) return;
    const begin = now - this.spanMs;
    const x = (at) => ((at - begin) / this.spanMs) * width;
    const seen = samples.filter((sample) => sample.at >= begin - this.history.everyMs);
    const image = svg('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, 'aria-hidden': 'true' },
      unknown(seen, begin, now, x),
      axis(begin, now, x, width),
      lane(PENDING, 'pending', seen, (sample) => sample.pending, x, width),
      lane(REPLAY, 'replay', seen, (sample) => sample.rate, x, width),
      band(this.history.states(), x, width));

    if (this.at !== undefined) {
      const where = Math.round(x(this.at)) + 0.5;

      image.append(svg('line', { x1: where, x2: where, y1: BAND.top, y2: REPLAY.top + REPLAY.height, class: 'cursor' }));
    }
    this.readout.textContent = this.at === undefined ? '' : this.#tell();
    this.place.setAttribute('aria-label', this.#describe());
    this.place.replaceChildren(image);
  }
}

/* The changes as a list, the newest first. */
export function listChanges(history) {
  return history.states().slice(-200).reverse().map((state) => {
    const from = state.began ?? state.from;
    const data = [from, state.state, duration(state.to - from), state.reason];

    return { data, make: () => changeRow(...data) };
  });
}

function changeRow(from, state, lasted, reason) {
  return element('li', {},
    element('time', {}, time(from)),
    element('span', { class: 'tag', 'data-state': state }, state),
    element('span', { class: 'for' }, lasted),
    element('span', { class: 'reason' }, reason));
}
