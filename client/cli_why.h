/* clerk-token why: about whom is asked, and what is printed of the answer. */
#pragma once

#include "client/clerktoken.h"

#define WHY_GROUPS_MAX 128

/* Not to be copied: `who` points into it. */
struct why_caller {
	struct clerktoken_who who;
	uint32_t gids[WHY_GROUPS_MAX];
};

void why_init(struct why_caller *caller);

/* By name or number; a user comes with his groups. NULL, or what is wrong. */
const char *why_set_user(struct why_caller *caller, const char *name);
const char *why_add_group(struct why_caller *caller, const char *name);

/* `text` is that of clerktoken_why(), and is changed. 0, or the errno of standard output. */
int why_print(char *text, bool allowed, bool as_json);
