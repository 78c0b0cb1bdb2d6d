/* What the checks of the clients for Node share: a line for each check, bounded waits, and the world that they change. */
'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

const CHECK_MS = 40000;
const port = Number(process.env.HOLDFASTD_PORT);
const ca = process.env.HOLDFASTD_CA;
const tls = ca && { ca: fs.readFileSync(ca) };

/* redis-stop, redis-start or sidecar-restart; see the program `run`. */
function world(verb) {
  const answer = Buffer.alloc(16);
  const fd = fs.openSync(process.env.WORLD_ANSWER, 'r+');

  fs.writeFileSync(process.env.WORLD_ASK, `${verb}\n`);
  fs.readSync(fd, answer);
  fs.closeSync(fd);
}

/* What the Redis behind says, asked without holdfastd. */
function redis(...words) {
  const options = ['-s', process.env.REDIS_SOCKET, '--raw'];

  return execFileSync('redis-cli', [...options, ...words], { encoding: 'utf8', timeout: CHECK_MS }).replace(/\n$/, '');
}

/* Until `look` gives what is expected; the check's own bound ends a wait in vain. */
async function until(look, expected) {
  for (let found; ; await sleep(20)) {
    found = await look();
    if (found === expected) return;
    until.sentence = `it was ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`;
  }
}

async function tooLong(signal) {
  await sleep(CHECK_MS, undefined, { signal });
  throw new Error(`not done after ${CHECK_MS} ms; ${until.sentence ?? 'no reply'}`);
}

async function check(name, body) {
  const done = new AbortController();

  until.sentence = undefined;
  await Promise.race([body(), tooLong(done.signal)]);
  done.abort();
  console.log(`ok ${name}`);
}

/* A check for each member of `bodies`, in their order; the first that fails ends the process. */
async function checks(bodies) {
  for (const [name, body] of Object.entries(bodies)) {
    await check(name, body).catch((error) => {
      console.log(`FAILED ${name}: ${error.stack}`);
      process.exit(1);
    });
  }
  process.exit(0);
}

module.exports = { assert, checks, port, redis, sleep, tls, until, world };
