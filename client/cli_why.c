/* See cli_why.h. */
#include "client/cli_why.h"

#include "client/cli_json.h"
#include "client/cli_number.h"
#include "client/cli_output.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define LINE_SIZE 4096

/* The fields of the answer. Those that aren't there are empty. */
struct answer {
	const char *because, *admin, *file, *line;
	char *rule; /* with all that follows */
};

void why_init(struct why_caller *caller)
{
	*caller = (struct why_caller){ .who = { .size = sizeof(caller->who) } };
	caller->who.gids = caller->gids;
}

/* Adds the user's groups, as a login would have them. */
static const char *add_groups_of(struct why_caller *c, const struct passwd *user)
{
	gid_t gids[WHY_GROUPS_MAX];
	int n = WHY_GROUPS_MAX;

	if (getgrouplist(user->pw_name, user->pw_gid, gids, &n) < 0 ||
	    (size_t)n > WHY_GROUPS_MAX - c->who.n_gids)
		return "is in too many groups";
	for (int i = 0; i < n; i++)
		c->gids[c->who.n_gids++] = gids[i];
	return NULL;
}

const char *why_set_user(struct why_caller *c, const char *name)
{
	bool is_number = parse_number(name, &c->who.uid);
	const struct passwd *user = is_number ? getpwuid(c->who.uid) : getpwnam(name);

	if (c->who.has_uid)
		return "--uid is given once, not also for";
	if (!user && !is_number)
		return "no such user";
	c->who.has_uid = true;
	if (!user)
		return NULL; /* a number is good enough */
	c->who.uid = user->pw_uid;
	return add_groups_of(c, user);
}

const char *why_add_group(struct why_caller *c, const char *name)
{
	uint32_t gid;

	if (!parse_number(name, &gid)) {
		const struct group *group = getgrnam(name);

		if (!group)
			return "no such group";
		gid = group->gr_gid;
	}
	if (c->who.n_gids == WHY_GROUPS_MAX)
		return "too many groups with";
	c->gids[c->who.n_gids++] = gid;
	return NULL;
}

/* True, and *ret is the value, if the field has that name. */
static bool is_field(char *field, const char *name, char **ret)
{
	size_t len = strlen(name);

	if (strncmp(field, name, len) != 0)
		return false;
	*ret = field + len;
	return true;
}

static struct answer parse(char *text)
{
	struct answer a = { "", "", "", "", text + strlen(text) };
	char *field, *value;

	for (field = strchr(text, ' '); field; field = strchr(field, ' ')) {
		*field++ = '\0';
		if (is_field(field, "rule=", &a.rule))
			break;
		if (is_field(field, "because=", &value))
			a.because = value;
		else if (is_field(field, "admin=", &value))
			a.admin = value;
		else if (is_field(field, "file=", &value))
			a.file = value;
		else if (is_field(field, "line=", &value))
			a.line = value;
	}
	return a;
}

static int print_json(const struct answer *a, bool allowed)
{
	char line[4 * LINE_SIZE], because[LINE_SIZE], file[LINE_SIZE], rule[LINE_SIZE];
	uint32_t number = 0;

	(void)parse_number(a->line, &number); /* what is none is 0 */
	json_escape(because, sizeof(because), a->because);
	json_escape(file, sizeof(file), a->file);
	json_escape(rule, sizeof(rule), a->rule);
	(void)snprintf(line, sizeof(line), "{\"allowed\":%s,\"because\":\"%s\",\"admin\":%s",
		       allowed ? "true" : "false", because,
		       strcmp(a->admin, "yes") == 0 ? "true" : "false"); /* it fits */
	if (*a->rule)
		(void)snprintf(line + strlen(line), sizeof(line) - strlen(line),
			       ",\"file\":\"%s\",\"line\":%" PRIu32 ",\"rule\":\"%s\"", file,
			       number, rule); /* as above */
	return output_text(line, "}", "\n");
}

static const char *reason_of(const struct answer *a)
{
	if (strcmp(a->because, "no_rules") == 0)
		return ": there are no rules";
	if (strcmp(a->because, "no_match") == 0)
		return ": no rule matches";
	if (strcmp(a->because, "unclear_unit") == 0)
		return ", for its unit can't be told, on which this depends:";
	return " by";
}

int why_print(char *text, bool allowed, bool as_json)
{
	struct answer a = parse(text);
	char line[LINE_SIZE] = "\n";
	char *rest;

	if (as_json)
		return print_json(&a, allowed);
	if (*a.rule) {
		rest = strchr(a.rule, ' ');
		if (rest)
			*rest++ = '\0';
		(void)snprintf(line, sizeof(line), " %s:%s: %s = %s\n", a.file, a.line, a.rule,
			       rest ? rest : ""); /* cut, if need be */
	}
	if (strcmp(a.admin, "yes") == 0)
		(void)snprintf(line + strlen(line), sizeof(line) - strlen(line),
			       "an administrator\n");
	return output_text(allowed ? "allowed" : "denied", reason_of(&a), line);
}
