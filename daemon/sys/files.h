/* What the daemon reads from files and from its environment: the configuration and its secrets.
 *
 * A file is opened once, judged by its descriptor (a regular file, of bounded size, and for secrets
 * nobody else's to read or change), and read from that same descriptor.
 */
#pragma once

#include "base/secret.h"
#include "daemon/core/config.h"
#include "daemon/core/svix.h"

#include <stdbool.h>

#define FILES_CONFIG_PATH "/etc/clerk-tokend/clerk-tokend.conf"
#define FILES_CONFIG_MAX (1024 * 1024) /* bytes of one file */
#define FILES_DROP_INS_MAX 256
#define FILES_KEY_MAX 512 /* bytes */
#define FILES_ERROR_SIZE 512

/* Parses the file at `path` (NULL: FILES_CONFIG_PATH), then those of PATH.d that end in ".conf", in
 * the order of strcmp(). An absent file is fine unless `must_exist`, an absent directory always.
 * The caller calls config_finish(). 0, -ENOMEM, or CONFIG_INVALID, a file that can't be read
 * included. */
int files_load_config(const char *path, bool must_exist, struct config *c,
		      struct config_error *ret);

/* Documented outcomes, beside 0 and -ENOMEM; `ret_text` then names the source and what is wrong,
 * never what it holds. */
#define FILES_KEY_REFUSED 1 /* a source is there, but it's unusable */
#define FILES_KEY_NONE 2    /* there is no source; at a reload: the key from the start remains */

/* The secret key from the first of: the systemd credential `clerk_secret_key`, secret_key_file,
 * $CLERK_SECRET_KEY. That variable is wiped and removed from the environment in any case, so it
 * is seen by the first call only. */
int files_load_key(const struct config *c, struct secret *ret, char ret_text[FILES_ERROR_SIZE]);

/* The secrets of Clerk's webhooks, from the first of: the systemd credential
 * `clerk_webhook_secret`, webhook_secret_file. */
int files_load_webhook_secrets(const struct config *c, struct svix_secrets *ret,
			       char ret_text[FILES_ERROR_SIZE]);
