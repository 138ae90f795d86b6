'use strict';

/* The package as users have it: packed, installed into an empty folder, used from there; and what
 * it says to TypeScript. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');

const harness = require('./harness.js');
const { JWT, PACKAGE, ROOT, cleanEnvironment, fakeDaemon, makeDirectory, runNodeBeside } = harness;
const { tokenFields, whyNotInstalled } = harness;

const OPTIONS = { timeout: 120000 };
const run = promisify(execFile);
const manifest = JSON.parse(fs.readFileSync(path.join(PACKAGE, 'package.json')));
const read = (...names) => fs.readFileSync(path.join(...names), 'utf8');

const npm = (args, cwd) =>
  run('npm', [...args, '--offline', '--no-audit', '--no-fund', '--no-update-notifier'], {
    cwd,
    env: cleanEnvironment(),
  });

let hasNpm = true;
try {
  require('node:child_process').execFileSync('npm', ['--version'], { env: cleanEnvironment() });
} catch {
  hasNpm = false;
}
const NEEDS_NPM = { ...OPTIONS, skip: !hasNpm && 'there is no npm' };

test('its version and licence are the project\'s', () => {
  assert.equal(manifest.version, /^VERSION := (.*)$/m.exec(read(ROOT, 'Makefile'))[1]);
  assert.equal(read(PACKAGE, 'LICENSE'), read(ROOT, 'LICENSE'));
  assert.match(read(ROOT, 'LICENSE'), /MIT/);
  assert.equal(manifest.license, 'MIT');
});

test('it needs nothing at run time, and no address to be built', () => {
  assert.equal(manifest.dependencies, undefined);
  assert.equal(manifest.peerDependencies, undefined);
  const lock = JSON.parse(read(PACKAGE, 'package-lock.json'));
  for (const [name, { resolved }] of Object.entries(lock.packages))
    assert.equal(resolved, undefined, name);
});

test('it holds what users need and nothing else', NEEDS_NPM, async () => {
  const { stdout } = await npm(['pack', '--dry-run', '--json'], PACKAGE);
  const files = JSON.parse(stdout)[0].files.map((file) => file.path);
  const sources = fs.readdirSync(path.join(PACKAGE, 'src')).map((name) => `src/${name}`);
  assert.deepEqual(files.sort(), ['LICENSE', 'README.md', 'package.json', ...sources].sort());
});

test('installed into an empty folder', NEEDS_NPM, async (t) => {
  const fake = await fakeDaemon(t, () => `OK ${tokenFields()}`);
  const folder = makeDirectory(t);
  const { stdout } = await npm(['pack', '--pack-destination', folder], PACKAGE);
  fs.writeFileSync(path.join(folder, 'package.json'), '{}');
  await npm(['install', `./${stdout.trim().split('\n').pop()}`], folder);
  assert.deepEqual(
    fs.readdirSync(path.join(folder, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['clerktoken'],
  );

  const env = { CLERK_TOKEND_SOCKET: fake.socket };
  const use = async (args) => {
    const done = await runNodeBeside(args, { cwd: folder, env });
    assert.equal(done.stderr, '');
    return done.stdout.trim();
  };
  const get = "createClient().sessions.getToken('sess_1', 't').then(({ jwt }) => console.log(jwt));";
  assert.equal(await use(['-e', `const { createClient } = require('clerktoken'); ${get}`]), JWT);
  const esm = ['--input-type=module', '-e'];
  assert.equal(await use([...esm, `import { createClient } from 'clerktoken'; ${get}`]), JWT);
  const same = `
    import { createRequire } from 'node:module';
    import * as imported from 'clerktoken';
    const required = createRequire(import.meta.url)('clerktoken');
    console.log(Object.keys(required).every((name) => imported[name] === required[name]));`;
  fs.writeFileSync(path.join(folder, 'same.mjs'), same);
  assert.equal(await use(['same.mjs']), 'true');
  const token = `
    const url = 'https://api.clerk.com/v1/sessions/sess_1/tokens';
    fetch(url, { method: 'POST' }).then((r) => r.json()).then((r) => console.log(r.jwt));`;
  assert.equal(await use(['--require', 'clerktoken/register', '-e', token]), JWT);
});

const NEEDS_TSC = {
  ...OPTIONS,
  skip: whyNotInstalled('typescript', '@types/node', 'clerk-backend-1', 'clerk-backend-3'),
};

test('its types are right for import and for require', NEEDS_TSC, async () => {
  const tsc = require.resolve('typescript/bin/tsc');
  await run(process.execPath, [tsc, '--project', 'test/types'], { cwd: PACKAGE }).catch((error) =>
    assert.fail(error.stdout),
  );
});

test('its types name what there is', () => {
  const types = read(PACKAGE, 'src/index.d.ts');
  const declared = [...types.matchAll(/^export (?:function|class) (\w+)/gm)].map((m) => m[1]);
  assert.deepEqual(declared.sort(), Object.keys(require('../src/index.js')).sort());
  const client = require('../src/index.js').createClient();
  const members = /export interface Client \{([^]*?)\n\}/.exec(types)[1];
  const named = [...members.matchAll(/^ {2}(?:readonly )?(\w+)[(:]/gm)].map((m) => m[1]);
  assert.deepEqual(named.sort(), Object.keys(client).sort());
});
