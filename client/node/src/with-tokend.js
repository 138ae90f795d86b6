'use strict';

/*
 * withTokend(): Clerk's own client, in which sessions.getToken is the daemon's. All else is looked
 * up in the client at the moment when it is used (some SDKs make theirs only then), and methods run
 * with the real object as `this`, so that nothing in them notices.
 */

const { createClient } = require('./client.js');

/* `target` as it is, but for the properties that `replace(name)` answers something for. */
function overlay(target, replace) {
  const methods = new WeakMap();
  const overlaid = new Proxy(target, {
    get(_, name) {
      const replaced = replace(name);
      if (replaced !== undefined) return replaced;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? methodOf(value) : value;
    },
    set: (_, name, value) => Reflect.set(target, name, value, target),
  });
  const methodOf = (method) => {
    if (!methods.has(method))
      methods.set(
        method,
        new Proxy(method, {
          apply: (_, self, args) => Reflect.apply(method, self === overlaid ? target : self, args),
        }),
      );
    return methods.get(method);
  };
  return overlaid;
}

/* See index.d.ts. */
function withTokend(clerkClient, options = {}) {
  const { client, fallback, ...rest } = options;
  const tokend =
    client ?? createClient({ ...rest, fallback: fallback === true ? clerkClient : undefined });
  const { getToken } = tokend.sessions;
  let own = null; // the client's sessions, and what stands in their place
  const sessionsOf = (sessions) => {
    if (own?.sessions !== sessions)
      own = {
        sessions,
        overlaid: overlay(sessions, (name) => (name === 'getToken' ? getToken : undefined)),
      };
    return own.overlaid;
  };
  return overlay(clerkClient, (name) =>
    name === 'sessions' ? sessionsOf(clerkClient.sessions) : undefined,
  );
}

module.exports = { withTokend };
