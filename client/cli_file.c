/* See cli_file.h. */
#include "client/cli_file.h"

#include "client/cli_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE 0600
#define TEMPORARY_SIZE 40

/* What stands there already is replaced only if it is a file. */
static const char *check_target(const struct token_file *f)
{
	struct stat st;

	if (fstatat(f->directory, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? NULL : strerror(errno);
	if (S_ISREG(st.st_mode))
		return NULL;
	if (S_ISDIR(st.st_mode))
		return "is a directory; name a file in it";
	return S_ISLNK(st.st_mode) ? "is a symbolic link; name the file that it is for"
				   : "is there and no regular file";
}

const char *token_file_open(struct token_file *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX] = ".";
	const char *problem;

	*f = (struct token_file){ .path = path, .name = slash ? slash + 1 : path };
	if (slash && (size_t)(slash - path) + 2 > sizeof(directory))
		return strerror(ENAMETOOLONG);
	if (*f->name == '\0')
		return "is a directory; name a file in it";
	if (slash)
		(void)snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path) + 1,
			       path); /* it fits */
	f->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->directory < 0)
		return strerror(errno);
	problem = check_target(f);
	if (problem)
		token_file_close(f);
	return problem;
}

void token_file_close(struct token_file *f)
{
	(void)close(f->directory); /* nothing was written to it */
}

/* A file that is nobody else's, under a name that nobody can guess. A descriptor, or -1. */
static int create(const struct token_file *f, char name[TEMPORARY_SIZE])
{
	uint64_t number;
	int fd;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -1;
	(void)snprintf(name, TEMPORARY_SIZE, ".clerk-token.%016" PRIx64, number); /* it fits */
	fd = openat(f->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
	if (fd >= 0 && fchmod(fd, MODE) < 0) {
		(void)unlinkat(f->directory, name, 0); /* fchmod(2) has told what is wrong */
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int fill(struct token_file *f, int fd, const struct clerktoken_token *token, bool as_json)
{
	int error = output_token(fd, token, as_json ? TOKEN_JSON : TOKEN_ALONE);
	struct stat st = { 0 };

	if (error == 0 && fstat(fd, &st) < 0)
		error = errno;
	if (close(fd) < 0 && error == 0)
		error = errno;
	if (error == 0) {
		f->dev = st.st_dev;
		f->ino = st.st_ino;
	}
	return error;
}

static int replace(struct token_file *f, const struct clerktoken_token *token, bool as_json)
{
	struct token_file next = *f;
	char temporary[TEMPORARY_SIZE];
	int fd = create(f, temporary);
	int error;

	if (fd < 0)
		return errno;
	error = fill(&next, fd, token, as_json);
	if (error == 0 && renameat(f->directory, temporary, f->directory, f->name) < 0)
		error = errno;
	if (error) {
		(void)unlinkat(f->directory, temporary, 0); /* as good as can be */
		return error;
	}
	*f = next;
	f->is_written = true;
	return 0;
}

int token_file_write(struct token_file *f, const struct clerktoken_token *token, bool as_json)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	error = replace(f, token, as_json);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return error;
}

bool token_file_remove(struct token_file *f)
{
	struct stat st;

	if (!f->is_written || fstatat(f->directory, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_dev != f->dev || st.st_ino != f->ino)
		return false;
	f->is_written = false;
	return unlinkat(f->directory, f->name, 0) == 0;
}
