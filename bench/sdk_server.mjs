// The least that a server of Node's can do: answers every request with one and the same answer, at once.
//
//     node sdk_server.mjs HEADERS BODY     HEADERS is JSON; prints its address when it listens
import { createServer } from 'node:http'

const headers = JSON.parse(process.argv[2])
const body = process.argv[3]

const server = createServer((request, response) => response.writeHead(200, headers).end(body))
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
