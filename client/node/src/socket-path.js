'use strict';

/* Where the daemon is looked for: as libclerktoken does. */

const fs = require('node:fs');
const path = require('node:path');

const NAME = path.join('clerk-tokend', 'clerk-tokend.sock');

function defaultSocket(env = process.env) {
  if (env.CLERK_TOKEND_SOCKET) return env.CLERK_TOKEND_SOCKET;
  const own = env.XDG_RUNTIME_DIR && path.join(env.XDG_RUNTIME_DIR, NAME);
  return own && fs.existsSync(own) ? own : path.join('/run', NAME);
}

module.exports = { defaultSocket };
