/* An application of somebody's: it knows of no daemon. argv: the SDK, how many calls at once, a
 * session, a template, and perhaps a lifetime. Prints what it got as JSON. */
const [, , sdk, count, session, template, lifetime] = process.argv;
const { createClerkClient } = await import(sdk);
const clerk = createClerkClient({
  secretKey: process.env.CLERK_SECRET_KEY,
  apiUrl: process.env.CLERK_API_URL,
  telemetry: { disabled: true },
});

const expires = lifetime === undefined ? [] : [Number(lifetime)];
const results = await Promise.allSettled(
  Array.from({ length: Number(count) }, () =>
    clerk.sessions.getToken(session, template, ...expires),
  ),
);
const { id, status } = await clerk.sessions.getSession('sess_other');
console.log(
  JSON.stringify({
    tokens: results.map((result) => result.value?.jwt),
    errors: results.map(
      ({ reason: e }) =>
        e && {
          name: e.name,
          kind: e.constructor.name,
          status: e.status,
          retryAfter: e.retryAfter,
          code: e.errors[0].code,
          message: e.errors[0].message,
        },
    ),
    session: { id, status },
  }),
);
