/* daemon/sys/peer: who is at the other end, and whether it still is who it was. */
#include "daemon/sys/peer.h"

#include "base/mem.h"
#include "daemon/sys/clock.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SO_PEERPIDFD_NUMBER 77

/* A connection that another process has made, which then waits for its end. */
struct connection {
	int fd;
	pid_t pid;
};

static struct sockaddr_un address_of(socklen_t *ret_len)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int len = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "test_peer-%d",
			   (int)getpid());

	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
	return address;
}

static struct connection connection(void)
{
	socklen_t len;
	struct sockaddr_un address = address_of(&len);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct connection c;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (connect(fd, (struct sockaddr *)&address, len) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	c.fd = accept(listener, NULL, NULL);
	assert_true(c.fd >= 0);
	close(listener);
	return c;
}

static void end_peer(const struct connection *c)
{
	assert_int_equal(kill(c->pid, SIGKILL), 0);
	assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
}

static bool is_unclear(const struct connection *c, struct mono connected)
{
	struct peer peer;
	bool unclear;

	assert_int_equal(peer_get(c->fd, false, true, connected, &peer), 0);
	unclear = peer.who.unit_is_unclear;
	assert_true(!unclear || peer.who.unit.len == 0);
	peer_deinit(&peer);
	return unclear;
}

static void test_what_is_asked_for(void **state)
{
	size_t held = mem_held();
	struct connection c = connection();
	struct peer peer;

	(void)state;
	assert_int_equal(peer_get(c.fd, false, false, clock_boot(), &peer), 0);
	assert_int_equal(peer.who.uid, getuid());
	assert_int_equal(peer.who.pid, c.pid);
	assert_int_equal(peer.who.n_gids, 0);
	assert_false(peer.who.unit_is_unclear);
	peer_deinit(&peer);
	assert_int_equal(peer_get(c.fd, true, false, clock_boot(), &peer), 0);
	assert_true(peer.who.n_gids >= 1);
	assert_int_equal(peer.who.gids[0], getgid());
	peer_deinit(&peer);
	end_peer(&c);
	close(c.fd);
	assert_int_equal(mem_held(), held);
}

static void test_no_peer(void **state)
{
	struct peer peer;

	(void)state;
	assert_true(peer_get(-1, true, true, clock_boot(), &peer) < 0);
	peer_deinit(&peer);
}

static void test_a_peer_that_is_gone(void **state)
{
	struct connection c = connection();

	(void)state;
	assert_false(is_unclear(&c, clock_boot()));
	end_peer(&c);
	assert_true(is_unclear(&c, clock_boot()));
	close(c.fd);
}

/* As on Linux before 6.5. */
static int forget_peerpidfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SO_PEERPIDFD_NUMBER, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static void test_an_older_kernel(void **state)
{
	struct connection c = connection();

	(void)state;
	if (forget_peerpidfd() < 0) {
		end_peer(&c);
		close(c.fd);
		skip();
	}
	assert_false(is_unclear(&c, clock_boot()));
	/* It began after the connection was there: another one with the same number. */
	assert_true(is_unclear(&c, (struct mono){ 0 }));
	end_peer(&c);
	assert_true(is_unclear(&c, clock_boot()));
	close(c.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_asked_for), cmocka_unit_test(test_no_peer),
		cmocka_unit_test(test_a_peer_that_is_gone),
		cmocka_unit_test(test_an_older_kernel), /* the last one: there is no way back */
	};

	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
