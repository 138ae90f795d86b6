/* A file that holds a token for programs that read it from there.
 *
 * It is replaced as a whole: who opens it finds the last token or the next, never a part of one. It
 * is the caller's alone, mode 0600 whatever the umask. What it is made from stands in the same
 * directory for a moment; a signal that ends the program waits for that long. It is not synced to
 * the disk: what a power failure leaves would have expired.
 */
#pragma once

#include "client/clerktoken.h"

#include <sys/types.h>

struct token_file {
	const char *path, *name;
	int directory; /* descriptor */
	dev_t dev;     /* of what was last written here */
	ino_t ino;
	bool is_written;
};

/* NULL, or what is wrong with the path, which must live as long as the file. */
const char *token_file_open(struct token_file *f, const char *path);
void token_file_close(struct token_file *f);

/* 0 or an errno, and the file is as it was. */
int token_file_write(struct token_file *f, const struct clerktoken_token *token, bool as_json);

/* Removes it, unless it was not written here, or somebody else has replaced it. True: removed. */
bool token_file_remove(struct token_file *f);
