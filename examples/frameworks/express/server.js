import { clerkClient, clerkMiddleware, getAuth } from '@clerk/express'
import express from 'express'

const app = express()

app.use(clerkMiddleware())

app.get('/token', async (req, res) => {
  const { sessionId } = getAuth(req)
  if (!sessionId) {
    return res.status(401).json({ error: 'signed out' })
  }
  const { jwt } = await clerkClient.sessions.getToken(sessionId, 'hasura')
  res.json({ jwt })
})

app.listen(process.env.PORT ?? 3000, process.env.HOST ?? 'localhost')
