'use strict';

/*
 * An HTTP server with one answer. argv: "node", Node's own server, or "smallest", which only counts
 * the heads of requests and does less than any real one; the body. Prints its port.
 */

const http = require('node:http');
const net = require('node:net');

const [, , kind, body] = process.argv;
const HEADERS = { 'Content-Type': 'application/json', 'Content-Length': body.length };
const HEAD_END = '\r\n\r\n';

const ordinary = () =>
  http.createServer((request, response) => {
    response.writeHead(200, HEADERS);
    response.end(body);
  });

function smallest() {
  const lines = Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);
  const answer = Buffer.from(`HTTP/1.1 200 OK\r\n${lines.join('')}\r\n${body}`);
  return net.createServer({ noDelay: true }, (connection) => {
    let rest = '';
    connection.on('error', () => {});
    connection.on('data', (data) => {
      const heads = (rest + data.latin1Slice()).split(HEAD_END);
      rest = heads.pop();
      for (let i = 0; i < heads.length; i++) connection.write(answer);
    });
  });
}

const server = kind === 'smallest' ? smallest() : ordinary();
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.on('disconnect', () => process.exit());
