/* See harden.h. Each is a second fence behind the unit's own, so none is fatal if it fails. */
#include "daemon/sys/harden.h"

#include "daemon/core/config.h"
#include "daemon/core/passage.h"
#include "daemon/sys/log.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_BESIDE_CLIENTS 128 /* whoever sends webhooks or reads metrics, and our own */
#define FILES_A_CONNECTION 3	 /* to Clerk: its own, and two while a name is resolved */

void harden_process(void)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_warning("hardening is incomplete error=\"%s\", ignoring", strerror(errno));
	(void)signal(SIGPIPE, SIG_IGN); /* fails for a bad number only */
}

void harden_memory(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		limit.rlim_cur = 0;
	if (limit.rlim_cur != RLIM_INFINITY || mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		log_event(LOG_NOTICE, MESSAGE_NOT_LOCKED,
			  "only the secret key is locked in memory, tokens may get into swap",
			  log_number("limit", limit.rlim_cur == RLIM_INFINITY
						  ? -1
						  : (int64_t)limit.rlim_cur));
}

void harden_key(const void *ptr, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)ptr / page * page;
	size_t len = (uintptr_t)ptr + size - start;

	if (mlock((void *)start, len) < 0)
		log_warning("the secret key's memory can't be locked error=\"%s\", ignoring",
			    strerror(errno));
	(void)madvise((void *)start, len, MADV_DONTDUMP); /* there is no dump anyway */
}

static size_t raise_files(size_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur;
}

void harden_raise_files(const struct config *c)
{
	size_t connections = (1 + PASSAGE_TIMES) * c->max_connections;
	size_t wanted = c->max_clients + FILES_BESIDE_CLIENTS + connections * FILES_A_CONNECTION;
	size_t files = raise_files(wanted);

	if (files < wanted)
		log_warning("the limit of open files is %zu: not enough for max_clients=%zu, "
			    "ignoring",
			    files, c->max_clients);
}
