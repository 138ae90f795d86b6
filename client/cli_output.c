/* See cli_output.h. */
#include "client/cli_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTS 3

int output_init(void)
{
	int fd;

	if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
		return errno;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return 0;
}

static void advance(struct iovec *parts, size_t len)
{
	for (size_t i = 0; i < PARTS; i++) {
		size_t taken = len < parts[i].iov_len ? len : parts[i].iov_len;

		parts[i].iov_base = (char *)parts[i].iov_base + taken;
		parts[i].iov_len -= taken;
		len -= taken;
	}
}

static int write_parts(int fd, struct iovec *parts)
{
	struct pollfd writable = { .fd = fd, .events = POLLOUT };

	signal(SIGPIPE, SIG_IGN); /* here, and not for what `exec` runs; writev(2) tells */
	while (parts[0].iov_len + parts[1].iov_len + parts[2].iov_len) {
		ssize_t len = writev(fd, parts, PARTS);

		if (len >= 0)
			advance(parts, (size_t)len);
		else if (errno == EAGAIN)
			(void)poll(&writable, 1, -1); /* writev(2) tells what is wrong */
		else if (errno != EINTR)
			return errno;
	}
	return 0;
}

static struct iovec part(const char *text)
{
	return (struct iovec){ .iov_base = (char *)text, .iov_len = strlen(text) };
}

static int write_texts(int fd, const char *first, const char *second, const char *third)
{
	struct iovec parts[PARTS] = { part(first), part(second), part(third) };

	return write_parts(fd, parts);
}

int output_text(const char *first, const char *second, const char *third)
{
	return write_texts(STDOUT_FILENO, first, second, third);
}

int output_token(int fd, const struct clerktoken_token *token, enum token_form form)
{
	char rest[256];

	if (form != TOKEN_JSON)
		return write_texts(fd, "", clerktoken_token_jwt(token),
				   form == TOKEN_LINE ? "\n" : "");
	(void)snprintf(rest, sizeof(rest),
		       "\",\"id\":\"%s\",\"exp\":%" PRId64 ",\"ttl_ms\":%" PRId64
		       ",\"reuse_ms\":%" PRId64 ",\"state\":\"%s\",\"source\":\"%s\"}\n",
		       clerktoken_token_id(token), clerktoken_token_exp(token),
		       clerktoken_token_ttl_ms(token), clerktoken_token_reuse_ms(token),
		       clerktoken_state_name(clerktoken_token_state(token)),
		       clerktoken_source_name(clerktoken_token_source(token))); /* it fits */
	return write_texts(fd, "{\"jwt\":\"", clerktoken_token_jwt(token), rest);
}

int output_check(void)
{
	struct pollfd output = { .fd = STDOUT_FILENO };

	return poll(&output, 1, 0) > 0 && output.revents & POLLERR ? EPIPE : 0;
}
