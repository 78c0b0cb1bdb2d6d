/* Sessions of a web application, kept with express-session and connect-redis as their documentation shows, over an outage. */
'use strict';
const { RedisStore } = require('connect-redis');
const express = require('express');
const session = require('express-session');
const { createClient } = require('redis');
const { assert, checks, port, redis, until, world } = require('./checks');

const redisClient = createClient({ socket: { port } });
const redisStore = new RedisStore({ client: redisClient, prefix: 'myapp:' });
const app = express();
let site;

redisClient.on('error', () => {});
app.use(session({ store: redisStore, resave: false, saveUninitialized: false, secret: 'keyboard cat', cookie: { maxAge: 3600000 } }));
app.get('/', (request, response) => {
  request.session.views = (request.session.views ?? 0) + 1;
  response.json({ views: request.session.views, id: request.sessionID });
});
app.get('/logout', (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : response.json({})));
});

/* A browser: it gives back the cookie that it was given. */
class Browser {
  async get(path) {
    const response = await fetch(`${site}${path}`, { headers: this.cookie ? { cookie: this.cookie } : {} });

    assert.equal(response.status, 200, path);
    this.cookie = response.headers.get('set-cookie')?.split(';')[0] ?? this.cookie;
    return response.json();
  }
}

const [first, second, third] = [new Browser(), new Browser(), new Browser()];
let firstId;

function viewsBehind(id) {
  return JSON.parse(redis('get', `myapp:${id}`) || '{}').views;
}

function sessions() {
  return new Promise((resolve, reject) => redisStore.all((error, all) => (error ? reject(error) : resolve(all))));
}

async function restart() {
  const ready = new Promise((resolve) => redisClient.once('ready', resolve));

  world('sidecar-restart');
  await ready;
}

checks({
  async connect() {
    await redisClient.connect();
    await new Promise((resolve) => {
      const server = app.listen(0, '127.0.0.1', () => {
        site = `http://127.0.0.1:${server.address().port}`;
        resolve();
      });
    });
  },

  async session() {
    firstId = (await first.get('/')).id;
    assert.deepEqual(await first.get('/'), { views: 2, id: firstId });
    assert.equal((await second.get('/')).views, 1);
    assert.equal(viewsBehind(firstId), 2);
    const left = Number(redis('ttl', `myapp:${firstId}`));
    assert.ok(left > 3500 && left <= 3600, `a time to live of ${left} s`);
  },

  async outage() {
    world('redis-stop');
    assert.deepEqual(await first.get('/'), { views: 3, id: firstId });
    assert.equal((await third.get('/')).views, 1);
    const thirdId = (await third.get('/')).id;
    await second.get('/logout');
    assert.equal((await second.get('/')).views, 1);
    assert.equal((await sessions()).length, 3);
    world('redis-start');
    await until(() => viewsBehind(firstId), 3);
    await until(() => viewsBehind(thirdId), 2);
    await until(() => redis('--scan', '--pattern', 'myapp:*').split('\n').length, 3);
    const left = Number(redis('ttl', `myapp:${firstId}`));
    assert.ok(left > 3500 && left <= 3600, `a time to live of ${left} s`);
  },

  /* What was written while Redis was away outlives a restart of holdfastd, and is still shared afterwards. */
  async restart() {
    await restart();
    assert.deepEqual(await first.get('/'), { views: 4, id: firstId });
    assert.equal(viewsBehind(firstId), 4);
    world('redis-stop');
    assert.equal((await first.get('/')).views, 5);
    await restart();
    assert.equal((await first.get('/')).views, 6);
    world('redis-start');
    await until(() => viewsBehind(firstId), 6);
  },
});
