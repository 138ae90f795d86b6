/* See access.h. */
#include "daemon/core/access.h"

#include "base/mem.h"
#include "proto/wire.h"

#include <errno.h>

_Static_assert(CONFIG_RULES_MAX <= UINT16_MAX, "see struct concern");

int access_new(const struct config_rule *rules, size_t n, const struct rule_names *names,
	       struct config_error *error, struct access **ret)
{
	struct access *a;
	int r = 0;

	if (n == 0) {
		*ret = NULL;
		return 0;
	}
	a = mem_zalloc(sizeof(*a) + n * sizeof(a->rules[0]));
	if (!a)
		return -ENOMEM;
	while (r == 0 && a->n < n) {
		struct rule *rule = &a->rules[a->n];

		r = rule_parse(&rules[a->n++], names, error, rule);
		a->names_groups |= rule->fields[RULE_GID].n > 0;
		a->names_units |= rule->fields[RULE_UNIT].n > 0;
	}
	if (r) {
		access_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

void access_free(struct access *a)
{
	for (size_t i = 0; a && i < a->n; i++)
		rule_deinit(&a->rules[i]);
	mem_free(a);
}

static bool is_admin(const struct access *a, const struct identity *who)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct rule *rule = &a->rules[i];
		enum config_rule_kind kind = rule->source->kind;

		if (kind == CONFIG_RULE_ALLOW || rule_is_limited(rule))
			continue;
		switch (rule_concerns(rule, who)) {
		case RULE_YES:
			return kind == CONFIG_RULE_ADMIN;
		case RULE_UNCLEAR:
			return false;
		default:
			break;
		}
	}
	return false;
}

/* Into `to`, if that isn't NULL; how many there are. */
static uint16_t find_concerns(const struct access *a, const struct identity *who,
			      struct concern *to)
{
	uint16_t n = 0;

	for (size_t i = 0; i < a->n; i++) {
		enum rule_match match = rule_concerns(&a->rules[i], who);

		if (match == RULE_NO)
			continue;
		if (to)
			to[n] = (struct concern){ (uint16_t)i, match == RULE_UNCLEAR };
		n++;
		if (!rule_is_limited(&a->rules[i]))
			break;
	}
	return n;
}

static bool lets(const struct concern *c, const struct rule *rule)
{
	return !c->unclear && rule->source->kind != CONFIG_RULE_DENY;
}

static enum access_scope scope_of(const struct access *a, const struct grant *g)
{
	const struct span any = SPAN_LITERAL(WIRE_ANY);
	bool gives = false, refuses = false, decided = false;

	for (size_t i = 0; i < g->n && !decided; i++) {
		const struct rule *rule = &a->rules[g->concerns[i].rule];

		if (lets(&g->concerns[i], rule))
			gives = true;
		else
			refuses = true;
		decided = rule_covers(rule, any, any) == RULE_YES;
	}
	if (!gives)
		return ACCESS_NOTHING;
	return refuses || !decided ? ACCESS_SOME : ACCESS_ALL;
}

int access_grant(const struct access *a, uid_t own_uid, const struct identity *who,
		 struct grant *ret)
{
	struct grant g = { .scope = ACCESS_ALL, .is_admin = who->uid == 0 || who->uid == own_uid };

	if (a) {
		g.is_admin = is_admin(a, who);
		g.n = find_concerns(a, who, NULL);
		g.concerns = g.n ? mem_calloc(g.n, sizeof(*g.concerns)) : NULL;
		if (g.n && !g.concerns)
			return -ENOMEM;
		(void)find_concerns(a, who, g.concerns); /* as many */
		g.scope = scope_of(a, &g);
	}
	*ret = g;
	return 0;
}

void grant_deinit(struct grant *g)
{
	mem_free(g->concerns);
	*g = (struct grant){ 0 };
}

struct decision access_decide(const struct access *a, const struct grant *g, struct span session,
			      struct span template)
{
	for (size_t i = 0; i < g->n; i++) {
		const struct concern *c = &g->concerns[i];
		const struct rule *rule = &a->rules[c->rule];
		enum rule_match match = rule_covers(rule, session, template);

		if (match == RULE_YES || (match == RULE_MAYBE && lets(c, rule)))
			return (struct decision){ lets(c, rule), c->unclear, rule };
	}
	return (struct decision){ .allowed = !a };
}
