/* See address.h. */
#include "daemon/sys/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un path;
};

/* The kernel's name of a path may lack the NUL; one that begins with it is in no file system. */
static int write_path(const union address *a, socklen_t len, char ret[ADDRESS_SIZE])
{
	int max = (int)len - (int)offsetof(struct sockaddr_un, sun_path);

	if (max <= 0 || !a->path.sun_path[0])
		return -EAFNOSUPPORT;
	(void)snprintf(ret, ADDRESS_SIZE, "unix:%.*s", max, a->path.sun_path); /* it fits */
	return 0;
}

int address_of(int fd, char ret[ADDRESS_SIZE])
{
	char number[INET6_ADDRSTRLEN];
	union address a = { 0 };
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.any, &len) < 0)
		return -errno;
	switch (a.any.sa_family) {
	case AF_UNIX:
		return write_path(&a, len, ret);
	case AF_INET:
		(void)inet_ntop(AF_INET, &a.v4.sin_addr, number, sizeof(number)); /* it fits */
		(void)snprintf(ret, ADDRESS_SIZE, "%s:%u", number, ntohs(a.v4.sin_port));
		return 0;
	case AF_INET6:
		(void)inet_ntop(AF_INET6, &a.v6.sin6_addr, number, sizeof(number));
		(void)snprintf(ret, ADDRESS_SIZE, "[%s]:%u", number, ntohs(a.v6.sin6_port));
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}
