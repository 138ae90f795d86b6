'use strict';

/*
 * The smallest HTTP/1.1 server that keeps connections: the same answer for each head of a request.
 * It does less than any real one, so that what is measured is the client. argv: the body. Prints its
 * port.
 */

const net = require('node:net');

const [, , body] = process.argv;
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n` +
    `Connection: keep-alive\r\n\r\n${body}`,
);
const HEAD_END = '\r\n\r\n';

const server = net.createServer({ noDelay: true }, (connection) => {
  let rest = '';
  connection.on('error', () => {});
  connection.on('data', (data) => {
    const heads = (rest + data.latin1Slice()).split(HEAD_END);
    rest = heads.pop();
    for (let i = 0; i < heads.length; i++) connection.write(answer);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.on('disconnect', () => process.exit());
