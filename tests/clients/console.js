/* The console in a browser: the story of an outage, as an operator sees it. With CONSOLE_PICTURES it leaves pictures in that folder. */
'use strict';
const path = require('node:path');
const Redis = require('ioredis');
const { chromium } = require('playwright-core');
const { assert, checks, port, redis, until, world } = require('./checks');

const site = `http://127.0.0.1:${process.env.HOLDFASTD_HTTP_PORT}/`;
const password = process.env.CONSOLE_PASSWORD;
const pictures = process.env.CONSOLE_PICTURES;
const desktop = { width: 1280, height: 860 };
const phone = { width: 375, height: 812 };
const hostile = 'zone:<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
const WAITING = 1500;
const PAST_MS = 30000; /* what the plots of a picture show before the outage */
const PACE = 300; /* changes a second, so that the replay can be watched */

delete process.env.REDISCLI_AUTH; /* it is for the sidecar alone */
const client = new Redis({ port, password, connectionName: 'checkout-7' });
client.on('error', () => {});

const profile = path.join(path.dirname(process.env.REDIS_SOCKET), 'browser'); /* goes with the directory of this run */
let browser, page;
const wrongs = []; /* what the browser had to complain of */

/* ---- looking ---- */

const textOf = (selector) => page.locator(selector).textContent();
const state = () => textOf('#state-word');
const shows = (word) => until(state, word);
const states = () => page.locator('.plot rect.state').evaluateAll((all) => all.map((rect) => rect.dataset.state));
const figure = async (name) => page.locator('#figures div', { hasText: name }).locator('dd').evaluate((dd) => dd.firstChild.textContent);
const entry = (list, key) => page.locator(`#${list} article`, { hasText: key });

function watch(seen) {
  seen.on('console', (message) => message.type() === 'error' && wrongs.push(message.text()));
  seen.on('pageerror', (error) => wrongs.push(String(error)));
}

/* In light and dark, on a desktop and on a phone: nothing is wider than the screen. */
async function picture(name) {
  for (const [device, viewport] of [['desktop', desktop], ['phone', phone]]) {
    await page.setViewportSize(viewport);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(over <= 0, `${name} is ${over} pixels wider than a ${device}`);
    if (!pictures) continue;
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(150); /* for the colours to be drawn: it is a picture, and no check */
      await page.screenshot({ path: path.join(pictures, `${name}-${device}-${colorScheme}.png`) });
    }
    await page.emulateMedia({ colorScheme: null });
  }
  await page.setViewportSize(desktop);
}

async function openPage() {
  const opened = await browser.newPage({ viewport: desktop });

  watch(opened);
  await opened.goto(site);
  return opened;
}

async function logIn(seen, secret) {
  await seen.fill('#password', secret);
  await seen.press('#password', 'Enter');
}

async function write(n) {
  for (let i = 0; i < n; i += 500) {
    const pipeline = client.pipeline();

    for (let k = i; k < Math.min(n, i + 500); k++) pipeline.set(`cart:${k}`, `{"items":${k % 7}}`);
    await pipeline.exec();
  }
}

const holdfast = (...words) => client.call('holdfast', ...words);

/* ---- the checks ---- */

const connect = {
  async connect() {
    browser = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: true,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
      viewport: desktop,
    });
    page = browser.pages()[0];
    watch(page);
    await page.goto(site);
  },
};

const end = {
  async end() {
    await browser.close();
  },
};

const withPassword = {
  ...connect,

  async login() {
    await page.waitForSelector('#login:not([hidden])');
    assert.ok(await page.locator('#console').isHidden());
    assert.ok(!(await page.content()).includes('node '));
    await picture('login');
    await logIn(page, 'wrong');
    await until(() => textOf('#wrong'), 'no such user with this password');
    await logIn(page, password);
    await shows('Online');
    assert.equal(await page.locator('#login').isVisible(), false);
    wrongs.length = 0; /* the answer 401 is one */
  },

  async online() {
    await client.set('account:42', '{"user":"ada","cart":[17,4]}');
    await client.set('article:4711', '{"left":12}');
    await client.set(hostile, 'before');
    await client.set('zone:long', 'before');
    await client.set('zone:blob', 'before');
    await client.hset('profile:9', 'name', 'ada'); /* is passed on, which takes its time */
    await until(() => figure('Pending'), '0');
    await until(async () => (await states()).includes('online'), true);
    assert.match(await textOf('#namespaces'), /account:.*newest.*token:.*refuse/s);
    if (pictures) await page.waitForTimeout(PAST_MS);
    await picture('online');
  },

  async offline() {
    world('redis-stop');
    await shows('Offline');
    await until(async () => (await textOf('#state-reason')).includes('redis.sock'), true);
    await client.set('account:42', '{"user":"ada","cart":[17,4,99]}');
    await client.set('article:4711', '{"left":11}');
    await client.set(hostile, hostile);
    await client.set('zone:blob', Buffer.from([0, 1, 2, 250, 251, 252]));
    await client.set('zone:long', `${'€'.repeat(100)}the end`);
    await client.incr('quota:9');
    await write(WAITING);
    await until(() => figure('Pending'), (WAITING + 6).toLocaleString('en'));
    await page.click('text=1 min');
    await until(async () => (await states()).includes('offline'), true);
    await picture('offline');
  },

  /* The link is paused, so that somebody else is faster than we are. */
  async replaying() {
    await holdfast('pause');
    world('redis-return');
    redis('set', 'account:42', '{"user":"ada","cart":[17,5]}');
    redis('set', 'article:4711', '{"left":3}');
    redis('set', hostile, 'theirs');
    redis('set', 'zone:blob', 'text');
    redis('set', 'zone:long', 'theirs');
    redis('set', 'quota:9', 'many');
    await holdfast('throttle', 'ops', PACE);
    await holdfast('resume');
    await shows('Replaying');
    await until(() => page.locator('#progress').isVisible(), true);
    await until(async () => Number((await textOf('#progress-text')).match(/^([\d,]+) of/)?.[1].replace(',', '')) > PACE, true);
    assert.match(await textOf('#progress-text'), /of 1,5\d\d replayed · \d+ a second · about .* left/);
    await picture('replaying');
  },

  async back() {
    await shows('Online');
    await until(() => figure('Pending'), '0');
    assert.equal(await page.locator('#progress').isVisible(), false);
    const seen = await states();
    for (const name of ['offline', 'replaying', 'online']) assert.ok(seen.includes(name), `${name} is not on the timeline`);
  },

  async conflicts() {
    await until(() => figure('Conflicts'), '5');
    await entry('conflicts', 'account:42').waitFor();
    const shown = await entry('conflicts', 'account:42').textContent();
    assert.match(shown, /\[17,4,99\].*\[17,5\]/s);
    assert.match(await entry('conflicts', 'zone:blob').textContent(), /00 01 02 fa fb fc.*text/s);
    assert.ok((await page.locator('#conflicts').textContent()).includes(hostile));
    assert.equal(await page.locator('#conflicts img').count(), 0);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.match(await textOf('#parked'), /quota:9/);
    await picture('conflicts');
  },

  async whole() {
    const long = entry('conflicts', 'zone:long');

    assert.ok(!(await long.textContent()).includes('the end'));
    await long.locator('text=Show all 307 bytes').click();
    await until(async () => (await long.textContent()).includes('€the end'), true);
    assert.equal(await long.locator('text=Show all').count(), 0);
  },

  async resolve() {
    await entry('conflicts', 'account:42').locator('text=Restore ours').click();
    await until(() => redis('get', 'account:42'), '{"user":"ada","cart":[17,4,99]}');
    await until(() => entry('conflicts', 'account:42').count(), 0);
    await entry('conflicts', 'article:4711').locator('text=Keep theirs').focus();
    await page.keyboard.press('Enter');
    await until(() => entry('conflicts', 'article:4711').count(), 0);
    assert.equal(redis('get', 'article:4711'), '{"left":3}');
    await until(() => figure('Conflicts'), '3');
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'BUTTON'); /* of the next entry */
    assert.ok((await entry('conflicts', 'zone:long').textContent()).includes('€the end')); /* what did not change stays */
  },

  /* What cannot be undone is asked twice. */
  async parked() {
    redis('set', 'quota:9', '5');
    await entry('parked', 'quota:9').locator('button', { hasText: 'Drop' }).click();
    assert.equal(await entry('parked', 'quota:9').count(), 1);
    await entry('parked', 'quota:9').locator('button', { hasText: 'equeue' }).click();
    await until(() => redis('get', 'quota:9'), '6');
    await until(() => entry('parked', 'quota:9').count(), 0);
  },

  async keyboard() {
    await page.focus('#plot');
    await page.keyboard.press('ArrowLeft');
    assert.match(await textOf('#readout'), /(online|replaying) for .* pending/); /* each second has one sample */
    await page.keyboard.press('Escape');
    assert.equal(await textOf('#readout'), '');
  },

  async late() {
    const late = await openPage();

    await late.waitForSelector('rect[data-state=offline]');
    await late.waitForSelector('rect[data-state=replaying]');
    await late.click('.changes summary');
    assert.match(await late.textContent('#changes'), /online.*replaying.*offline.*online/s);
    await late.close();
    assert.deepEqual(wrongs, []);
  },

  async silence() {
    world('sidecar-stop');
    await until(() => page.locator('#silent').isVisible(), true);
    assert.match(await textOf('#silent'), /has not answered/);
    await picture('silent');
    world('sidecar-start');
    await page.waitForSelector('#login:not([hidden])'); /* the session has ended with the process */
    assert.ok(await page.locator('#silent').isHidden());
  },

  ...end,
};

const withoutPassword = {
  ...connect,

  async readOnly() {
    await shows('Online');
    assert.match(await textOf('#who'), /Read only/);
    await client.set('account:42', 'ours');
    await holdfast('pause');
    await client.set('account:42', 'ours again');
    redis('set', 'account:42', 'theirs');
    await holdfast('resume');
    await entry('conflicts', 'account:42').waitFor();
    assert.equal(await page.locator('article button').count(), 0);
    assert.equal(await page.locator('#log-in').isVisible(), false);
    await picture('read-only');
    assert.deepEqual(wrongs, []);
  },

  async refused() {
    const status = await page.evaluate(async () => {
      const [conflict] = await (await fetch('api/conflicts')).json();
      const answer = await fetch('api/conflicts/restore', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Holdfast-Token': '' },
        body: JSON.stringify({ number: conflict.id }),
      });
      return answer.status;
    });

    assert.equal(status, 401);
    assert.equal(await entry('conflicts', 'account:42').count(), 1);
    assert.equal(redis('get', 'account:42'), 'theirs');
  },

  ...end,
};

checks(password ? withPassword : withoutPassword);
