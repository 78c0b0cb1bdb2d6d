/* Conflicts, parked entries, slow commands and namespaces. */
import { change, look } from './api.js';
import { compared, count, duration, element, latency, moment, plural, shown, size, update } from './text.js';

const fact = (name, value, kind) => element('div', { class: kind }, element('dt', {}, name), element('dd', {}, value));

const entriesOf = (section) => section.querySelector('.entries');
const note = (words) => ({ data: words, make: () => element('p', { class: 'more' }, words) });

/* A list without entries is one line. */
function setCount(section, n, emptyWords) {
  const hint = section.querySelector('.hint');

  section.querySelector('.count').textContent = n === 0 ? '' : count(n);
  if (!emptyWords) return;
  hint.dataset.words ??= hint.textContent;
  hint.textContent = n === 0 ? emptyWords : hint.dataset.words;
  section.classList.toggle('is-empty', n === 0);
}

/* A list that is not full has all there is, whatever the status says, which may be older. */
const FULL = 100;
const countOf = (list, total) => (list.length < FULL ? list.length : total);
const firstOf = (n, total) => (n === FULL && total > n ? [note(`The first ${count(n)} of ${count(total)}.`)] : []);

/* ---- values ---- */

const lengthOf = (value) => (typeof value === 'object' ? value.hex.length / 2 : new TextEncoder().encode(value).length);

/* What was cut can be asked for: `whole` replaces the entry. */
function wholeButton(shown, whole) {
  if (!whole || lengthOf(shown.value) >= shown.bytes) return undefined;
  const button = element('button', { type: 'button', class: 'quiet' }, `Show all ${size(shown.bytes)}`);

  button.addEventListener('click', () => whole(button));
  return button;
}

/* Ask for all of an entry, and show it in the place of the one that the button is in. */
async function showWhole(page, button, path, make) {
  button.disabled = true;
  const all = await look(path).catch((error) => page.say(error.message, true));
  const cut = button.closest('article');
  if (!all || !cut) return;
  const full = make(all);

  full.dataset.shows = cut.dataset.shows;
  cut.replaceWith(full);
}

function valueOf(side, other, whole) {
  if (!side.present) return element('p', { class: 'absent' }, 'absent, or deleted');
  if (side.too_long) return element('p', { class: 'absent' }, `${size(side.bytes)}, too long to be kept`);
  const both = other?.present && !other.too_long;
  const block = element('pre', {}, ...compared(side.value, both ? other.value : undefined));

  if (side.value === '') block.replaceChildren(element('span', { class: 'absent' }, 'empty'));
  return [block, wholeButton(side, whole)];
}

function timesOf(side) {
  const parts = [];

  if (side.made_at_ms) parts.push(`written ${moment(side.made_at_ms)}${side.uncertainty_ms > 0 ? ` ± ${duration(side.uncertainty_ms)}` : ''}`);
  else parts.push('nobody knows when it was written');
  if (side.expires_at_ms) parts.push(`expires ${moment(side.expires_at_ms)}`);
  return parts.join(' · ');
}

/* ---- doing ---- */

/* What becomes of the focus when its entry goes: the next one has it, or the heading. */
function focusBehind(entry, section) {
  const next = entry.nextElementSibling ?? entry.previousElementSibling;

  (next?.querySelector('button') ?? section.querySelector('h2')).focus();
}

function action(words, kind, run) {
  return element('button', { type: 'button', class: kind, onclick: run }, words);
}

/* A button that asks once more, as what it does cannot be undone. */
function doubtful(words, again, run) {
  const button = element('button', { type: 'button' }, words);
  const calm = () => {
    button.textContent = words;
    button.classList.remove('danger');
  };

  button.addEventListener('blur', calm);
  button.addEventListener('click', (event) => {
    if (button.classList.contains('danger')) {
      run(event);
      return;
    }
    button.textContent = again;
    button.classList.add('danger');
    button.style.minWidth = `${button.offsetWidth}px`; /* nothing may move under a press when it calms down */
  });
  return button;
}

/* `page` says what was done and asks anew. */
async function perform(page, event, path, number, words) {
  const entry = event.target.closest('article');
  const section = entry.closest('section');

  entry.inert = true;
  try {
    const result = await change(path, { number });

    page.say(result === 0 ? 'It was gone already.' : words(result));
    focusBehind(entry, section);
    entry.remove();
  } catch (error) {
    page.say(error.message, true);
    entry.inert = false;
  }
  await page.refresh();
}

const written = (result) => (result.shared ? 'Redis has it.' : 'It is pending until Redis has it.');

/* ---- conflicts ---- */

const other = { ours: 'theirs', theirs: 'ours' };

function conflictButtons(page, c) {
  const loser = other[c.winner];
  const keep = c.winner === 'nobody' ? 'Take it off the list' : `Keep ${c.winner}`;
  const buttons = [action(keep, 'first', (event) => perform(page, event, 'conflicts/resolve',
    c.id, () => `Conflict ${c.id}: ${c.winner} stands.`))];

  if (loser && !c[loser].too_long) {
    const restore = c[loser].present ? `Restore ${loser}` : `Delete, as ${loser}`;
    buttons.push(action(restore, '', (event) => perform(page, event, 'conflicts/restore',
      c.id, (result) => `Conflict ${c.id}: what ${loser === 'ours' ? 'we' : 'they'} did was done again. ${written(result)}`)));
  }
  return element('div', { class: 'buttons' }, ...buttons);
}

function side(c, name, whole) {
  const stands = c.winner === name;

  return element('div', { class: stands ? 'side stands' : 'side' },
    element('h4', {}, name === 'ours' ? 'Ours' : 'Theirs', stands ? element('span', { class: 'tag' }, 'stands') : undefined),
    valueOf(c[name], c[other[name]], whole),
    element('p', { class: 'times' }, timesOf(c[name])));
}

function conflict(page, c, mayChange) {
  const whole = (button) => showWhole(page, button, `conflicts/${c.id}`, (all) => conflict(page, all, mayChange));

  return element('article', { class: 'entry' },
    element('header', {},
      element('h3', { class: 'key' }, ...shown(c.key)),
      element('p', { class: 'about' }, `${c.kind} · rule ${c.rule}${c.ambiguous ? ', too close to tell by time' : ''} · decided ${moment(c.decided_at_ms)} · ${c.id}`)),
    element('div', { class: 'sides' }, side(c, 'ours', whole), side(c, 'theirs', whole)),
    mayChange ? conflictButtons(page, c) : undefined);
}

const unseenWords = (n) => (n ? ` ${plural(n, 'value', 'values')} that a write replaced unseen ${n === 1 ? 'is' : 'are'} kept for information: HOLDFAST CONFLICTS lists them.` : '');

export async function showConflicts(page, section, mayChange, total, blind) {
  const list = total > 0 ? await look('conflicts') : [];

  setCount(section, countOf(list, total), `None.${unseenWords(blind)}`);
  update(entriesOf(section), [
    ...list.map((c) => ({ data: [c, mayChange], make: () => conflict(page, c, mayChange) })),
    ...firstOf(list.length, total),
    ...(blind ? [note(unseenWords(blind))] : []),
  ]);
}

/* ---- parked entries ---- */

function parkedButtons(page, p) {
  const again = p.in_doubt ? 'It may then count twice: requeue' : undefined;
  const requeue = (event) => perform(page, event, 'parked/requeue', p.lsn, () => `Change ${p.lsn} was made a change again.`);
  const drop = (event) => perform(page, event, 'parked/drop', p.lsn, () => `Change ${p.lsn} was dropped.`);

  return element('div', { class: 'buttons' },
    again ? doubtful('Requeue', again, requeue) : action('Requeue', 'first', requeue),
    doubtful('Drop', 'Drop it for good', drop));
}

function parkedValue(p, whole) {
  if (p.kind === 'incr') return element('pre', {}, `${p.delta < 0 ? '−' : '+'}${count(Math.abs(p.delta))}`);
  if (p.kind !== 'set') return undefined;
  const words = p.value === '' ? [element('span', { class: 'absent' }, 'empty')] : shown(p.value);
  return element('div', {}, element('pre', {}, ...words), wholeButton(p, whole));
}

function parkedEntry(page, p, mayChange) {
  const whole = (button) => showWhole(page, button, `parked/${p.lsn}`, (all) => parkedEntry(page, all, mayChange));
  const times = [`written ${moment(p.made_at_ms)}`, p.expires_at_ms ? `expires ${moment(p.expires_at_ms)}` : undefined];

  return element('article', { class: 'entry' },
    element('header', {},
      element('h3', { class: 'key' }, ...shown(p.key), p.in_doubt ? element('span', { class: 'tag doubt' }, 'in doubt') : undefined),
      element('p', { class: 'about' }, `${p.kind} · ${times.filter(Boolean).join(' · ')} · LSN ${p.lsn}`)),
    element('p', { class: 'because' }, p.reason),
    parkedValue(p, whole),
    mayChange ? parkedButtons(page, p) : undefined);
}

export async function showParked(page, section, mayChange, total) {
  const list = total > 0 ? await look('parked') : [];

  setCount(section, countOf(list, total), 'None.');
  update(entriesOf(section), [
    ...list.map((p) => ({ data: [p, mayChange], make: () => parkedEntry(page, p, mayChange) })),
    ...firstOf(list.length, total),
  ]);
}

/* ---- slow commands ---- */

function slowRow(c, longest) {
  return element('li', {},
    element('span', { class: 'took' }, latency(c.us),
      element('meter', { min: '0', max: String(longest), value: String(c.us), 'aria-hidden': 'true' })),
    element('span', { class: 'what' },
      element('span', { class: 'command' }, c.command.toUpperCase()), ' ',
      element('span', { class: 'key' }, ...shown(c.key)),
      c.failed ? element('span', { class: 'tag doubt' }, 'error') : undefined),
    element('span', { class: 'about' }, `${moment(c.at_ms)} · ${c.client_name ? `${c.client_name}, ` : ''}${c.client}`));
}

export async function showSlow(section, order) {
  const { after_ms: after, commands } = await look('slow');
  const list = order === 'slowest' ? [...commands].sort((a, b) => b.us - a.us) : commands;
  const longest = Math.max(1, ...commands.map((c) => c.us));

  const words = after ? `None over ${after} ms since the start.` : 'Not kept: sidecar.slow_after is 0.';

  setCount(section, commands.length, words);
  if (commands.length) section.querySelector('.hint').textContent = `over ${after} ms`;
  update(entriesOf(section), list.map((c) => ({ data: [c, longest], make: () => slowRow(c, longest) })));
}

/* ---- namespaces ---- */

function policies(ns) {
  const all = [fact('write', ns.write)];

  if (ns.write !== 'local') {
    all.push(fact('read', ns.read), fact('outage', ns.outage), fact('conflict', ns.conflict), fact('writers', ns.writers), fact('on loss', ns.on_loss));
    if (!ns.change_log) all.push(fact('change log', 'off'));
    if (ns.tentative) all.push(fact('tentative', 'yes'));
  }
  if (ns.default_ttl_ms) all.push(fact('default TTL', duration(ns.default_ttl_ms)));
  if (ns.hits + ns.misses > 0) all.push(fact('reads', `${plural(ns.hits, 'hit', 'hits')}, ${plural(ns.misses, 'miss', 'misses')}`, 'wide'));
  return element('dl', { class: 'policies' }, ...all);
}

function namespaceRow(ns, hasOthers) {
  const name = ns.prefix === ''
    ? element('h3', { class: 'all' }, hasOthers ? 'all other keys' : 'all keys')
    : element('h3', { class: 'key' }, ...shown(ns.prefix));

  return element('li', {}, name, policies(ns));
}

export async function showNamespaces(section) {
  const list = await look('namespaces');

  setCount(section, list.length);
  update(entriesOf(section), list.map((ns) => ({ data: [ns, list.length], make: () => namespaceRow(ns, list.length > 1) })));
}

