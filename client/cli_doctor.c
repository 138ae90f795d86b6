/* See cli_doctor.h. */
#include "client/cli_doctor.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME_SIZE 64
#define ADVICE_SIZE 256

/* Whether Clerk answers shows only when it is asked; for this it always has the same answer. */
#define NO_SESSION "sess_missing_clerk_token_doctor"

#define START "Start the daemon: systemctl start clerk-tokend.socket clerk-tokend.service"
#define SEE_LOG "See: systemctl status clerk-tokend; journalctl -u clerk-tokend"

static void name_user(uid_t uid, char to[NAME_SIZE])
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		(void)snprintf(to, NAME_SIZE, "%s", user->pw_name);
	else
		(void)snprintf(to, NAME_SIZE, "%ju", (uintmax_t)uid);
}

static void name_group(gid_t gid, char to[NAME_SIZE])
{
	const struct group *group = getgrgid(gid);

	if (group)
		(void)snprintf(to, NAME_SIZE, "%s", group->gr_name);
	else
		(void)snprintf(to, NAME_SIZE, "%ju", (uintmax_t)gid);
}

static const char *origin(const struct doctor *d)
{
	const char *environment = secure_getenv("CLERK_TOKEND_SOCKET");

	if (d->given_socket)
		return "by --socket";
	return environment && *environment ? "by $CLERK_TOKEND_SOCKET" : "the default";
}

/* False: there is none to look at. */
static bool check_socket(struct doctor *d, const char *path, struct stat *ret)
{
	char user[NAME_SIZE], group[NAME_SIZE];

	if (stat(path, ret) < 0 && errno == ENOENT)
		findings_add(&d->findings, FINDING_PROBLEM, "socket",
			     START "; or say where it is: --socket, $CLERK_TOKEND_SOCKET",
			     "there is none at %s (%s)", path, origin(d));
	else if (stat(path, ret) < 0)
		findings_add(
		    &d->findings, FINDING_PROBLEM, "socket",
		    "Each directory above it must let you through (chmod o+x, or its group)",
		    "%s (%s) can't be looked at: %s", path, origin(d), strerror(errno));
	else if (!S_ISSOCK(ret->st_mode))
		findings_add(&d->findings, FINDING_PROBLEM, "socket",
			     "Remove it if it is nobody's, and restart the daemon",
			     "%s (%s) is no socket", path, origin(d));
	else {
		name_user(ret->st_uid, user);
		name_group(ret->st_gid, group);
		findings_add(&d->findings, FINDING_OK, "socket", NULL,
			     "%s (%s), mode %04o, user %s, group %s", path, origin(d),
			     ret->st_mode & 07777U, user, group);
		return true;
	}
	return false;
}

static void refuse_access(struct doctor *d, const struct stat *st)
{
	char user[NAME_SIZE], group[NAME_SIZE], advice[ADVICE_SIZE];

	name_user(geteuid(), user);
	name_group(st->st_gid, group);
	if (st->st_mode & S_IWGRP)
		(void)snprintf(advice, sizeof(advice),
			       "usermod --append --groups %s %s, and log in again", group, user);
	else
		(void)snprintf(
		    advice, sizeof(advice),
		    "Only its owner may: socket_mode, or SocketMode= of the socket unit");
	findings_add(&d->findings, FINDING_PROBLEM, "permission", advice,
		     "%s may not open the socket", user);
}

/* Who can rename what is in there can take the socket's place, and be asked for tokens. */
static void check_directory(struct doctor *d, const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char advice[ADVICE_SIZE];
	const char *directory;
	struct stat st;

	(void)snprintf(copy, sizeof(copy), "%s", path); /* the library has refused longer ones */
	directory = dirname(copy);
	if (stat(directory, &st) < 0 || !(st.st_mode & S_IWOTH) || st.st_mode & S_ISVTX)
		return;
	(void)snprintf(advice, sizeof(advice), "chmod o-w %s", directory);
	findings_add(&d->findings, FINDING_PROBLEM, "permission", advice,
		     "anybody can replace the socket: all may write to %s", directory);
}

/* False: it can't be opened. */
static bool check_permission(struct doctor *d, const char *path, const struct stat *st)
{
	check_directory(d, path);
	if (access(path, W_OK) < 0) {
		refuse_access(d, st);
		return false;
	}
	if (st->st_mode & S_IWOTH)
		findings_add(&d->findings, FINDING_NOTE, "permission",
			     "socket_mode = 0660 and socket_group limit it to a group",
			     "every user of this host may open the socket");
	else
		findings_add(&d->findings, FINDING_OK, "permission", NULL, "you may open it");
	return true;
}

static bool check_answer(struct doctor *d, const char *path)
{
	struct clerktoken_failure failure;
	enum clerktoken_error error = clerktoken_ping(d->client, d->timeout_ms, &failure);

	if (error == CLERKTOKEN_OK)
		return true;
	if (error == CLERKTOKEN_NO_DAEMON)
		findings_add(&d->findings, FINDING_PROBLEM, "daemon", START,
			     "nobody listens at %s: it was left behind", path);
	else if (error == CLERKTOKEN_DEADLINE)
		findings_add(&d->findings, FINDING_PROBLEM, "daemon", SEE_LOG,
			     "it did not answer within %d ms", d->timeout_ms);
	else if (error == CLERKTOKEN_OVERLOADED)
		findings_add(&d->findings, FINDING_PROBLEM, "daemon",
			     "Raise max_clients; does a program open connections and keep them?",
			     "it has no room for one more connection of yours");
	else
		findings_add(&d->findings, FINDING_PROBLEM, "daemon", SEE_LOG, "%s: %s",
			     clerktoken_error_name(error), failure.text);
	return false;
}

static void ask_for_token(struct doctor *d)
{
	struct clerktoken_token *token;

	if (clerktoken_get(d->client, d->session ? d->session : NO_SESSION, d->template_name, NULL,
			   d->timeout_ms, &token, &d->failure) != CLERKTOKEN_OK)
		return;
	d->failure = (struct clerktoken_failure){ .error = CLERKTOKEN_OK };
	if (d->session)
		findings_add(&d->findings, FINDING_OK, "token", NULL, "%s, %" PRId64 " s left",
			     clerktoken_token_id(token), clerktoken_token_ttl_ms(token) / 1000);
	clerktoken_token_unref(token);
}

static void check_daemon(struct doctor *d)
{
	struct clerktoken_failure failure;
	char *json;

	ask_for_token(d);
	if (clerktoken_stats(d->client, d->timeout_ms, &json, &failure) != CLERKTOKEN_OK) {
		findings_add(&d->findings, FINDING_PROBLEM, "daemon", SEE_LOG,
			     "it does not tell its statistics: %s", failure.text);
		return;
	}
	doctor_read_stats(d, json);
	clerktoken_string_free(json);
}

int doctor_run(struct doctor *d)
{
	const char *path = clerktoken_socket(d->client);
	struct stat st;

	if (check_socket(d, path, &st) && check_permission(d, path, &st) && check_answer(d, path))
		check_daemon(d);
	else
		findings_add(&d->findings, FINDING_NOTE, "daemon",
			     "clerk-tokend --check-config says whether its configuration is good",
			     "the key, Clerk, the clock and the limits show when it answers");
	findings_end(&d->findings);
	return d->findings.problems < DOCTOR_STATUS_MAX ? (int)d->findings.problems
							: DOCTOR_STATUS_MAX;
}
