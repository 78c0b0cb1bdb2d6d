/* node-redis against holdfastd, once with each protocol: node-redis.js 2|3 */
'use strict';
const { createClient, RESP_TYPES, WatchError } = require('redis');
const { assert, checks, port, redis, until, world } = require('./checks');

const client = createClient({ RESP: Number(process.argv[2]), socket: { port } });
const subscriber = client.duplicate();
const heard = [];

/* Reconnecting is its own business; that it had to is no error here. */
client.on('error', () => {});
subscriber.on('error', () => {});

async function hears(message) {
  await until(() => heard.includes(message), true);
}

checks({
  async connect() {
    const bytes = Buffer.from([0, 255, 13, 10, 0]);

    await client.connect();
    await subscriber.connect();
    assert.equal(await client.ping(), 'PONG');
    assert.match(await client.info(), /redis_version:7/);
    assert.equal(await client.set('bytes', bytes), 'OK');
    const raw = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    assert.deepEqual(await raw.get('bytes'), bytes);
    assert.equal(await client.get('nothing'), null);
    await client.hSet('map', { one: '1', two: '2' });
    assert.deepEqual({ ...(await client.hGetAll('map')) }, { one: '1', two: '2' });
  },

  /* What is called in one turn of the program is sent in one piece. */
  async pipeline() {
    const sent = [];

    for (let i = 0; i < 1000; i++) sent.push(client.set(`p:${i}`, String(i)), client.get(`p:${i}`));
    (await Promise.all(sent)).forEach((reply, i) => assert.equal(reply, i % 2 === 0 ? 'OK' : String((i - 1) / 2)));
    assert.equal(redis('get', 'p:999'), '999');
  },

  async transaction() {
    const replies = await client.multi().set('t', '1').incr('t').hSet('hash', 'field', 'value').get('t').exec();

    assert.deepEqual(replies, ['OK', 2, 1, '2']);
    await client.watch('t');
    redis('set', 't', '7');
    await assert.rejects(client.multi().set('t', '8').exec(), WatchError);
    assert.equal(redis('get', 't'), '7');
  },

  async expiry() {
    await client.set('short', 'x', { expiration: { type: 'PX', value: 150 } });
    await client.set('long', 'x', { expiration: { type: 'EX', value: 100 } });
    const left = await client.pTTL('long');
    assert.ok(left > 0 && left <= 100000);
    await until(() => client.get('short'), null);
    assert.equal(await client.persist('long'), 1);
    assert.equal(await client.ttl('long'), -1);
  },

  async subscribe() {
    await subscriber.subscribe('news', (message) => heard.push(message));
    await client.publish('news', 'from here');
    await hears('from here');
    redis('publish', 'news', 'from there');
    await hears('from there');
  },

  async reconnect() {
    world('sidecar-restart');
    await until(() => client.get('p:999').catch(() => undefined), '999');
    await until(() => client.pubSubNumSub(['news']).then((counts) => counts.news), 1);
    await client.publish('news', 'again');
    await hears('again');
  },

  async outage() {
    assert.equal(await client.incrBy('counter', 3), 3);
    world('redis-stop');
    assert.equal(await client.set('offline', 'written'), 'OK');
    assert.equal(await client.get('offline'), 'written');
    assert.equal(await client.incrBy('counter', 2), 5);
    assert.equal(await client.del('p:1'), 1);
    assert.deepEqual(await client.multi().set('a', '1').set('b', '2').exec(), ['OK', 'OK']);
    await assert.rejects(client.hGet('hash', 'field'), { message: /^OFFLINE/ });
    await client.publish('news', 'offline');
    await hears('offline');
    world('redis-start');
    await until(() => redis('mget', 'offline', 'counter', 'p:1', 'a', 'b'), 'written\n5\n\n1\n2');
    await until(() => client.hGet('hash', 'field').catch(() => undefined), 'value');
  },
});
