/* See files.h. */
#include "daemon/sys/files.h"

#include "base/buf.h"
#include "base/mem.h"
#include "proto/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DROP_IN_SUFFIX ".conf"
#define KEY_CREDENTIAL "clerk_secret_key"
#define KEY_VARIABLE "CLERK_SECRET_KEY"
#define WEBHOOK_CREDENTIAL "clerk_webhook_secret"
#define SECRET_FILE_MAX 4096 /* bytes, blanks included */
#define READ_STEP 4096

/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

#define OTHERS_MAY (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)

static void closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing was written */
}

#define cleanup_close __attribute__((cleanup(closep)))
#define cleanup_buf __attribute__((cleanup(buf_deinit)))

/* Appends all that is left to read; -EFBIG if that fills `to`. */
static int read_all(int fd, struct buf *to)
{
	for (;;) {
		size_t room = to->max - buf_len(to);
		size_t want = room < READ_STEP ? room : READ_STEP;
		char *at;
		ssize_t n;

		if (room == 0)
			return -EFBIG;
		at = buf_reserve(to, want);
		if (!at)
			return -ENOMEM;
		do
			n = read(fd, at, want);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		buf_commit(to, (size_t)n);
	}
}

/* Reads a regular file; -EINVAL if it is something else. */
static int read_file(const char *path, struct buf *to, struct stat *ret)
{
	cleanup_close int fd = open(path, OPEN_FLAGS);

	if (fd < 0 || fstat(fd, ret) < 0)
		return -errno;
	if (!S_ISREG(ret->st_mode))
		return -EINVAL;
	return read_all(fd, to);
}

static const char *why(int r)
{
	if (r == -EINVAL)
		return "it is no regular file";
	if (r == -EFBIG)
		return "it is too large";
	return strerror(-r);
}

__attribute__((format(printf, 3, 4))) static int fail(struct config_error *e, const char *file,
						      const char *format, ...)
{
	va_list args;

	(void)snprintf(e->file, sizeof(e->file), "%s", file); /* cut, if need be */
	e->line = 0;
	va_start(args, format);
	(void)vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return CONFIG_INVALID;
}

static int load_file(const char *path, bool must_exist, struct config *c, struct config_error *ret)
{
	cleanup_buf struct buf text = BUF_INIT(FILES_CONFIG_MAX + 1);
	struct stat st;
	int r = read_file(path, &text, &st);

	if (r == -ENOENT && !must_exist)
		return 0;
	if (r == -ENOMEM)
		return r;
	if (r)
		return fail(ret, path, "can't be read: %s", why(r));
	return config_parse(c, buf_span(&text), path, ret);
}

struct names {
	char *name[FILES_DROP_INS_MAX];
	size_t count;
};

static void names_deinit(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		mem_free(names->name[i]);
}

static bool is_drop_in(const char *name)
{
	size_t len = strlen(name), suffix = sizeof(DROP_IN_SUFFIX) - 1;

	return name[0] != '.' && len > suffix && strcmp(name + len - suffix, DROP_IN_SUFFIX) == 0;
}

/* 0, -ENOMEM, -E2BIG: too many, or what readdir(3) says. */
static int list_drop_ins(DIR *dir, struct names *names)
{
	struct dirent *entry;

	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (!is_drop_in(entry->d_name))
			continue;
		if (names->count == FILES_DROP_INS_MAX)
			return -E2BIG;
		names->name[names->count] = mem_strdup(entry->d_name);
		if (!names->name[names->count])
			return -ENOMEM;
		names->count++;
	}
	return -errno;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int load_named(const char *dir_path, const struct names *names, struct config *c,
		      struct config_error *ret)
{
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < names->count && r == 0; i++) {
		if (snprintf(path, sizeof(path), "%s/%s", dir_path, names->name[i]) >= PATH_MAX)
			return fail(ret, dir_path, "can't be read: %s", strerror(ENAMETOOLONG));
		r = load_file(path, true, c, ret);
	}
	return r;
}

static int load_drop_ins(const char *dir_path, struct config *c, struct config_error *ret)
{
	__attribute__((cleanup(names_deinit))) struct names names = { .count = 0 };
	DIR *dir = opendir(dir_path);
	int r;

	if (!dir && errno == ENOENT)
		return 0;
	r = dir ? list_drop_ins(dir, &names) : -errno;
	if (dir)
		(void)closedir(dir); /* nothing was written */
	if (r == -ENOMEM)
		return r;
	if (r)
		return fail(ret, dir_path, "can't be read: %s",
			    r == -E2BIG ? "too many files" : strerror(-r));
	qsort(names.name, names.count, sizeof(*names.name), compare);
	return load_named(dir_path, &names, c, ret);
}

int files_load_config(const char *path, bool must_exist, struct config *c, struct config_error *ret)
{
	char dir_path[PATH_MAX];
	int r;

	if (!path)
		path = FILES_CONFIG_PATH;
	if (snprintf(dir_path, sizeof(dir_path), "%s.d", path) >= PATH_MAX)
		return fail(ret, path, "can't be read: %s", strerror(ENAMETOOLONG));
	r = load_file(path, must_exist, c, ret);
	return r ? r : load_drop_ins(dir_path, c, ret);
}

__attribute__((format(printf, 2, 3))) static int refuse(char text[FILES_ERROR_SIZE],
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, FILES_ERROR_SIZE, format, args); /* cut, if need be */
	va_end(args);
	return FILES_KEY_REFUSED;
}

static struct span trim_lines(struct span s)
{
	while (s.len && memchr(" \t\r\n", s.ptr[s.len - 1], 4))
		s.len--;
	return span_trim(s);
}

/* Printable without blanks: it becomes a header field. Of Clerk's kind: a publishable key in its
 * place is better noticed now than by a 401. */
static bool is_key(struct span s)
{
	return (span_starts(s, "sk_live_") || span_starts(s, "sk_test_")) && s.len > 8 &&
	       wire_is_all(s, CLASS_PRINT) && !memchr(s.ptr, ' ', s.len);
}

/* Where a secret comes from: a credential of systemd's, or a file that the configuration names. */
struct source {
	const char *credential;
	const char *option, *path; /* NULL: no file is named */
};

/* Makes *ret of a file's text. 0, -ENOMEM, or FILES_KEY_REFUSED, and why in `ret_text`. */
typedef int take_fn(struct span text, const char *name, void *ret, char ret_text[FILES_ERROR_SIZE]);

static int take_key(struct span text, const char *name, void *ret, char ret_text[FILES_ERROR_SIZE])
{
	text = trim_lines(text);
	if (text.len > FILES_KEY_MAX)
		return refuse(ret_text, "%s: longer than %d bytes", name, FILES_KEY_MAX);
	if (!is_key(text))
		return refuse(ret_text, "%s: no secret key of Clerk's, which begins with %s", name,
			      "sk_live_ or sk_test_");
	return secret_set(ret, text);
}

static int take_webhook_secrets(struct span text, const char *name, void *ret,
				char ret_text[FILES_ERROR_SIZE])
{
	int r = svix_secrets_parse(trim_lines(text), ret);

	if (r != SVIX_BAD_SECRET)
		return r;
	return refuse(ret_text, "%s: expected a signing secret, whsec_ and base64, or two of them",
		      name);
}

/* FILES_KEY_NONE if there is no such file. */
static int load_secret(const char *path, const char *name, bool is_private, take_fn *take,
		       void *ret, char ret_text[FILES_ERROR_SIZE])
{
	cleanup_buf struct buf text = BUF_INIT(SECRET_FILE_MAX + 1);
	struct stat st;
	int r = read_file(path, &text, &st);

	if (r == -ENOENT)
		return FILES_KEY_NONE;
	if (r == -ENOMEM)
		return r;
	if (r)
		return refuse(ret_text, "%s: can't be read: %s", name, why(r));
	if (!is_private && st.st_uid != 0 && st.st_uid != geteuid())
		return refuse(ret_text, "%s: belongs to neither root nor this user", name);
	if (!is_private && st.st_mode & OTHERS_MAY)
		return refuse(ret_text, "%s: others than its owner can read or change it", name);
	return take(buf_span(&text), name, ret, ret_text);
}

/* The directory is systemd's, which sees to who may read it. */
static int load_credential(const struct source *source, take_fn *take, void *ret,
			   char ret_text[FILES_ERROR_SIZE])
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX], name[64];

	if (!dir || !*dir)
		return FILES_KEY_NONE;
	if (snprintf(path, sizeof(path), "%s/%s", dir, source->credential) >= PATH_MAX)
		return refuse(ret_text, "$CREDENTIALS_DIRECTORY: too long");
	(void)snprintf(name, sizeof(name), "credential %s", source->credential);
	return load_secret(path, name, true, take, ret, ret_text);
}

static int load_configured(const struct source *source, take_fn *take, void *ret,
			   char ret_text[FILES_ERROR_SIZE])
{
	char name[FILES_ERROR_SIZE - 100];
	int r;

	if (!source->path)
		return FILES_KEY_NONE;
	(void)snprintf(name, sizeof(name), "%s %s", source->option, source->path);
	r = load_secret(source->path, name, false, take, ret, ret_text);
	return r == FILES_KEY_NONE ? refuse(ret_text, "%s: no such file", name) : r;
}

static int load_source(const struct source *source, take_fn *take, void *ret,
		       char ret_text[FILES_ERROR_SIZE])
{
	int r = load_credential(source, take, ret, ret_text);

	return r == FILES_KEY_NONE ? load_configured(source, take, ret, ret_text) : r;
}

/* Moves the variable out of the environment, its bytes too. None is as good as an empty one. */
static int take_variable(struct secret *ret)
{
	char *value = getenv(KEY_VARIABLE);
	int r;

	if (!value)
		return 0;
	r = secret_set(ret, span_str(value));
	explicit_bzero(value, strlen(value));
	(void)unsetenv(KEY_VARIABLE); /* fails for bad names */
	return r;
}

int files_load_key(const struct config *c, struct secret *ret, char ret_text[FILES_ERROR_SIZE])
{
	const struct source source = { KEY_CREDENTIAL, "secret_key_file", c->secret_key_file };
	cleanup_secret struct secret variable = SECRET_NONE;
	int r;

	r = take_variable(&variable);
	if (r)
		return r;
	r = load_source(&source, take_key, ret, ret_text);
	if (r == FILES_KEY_NONE && variable.len)
		r = take_key(span_of(variable.ptr, variable.len), "$" KEY_VARIABLE, ret, ret_text);
	if (r == FILES_KEY_NONE)
		(void)refuse(ret_text, "no secret key: there is no credential " KEY_CREDENTIAL
				       ", no secret_key_file, and no $" KEY_VARIABLE);
	return r;
}

int files_load_webhook_secrets(const struct config *c, struct svix_secrets *ret,
			       char ret_text[FILES_ERROR_SIZE])
{
	const struct source source = { WEBHOOK_CREDENTIAL, "webhook_secret_file",
				       c->webhook_secret_file };
	int r = load_source(&source, take_webhook_secrets, ret, ret_text);

	if (r == FILES_KEY_NONE)
		(void)refuse(ret_text,
			     "no secret for webhooks: there is no credential " WEBHOOK_CREDENTIAL
			     ", and no webhook_secret_file");
	return r;
}
