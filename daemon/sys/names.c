/* See names.h. */
#include "daemon/sys/names.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

/* getpwnam(3), on what may be said where there is no such name. */
static int why(int error)
{
	switch (error) {
	case 0:
	case ENOENT:
	case ESRCH:
	case EBADF:
	case EPERM:
		return 1;
	default:
		return -error;
	}
}

static int find_user(const char *name, uint32_t *ret)
{
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user)
		return why(errno);
	*ret = user->pw_uid;
	return 0;
}

static int find_group(const char *name, uint32_t *ret)
{
	const struct group *group;

	errno = 0;
	group = getgrnam(name);
	if (!group)
		return why(errno);
	*ret = group->gr_gid;
	return 0;
}

const struct rule_names names_of_host = { find_user, find_group };
