/* The configuration and the key from real files, in a directory of the test's own. */
#include "daemon/sys/files.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "sk_test_0123456789"

struct fixture {
	char dir[PATH_MAX];
	struct config config;
	struct config_error error;
	struct secret key;
	char text[FILES_ERROR_SIZE];
};

static char *path_of(const struct fixture *f, const char *name)
{
	static char path[PATH_MAX + 100];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return path;
}

static void write_bytes(const struct fixture *f, const char *name, struct span content, mode_t mode)
{
	int fd = open(path_of(f, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, content.ptr, content.len), content.len);
	assert_int_equal(close(fd), 0);
}

static void write_text(const struct fixture *f, const char *name, const char *text)
{
	write_bytes(f, name, span_str(text), 0644);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_files.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(config_init_defaults(&f->config), 0);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	(void)unsetenv("CLERK_SECRET_KEY");
	*state = f;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	config_deinit(&f->config);
	secret_deinit(&f->key);
	(void)nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static int load(struct fixture *f, bool must_exist)
{
	return files_load_config(path_of(f, "d.conf"), must_exist, &f->config, &f->error);
}

static void test_absent(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, false), 0);
	assert_int_equal(load(f, true), CONFIG_INVALID);
	assert_non_null(strstr(f->error.file, "/d.conf"));
	assert_int_equal(f->error.line, 0);
	assert_string_equal(f->error.text, "can't be read: No such file or directory");
}

static void test_drop_ins(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(path_of(f, "d.conf.d"), 0755), 0);
	write_text(f, "d.conf.d/20.conf", "[clerk]\nbudget = 20%\n[access]\nallow = b\n");
	assert_int_equal(load(f, false), 0);
	assert_int_equal(f->config.budget_percent, 20);
	write_text(f, "d.conf", "[clerk]\nbudget = 1%\nmax_connections = 3\n");
	write_text(f, "d.conf.d/10.conf", "[clerk]\nbudget = 10%\n[access]\nallow = a\n");
	write_text(f, "d.conf.d/30.conf.bak", "nonsense");
	write_text(f, "d.conf.d/.hidden.conf", "nonsense");
	write_text(f, "d.conf.d/.conf", "nonsense");
	config_deinit(&f->config);
	assert_int_equal(config_init_defaults(&f->config), 0);
	assert_int_equal(load(f, true), 0);
	assert_int_equal(f->config.budget_percent, 20);
	assert_int_equal(f->config.max_connections, 3);
	assert_int_equal(f->config.n_rules, 2);
	assert_string_equal(f->config.rules[0].text, "a");
	assert_non_null(strstr(f->config.rules[1].file, "/d.conf.d/20.conf"));
	write_text(f, "d.conf.d/15.conf", "[clerk]\n\nfoo = 1\n");
	assert_int_equal(load(f, true), CONFIG_INVALID);
	assert_non_null(strstr(f->error.file, "/d.conf.d/15.conf"));
	assert_int_equal(f->error.line, 3);
}

static void test_odd_files(void **state)
{
	struct fixture *f = *state;
	char *large = calloc(1, FILES_CONFIG_MAX + 1);

	assert_int_equal(mkdir(path_of(f, "d.conf"), 0755), 0);
	assert_int_equal(load(f, true), CONFIG_INVALID);
	assert_string_equal(f->error.text, "can't be read: it is no regular file");
	assert_int_equal(rmdir(path_of(f, "d.conf")), 0);
	assert_int_equal(mkfifo(path_of(f, "d.conf"), 0644), 0);
	assert_int_equal(load(f, true), CONFIG_INVALID);
	assert_int_equal(unlink(path_of(f, "d.conf")), 0);

	assert_non_null(large);
	memset(large, '\n', FILES_CONFIG_MAX + 1);
	write_bytes(f, "d.conf", span_of(large, FILES_CONFIG_MAX), 0644);
	assert_int_equal(load(f, true), 0);
	write_bytes(f, "d.conf", span_of(large, FILES_CONFIG_MAX + 1), 0644);
	assert_int_equal(load(f, true), CONFIG_INVALID);
	assert_string_equal(f->error.text, "can't be read: it is too large");
	free(large);
}

static void test_too_many_drop_ins(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(path_of(f, "d.conf.d"), 0755), 0);
	for (int i = 0; i < FILES_DROP_INS_MAX + 1; i++) {
		char name[40];

		assert_int_equal(load(f, false), 0);
		(void)snprintf(name, sizeof(name), "d.conf.d/%d.conf", i);
		write_text(f, name, "");
	}
	assert_int_equal(load(f, false), CONFIG_INVALID);
	assert_string_equal(f->error.text, "can't be read: too many files");
}

static int load_key(struct fixture *f)
{
	return files_load_key(&f->config, &f->key, f->text);
}

static void use_key_file(struct fixture *f, struct span content, mode_t mode)
{
	write_bytes(f, "key", content, mode);
	mem_free(f->config.secret_key_file);
	f->config.secret_key_file = mem_strdup(path_of(f, "key"));
	assert_non_null(f->config.secret_key_file);
}

static void test_key_sources(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_key(f), FILES_KEY_NONE);
	assert_non_null(strstr(f->text, "no secret key"));

	assert_int_equal(setenv("CLERK_SECRET_KEY", KEY "env", 1), 0);
	assert_int_equal(load_key(f), 0);
	assert_true(secret_equal(&f->key, span_str(KEY "env")));
	assert_int_equal(load_key(f), FILES_KEY_NONE);
	assert_true(secret_equal(&f->key, span_str(KEY "env")));

	use_key_file(f, span_str(KEY "file\n"), 0600);
	assert_int_equal(load_key(f), 0);
	assert_true(secret_equal(&f->key, span_str(KEY "file")));

	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f->dir, 1), 0);
	assert_int_equal(load_key(f), 0);
	assert_true(secret_equal(&f->key, span_str(KEY "file")));
	write_text(f, "clerk_secret_key", KEY "credential"); /* mode 0644: systemd's business */
	assert_int_equal(setenv("CLERK_SECRET_KEY", KEY "env", 1), 0);
	assert_int_equal(load_key(f), 0);
	assert_true(secret_equal(&f->key, span_str(KEY "credential")));
	assert_null(getenv("CLERK_SECRET_KEY"));

	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
	assert_int_equal(setenv("CLERK_SECRET_KEY", "", 1), 0);
	mem_free(f->config.secret_key_file);
	f->config.secret_key_file = NULL;
	assert_int_equal(load_key(f), FILES_KEY_NONE);
}

static void test_environment_is_wiped(void **state)
{
	struct fixture *f = *state;
	const char *bytes;

	assert_int_equal(setenv("CLERK_SECRET_KEY", KEY, 1), 0);
	bytes = getenv("CLERK_SECRET_KEY");
	assert_int_equal(load_key(f), 0);
	/* glibc keeps the string of an unset variable */
	for (size_t i = 0; i < sizeof(KEY); i++)
		assert_int_equal(bytes[i], 0);
}

static void test_key_modes(void **state)
{
	static const mode_t good[] = { 0400, 0600, 0700, 0711 };
	static const mode_t bad[] = { 0640, 0620, 0604, 0602, 0644, 0666 };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		use_key_file(f, span_str(KEY), good[i]);
		assert_int_equal(load_key(f), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		use_key_file(f, span_str(KEY), bad[i]);
		assert_int_equal(load_key(f), FILES_KEY_REFUSED);
		assert_non_null(strstr(f->text, "others than its owner can read or change it"));
	}
}

static void test_key_owner(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	use_key_file(f, span_str(KEY), 0600);
	assert_int_equal(chown(f->config.secret_key_file, 12345, 0), 0);
	assert_int_equal(load_key(f), FILES_KEY_REFUSED);
	assert_non_null(strstr(f->text, "belongs to neither root nor this user"));
}

static void test_key_contents(void **state)
{
	static const struct {
		struct span content;
		bool good;
	} cases[] = {
		{ SPAN_LITERAL(KEY), true },
		{ SPAN_LITERAL("sk_live_a-b_C9"), true },
		{ SPAN_LITERAL(" \t" KEY "\r\n\n"), true },
		{ SPAN_LITERAL(""), false },
		{ SPAN_LITERAL("\n"), false },
		{ SPAN_LITERAL("sk_test_"), false },
		{ SPAN_LITERAL("pk_test_abc"), false },
		{ SPAN_LITERAL("sk_other_abc"), false },
		{ SPAN_LITERAL("CLERK_SECRET_KEY=" KEY), false },
		{ SPAN_LITERAL(KEY " x"), false },
		{ SPAN_LITERAL(KEY "\r\nX-Header: 1"), false },
		{ SPAN_LITERAL(KEY "\0"), false },
		{ SPAN_LITERAL(KEY "\xc3\xa4"), false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		use_key_file(f, cases[i].content, 0600);
		if (load_key(f) != (cases[i].good ? 0 : FILES_KEY_REFUSED))
			fail_msg("case %zu", i);
		if (!cases[i].good)
			assert_null(strstr(f->text, KEY));
	}
}

static void test_key_size(void **state)
{
	struct fixture *f = *state;
	char content[5000];

	memset(content, 'x', sizeof(content));
	memcpy(content, "sk_test_", 8);
	use_key_file(f, span_of(content, FILES_KEY_MAX), 0600);
	assert_int_equal(load_key(f), 0);
	assert_int_equal(f->key.len, FILES_KEY_MAX);
	use_key_file(f, span_of(content, FILES_KEY_MAX + 1), 0600);
	assert_int_equal(load_key(f), FILES_KEY_REFUSED);
	use_key_file(f, span_of(content, sizeof(content)), 0600);
	assert_int_equal(load_key(f), FILES_KEY_REFUSED);
}

static void test_odd_key_files(void **state)
{
	struct fixture *f = *state;

	use_key_file(f, span_str(KEY), 0600);
	assert_int_equal(unlink(f->config.secret_key_file), 0);
	assert_int_equal(setenv("CLERK_SECRET_KEY", KEY, 1), 0);
	assert_int_equal(load_key(f), FILES_KEY_REFUSED); /* never passed over for another */
	assert_non_null(strstr(f->text, "no such file"));
	assert_int_equal(mkfifo(f->config.secret_key_file, 0600), 0);
	assert_int_equal(load_key(f), FILES_KEY_REFUSED);
	assert_non_null(strstr(f->text, "no regular file"));
}

static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	int r = -ENOMEM;

	assert_int_equal(mkdir(path_of(f, "d.conf.d"), 0755), 0);
	write_text(f, "d.conf", "[clerk]\nbudget = 1%\n");
	write_text(f, "d.conf.d/10.conf", "[clerk]\nbudget = 10%\n");
	for (size_t n = 0; r != 0; n++) {
		assert_true(n < 100);
		use_key_file(f, span_str(KEY), 0600);
		mem_fail_after(n);
		r = load(f, true);
		r = r ? r : load_key(f);
		mem_fail_after(SIZE_MAX);
		assert_true(r == 0 || r == -ENOMEM);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_absent),	  TEST(test_drop_ins),
		TEST(test_odd_files),	  TEST(test_too_many_drop_ins),
		TEST(test_key_sources),	  TEST(test_environment_is_wiped),
		TEST(test_key_modes),	  TEST(test_key_owner),
		TEST(test_key_contents),  TEST(test_key_size),
		TEST(test_odd_key_files), TEST(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
