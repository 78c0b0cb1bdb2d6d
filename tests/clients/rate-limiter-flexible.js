/* A rate limiter as the documentation of rate-limiter-flexible shows it: counted in Redis by a script, with a limiter in memory as
 * its insurance against an outage; with the client that is named: rate-limiter-flexible.js ioredis|redis */
'use strict';
const { RateLimiterMemory, RateLimiterRedis } = require('rate-limiter-flexible');
const { assert, checks, port, redis, until, world } = require('./checks');

const LIMIT = { points: 5, duration: 600 };
const packages = { ioredis: makeIoredis, redis: makeRedis };
let limiter, uninsured;

/* What the limiter wants of each of the two: a command that cannot be sent now must fail, so that the insurance counts. */
async function makeIoredis() {
  const Redis = require('ioredis');
  const client = new Redis({ port, enableOfflineQueue: false });

  client.on('error', () => {});
  await new Promise((resolve) => client.once('ready', resolve));
  return { storeClient: client };
}

async function makeRedis() {
  const client = require('redis').createClient({ socket: { port }, disableOfflineQueue: true });

  client.on('error', () => {});
  await client.connect();
  return { storeClient: client, useRedisPackage: true };
}

async function isAdmitted(key) {
  try {
    await limiter.consume(key);
    return true;
  } catch (refusal) {
    if (refusal instanceof Error) throw refusal;
    return false;
  }
}

/* How many of `n` requests were let through. */
async function admitted(n, key) {
  let count = 0;

  for (let i = 0; i < n; i++) count += await isAdmitted(key);
  return count;
}

/* Whether Redis counts, not the insurance. */
function isCounted(key) {
  return uninsured.consume(key).then(() => true, () => false);
}

checks({
  async connect() {
    const client = await packages[process.argv[2]]();
    const common = { ...LIMIT, ...client, keyPrefix: 'limit' };

    uninsured = new RateLimiterRedis(common);
    limiter = new RateLimiterRedis({ ...common, insuranceLimiter: new RateLimiterMemory(LIMIT) });
  },

  async limit() {
    assert.equal(await admitted(7, 'alice'), 5);
    assert.equal(redis('get', 'limit:alice'), '7');
    const result = await limiter.get('alice');
    assert.equal(result.consumedPoints, 7);
    assert.ok(result.msBeforeNext > 500000 && result.msBeforeNext <= 600000);
    await limiter.penalty('bob', 3);
    assert.equal(await admitted(4, 'bob'), 2);
    assert.equal(await limiter.delete('bob'), true);
    assert.equal(redis('exists', 'limit:bob'), '0');
  },

  /* A script is Redis's to run: it is refused at once, and the insurance counts meanwhile. */
  async outage() {
    world('redis-stop');
    await assert.rejects(uninsured.consume('carol'), { message: /^OFFLINE/ });
    assert.equal(await admitted(7, 'carol'), 5);
    world('redis-start');
    await until(() => isCounted('dave'), true);
    assert.equal(await admitted(7, 'erin'), 5);
    assert.equal(redis('get', 'limit:erin'), '7');
    assert.equal((await limiter.get('alice')).consumedPoints, 7);
  },

  async reconnect() {
    world('sidecar-restart');
    await until(() => isCounted('frank'), true);
    assert.equal((await limiter.get('alice')).consumedPoints, 7);
  },
});
