// Pages Router.
import { clerkClient, getAuth } from '@clerk/nextjs/server'

export default async function handler(req, res) {
  const { sessionId } = getAuth(req)
  if (!sessionId) {
    return res.status(401).json({ error: 'signed out' })
  }
  const client = await clerkClient()
  const { jwt } = await client.sessions.getToken(sessionId, 'hasura')
  res.json({ jwt })
}
