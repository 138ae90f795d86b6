import { createClerkClient } from '@clerk/remix/api.server'
import { getAuth } from '@clerk/remix/ssr.server'
import { json } from '@remix-run/node'

const clerkClient = createClerkClient({
  secretKey: process.env.CLERK_SECRET_KEY,
  apiUrl: process.env.CLERK_API_URL,
})

export async function loader(args) {
  const { sessionId } = await getAuth(args)
  if (!sessionId) {
    return json({ error: 'signed out' }, { status: 401 })
  }
  const { jwt } = await clerkClient.sessions.getToken(sessionId, 'hasura')
  return json({ jwt })
}
