/* See config.h.
 *
 * inih splits lines into sections, keys and values, with these rules of its own: a value ends
 * before " ;", and "key: value" is as good as "key = value". What it would do silently is
 * prevented by the reader that hands it one line at a time: it refuses lines that are longer than
 * inih's buffer, control characters, and text behind a section's "]"; it takes leading blanks away,
 * so that no line continues the one before; and it looks at section names, so that an unknown one
 * without keys is noticed too. Nothing depends on the options with which inih was built.
 *
 * Messages never quote a value: it might be a secret in the wrong place.
 */
#include "daemon/core/config.h"

#include "base/mem.h"
#include "daemon/core/access.h"
#include "daemon/core/configkey.h"
#include "daemon/core/setting.h"
#include "daemon/core/url.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>

#define TOKENS_IN_CACHE 16 /* of the largest size must have room */
#define LIVE_LIMIT 1000	   /* requests in LIMIT_WINDOW_MS that Clerk lets a secret key make */
#define TEST_LIMIT 100
#define LIMIT_WINDOW_MS 10000

#define RESERVED_SECTION "shared_cache"

/* One call of config_parse(). */
struct parse {
	struct config *config;
	struct span rest; /* what inih has not had yet */
	const char *file;
	unsigned line;
	unsigned seen_in[CONFIG_KEY_COUNT]; /* the line of each key, 0: none */
	int result;			    /* of the first failure */
	struct config_error *error;
};

static bool is_section(struct span name)
{
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		if (span_is(name, config_keys[i].section))
			return true;
	return span_is(name, RESERVED_SECTION);
}

__attribute__((format(printf, 4, 5))) static int invalid(struct config_error *e, const char *file,
							 unsigned line, const char *format, ...)
{
	va_list args;

	(void)snprintf(e->file, sizeof(e->file), "%s", file); /* cut, if need be */
	e->line = line;
	va_start(args, format);
	(void)vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return CONFIG_INVALID;
}

static int expected(struct config_error *e, const char *file, unsigned line,
		    const struct config_key *key)
{
	return invalid(e, file, line, "[%s] %s: expected %s", key->section, key->name,
		       key->accepts);
}

static void forget_rule(struct config_rule *rule)
{
	mem_free(rule->text);
	mem_free(rule->file);
}

static int add_rule(struct parse *p, const struct config_key *key, const char *value)
{
	struct config *c = p->config;
	struct config_rule rule = { .kind = (enum config_rule_kind)key->min, .line = p->line };
	struct config_rule *rules;

	if (!*value)
		return expected(p->error, p->file, p->line, key);
	if (c->n_rules == CONFIG_RULES_MAX)
		return invalid(p->error, p->file, p->line, "[access] more than %d rules",
			       CONFIG_RULES_MAX);
	rules = mem_realloc(c->rules, (c->n_rules + 1) * sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	c->rules = rules;
	rule.text = mem_strdup(value);
	rule.file = mem_strdup(p->file);
	if (!rule.text || !rule.file) {
		forget_rule(&rule);
		return -ENOMEM;
	}
	rules[c->n_rules++] = rule;
	return 0;
}

static int unknown(struct parse *p, const char *what, struct span name)
{
	if (!setting_is_quotable(name))
		return invalid(p->error, p->file, p->line, "unknown %s", what);
	return invalid(p->error, p->file, p->line, "unknown %s: %.*s", what, (int)name.len,
		       name.ptr);
}

static int take_pair(struct parse *p, const char *section, const char *name, const char *value)
{
	const struct config_key *key = config_key_find(section, name);
	unsigned *seen_in;
	int r;

	if (!*section)
		return invalid(p->error, p->file, p->line, "a key that is in no [section]");
	if (strcmp(section, RESERVED_SECTION) == 0)
		return invalid(p->error, p->file, p->line,
			       "[" RESERVED_SECTION "] is reserved and has no keys yet");
	if (!key)
		return unknown(p, "key", span_str(name));
	if (key->type == CONFIG_TYPE_RULE)
		return add_rule(p, key, value);
	seen_in = &p->seen_in[key - config_keys];
	if (*seen_in)
		return invalid(p->error, p->file, p->line, "[%s] %s: is set in line %u already",
			       section, name, *seen_in);
	*seen_in = p->line;
	r = config_key_set(key, p->config, span_str(value));
	return r == CONFIG_INVALID ? expected(p->error, p->file, p->line, key) : r;
}

/* inih's handler. Its own result stays good, so that inih reports bad syntax only. */
static int handle_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct parse *p = arg;

	if (!p->result && name && value)
		p->result = take_pair(p, section, name, value);
	return 1;
}

/* `line` begins with "[". One without "]" is left to inih. */
static int check_section(struct parse *p, struct span line)
{
	struct span rest = span_of(line.ptr + 1, line.len - 1);
	struct span name;

	if (!span_split(&rest, ']', &name) || !rest.ptr)
		return 0;
	if (!is_section(name))
		return unknown(p, "section", name);
	rest = span_trim(rest);
	if (rest.len && rest.ptr[0] != ';' && rest.ptr[0] != '#')
		return invalid(p->error, p->file, p->line, "text behind a [section]");
	return 0;
}

static int check_line(struct parse *p, struct span line, size_t max)
{
	if (line.len > max)
		return invalid(p->error, p->file, p->line, "a line longer than %zu bytes", max);
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return invalid(p->error, p->file, p->line, "a control character");
	}
	return span_starts(line, "[") ? check_section(p, line) : 0;
}

/* inih's reader, like fgets(3): one line into `to`, or NULL at the end. */
static char *next_line(char *to, int size, void *arg)
{
	struct parse *p = arg;
	struct span line;

	if (p->result || !span_split(&p->rest, '\n', &line))
		return NULL;
	p->line++;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	line = span_trim(line);
	p->result = check_line(p, line, (size_t)size - 3); /* a full buffer is an unfinished line */
	if (p->result)
		return NULL;
	if (line.len)
		memcpy(to, line.ptr, line.len);
	to[line.len] = '\0';
	return to;
}

int config_parse(struct config *c, struct span text, const char *file, struct config_error *ret)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct parse p = { .config = c, .rest = text, .file = file, .error = ret };
	int line;

	if (span_starts(text, bom))
		p.rest = span_of(text.ptr + sizeof(bom) - 1, text.len - (sizeof(bom) - 1));
	line = ini_parse_stream(next_line, &p, handle_pair, &p);
	if (line < 0 || p.result < 0)
		return -ENOMEM;
	if (line > 0 && (!p.result || (unsigned)line < ret->line))
		return invalid(ret, file, (unsigned)line, "expected [section] or key = value");
	return p.result;
}

int config_init_defaults(struct config *c)
{
	int r = 0;

	*c = (struct config){ 0 };
	for (size_t i = 0; i < CONFIG_KEY_COUNT && r == 0; i++)
		if (config_keys[i].initial)
			r = config_key_set(&config_keys[i], c, span_str(config_keys[i].initial));
	assert(r != CONFIG_INVALID);
	return r;
}

void config_deinit(struct config *c)
{
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		config_key_clear(&config_keys[i], c);
	for (size_t i = 0; i < c->n_rules; i++)
		forget_rule(&c->rules[i]);
	access_free(c->access);
	mem_free(c->rules);
	*c = (struct config){ 0 };
}

static int override(struct config *c, const struct config_key *key, const char *value,
		    const char *origin, struct config_error *ret)
{
	int r = config_key_set(key, c, span_str(value));

	return r == CONFIG_INVALID ? invalid(ret, origin, 0, "expected %s", key->accepts) : r;
}

int config_override_api_url(struct config *c, const char *url, const char *origin,
			    struct config_error *ret)
{
	return override(c, config_key_find("clerk", "api_url"), url, origin, ret);
}

int config_override_socket(struct config *c, const char *path, const char *origin,
			   struct config_error *ret)
{
	return override(c, config_key_find("listen", "socket"), path, origin, ret);
}

int config_override_server(struct config *c, const char *name, const char *address,
			   const char *origin, struct config_error *ret)
{
	return override(c, config_key_find("listen", name), address, origin, ret);
}

int config_understand(struct config *c, const struct rule_names *names, struct config_error *ret)
{
	access_free(c->access);
	c->access = NULL;
	return access_new(c->rules, c->n_rules, names, ret, &c->access);
}

/* A front whose callers' address has got into its own configuration. */
static bool asks_itself(const struct config *c)
{
	const char *port = c->http ? strrchr(c->http, ':') : NULL;
	struct span rest = span_str(c->api_url), part;

	if (!port || setting_socket_of(span_str(c->http)).ptr || !url_is_loopback(rest))
		return false;
	for (size_t i = 0; i < 3; i++) /* "http:", "", the authority */
		(void)span_split(&rest, '/', &part);
	return part.len > strlen(port) &&
	       span_is(span_of(part.ptr + part.len - strlen(port), strlen(port)), port);
}

int config_finish(const struct config *c, struct config_error *ret)
{
	if (c->connect_timeout_ms > c->request_timeout_ms)
		return invalid(ret, "", 0,
			       "[clerk] connect_timeout is longer than request_timeout");
	if (asks_itself(c))
		return invalid(ret, "", 0,
			       "[clerk] api_url, or $CLERK_API_URL, is the daemon's own [listen] "
			       "http");
	if (c->max_memory / TOKENS_IN_CACHE < c->max_token_size)
		return invalid(ret, "", 0, "[cache] max_memory is less than %d times %s",
			       TOKENS_IN_CACHE, "max_token_size");
	return 0;
}

static int print_line(struct buf *to, const char *before, const char *name, const char *after)
{
	int r = buf_append_str(to, before);

	r = r ? r : buf_append_str(to, name);
	return r ? r : buf_append_str(to, after);
}

static int print_key(const struct config *c, const struct config_key *key, struct buf *to)
{
	int r;

	if (key->type == CONFIG_TYPE_RULE)
		return 0;
	if (!config_key_has_value(key, c))
		return print_line(to, "#", key->name, " =\n");
	r = print_line(to, "", key->name, " = ");
	r = r ? r : config_key_print(key, c, to);
	return r ? r : buf_append_str(to, "\n");
}

static int print_rules(const struct config *c, struct buf *to)
{
	static const char *const names[] = { "allow", "deny", "admin" };
	int r = 0;

	for (size_t i = 0; i < c->n_rules && r == 0; i++) {
		r = print_line(to, "", names[c->rules[i].kind], " = ");
		r = r ? r : print_line(to, "", c->rules[i].text, "\n");
	}
	return r;
}

struct config_budget config_budget(const struct config *c, struct span secret_key)
{
	struct config_budget budget = { c->rate_limit_count, c->rate_limit_window_ms };

	if (budget.count == 0) {
		budget.count = span_starts(secret_key, "sk_live_") ? LIVE_LIMIT : TEST_LIMIT;
		budget.window_ms = LIMIT_WINDOW_MS;
	}
	budget.count = budget.count * c->budget_percent / 100;
	if (budget.count == 0)
		budget.count = 1;
	return budget;
}

int config_print(const struct config *c, struct buf *to)
{
	const char *section = "";
	int r = 0;

	for (size_t i = 0; i < CONFIG_KEY_COUNT && r == 0; i++) {
		const struct config_key *key = &config_keys[i];

		if (strcmp(section, key->section) != 0)
			r = print_line(to, *section ? "\n[" : "[", key->section, "]\n");
		section = key->section;
		r = r ? r : print_key(c, key, to);
	}
	return r ? r : print_rules(c, to);
}

int config_error_print(const struct config_error *e, struct buf *to)
{
	int r = 0;

	if (*e->file)
		r = buf_append_str(to, e->file);
	if (e->line) {
		r = r ? r : buf_append_str(to, ":");
		r = r ? r : buf_append_u64(to, e->line);
	}
	if (*e->file)
		r = r ? r : buf_append_str(to, ": ");
	return r ? r : buf_append_str(to, e->text);
}
