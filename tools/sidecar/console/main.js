/* The page: who looks, what is asked for when, and what is said at the top. */
import { logIn, logOut, look, Refusal, session as askSession, Silence } from './api.js';
import { showConflicts, showNamespaces, showParked, showSlow } from './lists.js';
import { History, listChanges, Plot } from './plot.js';
import { count, duration, element, plural, printable, size, time, update } from './text.js';

const TURN_MS = 1000;
const STATUS_EVERY = 2; /* turns, while all is well */
const SLOW_EVERY = 4;
const LISTS_EVERY = 15; /* the lists are asked for at once when their numbers change */
const KEEP_MS = 905000;

const byId = (id) => document.getElementById(id);
const history = new History();
const plot = new Plot(byId('plot'), byId('readout'), history);

let who = { may_look: false, may_change: false, open: false };
let status; /* as HOLDFAST STATUS tells it */
let turn = 0;
let timer;
let isGoing = false;
let shownLists = ''; /* the numbers that the lists were shown for */
let silentSince; /* the sidecar does not answer; ms */
let saidTimer;

/* ---- saying ---- */

function say(words, isWrong = false) {
  const place = byId('said');

  place.textContent = words;
  place.classList.toggle('wrong', isWrong);
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => { place.textContent = ''; }, isWrong ? 12000 : 7000);
}

function setSilent(isSilent) {
  silentSince = isSilent ? (silentSince ?? Date.now()) : undefined;
  document.body.classList.toggle('is-silent', isSilent);
  byId('silent').hidden = !isSilent;
  if (!isSilent) return;
  byId('state').dataset.state = '';
  byId('state-word').textContent = 'No answer';
  byId('state-since').textContent = '';
  byId('state-reason').textContent = '';
  document.title = 'no answer · Holdfast';
  byId('silent').textContent = `The sidecar has not answered since ${time(silentSince)}. What is shown is older; it is asked again every second.`;
}

/* ---- who looks ---- */

function showLogin(isNeeded) {
  if (!byId('login').hidden) return;
  byId('login').hidden = false;
  byId('console').hidden = true;
  byId('cancel').hidden = isNeeded;
  byId('wrong').textContent = '';
  (byId('user').value ? byId('password') : byId('user')).focus();
}

function showWho() {
  const hasSession = Boolean(who.token);

  byId('who').textContent = who.may_change ? who.user
    : who.open ? 'Read only: no password is configured'
    : who.may_look ? `${who.user}, read only` : '';
  byId('log-in').hidden = !who.may_look || hasSession || who.open;
  byId('log-out').hidden = !hasSession;
}

function take(session) {
  const before = who;

  who = session;
  showWho();
  if (!who.may_look) {
    showLogin(true);
    return;
  }
  byId('login').hidden = true;
  byId('console').hidden = false;
  if (before.may_change !== who.may_change) shownLists = '';
}

byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  byId('wrong').textContent = '';
  try {
    take(await logIn(byId('user').value, byId('password').value));
    byId('password').value = '';
    history.forget();
    await go();
  } catch (error) {
    byId('wrong').textContent = error instanceof Silence ? 'The sidecar does not answer.' : error.message;
    byId('password').select();
  }
});

byId('cancel').addEventListener('click', () => take(who));
byId('log-in').addEventListener('click', () => showLogin(false));
byId('log-out').addEventListener('click', async () => {
  take(await logOut().catch(() => who));
  history.forget();
  await go();
});

/* ---- the link ---- */

const words = {
  online: 'Online',
  offline: 'Offline',
  connecting: 'Connecting',
  'catching up': 'Catching up',
  replaying: 'Replaying',
  held: 'Held',
  disabled: 'Local',
};

/* Why it is so, for the states that say nothing themselves. */
function reasonOf(state) {
  if (status?.stopped) return 'A sync failed: the store takes no writes until it is opened again.';
  if (status?.paused) return 'An operator has paused sending to Redis.';
  if (state.state === 'online') return 'Writes go through to Redis.';
  if (state.state === 'disabled') return 'There is no Redis: the store works alone.';
  if (state.state === 'replaying') return 'What Redis missed is being compared and sent.';
  return status?.link_reason || state.reason || '';
}

function showState() {
  const state = history.states().at(-1);

  if (!state) return;
  byId('state').dataset.state = state.state;
  byId('state-word').textContent = words[state.state] ?? state.state;
  byId('state-since').textContent = state.began || history.changes.length
    ? `for ${duration(Math.max(0, history.now - (state.began ?? state.from)))}`
    : `for more than ${duration(history.now - state.from)}`;
  byId('state-reason').replaceChildren(...printable(reasonOf(state)));
  document.title = `${state.state} · Holdfast`;
  showProgress(state);
}

/* Of the replay under way: the most that has waited since it began, and what is left. */
function showProgress(state) {
  const begun = history.states().findLast(({ state: name }) => name === 'catching up')?.from ?? state.from;
  const isReplaying = state.state === 'replaying' || state.state === 'catching up';
  const seen = history.samples.filter((sample) => sample.at >= begun - history.everyMs);
  const all = Math.max(0, ...seen.map((sample) => sample.pending));
  const left = history.samples.at(-1).pending;
  const rates = seen.slice(-5).map((sample) => sample.rate);
  const rate = rates.reduce((sum, r) => sum + r, 0) / rates.length;

  byId('progress').hidden = !isReplaying || all === 0;
  if (!isReplaying || all === 0) return;
  byId('progress-bar').value = (all - left) / all;
  byId('progress-text').textContent = `${count(all - left)} of ${count(all)} replayed` +
    (rate >= 1 ? ` · ${count(Math.round(rate))} a second · about ${duration((left / rate) * 1000)} left` : '');
}

function figure(name, value, detail, isNotable) {
  return element('div', { class: isNotable ? 'notable' : '' }, element('dt', {}, name),
    element('dd', {}, value, detail ? element('small', {}, detail) : undefined));
}

function showFigures() {
  const s = status;
  const used = s.max_disk_bytes ? Math.round((s.disk_used_bytes / s.max_disk_bytes) * 100) : 0;

  byId('figures').replaceChildren(
    figure('Pending', count(s.pending_keys), s.pending_keys ? `oldest ${duration(s.oldest_pending_ms)}` : 'all is shared', s.pending_keys > 0),
    figure('Conflicts', count(s.conflicts), s.conflicts ? 'to be looked at' : 'none open', s.conflicts > 0),
    figure('Parked', count(s.parked), s.in_doubt ? `${count(s.in_doubt)} in doubt` : s.parked ? 'refused' : 'none', s.parked > 0),
    figure('Keys here', count(s.keys), `${size(s.disk_used_bytes)}, ${used} % of the disk`),
    figure('Replayed', count(s.replayed_ops), `${plural(s.link_losses, 'loss', 'losses')} of the link`),
  );
  byId('node').textContent = `node ${s.node.slice(0, 8)} · ${who.version}`;
}

/* ---- asking ---- */

async function refreshHistory() {
  const first = await look(`history?${history.known}`);

  if (!history.take(first, KEEP_MS)) history.take(await look('history'), KEEP_MS);
  plot.draw();
  showState();
  update(byId('changes'), listChanges(history));
  byId('n-changes').textContent = count(history.states().length - 1);
}

async function refreshLists() {
  const key = JSON.stringify([status.conflicts, status.blind_conflicts, status.parked, who.may_change]);

  if (key === shownLists && turn % LISTS_EVERY !== 0) return;
  await showConflicts(page, byId('conflicts'), who.may_change, status.conflicts, status.blind_conflicts);
  await showParked(page, byId('parked'), who.may_change, status.parked);
  await showNamespaces(byId('namespaces'));
  shownLists = key;
}

async function refreshStatus() {
  status = await look('status');
  showFigures();
  await refreshLists();
}

const order = () => document.querySelector('input[name=order]:checked').value;

/* What the lists may do with the page. */
const page = {
  say,
  async refresh() {
    shownLists = '';
    await refreshStatus().catch(failed);
  },
};

async function once() {
  await refreshHistory();
  if (turn % STATUS_EVERY === 0 || history.states().at(-1)?.state !== 'online') await refreshStatus();
  if (turn % SLOW_EVERY === 0) await showSlow(byId('slow'), order());
  turn++;
}

/* A session may have ended meanwhile. */
async function failed(error) {
  if (error instanceof Silence) {
    setSilent(true);
    return;
  }
  if (error instanceof Refusal && error.status === 401) {
    take(await askSession());
    return;
  }
  say(error.message, true);
  if (!(error instanceof Refusal)) console.error(error);
}

async function go() {
  if (isGoing) return;
  isGoing = true;
  clearTimeout(timer);
  try {
    if (!who.may_look || silentSince) {
      take(await askSession());
      turn = 0;
    }
    if (who.may_look) await once();
    setSilent(false);
  } catch (error) {
    await failed(error).catch(() => setSilent(true)); /* the session could not be asked for */
  }
  isGoing = false;
  if (!document.hidden) timer = setTimeout(go, TURN_MS);
}

/* A page that nobody sees asks for nothing. */
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) go();
});

for (const input of document.querySelectorAll('input[name=span]')) {
  input.addEventListener('change', () => {
    plot.spanMs = Number(input.value) * 1000;
    byId('span-word').textContent = input.value === '60' ? 'minute' : `${Number(input.value) / 60} minutes`;
    plot.draw();
  });
}
for (const input of document.querySelectorAll('input[name=order]'))
  input.addEventListener('change', () => showSlow(byId('slow'), order()).catch(failed));

go();
