/* See rule.h. */
#include "daemon/core/rule.h"

#include "base/mem.h"
#include "daemon/core/setting.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdio.h>

#define ID_MAX (UINT32_MAX - 1) /* the last one means "no change" to chown(2) and others */
#define NAME_SIZE 257

static const char *const field_names[RULE_FIELDS] = {
	[RULE_UID] = "uid",	    [RULE_GID] = "gid",		  [RULE_UNIT] = "unit",
	[RULE_SESSION] = "session", [RULE_TEMPLATE] = "template",
};

struct parse {
	const struct config_rule *source;
	const struct rule_names *names;
	struct config_error *error;
	struct rule *rule;
};

/* What is wrong, and with what; that is quoted if it may be. */
static int invalid(const struct parse *p, const char *what, struct span quoted)
{
	static const char *const kinds[] = { "allow", "deny", "admin" };
	struct config_error *e = p->error;
	bool quote = quoted.len && setting_is_quotable(quoted);

	(void)snprintf(e->file, sizeof(e->file), "%s", p->source->file); /* cut, if need be */
	e->line = p->source->line;
	(void)snprintf(e->text, sizeof(e->text), "[access] %s: %s%s%.*s", kinds[p->source->kind],
		       what, quote ? ": " : "", quote ? (int)quoted.len : 0,
		       quote ? quoted.ptr : "");
	return CONFIG_INVALID;
}

static int find_name(const struct parse *p, enum rule_field field, struct span text, uint32_t *ret)
{
	bool is_user = field == RULE_UID;
	char name[NAME_SIZE];
	int r;

	if (text.len >= sizeof(name))
		return invalid(p, "too long for a name", text);
	memcpy(name, text.ptr, text.len);
	name[text.len] = '\0';
	r = (is_user ? p->names->user : p->names->group)(name, ret);
	if (r == 0 || r == -ENOMEM)
		return r;
	if (r < 0)
		return invalid(p, "users and groups can't be looked up", text);
	return invalid(p, is_user ? "unknown user" : "unknown group", text);
}

static int parse_id(const struct parse *p, enum rule_field field, struct span text, uint32_t *ret)
{
	uint64_t number;
	int r = span_parse_u64(text, ID_MAX, &number);

	if (r == -EINVAL)
		return find_name(p, field, text, ret);
	if (r < 0)
		return invalid(p, "a number that is too large", text);
	*ret = (uint32_t)number;
	return 0;
}

static bool is_wild(char c)
{
	return c == '*' || c == '?';
}

/* systemd.unit(5) */
static bool is_unit_char(char c)
{
	return wire_classes[(unsigned char)c] & CLASS_TAG || c == '@' || c == '\\';
}

static bool is_glob_of(struct span glob, enum rule_field field)
{
	for (size_t i = 0; i < glob.len; i++) {
		char c = glob.ptr[i];
		unsigned char class = wire_classes[(unsigned char)c];

		if (!is_wild(c) && !(field == RULE_UNIT	     ? is_unit_char(c)
				     : field == RULE_SESSION ? class & CLASS_SESSION
							     : class & CLASS_TEMPLATE))
			return false;
	}
	return true;
}

static bool ends_with(struct span s, const char *suffix)
{
	size_t len = strlen(suffix);

	return s.len >= len && memcmp(s.ptr + s.len - len, suffix, len) == 0;
}

/* A name without its type would match nothing, in silence. Of the types that there are, these can
 * hold a process. */
static bool can_be_a_unit(struct span glob)
{
	static const char *const types[] = { ".service", ".scope", ".socket",
					     ".mount",	 ".swap",  ".slice" };

	if (is_wild(glob.ptr[glob.len - 1]))
		return true;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (ends_with(glob, types[i]))
			return true;
	return false;
}

static int check_glob(const struct parse *p, enum rule_field field, struct span glob)
{
	static const char *const texts[] = {
		[RULE_UNIT] = "no unit can have that name (* and ? are the wildcards)",
		[RULE_SESSION] = "no session can have that id (* and ? are the wildcards)",
		[RULE_TEMPLATE] = "no template can have that name (* and ? are the wildcards)",
	};

	if (!is_glob_of(glob, field))
		return invalid(p, texts[field], glob);
	if (field == RULE_UNIT && !can_be_a_unit(glob))
		return invalid(p, "a unit's name ends with its type, such as .service", glob);
	return 0;
}

static size_t count_values(struct span list)
{
	size_t n = 1;

	for (size_t i = 0; i < list.len; i++)
		n += list.ptr[i] == ',';
	return n;
}

static int parse_values(const struct parse *p, enum rule_field field, struct span list)
{
	struct rule_values *values = &p->rule->fields[field];
	struct span text;
	int r = 0;

	values->items = mem_calloc(count_values(list), sizeof(*values->items));
	if (!values->items)
		return -ENOMEM;
	while (r == 0 && span_split(&list, ',', &text)) {
		struct rule_value *value = &values->items[values->n++];

		if (text.len == 0)
			return invalid(p, "a value is missing for", span_str(field_names[field]));
		value->glob = text;
		if (field == RULE_UID || field == RULE_GID)
			r = parse_id(p, field, text, &value->id);
		else
			r = check_glob(p, field, text);
	}
	return r;
}

static int parse_field(const struct parse *p, struct span text)
{
	struct span whole = text;
	enum rule_field field = 0;
	struct span name;

	(void)span_split(&text, '=', &name);
	while (field < RULE_FIELDS && !span_is(name, field_names[field]))
		field++;
	if (field == RULE_FIELDS)
		return invalid(p, "expected uid=, gid=, unit=, session=, template= or * alone, not",
			       whole);
	if (!text.ptr)
		return invalid(p, "a value is missing for", name);
	if (p->rule->fields[field].items)
		return invalid(p, "its values are to be listed once, separated by commas", name);
	if (p->source->kind == CONFIG_RULE_ADMIN &&
	    (field == RULE_SESSION || field == RULE_TEMPLATE))
		return invalid(p, "who is an administrator doesn't depend on", name);
	return parse_values(p, field, text);
}

int rule_parse(const struct config_rule *source, const struct rule_names *names,
	       struct config_error *error, struct rule *ret)
{
	struct parse p = { source, names, error, ret };
	struct span rest = span_trim(span_str(source->text));
	int r = 0;

	*ret = (struct rule){ .source = source };
	if (!wire_is_all(rest, CLASS_PRINT))
		return invalid(&p, "expected printable ASCII, spaces between fields", SPAN_NONE);
	if (span_is(rest, "*"))
		return 0;
	do {
		struct span word;

		(void)span_split(&rest, ' ', &word);
		rest = span_trim(rest);
		r = parse_field(&p, word);
	} while (r == 0 && rest.len);
	return r;
}

void rule_deinit(struct rule *rule)
{
	for (size_t i = 0; i < RULE_FIELDS; i++)
		mem_free(rule->fields[i].items);
	*rule = (struct rule){ 0 };
}

/* Goes on from the last * alone: it has taken one character too few. */
static bool glob_matches(struct span glob, struct span text)
{
	size_t g = 0, t = 0;
	size_t star = SIZE_MAX, from = 0;

	while (t < text.len) {
		if (g < glob.len && glob.ptr[g] == '*') {
			star = g++;
			from = t;
		} else if (g < glob.len && (glob.ptr[g] == '?' || glob.ptr[g] == text.ptr[t])) {
			g++;
			t++;
		} else if (star != SIZE_MAX) {
			g = star + 1;
			t = ++from;
		} else {
			return false;
		}
	}
	while (g < glob.len && glob.ptr[g] == '*')
		g++;
	return g == glob.len;
}

static bool has_id(const struct rule_values *values, uint32_t id)
{
	for (size_t i = 0; i < values->n; i++)
		if (values->items[i].id == id)
			return true;
	return false;
}

static bool has_any_id(const struct rule_values *values, const gid_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_id(values, ids[i]))
			return true;
	return false;
}

static bool has_name(const struct rule_values *values, struct span name)
{
	for (size_t i = 0; i < values->n; i++)
		if (glob_matches(values->items[i].glob, name))
			return true;
	return false;
}

enum rule_match rule_concerns(const struct rule *rule, const struct identity *who)
{
	const struct rule_values *f = rule->fields;

	if (f[RULE_UID].n && !has_id(&f[RULE_UID], who->uid))
		return RULE_NO;
	if (f[RULE_GID].n && !has_any_id(&f[RULE_GID], who->gids, who->n_gids))
		return RULE_NO;
	if (f[RULE_UNIT].n == 0)
		return RULE_YES;
	if (who->unit_is_unclear)
		return RULE_UNCLEAR;
	return who->unit.len && has_name(&f[RULE_UNIT], who->unit) ? RULE_YES : RULE_NO;
}

static bool is_all_stars(struct span glob)
{
	for (size_t i = 0; i < glob.len; i++)
		if (glob.ptr[i] != '*')
			return false;
	return true;
}

static enum rule_match covers(const struct rule_values *values, struct span name)
{
	if (values->n == 0)
		return RULE_YES;
	if (!span_is(name, WIRE_ANY))
		return has_name(values, name) ? RULE_YES : RULE_NO;
	for (size_t i = 0; i < values->n; i++)
		if (is_all_stars(values->items[i].glob))
			return RULE_YES;
	return RULE_MAYBE;
}

enum rule_match rule_covers(const struct rule *rule, struct span session, struct span template)
{
	enum rule_match a = covers(&rule->fields[RULE_SESSION], session);
	enum rule_match b = covers(&rule->fields[RULE_TEMPLATE], template);

	return a < b ? a : b;
}

bool rule_is_limited(const struct rule *rule)
{
	return rule->fields[RULE_SESSION].n || rule->fields[RULE_TEMPLATE].n;
}
