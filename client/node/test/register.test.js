'use strict';

/* Which calls of fetch() go to the daemon, what they are answered, and that all others are
 * untouched. */

const assert = require('node:assert/strict');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');

const { createClient } = require('../src/index.js');
const { tokenFetch } = require('../src/token-fetch.js');
const harness = require('./harness.js');
const { JWT, PACKAGE, fakeDaemon, makeDirectory, runNodeBeside, tokenFields } = harness;

const OPTIONS = { timeout: 30000 };
const KEY = 'sk_test_1';
const TOKENS = 'https://api.clerk.com/v1/sessions/sess_1/tokens';
const headers = { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' };
const POST = { method: 'POST', headers };
const REGISTER = path.join(PACKAGE, 'src/register.js');

/* A fetch() over a daemon that answers `answer`, and what reached the original one. */
async function world(t, env = {}, answer = () => `OK ${tokenFields()}`) {
  const fake = await fakeDaemon(t, answer);
  const client = createClient({ socket: env.socket ?? fake.socket, copies: false });
  t.after(client.close);
  const passed = [];
  async function original(...args) {
    passed.push({ self: this, args });
    return 'the original';
  }
  const fetch = tokenFetch(original, () => client, env);
  return { fake, fetch, passed };
}

test('requests for tokens, as they may be written', OPTIONS, async (t) => {
  const env = { CLERK_API_URL: 'http://127.0.0.1:4010/clerk/' };
  const { fake, fetch, passed } = await world(t, env);
  const body = JSON.stringify({ expires_in_seconds: 600 });
  const calls = {
    'GET sess_1 -': [
      [TOKENS, POST],
      [new URL(TOKENS), { method: 'post' }],
      [new Request(TOKENS, POST)],
      [new Request(TOKENS), { method: 'POST' }],
      ['HTTPS://API.CLERK.COM:443/v1/sessions/sess_1/x/../tokens', POST],
      [TOKENS, { ...POST, headers: new Headers(headers) }],
      [TOKENS, { ...POST, headers: Object.entries(headers) }],
      [TOKENS, { ...POST, body: '' }],
      [TOKENS, { ...POST, body: null }],
      [TOKENS, { ...POST, body: '{}' }],
      ['http://127.0.0.1:4010/clerk/v1/sessions/sess_1/tokens', POST],
    ],
    'GET sess_1 hasura': [[`${TOKENS}/hasura`, POST]],
    'GET sess_1 a.b~c': [[`${TOKENS}/a.b~c`, POST]],
    'GET sess_1 - expires_in=600': [
      [TOKENS, { ...POST, body }],
      [TOKENS, { ...POST, body: Buffer.from(body) }],
      [TOKENS, { ...POST, body: new TextEncoder().encode(body) }],
      [new Request(TOKENS, { ...POST, body })],
      [new Request(TOKENS, POST), { body }],
    ],
  };
  for (const [request, ways] of Object.entries(calls))
    for (const args of ways) {
      const response = await fetch(...args);
      assert.equal((await response.json()).jwt, JWT);
      assert.equal(fake.requests.pop(), request, String(args[0]));
    }
  assert.deepEqual(passed, []);
});

test('all else is passed on as it came', OPTIONS, async (t) => {
  const { fake, fetch, passed } = await world(t, { CLERK_SECRET_KEY: KEY });
  const stream = new ReadableStream();
  const calls = [
    [],
    [undefined],
    ['not a URL', POST],
    [TOKENS],
    [TOKENS, { headers }],
    [new Request(TOKENS, { headers })],
    [TOKENS, { ...POST, method: 'PUT' }],
    ['https://api.clerk.com/v1/sessions/sess_1', POST],
    ['https://api.clerk.com/v1/sessions/sess_1/revoke', POST],
    ['https://api.clerk.com/v2/sessions/sess_1/tokens', POST],
    ['https://api.clerk.com/x/v1/sessions/sess_1/tokens', POST],
    ['https://api.clerk.com/?/v1/sessions/sess_1/tokens', POST],
    [`${TOKENS}/`, POST],
    [`${TOKENS}/-`, POST],
    [`${TOKENS}/a/b`, POST],
    [`${TOKENS}/a%20b`, POST],
    [`${TOKENS}/${'x'.repeat(129)}`, POST],
    [`${TOKENS}?x=1`, POST],
    [`${TOKENS}#x`, POST],
    ['http://api.clerk.com/v1/sessions/sess_1/tokens', POST],
    ['https://api.clerk.com.example/v1/sessions/sess_1/tokens', POST],
    ['https://api.clerk.com:444/v1/sessions/sess_1/tokens', POST],
    ['https://x:y@api.clerk.com/v1/sessions/sess_1/tokens', POST],
    [TOKENS, { ...POST, body: 'x' }],
    [TOKENS, { ...POST, body: '[]' }],
    [TOKENS, { ...POST, body: '1' }],
    [TOKENS, { ...POST, body: '{"expires_in_seconds":29}' }],
    [TOKENS, { ...POST, body: '{"expires_in_seconds":"60"}' }],
    [TOKENS, { ...POST, body: '{"expires_in_seconds":60,"more":1}' }],
    [TOKENS, { ...POST, body: `{}${' '.repeat(2000)}` }],
    [TOKENS, { ...POST, body: new URLSearchParams('a=b') }],
    [TOKENS, { ...POST, body: stream, duplex: 'half' }],
    [TOKENS, { ...POST, headers: { Authorization: 'Bearer sk_test_2' } }],
    [TOKENS, { ...POST, headers: { 'a b': 'no header' } }],
    [TOKENS, { method: 'POST' }],
    [TOKENS, { ...POST, signal: AbortSignal.abort() }],
    [TOKENS, { ...POST, method: Object.create(null) }],
    [TOKENS, { ...POST, body: new FormData() }],
    [TOKENS, { ...POST, body: new Blob(['{}']) }],
  ];
  const self = {};
  for (const args of calls) {
    assert.equal(await fetch.apply(self, args), 'the original');
    const call = passed.pop();
    assert.equal(call.self, self);
    assert.equal(call.args.length, args.length);
    call.args.forEach((arg, i) => assert.equal(arg, args[i]));
  }
  assert.equal(stream.locked, false);
  assert.deepEqual(fake.requests, []);
});

test('a body that is passed on is whole', OPTIONS, async (t) => {
  const { fetch, passed } = await world(t);
  const body = '{"something":"else"}';
  await fetch(new Request(TOKENS, { ...POST, body }));
  assert.equal(await passed[0].args[0].text(), body);
});

test('a body that never ends is not waited for', OPTIONS, async (t) => {
  const { fetch, passed } = await world(t);
  const chunk = new TextEncoder().encode('{}'.padEnd(600));
  const body = new ReadableStream({ pull: (controller) => controller.enqueue(chunk) });
  const request = new Request(TOKENS, { ...POST, body, duplex: 'half' });
  assert.equal(await fetch(request), 'the original');
  assert.equal(passed[0].args[0], request);
  const { value } = await request.body.getReader().read();
  assert.deepEqual(value, chunk);
});

test('a body that can\'t be read is the original\'s to refuse', OPTIONS, async (t) => {
  const { fetch } = await world(t);
  const request = new Request(TOKENS, { ...POST, body: '{}' });
  request.body.getReader();
  assert.equal(await fetch(request), 'the original');
});

test('headers that can be read once are left to the original', OPTIONS, async (t) => {
  const { fetch, passed } = await world(t, { CLERK_SECRET_KEY: KEY });
  await fetch(TOKENS, { ...POST, headers: new Map(Object.entries(headers)).entries() });
  assert.deepEqual([...passed[0].args[1].headers], Object.entries(headers));
});

test('an answer is Clerk\'s', OPTIONS, async (t) => {
  const { fetch } = await world(t);
  const response = await fetch(TOKENS, POST);
  assert.ok(response instanceof Response);
  assert.equal(response.status, 200);
  assert.ok(response.ok);
  assert.equal(response.url, TOKENS);
  assert.equal(response.headers.get('content-type'), 'application/json');
  assert.deepEqual(await response.clone().json(), { object: 'token', jwt: JWT });
  assert.equal(await response.text(), `{"object":"token","jwt":"${JWT}"}`);
});

test('an error is Clerk\'s', OPTIONS, async (t) => {
  const { fetch } = await world(t, {}, () => 'ERR rate_limited retry=1500 no room');
  const response = await fetch(TOKENS, POST);
  assert.equal(response.status, 429);
  assert.equal(response.statusText, 'Too Many Requests');
  assert.equal(response.headers.get('retry-after'), '2');
  assert.equal(response.headers.get('content-type'), 'application/json');
  const [error] = (await response.json()).errors;
  assert.deepEqual(error, {
    message: 'Too many requests',
    long_message: 'no room',
    code: 'too_many_requests',
    meta: {},
  });
});

test('only where Clerk says so may one come back', OPTIONS, async (t) => {
  let code;
  const { fetch } = await world(t, {}, () => `ERR ${code} retry=1500 as it was told`);
  const expected = { rate_limited: '2', unavailable: '2', not_found: null, timeout: null };
  for (const [name, seconds] of Object.entries(expected)) {
    code = name;
    assert.equal((await fetch(TOKENS, POST)).headers.get('retry-after'), seconds, code);
  }
});

test('an abort is an abort', OPTIONS, async (t) => {
  const { fetch } = await world(t, {}, () => undefined);
  for (const call of [
    (signal) => fetch(TOKENS, { ...POST, signal }),
    (signal) => fetch(new Request(TOKENS, { ...POST, signal })),
  ]) {
    const abort = new AbortController();
    const asked = call(abort.signal);
    setImmediate(() => abort.abort());
    await assert.rejects(asked, { name: 'AbortError' });
  }
  const abort = new AbortController();
  const asked = fetch(TOKENS, { ...POST, signal: abort.signal });
  setImmediate(() => abort.abort(null));
  await assert.rejects(asked, (error) => error === null);
});

test('without a fetch() there is none to replace', OPTIONS, async () => {
  const { status, stderr } = await runNodeBeside(['-e', `
    delete globalThis.fetch;
    require(${JSON.stringify(REGISTER)});
    process.exitCode = 'fetch' in globalThis ? 1 : 0;`]);
  assert.equal(status, 0, stderr);
});

test('without a daemon', OPTIONS, async (t) => {
  const socket = path.join(makeDirectory(t), 's');
  const strict = await world(t, { socket });
  const response = await strict.fetch(TOKENS, POST);
  assert.equal(response.status, 503);
  assert.equal((await response.json()).errors[0].code, 'service_unavailable');
  const lenient = await world(t, { socket, CLERK_TOKEND_FALLBACK: '1' });
  assert.equal(await lenient.fetch(TOKENS, { ...POST, body: '{}' }), 'the original');
  assert.equal(lenient.passed[0].args[1].body, '{}');
});

test('it looks like the original', OPTIONS, async (t) => {
  const { fake } = await world(t);
  const text = `
    const { name, length } = fetch;
    const before = Object.getOwnPropertyDescriptor(globalThis, 'fetch');
    require(${JSON.stringify(REGISTER)});
    const mine = fetch;
    delete require.cache[${JSON.stringify(REGISTER)}];
    require(${JSON.stringify(REGISTER)});
    const after = Object.getOwnPropertyDescriptor(globalThis, 'fetch');
    console.log(JSON.stringify([
      fetch === mine, fetch.name === name, fetch.length === length,
      after.enumerable === before.enumerable, after.configurable, after.writable]));`;
  const done = await runNodeBeside(['-e', text], { env: { CLERK_TOKEND_SOCKET: fake.socket } });
  assert.deepEqual(JSON.parse(done.stdout), Array(6).fill(true), done.stderr);
});

/* An application that asks twice by fetch(), and once for something else. */
const APP = `
  const ask = async () => {
    const options = { method: 'POST', headers: { Authorization: 'Bearer sk' } };
    const get = async () => (await fetch('${TOKENS}', options)).json();
    const tokens = [(await get()).jwt, (await get()).jwt];
    const other = await (await fetch(process.env.OTHER)).text();
    return [...tokens, other];
  };`;
const SHOW = `${APP} ask().then((results) => console.log(JSON.stringify(results)));`;

async function otherServer(t) {
  const server = http.createServer((_, response) => response.end('from elsewhere'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}

const WORKER = `new (require('node:worker_threads').Worker)(${JSON.stringify(SHOW)}, { eval: true });`;
const FORK = `
  const args = [...process.execArgv.slice(0, 2), '-e', ${JSON.stringify(SHOW)}];
  require('node:child_process').spawn(process.execPath, args, { stdio: 'inherit' });`;
const ESM = `${APP} console.log(JSON.stringify(await ask()));`;

for (const [name, args] of Object.entries({
  'a CommonJS application': ['-e', SHOW],
  'an ES module': ['--input-type=module', '-e', ESM],
  'a worker': ['-e', WORKER],
  'a forked process': ['-e', FORK],
}))
  test(`in ${name}`, OPTIONS, async (t) => {
    const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
    const OTHER = await otherServer(t);
    const env = { CLERK_TOKEND_SOCKET: fake.socket, OTHER };
    const done = await runNodeBeside(['--require', REGISTER, ...args], { env });
    assert.equal(done.stderr, '');
    assert.deepEqual(JSON.parse(done.stdout), [JWT, JWT, 'from elsewhere']);
    assert.deepEqual(fake.requests, ['TRACK on', 'GET sess_1 -'], 'the second was a copy');
  });

test('the environment may be filled after the start', OPTIONS, async (t) => {
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  const text = `
    process.env.CLERK_TOKEND_SOCKET = ${JSON.stringify(fake.socket)};
    process.env.CLERK_API_URL = 'http://127.0.0.1:9';
    process.env.CLERK_TOKEND_COPIES = '0';
    const get = () => fetch('http://127.0.0.1:9/v1/sessions/sess_1/tokens', { method: 'POST' });
    get().then(get).then((r) => r.json()).then((r) => console.log(r.jwt));`;
  const done = await runNodeBeside(['--require', REGISTER, '-e', text]);
  assert.equal(done.stdout.trim(), JWT, done.stderr);
  assert.deepEqual(fake.requests, ['GET sess_1 -', 'GET sess_1 -']);
});
