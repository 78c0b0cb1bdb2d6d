/* ioredis against holdfastd. */
'use strict';
const Redis = require('ioredis');
const { assert, checks, port, redis, tls, until, world } = require('./checks');

const client = new Redis({ port, tls });
const subscriber = new Redis({ port, tls });
const heard = [];

/* Reconnecting is its own business; that it had to is no error here. */
client.on('error', () => {});
subscriber.on('error', () => {});
subscriber.on('message', (channel, message) => heard.push(`${channel} ${message}`));

async function hears(message) {
  await until(() => heard.includes(`news ${message}`), true);
}

checks({
  async connect() {
    const bytes = Buffer.from([0, 255, 13, 10, 0]);

    assert.equal(await client.ping(), 'PONG');
    assert.match(await client.info(), /redis_version:7/);
    assert.equal(await client.set('bytes', bytes), 'OK');
    assert.deepEqual(await client.getBuffer('bytes'), bytes);
    assert.equal(await client.get('nothing'), null);
  },

  async pipeline() {
    const pipeline = client.pipeline();

    for (let i = 0; i < 1000; i++) pipeline.set(`p:${i}`, i).get(`p:${i}`);
    const replies = await pipeline.exec();
    replies.forEach(([error, reply], i) => {
      assert.equal(error, null);
      assert.equal(reply, i % 2 === 0 ? 'OK' : String((i - 1) / 2));
    });
    assert.equal(redis('get', 'p:999'), '999');
  },

  async transaction() {
    const replies = await client.multi().set('t', 1).incr('t').hset('hash', 'field', 'value').get('t').exec();

    assert.deepEqual(replies.map(([, reply]) => reply), ['OK', 2, 1, '2']);
    await client.watch('t');
    redis('set', 't', '7');
    assert.equal(await client.multi().set('t', 8).exec(), null);
    assert.equal(redis('get', 't'), '7');
  },

  async expiry() {
    await client.set('short', 'x', 'PX', 150);
    await client.set('long', 'x', 'EX', 100);
    const left = await client.pttl('long');
    assert.ok(left > 0 && left <= 100000);
    await until(() => client.get('short'), null);
    assert.equal(await client.persist('long'), 1);
    assert.equal(await client.ttl('long'), -1);
  },

  async subscribe() {
    await subscriber.subscribe('news');
    await client.publish('news', 'from here');
    await hears('from here');
    redis('publish', 'news', 'from there');
    await hears('from there');
  },

  async reconnect() {
    world('sidecar-restart');
    await until(() => client.get('p:999'), '999');
    await until(() => client.pubsub('NUMSUB', 'news').then((reply) => reply[1]), 1);
    await client.publish('news', 'again');
    await hears('again');
  },

  async outage() {
    assert.equal(await client.incrby('counter', 3), 3);
    world('redis-stop');
    assert.equal(await client.set('offline', 'written'), 'OK');
    assert.equal(await client.get('offline'), 'written');
    assert.equal(await client.incrby('counter', 2), 5);
    assert.equal(await client.del('p:1'), 1);
    assert.deepEqual((await client.multi().set('a', 1).set('b', 2).exec()).map(([, reply]) => reply), ['OK', 'OK']);
    await assert.rejects(client.hget('hash', 'field'), /^ReplyError: OFFLINE/);
    await client.publish('news', 'offline');
    await hears('offline');
    world('redis-start');
    await until(() => redis('mget', 'offline', 'counter', 'p:1', 'a', 'b'), 'written\n5\n\n1\n2');
    await until(() => client.hget('hash', 'field').catch(() => undefined), 'value');
  },
});
