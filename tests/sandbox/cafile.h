/* cafile.h: the directory with ca.pem. */
#ifndef SANDBOX_CAFILE_H
#define SANDBOX_CAFILE_H

#include <limits.h>
#include <stdbool.h>

#include "text.h"

struct ca_file {
	char directory[PATH_MAX];
	char path[PATH_MAX];
	bool ours; /* the directory was made for this run and goes with it */
};

/* Writes `pem` to ca.pem in `directory`, which is made if it doesn't exist; NULL makes a new one
 * below $TMPDIR. 0 or -errno, with nothing left behind. */
int ca_file_write(struct ca_file *file, const char *directory, const struct text *pem);

/* Removes the file and its directory if they were made for this run. */
void ca_file_deinit(struct ca_file *file);

#endif
