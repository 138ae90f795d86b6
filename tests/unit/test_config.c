/* Configuration text -> values, and the messages of what is refused. */
#include "daemon/core/config.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#define FILE_NAME "test.conf"

static void parse_ok(struct config *c, const char *text)
{
	struct config_error error = { .text = "" };

	if (config_parse(c, span_str(text), FILE_NAME, &error) != 0)
		fail_msg("%s:%u: %s", error.file, error.line, error.text);
}

static void expect_error(struct span text, unsigned line, const char *message)
{
	struct config c;
	struct config_error error;

	assert_int_equal(config_init_defaults(&c), 0);
	assert_int_equal(config_parse(&c, text, FILE_NAME, &error), CONFIG_INVALID);
	assert_string_equal(error.text, message);
	assert_string_equal(error.file, FILE_NAME);
	assert_int_equal(error.line, line);
	config_deinit(&c);
}

static void test_defaults(void **state)
{
	struct config c;
	struct config_error error;

	(void)state;
	assert_int_equal(config_init_defaults(&c), 0);
	assert_string_equal(c.api_url, "https://api.clerk.com");
	assert_string_equal(c.api_version, "2025-11-10");
	assert_null(c.secret_key_file);
	assert_null(c.ca_file);
	assert_int_equal(c.connect_timeout_ms, 2000);
	assert_int_equal(c.request_timeout_ms, 5000);
	assert_int_equal(c.max_connections, 8);
	assert_int_equal(c.rate_limit_count, 0);
	assert_int_equal(c.rate_limit_window_ms, 0);
	assert_int_equal(c.budget_percent, 80);
	assert_int_equal(c.max_memory, 256 << 20);
	assert_int_equal(c.max_token_size, 64 << 10);
	assert_int_equal(c.refresh_at_percent, 0);
	assert_int_equal(c.renew_idle_ms, -1);
	assert_int_equal(c.min_ttl_ms, 5000);
	assert_int_equal(c.negative_ttl_ms, 10000);
	assert_int_equal(c.default_wait_ms, 3000);
	assert_null(c.socket);
	assert_int_equal(c.socket_mode, 0660);
	assert_null(c.socket_group);
	assert_int_equal(c.max_clients, 10000);
	assert_null(c.http);
	assert_null(c.metrics);
	assert_int_equal(c.n_rules, 0);
	assert_int_equal(c.log_level, CONFIG_LOG_INFO);
	assert_false(c.audit);
	assert_int_equal(config_finish(&c, &error), 0);
	config_deinit(&c);
	config_deinit(&c);
}

static void test_values(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(config_init_defaults(&c), 0);
	parse_ok(&c, "\xef\xbb\xbf[clerk]\r\n"
		     "# a comment\n"
		     "   api_url = http://127.0.0.1:8080/ ; and another\n"
		     "secret_key_file=/run/key\n"
		     "connect_timeout: 250ms\n"
		     "request_timeout = 2m\n"
		     "[cache]\n"
		     "max_memory=1G\n"
		     "refresh_at = 72%\n"
		     "renew_idle = 0\n"
		     "[clerk] ; again\n"
		     "rate_limit = 100/10s\n"
		     "budget = 100%\n"
		     "[listen]\n"
		     "socket = /run/x.sock\n"
		     "socket_mode = 600\n"
		     "socket_group = tokens\n"
		     "http = [::1]:9000\n"
		     "metrics = unix:/run/metrics.sock\n"
		     "[log]\n"
		     "level = debug\n"
		     "audit = on\n"
		     "[shared_cache]");
	assert_string_equal(c.api_url, "http://127.0.0.1:8080");
	assert_string_equal(c.secret_key_file, "/run/key");
	assert_int_equal(c.connect_timeout_ms, 250);
	assert_int_equal(c.request_timeout_ms, 120000);
	assert_int_equal(c.max_memory, 1 << 30);
	assert_int_equal(c.refresh_at_percent, 72);
	assert_int_equal(c.renew_idle_ms, 0);
	assert_int_equal(c.rate_limit_count, 100);
	assert_int_equal(c.rate_limit_window_ms, 10000);
	assert_int_equal(c.budget_percent, 100);
	assert_string_equal(c.socket, "/run/x.sock");
	assert_int_equal(c.socket_mode, 0600);
	assert_string_equal(c.socket_group, "tokens");
	assert_string_equal(c.http, "[::1]:9000");
	assert_string_equal(c.metrics, "unix:/run/metrics.sock");
	assert_int_equal(c.log_level, CONFIG_LOG_DEBUG);
	assert_true(c.audit);

	parse_ok(&c, "[clerk]\nrate_limit = auto\n[cache]\nrefresh_at = auto\nrenew_idle = auto\n"
		     "[listen]\nhttp = off\n");
	assert_int_equal(c.rate_limit_count, 0);
	assert_int_equal(c.rate_limit_window_ms, 0);
	assert_int_equal(c.refresh_at_percent, 0);
	assert_int_equal(c.renew_idle_ms, -1);
	assert_null(c.http);
	assert_int_equal(c.budget_percent, 100);
	parse_ok(&c, "");
	config_deinit(&c);
}

static void test_rules(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(config_init_defaults(&c), 0);
	parse_ok(&c, "[access]\nallow = uid:33 template:x\n\ndeny = *\n");
	parse_ok(&c, "[access]\nadmin = uid:1000\nallow = a=b\n");
	assert_int_equal(c.n_rules, 4);
	assert_int_equal(c.rules[0].kind, CONFIG_RULE_ALLOW);
	assert_string_equal(c.rules[0].text, "uid:33 template:x");
	assert_string_equal(c.rules[0].file, FILE_NAME);
	assert_int_equal(c.rules[0].line, 2);
	assert_int_equal(c.rules[1].kind, CONFIG_RULE_DENY);
	assert_int_equal(c.rules[1].line, 4);
	assert_int_equal(c.rules[2].kind, CONFIG_RULE_ADMIN);
	assert_string_equal(c.rules[3].text, "a=b");
	config_deinit(&c);
}

static void test_too_many_rules(void **state)
{
	static const char rule[] = "allow=x\n";
	struct buf text = BUF_INIT(1 << 20);

	(void)state;
	assert_int_equal(buf_append_str(&text, "[access]\n"), 0);
	for (size_t i = 0; i < CONFIG_RULES_MAX + 1; i++)
		assert_int_equal(buf_append_str(&text, rule), 0);
	expect_error(buf_span(&text), CONFIG_RULES_MAX + 2, "[access] more than 1000 rules");
	buf_deinit(&text);
}

static void test_bad_lines(void **state)
{
	static const struct {
		struct span text;
		unsigned line;
		const char *message;
	} cases[] = {
		{ SPAN_LITERAL("x = 1\n"), 1, "a key that is in no [section]" },
		{ SPAN_LITERAL("[clerk]\n\nfoo = 1\n"), 3, "unknown key: foo" },
		{ SPAN_LITERAL("[clerk]\n= 1\n"), 2, "unknown key: " },
		{ SPAN_LITERAL("[clerk]\nsk_test_0123456789012345678901234567890123=1\n"), 2,
		  "unknown key" },
		{ SPAN_LITERAL("[clerk]\nsocket = /x\n"), 2, "unknown key: socket" },
		{ SPAN_LITERAL("[cluster]\n"), 1, "unknown section: cluster" },
		{ SPAN_LITERAL("[sk_test_1]\n"), 1, "unknown section" },
		{ SPAN_LITERAL("[clerk]\nsk_test_Abc = 1\n"), 2, "unknown key" },
		{ SPAN_LITERAL("[]\n"), 1, "unknown section: " },
		{ SPAN_LITERAL("[clerk] x\n"), 1, "text behind a [section]" },
		{ SPAN_LITERAL("[clerk\n[nonsense]"), 1, "expected [section] or key = value" },
		{ SPAN_LITERAL("[clerk]\nhello\n"), 2, "expected [section] or key = value" },
		{ SPAN_LITERAL("[clerk]\nhello\nfoo = 1\n"), 2,
		  "expected [section] or key = value" },
		{ SPAN_LITERAL("[clerk]\nfoo = 1\nhello\n"), 2, "unknown key: foo" },
		{ SPAN_LITERAL("[clerk]\nbudget = 70%\n\nbudget = 80%\n"), 4,
		  "[clerk] budget: is set in line 2 already" },
		{ SPAN_LITERAL("[shared_cache]\nurl = x\n"), 2,
		  "[shared_cache] is reserved and has no keys yet" },
		{ SPAN_LITERAL("[clerk]\nbudget = 8\0000%\n"), 2, "a control character" },
		{ SPAN_LITERAL("[clerk]\n\x1b[31m\n"), 2, "a control character" },
		{ SPAN_LITERAL("[access]\nallow =\n"), 2, "[access] allow: expected a rule" },
		/* a continuation elsewhere, a line of its own here */
		{ SPAN_LITERAL("[access]\nallow = x\n  foo = y\n"), 3, "unknown key: foo" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		expect_error(cases[i].text, cases[i].line, cases[i].message);
}

static void test_long_line(void **state)
{
	char text[1100] = "[access]\nallow = ";
	struct config c;
	struct config_error error;
	size_t len = strlen(text);
	unsigned r = 0;

	(void)state;
	/* Whatever the limit of this inih is: the value is complete, or refused. */
	for (; len < sizeof(text) - 1 && r == 0; len++) {
		text[len] = 'x';
		assert_int_equal(config_init_defaults(&c), 0);
		r = (unsigned)config_parse(&c, span_of(text, len + 1), FILE_NAME, &error);
		if (r == 0)
			assert_int_equal(strlen(c.rules[0].text), len + 1 - 17);
		config_deinit(&c);
	}
	assert_int_equal(r, CONFIG_INVALID);
	assert_true(len > 180);
	assert_int_equal(error.line, 2);
	assert_memory_equal(error.text, "a line longer than ", 19);
}

static const char *const bad_values[] = {
	"clerk]api_url = http://api.clerk.com",
	"clerk]api_url = http://127.0.0.1.example.com",
	"clerk]api_url = http://128.0.0.1",
	"clerk]api_url = http://127.1",
	"clerk]api_url = http://[::2]",
	"clerk]api_url = https://user@host",
	"clerk]api_url = https://host?x",
	"clerk]api_url = https://host/a b",
	"clerk]api_url = https://host/a/../b",
	"clerk]api_url = https://host#x",
	"clerk]api_url = https://host:0",
	"clerk]api_url = https://host:65536",
	"clerk]api_url = https://host:",
	"clerk]api_url = https://:80",
	"clerk]api_url = https://[::1",
	"clerk]api_url = https://[::1]x",
	"clerk]api_url = https://",
	"clerk]api_url = ftp://host",
	"clerk]api_url = host",
	"clerk]api_url =",
	"clerk]api_version = 2025-1-1",
	"clerk]secret_key_file = key",
	"clerk]secret_key_file = sk_test_abc",
	"clerk]ca_file = ca.pem",
	"clerk]connect_timeout = 5",
	"clerk]connect_timeout = 0",
	"clerk]connect_timeout = 5 s",
	"clerk]connect_timeout = 5S",
	"clerk]connect_timeout = -5s",
	"clerk]connect_timeout = 1.5s",
	"clerk]connect_timeout = 99999999999999999999s",
	"clerk]connect_timeout = auto",
	"clerk]connect_timeout = 11m",
	"clerk]max_connections = 0",
	"clerk]max_connections = 257",
	"clerk]max_connections = 8x",
	"clerk]rate_limit = 0/10s",
	"clerk]rate_limit = 10",
	"clerk]rate_limit = 10/",
	"clerk]rate_limit = 10/0",
	"clerk]rate_limit = 10/10",
	"clerk]rate_limit = 100001/10s",
	"clerk]budget = 80",
	"clerk]budget = 0%",
	"clerk]budget = 101%",
	"clerk]budget = auto",
	"cache]max_memory = 256",
	"cache]max_memory = 256m",
	"cache]max_memory = 1023K",
	"cache]max_memory = 1025G",
	"cache]max_token_size = 2M",
	"cache]refresh_at = 100%",
	"cache]renew_idle = never",
	"cache]default_wait = 2h",
	"listen]socket = x",
	"listen]socket_mode = 66",
	"listen]socket_mode = 0668",
	"listen]socket_mode = 1777",
	"listen]socket_group = a b",
	"listen]max_clients = 0",
	"listen]http = on",
	"listen]http = localhost:80",
	"listen]http = 127.0.0.1",
	"listen]http = 127.0.0.1:0",
	"listen]http = :80",
	"listen]http = [127.0.0.1]:80",
	"listen]http = /run/x.sock",
	"listen]metrics = unix:x.sock",
	"listen]metrics = 0.0.0.0:9000",
	"listen]metrics = 192.0.2.1:9000",
	"listen]metrics = [::]:9000",
	"log]level = trace",
	"log]audit = yes",
};

static void test_bad_values(void **state)
{

	(void)state;
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(*bad_values); i++) {
		struct config c;
		struct config_error error;
		char text[200];

		(void)snprintf(text, sizeof(text), "[%.*s]\n%s\n", (int)strcspn(bad_values[i], "]"),
			       bad_values[i], strchr(bad_values[i], ']') + 1);
		assert_int_equal(config_init_defaults(&c), 0);
		if (config_parse(&c, span_str(text), FILE_NAME, &error) != CONFIG_INVALID)
			fail_msg("accepted: %s", bad_values[i]);
		assert_int_equal(error.line, 2);
		assert_non_null(strstr(error.text, ": expected "));
		assert_null(strstr(error.text, "sk_test"));
		config_deinit(&c);
	}
}

static void test_good_urls(void **state)
{
	static const char *const urls[] = {
		"https://api.clerk.com", "https://api.clerk.com:8443/base/path",
		"https://10.0.0.1",	 "https://[2001:db8::1]:443",
		"http://127.9.9.9:1",	 "http://localhost:65535/",
		"http://[::1]",
	};
	struct config c;
	struct config_error error;

	(void)state;
	assert_int_equal(config_init_defaults(&c), 0);
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++)
		assert_int_equal(config_override_api_url(&c, urls[i], "$CLERK_API_URL", &error), 0);
	assert_string_equal(c.api_url, "http://[::1]");
	assert_int_equal(config_override_api_url(&c, "http://a", "$CLERK_API_URL", &error),
			 CONFIG_INVALID);
	assert_string_equal(error.file, "$CLERK_API_URL");
	assert_int_equal(error.line, 0);
	assert_int_equal(config_override_socket(&c, "/a", "--socket", &error), 0);
	assert_string_equal(c.socket, "/a");
	assert_int_equal(config_override_socket(&c, "a", "--socket", &error), CONFIG_INVALID);
	config_deinit(&c);
}

static void test_finish(void **state)
{
	struct config c;
	struct config_error error;

	(void)state;
	assert_int_equal(config_init_defaults(&c), 0);
	parse_ok(&c, "[clerk]\nrequest_timeout = 1s\n");
	assert_int_equal(config_finish(&c, &error), CONFIG_INVALID);
	assert_int_equal(error.line, 0);
	assert_string_equal(error.file, "");
	parse_ok(&c, "[clerk]\nconnect_timeout = 1s\n[cache]\nmax_memory=1M\nmax_token_size=65K\n");
	assert_int_equal(config_finish(&c, &error), CONFIG_INVALID);
	parse_ok(&c, "[cache]\nmax_token_size=64K\n");
	assert_int_equal(config_finish(&c, &error), 0);
	config_deinit(&c);
}

static void print(const struct config *c, struct buf *to)
{
	assert_int_equal(config_print(c, to), 0);
	assert_int_equal(buf_append(to, "", 1), 0);
}

static void test_budget(void **state)
{
	struct config c;
	struct config_budget budget;

	(void)state;
	assert_int_equal(config_init_defaults(&c), 0);
	budget = config_budget(&c, SPAN_LITERAL("sk_live_1"));
	assert_int_equal(budget.count, 800);
	assert_int_equal(budget.window_ms, 10000);
	assert_int_equal(config_budget(&c, SPAN_LITERAL("sk_test_1")).count, 80);
	c.rate_limit_count = 3;
	c.rate_limit_window_ms = 60000;
	c.budget_percent = 1;
	budget = config_budget(&c, SPAN_LITERAL("sk_live_1"));
	assert_int_equal(budget.count, 1);
	assert_int_equal(budget.window_ms, 60000);
	config_deinit(&c);
}

static void test_print(void **state)
{
	struct config c, again;
	struct buf first = BUF_INIT(CONFIG_PRINT_MAX), second = BUF_INIT(CONFIG_PRINT_MAX);

	(void)state;
	assert_int_equal(config_init_defaults(&c), 0);
	print(&c, &first);
	assert_non_null(strstr(first.ptr, "[clerk]\napi_url = https://api.clerk.com\n"));
	assert_non_null(strstr(first.ptr, "\n#secret_key_file =\n"));
	assert_non_null(strstr(first.ptr, "\nconnect_timeout = 2s\n"));
	assert_non_null(strstr(first.ptr, "\nmax_token_size = 64K\n"));
	assert_non_null(strstr(first.ptr, "\n\n[cache]\n"));
	buf_reset(&first);
	parse_ok(&c, "[clerk]\nrate_limit=7/1500ms\nca_file=/ca\n[cache]\nrenew_idle=90m\n"
		     "negative_ttl=0\nrefresh_at=50%\nmax_memory=3G\n"
		     "[access]\nadmin = x y\ndeny = z\n[log]\nlevel=error\naudit=on\n");
	print(&c, &first);
	assert_int_equal(config_init_defaults(&again), 0);
	parse_ok(&again, first.ptr);
	print(&again, &second);
	assert_string_equal(first.ptr, second.ptr);
	assert_non_null(strstr(first.ptr, "rate_limit = 7/1500ms\n"));
	assert_non_null(strstr(first.ptr, "renew_idle = 90m\n"));
	assert_non_null(strstr(first.ptr, "[access]\nadmin = x y\ndeny = z\n"));
	config_deinit(&c);
	config_deinit(&again);
	buf_deinit(&first);
	buf_deinit(&second);
}

static void test_error_print(void **state)
{
	struct config_error error = { .file = "a.conf", .line = 7, .text = "wrong" };
	struct buf b = BUF_INIT(1000);

	(void)state;
	assert_int_equal(config_error_print(&error, &b), 0);
	assert_true(span_is(buf_span(&b), "a.conf:7: wrong"));
	error.line = 0;
	buf_reset(&b);
	assert_int_equal(config_error_print(&error, &b), 0);
	assert_true(span_is(buf_span(&b), "a.conf: wrong"));
	error.file[0] = '\0';
	buf_reset(&b);
	assert_int_equal(config_error_print(&error, &b), 0);
	assert_true(span_is(buf_span(&b), "wrong"));
	buf_deinit(&b);
}

static void test_no_memory(void **state)
{
	static const char text[] = "[clerk]\napi_url = https://x\n[access]\nallow = a\n";
	size_t held = mem_held();
	int r = -ENOMEM;

	(void)state;
	for (size_t n = 0; r != 0; n++) {
		struct config c;
		struct config_error error;

		mem_fail_after(n);
		r = config_init_defaults(&c);
		if (r == 0)
			r = config_parse(&c, span_str(text), FILE_NAME, &error);
		mem_fail_after(SIZE_MAX);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(n < 100);
		config_deinit(&c);
		assert_int_equal(mem_held(), held);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_values),
		cmocka_unit_test(test_rules),	   cmocka_unit_test(test_too_many_rules),
		cmocka_unit_test(test_bad_lines),  cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_bad_values), cmocka_unit_test(test_good_urls),
		cmocka_unit_test(test_budget),	   cmocka_unit_test(test_finish),
		cmocka_unit_test(test_print),	   cmocka_unit_test(test_error_print),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
