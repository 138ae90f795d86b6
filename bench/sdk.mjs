// The load of bench/sdk.py: getToken of Clerk's SDK against several servers in turn.
//
//     node sdk.mjs PLAN     PLAN is JSON: {folder, targets: {name: url}, rounds, calls, at_once: [n]}
//
// Prints, as JSON, for each number of calls at once and each target its rounds' calls per second. In each
// round every target has its turn, another one first each time.
import { createRequire } from 'node:module'

const plan = JSON.parse(process.argv[2])
const { createClerkClient } = createRequire(`${plan.folder}/`)('@clerk/backend')
const names = Object.keys(plan.targets)
const clients = Object.fromEntries(names.map((name) => [name, createClerkClient({
  secretKey: 'sk_test_sandbox',
  apiUrl: plan.targets[name],
  telemetry: { disabled: true },
})]))

async function rate(client, calls, atOnce) {
  let left = calls
  const caller = async () => {
    while (left-- > 0) {
      const { jwt } = await client.sessions.getToken('sess_bench', 'hasura')
      if (!jwt) throw new Error('an answer without a token')
    }
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: atOnce }, caller))
  return (calls * 1000) / (performance.now() - began)
}

const results = {}
for (const atOnce of plan.at_once) {
  const rates = Object.fromEntries(names.map((name) => [name, []]))
  for (const name of names) await rate(clients[name], plan.calls, atOnce) // warms both sides up
  for (let round = 0; round < plan.rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length]
      rates[name].push(await rate(clients[name], plan.calls, atOnce))
    }
  }
  results[atOnce] = rates
}
console.log(JSON.stringify(results))
process.exit()
