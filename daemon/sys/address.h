/* The addresses of sockets as text, as the configuration has them: 127.0.0.1:80, [::1]:80,
 * unix:PATH. */
#pragma once

#define ADDRESS_SIZE 128 /* of the text; a path has 108 bytes at most */

/* Where a socket listens, or a connection has come to. 0 or negative errno: -EAFNOSUPPORT where it
 * is at neither a port nor a path. */
int address_of(int fd, char ret[ADDRESS_SIZE]);
