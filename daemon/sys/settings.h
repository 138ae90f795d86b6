/* The settings that the daemon is to run with: the files, then what the environment, the command
 * line and the sockets that were handed over say instead. What is wrong is told in the log.
 */
#pragma once

#include "base/secret.h"
#include "daemon/core/config.h"
#include "daemon/core/svix.h"

struct activation;

/* `config_path` NULL: the default, which need not exist; `socket` NULL: as configured; `handed`
 * NULL: nothing. 0, or negative after having said why. */
int settings_load(const char *config_path, const char *socket, const struct activation *handed,
		  struct config *ret);

/* The secret key. 0, 1 where there is no source any more and *ret holds the key from before, or
 * negative after having said why. */
int settings_load_key(const struct config *config, struct secret *ret);

/* The secrets of webhooks, where these are on. 0, or negative after having said why. */
int settings_load_webhook_secrets(const struct config *config, struct svix_secrets *ret);
