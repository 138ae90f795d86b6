// The least that a server of Node's can do: answers every request with one and the same answer, at once.
//
//     node sdk_server.mjs CONTENT_TYPE BODY     prints its address when it listens
import { createServer } from 'node:http'

const [type, body] = process.argv.slice(2)
const headers = { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }

const server = createServer((request, response) => response.writeHead(200, headers).end(body))
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
