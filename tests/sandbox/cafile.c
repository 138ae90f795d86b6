/*
 * cafile.c: the one file that the sandbox writes.
 *
 * Model: ca.pem appears whole or not at all (written aside, then renamed), so a program that waits
 * for it never reads half of it. In a directory that the user named it stays after the run; one
 * that was made up for the run is removed with it.
 */
#include "cafile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int format_path(char *path, const char *directory, const char *name)
{
	int length = snprintf(path, PATH_MAX, "%s/%s", directory, name);

	return length > 0 && length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, bytes, length);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes += n;
			length -= (size_t)n;
		}
	}
	return 0;
}

static int write_file(const char *path, const char *aside, const struct text *pem)
{
	if (unlink(aside) < 0 && errno != ENOENT)
		return -errno;
	int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, pem->data, pem->length);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(aside, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(aside); /* the first error is the one to report */
	return r;
}

static int choose_directory(struct ca_file *file, const char *directory)
{
	if (directory) {
		int length = snprintf(file->directory, PATH_MAX, "%s", directory);
		if (length < 0 || length >= PATH_MAX)
			return -ENAMETOOLONG;
		return mkdir(directory, 0755) == 0 || errno == EEXIST ? 0 : -errno;
	}
	const char *parent = getenv("TMPDIR");
	int r = format_path(file->directory, parent && *parent ? parent : "/tmp",
			    "clerk-bapi-sandbox.XXXXXX");
	if (r < 0)
		return r;
	if (!mkdtemp(file->directory))
		return -errno;
	file->ours = true;
	return 0;
}

int ca_file_write(struct ca_file *file, const char *directory, const struct text *pem)
{
	char aside[PATH_MAX];

	*file = (struct ca_file){ .ours = false };
	int r = choose_directory(file, directory);
	if (r == 0)
		r = format_path(file->path, file->directory, "ca.pem");
	if (r == 0)
		r = format_path(aside, file->directory, ".ca.pem.new");
	if (r == 0)
		r = write_file(file->path, aside, pem);
	if (r < 0)
		ca_file_deinit(file);
	return r;
}

void ca_file_deinit(struct ca_file *file)
{
	if (!file->ours)
		return;
	if (file->path[0])
		(void)unlink(file->path); /* best effort at the end of the run */
	(void)rmdir(file->directory);
	file->ours = false;
}
