/* See settings.h. */
#include "daemon/sys/settings.h"

#include "daemon/sys/activation.h"
#include "daemon/sys/files.h"
#include "daemon/sys/log.h"
#include "daemon/sys/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SYSTEM_SOCKET "/run/clerk-tokend/clerk-tokend.sock"
#define USER_SOCKET_SUFFIX "/clerk-tokend/clerk-tokend.sock"

static void print_config_error(const struct config_error *error)
{
	struct buf text = BUF_INIT(CONFIG_PRINT_MAX);

	if (config_error_print(error, &text) == 0 && buf_append(&text, "", 1) == 0)
		log_event(LOG_ERR, MESSAGE_BAD_CONFIG, text.ptr + text.start);
	buf_deinit(&text);
}

static int default_socket(char to[], size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int len;

	if (geteuid() == 0 || !runtime || !*runtime)
		len = snprintf(to, size, "%s", SYSTEM_SOCKET);
	else
		len = snprintf(to, size, "%s%s", runtime, USER_SOCKET_SUFFIX);
	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

/* Each must pass as if it were configured; it is named after the first, which comes last here. */
static int override_server(enum activation_server server, const struct activation_sockets *sockets,
			   struct config *config, struct config_error *error)
{
	const char *name = activation_name(server);
	int result = 0;

	for (size_t i = sockets->count; i > 0 && result == 0; i--) {
		const char *address = sockets->addresses[i - 1];
		char origin[sizeof(error->file)];

		(void)snprintf(origin, sizeof(origin),
			       "the socket %s that systemd hands over for %s", address,
			       name); /* it fits */
		result = config_override_server(config, name, address, origin, error);
	}
	return result;
}

static int override_servers(const struct activation *handed, struct config *config,
			    struct config_error *error)
{
	int result = 0;

	for (size_t i = ACTIVATION_CLIENTS + 1; handed && i < ACTIVATION_SERVERS && !result; i++)
		result =
		    override_server((enum activation_server)i, &handed->sockets[i], config, error);
	return result;
}

static int override(const char *socket, const struct activation *handed, struct config *config,
		    struct config_error *error)
{
	const char *api_url = getenv("CLERK_API_URL");
	char path[256];
	int result = 0;

	if (api_url && *api_url)
		result = config_override_api_url(config, api_url, "$CLERK_API_URL", error);
	if (result == 0 && socket)
		result = config_override_socket(config, socket, "--socket", error);
	if (result == 0 && !config->socket && default_socket(path, sizeof(path)) < 0) {
		*error =
		    (struct config_error){ .file = "$XDG_RUNTIME_DIR", .text = "it is too long" };
		result = CONFIG_INVALID;
	}
	if (result == 0 && !config->socket)
		result = config_override_socket(config, path, "$XDG_RUNTIME_DIR", error);
	if (result == 0)
		result = override_servers(handed, config, error);
	if (result == 0)
		result = config_understand(config, &names_of_host, error);
	return result == 0 ? config_finish(config, error) : result;
}

int settings_load(const char *config_path, const char *socket, const struct activation *handed,
		  struct config *ret)
{
	struct config_error error = { .text = "out of memory" };
	struct config config;
	int result = config_init_defaults(&config);

	if (result == 0)
		result = files_load_config(config_path, config_path, &config, &error);
	if (result == 0)
		result = override(socket, handed, &config, &error);
	if (result) {
		print_config_error(&error);
		config_deinit(&config);
		return result < 0 ? result : -EINVAL;
	}
	*ret = config;
	return 0;
}

int settings_load_webhook_secrets(const struct config *config, struct svix_secrets *ret)
{
	char text[FILES_ERROR_SIZE] = "out of memory";
	int result = config->webhooks ? files_load_webhook_secrets(config, ret, text) : 0;

	if (result)
		log_event(LOG_ERR, MESSAGE_BAD_KEY, "the secret for webhooks can't be used",
			  log_text("reason", text));
	return result ? -EINVAL : 0;
}

int settings_load_key(const struct config *config, struct secret *ret)
{
	char text[FILES_ERROR_SIZE] = "out of memory";
	int result = files_load_key(config, ret, text);

	if (result == FILES_KEY_NONE && ret->len)
		return 1;
	if (result)
		log_event(LOG_ERR, MESSAGE_BAD_KEY, "the secret key can't be used",
			  log_text("reason", text));
	return result ? -EINVAL : 0;
}
