// Prints as JSON what getToken of one major version of @clerk/backend answers, or its error:
// node token.js MAJOR SESSION [TEMPLATE]
const [major, session, template] = process.argv.slice(2)
const { createClerkClient } = await import(major === '3' ? '@clerk/backend' : `clerk-backend-${major}`)

const clerkClient = createClerkClient({
  secretKey: process.env.CLERK_SECRET_KEY,
  apiUrl: process.env.CLERK_API_URL,
})

try {
  console.log(JSON.stringify(await clerkClient.sessions.getToken(session, template)))
} catch (error) {
  const { name, message, status, errors, clerkTraceId, retryAfter } = error
  console.log(JSON.stringify({ name, message, status, errors, clerkTraceId, retryAfter }))
}
